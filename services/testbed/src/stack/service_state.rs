//! The service host as another process needs to know it.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::net::Namespace;

/// Its name, which its resolver knows.
pub const SERVICE_NAME: &str = "service.internal.example";
/// What its web page says.
pub(super) const PAGE: &str = "hello from behind the node\n";
/// The port of its iperf3 server.
pub const SERVICE_IPERF: u16 = 5201;

/// The service host as written to the state file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ServiceState {
    /// Its namespace.
    pub namespace: Namespace,
    /// Its addresses: of IPv4, and of IPv6 where the kernel has it. They are also those of its resolver.
    pub addresses: Vec<IpAddr>,
    /// The networks that it is on, in the same order.
    pub networks: Vec<String>,
}

impl ServiceState {
    /// Its resolver.
    #[must_use]
    pub fn resolver(&self) -> IpAddr {
        self.namespace.address.into()
    }

    /// Its web page, by each of its addresses.
    pub fn urls(&self) -> impl Iterator<Item = String> + '_ {
        self.addresses.iter().map(|address| match address {
            IpAddr::V4(v4) => format!("http://{v4}/"),
            IpAddr::V6(v6) => format!("http://[{v6}]/"),
        })
    }

    /// Its web page, by its name.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{SERVICE_NAME}/")
    }

    /// Whether a client's namespace gets the web page at this URL.
    pub async fn is_reached_from(&self, client: &Namespace, url: &str) -> bool {
        client.fetch(url).await.is_ok_and(|page| page == PAGE)
    }
}
