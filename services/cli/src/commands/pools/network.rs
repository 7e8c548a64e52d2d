//! Flags for the network of a pool.

use clap::Args;
use serde_json::{Map, Value, json};

/// What the users of a pool reach through the tunnel.
#[derive(Debug, Args)]
#[command(next_help_heading = "Network")]
pub(crate) struct NetworkArgs {
    /// A prefix that clients send into the tunnel, such as 10.20.0.0/16; repeat it for each
    #[arg(long = "route", value_name = "PREFIX")]
    routes: Vec<String>,
    /// Clients send everything into the tunnel
    #[arg(long)]
    redirect_gateway: bool,
    /// A DNS server of clients; repeat it for each
    #[arg(long = "dns", value_name = "ADDRESS")]
    dns_servers: Vec<String>,
    /// A domain that clients complete names with; repeat it for each
    #[arg(long = "search-domain", value_name = "DOMAIN")]
    search_domains: Vec<String>,
    /// What machines behind the nodes see as the source of clients' packets [default: masquerade]
    #[arg(long, value_parser = ["masquerade", "none"])]
    nat: Option<String>,
    /// Clients reach each other
    #[arg(long)]
    client_to_client: bool,
    /// The largest packet in the tunnel, in bytes
    #[arg(long, value_name = "BYTES")]
    mtu: Option<u64>,
    /// The largest TCP segment through the tunnel, in bytes
    #[arg(long, value_name = "BYTES")]
    max_segment: Option<u64>,
}

impl NetworkArgs {
    /// The network as the API takes it; `None` where nothing is said of it.
    pub(super) fn value(&self) -> Option<Value> {
        let list = |list: &Vec<String>| (!list.is_empty()).then(|| json!(list));
        let members = [
            ("routes", list(&self.routes)),
            ("redirect_gateway", self.redirect_gateway.then_some(Value::Bool(true))),
            ("dns_servers", list(&self.dns_servers)),
            ("search_domains", list(&self.search_domains)),
            ("nat", self.nat.clone().map(Value::from)),
            ("client_to_client", self.client_to_client.then_some(Value::Bool(true))),
            ("mtu", self.mtu.map(Value::from)),
            ("max_segment", self.max_segment.map(Value::from)),
        ];
        let given = members
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?)));
        let network: Map<String, Value> = given.collect();
        (!network.is_empty()).then_some(Value::Object(network))
    }
}
