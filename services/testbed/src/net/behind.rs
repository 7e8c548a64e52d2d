//! The network behind the nodes: a bridge that nodes and a service host are on, and clients are not. Clients have no route to it but a
//! tunnel.
//!
//! ```text
//!  <prefix>-br               <prefix>-node-1            <prefix>-service
//!  br1 ┬ b11 ─────────────── eth1 198.19.7.11
//!      └ b2 ───────────────────────────────────── eth0 198.19.7.2
//! ```

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{
    capability::has_ipv6,
    ip::{IpError, ip},
    namespace::Namespace,
    network::{Network, NetworkError},
};

/// The host number of the service host.
const SERVICE: u8 = 2;

impl Network {
    /// The networks behind the nodes: of IPv4, and of IPv6 (unique local, RFC 4193) where the kernel has it.
    #[must_use]
    pub fn behind(&self) -> Vec<String> {
        let ipv6 = has_ipv6().then(|| format!("{}/64", self.behind_address6(0)));
        [format!("198.19.{}.0/24", self.number())]
            .into_iter()
            .chain(ipv6)
            .collect()
    }

    /// The addresses of the service host, in the same order.
    #[must_use]
    pub fn service(&self) -> Vec<IpAddr> {
        let ipv6 = has_ipv6().then(|| self.behind_address6(SERVICE).into());
        [self.behind_address(SERVICE).into()].into_iter().chain(ipv6).collect()
    }

    /// Builds the bridge and the service host. Nodes that are added from then on are on it too.
    pub async fn add_service(&self) -> Result<Namespace, NetworkError> {
        let bridge = self.bridge();
        ip(&format!("-n {bridge} link add br1 type bridge")).await?;
        ip(&format!("-n {bridge} link set br1 up")).await?;
        let service = Namespace {
            name: self.name_of("service"),
            address: self.behind_address(SERVICE),
            bridge: bridge.clone(),
            port: format!("b{SERVICE}"),
        };
        ip(&format!("netns add {}", service.name)).await?;
        ip(&format!("-n {} link set lo up", service.name)).await?;
        self.plug_behind(&service.name, "eth0", SERVICE).await?;
        Ok(service)
    }

    /// Connects a node's namespace to the network behind the nodes, as `eth1`.
    pub async fn connect_behind(&self, node: &Namespace) -> Result<(), NetworkError> {
        let host = node.address.octets()[3];
        Ok(self.plug_behind(&node.name, "eth1", host).await?)
    }

    async fn plug_behind(&self, name: &str, device: &str, host: u8) -> Result<(), IpError> {
        let bridge = self.bridge();
        let (address, address6) = (self.behind_address(host), self.behind_address6(host));
        let mut lines = vec![
            format!("-n {bridge} link add b{host} type veth peer name f{host}"),
            format!("-n {bridge} link set b{host} alias {name}"),
            format!("-n {bridge} link set f{host} netns {name} name {device}"),
            format!("-n {bridge} link set b{host} master br1 up"),
            format!("-n {name} addr add {address}/24 dev {device}"),
        ];
        if has_ipv6() {
            // Without the pause in which a new address is looked for elsewhere.
            lines.push(format!("-n {name} addr add {address6}/64 dev {device} nodad"));
        }
        lines.push(format!("-n {name} link set {device} up"));
        for line in lines {
            ip(&line).await?;
        }
        Ok(())
    }

    fn behind_address(&self, host: u8) -> Ipv4Addr {
        Ipv4Addr::new(198, 19, self.number(), host)
    }

    fn behind_address6(&self, host: u8) -> Ipv6Addr {
        Ipv6Addr::new(0xfd19, 0, 0, u16::from(self.number()), 0, 0, 0, u16::from(host))
    }
}
