//! The streams and consumers of the bus, and whether they store.

use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use sea_orm::DatabaseConnection;
use vpnmanager_nats::{
    connect::Bus,
    ids::NodeId,
    storage, store_limit,
    topology::{Topology, TopologyError, TopologyOptions},
};
use vpnmanager_runtime::{
    doctor::{Check, Seen, Trouble},
    error_chain::chain,
};

use super::{database::unreadable, nodes::members};
use crate::{
    config::Config,
    storage::{LIMIT_REACHED, bus_stores_nothing},
};

pub(super) const STREAMS: Check = Check::new("bus-streams", "The stream of commands is as management needs it")
    .after(&["bus-version"])
    .within(Duration::from_secs(10));
pub(super) const OF_NODES: Check = Check::new(
    "bus-nodes",
    "The streams and consumers of all nodes are as management needs them",
)
.after(&["bus-streams", "database-schema"])
.within(Duration::from_secs(60));
pub(super) const STORAGE: Check = Check::new("bus-storage", "The bus stores a message")
    .after(&["bus-streams"])
    .within(Duration::from_secs(10));

/// Nodes that are asked about at the same time.
const AT_ONCE: usize = 16;
/// So many faults are told; the others are counted.
const TOLD: usize = 5;

/// Takes the streams as they are.
pub(super) async fn look((config, bus): (&Config, &Bus)) -> Seen<Topology> {
    let options = TopologyOptions {
        replicas: config.bus.copies,
        ..TopologyOptions::default()
    };
    match Topology::as_it_is(&bus.client, options).await {
        Ok(topology) => Seen::fine("the stream of commands is as it must be", topology),
        Err(error) => Seen::failed(Trouble::new(
            "the stream of commands is not as it must be",
            chain(&error).to_string(),
            mend(&error),
        )),
    }
}

/// Compares those of each node.
pub(super) async fn look_at_nodes((topology, db): (&Topology, &DatabaseConnection)) -> Seen {
    let nodes: Vec<NodeId> = match members(db).await {
        Ok(servers) => servers.into_iter().map(|server| server.name).collect(),
        Err(error) => return unreadable(&error),
    };
    let looks = stream::iter(&nodes).map(|node| topology.look_at_node(node));
    let looked: Vec<Result<(), TopologyError>> = looks.buffer_unordered(AT_ONCE).collect().await;
    let faults: Vec<TopologyError> = looked.into_iter().filter_map(Result::err).collect();
    let Some(first) = faults.first() else {
        return Seen::fine(format!("those of {} nodes are as they must be", nodes.len()), ());
    };
    let told: Vec<String> = faults.iter().take(TOLD).map(|error| chain(error).to_string()).collect();
    Seen::failed(Trouble::new(
        format!("of {} nodes, {} lack something on the bus", nodes.len(), faults.len()),
        told.join("; "),
        mend(first),
    ))
}

fn mend(error: &TopologyError) -> String {
    match error {
        TopologyError::Differs { name, .. } => format!("nats stream info {name}"),
        TopologyError::ServerTooOld { .. } => "nats-server --version".to_owned(),
        TopologyError::Missing { .. } | TopologyError::NoRoom { .. } => {
            "systemctl restart vpnmanager-management".to_owned()
        }
        TopologyError::Request { .. } => "systemctl status vpnmanager-nats".to_owned(),
    }
}

/// Stores a message beside the commands that no node reads, as the service does from time to time.
pub(super) async fn prove((config, topology): (&Config, &Topology)) -> Seen {
    let Err(failed) = storage::prove(topology, &config.server_id).await else {
        return Seen::fine("the bus stored a message", ());
    };
    let (cause, mend) = match store_limit::refused(&failed) {
        true => (
            LIMIT_REACHED.to_owned(),
            "vpnmanager-management bus-init --help | grep -A2 max-store",
        ),
        false => (chain(&failed).to_string(), "df -h; systemctl restart vpnmanager-nats"),
    };
    Seen::failed(Trouble::new("the bus stores nothing", bus_stores_nothing(&cause), mend))
}
