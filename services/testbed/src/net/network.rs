//! The network of a stack: a bridge and the namespaces that are connected to it.

use std::net::Ipv4Addr;

use super::{
    ip::{IpError, ip},
    namespace::{self, Namespace},
};

/// A network could not be built.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// A command failed.
    #[error("cannot build the network")]
    Ip(#[from] IpError),
    /// All numbers are taken.
    #[error("all of 198.18.1.0/24 to 198.18.254.0/24 are in use by other stacks (`ip link show`)")]
    Full,
    /// No host number left.
    #[error("no free address in 198.18.{0}.{1} and above")]
    NoAddress(u8, u8),
}

/// The network of one stack. Dropping it leaves it in place: see [`Network::delete`] and [`Network::cleanup_line`].
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct Network {
    prefix: String,
    number: u8,
}

impl Network {
    /// Builds the bridge for the stack `id` (letters, digits and dashes) and claims a free number for it.
    pub async fn create(id: &str) -> Result<Self, NetworkError> {
        delete_network(id).await;
        let prefix = prefix(id);
        let bridge = format!("{prefix}-br");
        ip(&format!("netns add {bridge}")).await?;
        let built = async {
            ip(&format!("-n {bridge} link add br0 type bridge")).await?;
            ip(&format!("-n {bridge} link set br0 up")).await?;
            let number = claim(&bridge).await?;
            ip(&format!("-n {bridge} link set h1 master br0 up")).await?;
            ip(&format!("addr add 198.18.{number}.1/24 dev vm{number}")).await?;
            ip(&format!("link set vm{number} up")).await?;
            Ok(Self { prefix, number })
        };
        let built = built.await;
        if built.is_err() {
            delete_network(id).await;
        }
        built
    }

    /// The address of the root namespace on this network, where nodes reach management and the bus.
    #[must_use]
    pub fn gateway(&self) -> Ipv4Addr {
        self.address(1)
    }

    /// The address with this host number.
    #[must_use]
    pub fn address(&self, host: u8) -> Ipv4Addr {
        Ipv4Addr::new(198, 18, self.number, host)
    }

    pub(super) fn number(&self) -> u8 {
        self.number
    }

    pub(super) fn bridge(&self) -> String {
        format!("{}-br", self.prefix)
    }

    pub(super) fn name_of(&self, machine: &str) -> String {
        format!("{}-{machine}", self.prefix)
    }

    /// Adds the namespace `<prefix>-<name>` with this host number.
    pub async fn add(&self, name: &str, host: u8) -> Result<Namespace, NetworkError> {
        self.claim_port(host).await?;
        Ok(self.wire(&format!("{}-{name}", self.prefix), host).await?)
    }

