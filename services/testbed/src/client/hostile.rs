//! A hostile client, which ignores the server's request to disconnect.

use crate::net::{IpError, Namespace};

/// A namespace that drops the server's control packets but not its data packets.
#[derive(Debug)]
pub struct Hostile<'a> {
    namespace: &'a Namespace,
}

impl<'a> Hostile<'a> {
    /// Drops control packets (opcode P_CONTROL_V1 in the first payload byte) from the UDP port `server_port` from
    /// now on. The client must be connected already.
    pub async fn make(namespace: &'a Namespace, server_port: u16) -> Result<Self, IpError> {
        namespace.run("nft add table ip hostile").await?;
        namespace
            .run("nft add chain ip hostile input { type filter hook input priority 0 ; }")
            .await?;
        let rule = format!("nft add rule ip hostile input udp sport {server_port} @th,64,8 0x20-0x27 counter drop");
        namespace.run(&rule).await?;
        Ok(Self { namespace })
    }

    /// How many control packets were dropped.
    pub async fn ignored(&self) -> Result<u64, IpError> {
        let rules = self.namespace.run("nft list chain ip hostile input").await?;
        let count = rules
            .split_once("packets ")
            .and_then(|(_, rest)| rest.split_whitespace().next()?.parse().ok());
        Ok(count.unwrap_or(0))
    }

    /// Stops dropping packets.
    pub async fn reform(self) -> Result<(), IpError> {
        self.namespace.run("nft delete table ip hostile").await.map(drop)
    }
}