    /// Adds a client's namespace at a free host number from 101 on; without a name it gets one. The number is a random one: a server may still
    /// have the session of a client that was killed, and would take packets from the same address and port for that one's.
    ///
    /// # Errors
    /// [`NetworkError`], also when the name is taken.
    pub async fn add_client(&self, name: Option<&str>) -> Result<Namespace, NetworkError> {
        const FIRST: u8 = 101;
        const LAST: u8 = 250;
        // Another process may take a number after this check; then the claim fails and the next number is tried.
        let links = ip(&format!("-n {}-br -o link show", self.prefix)).await?;
        let looks_free = |host: &u8| !links.contains(&format!(": h{host}@"));
        let start = fastrand::u8(FIRST..=LAST);
        for host in (start..=LAST).chain(FIRST..start).filter(looks_free) {
            match self.claim_port(host).await {
                Ok(()) => {
                    let name = name.map_or_else(|| format!("{}-client-{host}", self.prefix), str::to_owned);
                    return Ok(self.wire(&name, host).await?);
                }
                Err(error) if error.already_exists() => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(NetworkError::NoAddress(self.number, FIRST))
    }

    /// The namespace that [`Network::add`] made with this name and host number.
    #[must_use]
    pub fn existing(&self, name: &str, host: u8) -> Namespace {
        self.describe(&format!("{}-{name}", self.prefix), host)
    }

    /// Deletes it with everything in it.
    pub async fn delete(&self) {
        delete_prefix(&self.prefix).await;
    }

    /// A line of shell that deletes it with everything in it, for [`Scratch::run_at_end`](crate::scratch::Scratch::run_at_end).
    #[must_use]
    pub fn cleanup_line(&self) -> String {
        let Self { prefix, number } = self;
        format!(
            "ip link del vm{number}; \
             for port in $(ip -n {prefix}-br -o link show | sed -n 's/.*alias \\(.*\\)$/\\1/p'); do \
             for pid in $(ip netns pids $port); do kill -9 $pid; done; ip netns del $port; rm -rf \"/etc/netns/$port\"; done; \
             ip netns del {prefix}-br"
        )
    }

    /// Claims a host number by making the bridge's port. That is one step, so two clients never get the same number.
    async fn claim_port(&self, host: u8) -> Result<(), IpError> {
        ip(&format!(
            "-n {}-br link add h{host} type veth peer name e{host}",
            self.prefix
        ))
        .await
        .map(drop)
    }

    async fn wire(&self, name: &str, host: u8) -> Result<Namespace, IpError> {
        let namespace = self.describe(name, host);
        let Namespace {
            address, bridge, port, ..
        } = &namespace;
        let plugged = async {
            ip(&format!("netns add {name}")).await?;
            let wired = async {
                ip(&format!("-n {bridge} link set {port} alias {name}")).await?;
                ip(&format!("-n {bridge} link set e{host} netns {name} name eth0")).await?;
                ip(&format!("-n {bridge} link set {port} master br0 up")).await?;
                ip(&format!("-n {name} addr add {address}/24 dev eth0")).await?;
                ip(&format!("-n {name} link set eth0 up")).await?;
                ip(&format!("-n {name} link set lo up")).await
            };
            let wired = wired.await;
            if wired.is_err() {
                namespace.delete().await;
            }
            wired
        };
        if let Err(error) = plugged.await {
            // Only the first error is reported.
            let _ = ip(&format!("-n {bridge} link del {port}")).await;
            return Err(error);
        }
        Ok(namespace)
    }

    fn describe(&self, name: &str, host: u8) -> Namespace {
        Namespace {
            name: name.to_owned(),
            address: self.address(host),
            bridge: format!("{}-br", self.prefix),
            port: format!("h{host}"),
        }
    }
}

/// Deletes whatever is left of the network of the stack `id`.
pub async fn delete_network(id: &str) {
    delete_prefix(&prefix(id)).await;
}

fn prefix(id: &str) -> String {
    format!("vpnm-{id}")
}

/// Claims a number by making the interface. That is one step, so two stacks never get the same number.
async fn claim(bridge: &str) -> Result<u8, NetworkError> {
    let start = fastrand::u8(1..=254);
    for step in 0..254 {
        let number = u8::try_from((u16::from(start) - 1 + step) % 254 + 1).unwrap_or(1);
        match ip(&format!("link add vm{number} type veth peer name h1 netns {bridge}")).await {
            Ok(_) => return Ok(number),
            Err(error) if error.already_exists() => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(NetworkError::Full)
}

async fn names() -> Vec<String> {
    let list = ip("netns list").await.unwrap_or_default();
    list.lines()
        .filter_map(|line| line.split_whitespace().next())
        .map(str::to_owned)
        .collect()
}

async fn delete_prefix(prefix: &str) {
    let bridge = format!("{prefix}-br");
    let ports = ip(&format!("-n {bridge} -o link show")).await.unwrap_or_default();
    // Clients may have other names; the aliases of the bridge's ports tell them.
    let plugged = ports
        .lines()
        .filter_map(|line| line.split_once("alias "))
        .map(|(_, name)| name.trim().to_owned());
    let ours = names()
        .await
        .into_iter()
        .filter(|name| name.starts_with(&format!("{prefix}-")) && *name != bridge);
    let all: std::collections::BTreeSet<String> = plugged.chain(ours).collect();
    for name in all {
        namespace::delete(&name).await;
    }
    namespace::delete(&bridge).await;
}
