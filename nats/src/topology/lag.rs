//! How much on the bus still waits for whom, for monitoring.

use futures_util::TryStreamExt;

use super::{error::TopologyError, names::node_of_reports_stream, streams::Topology};
use crate::ids::NodeId;

/// Commands that wait for a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// The node.
    pub node: NodeId,
    /// Those that were not delivered to it.
    pub undelivered: u64,
    /// Those that were, and that it has not settled.
    pub unsettled: u64,
}

impl Topology {
    /// The commands that wait for each node. One request for each 256 nodes.
    pub async fn commands_waiting(&self) -> Result<Vec<Waiting>, TopologyError> {
        let consumers: Vec<_> = self
            .commands()
            .consumers()
            .try_collect()
            .await
            .map_err(TopologyError::request("listing the consumers of commands"))?;
        let waiting = consumers.into_iter().filter_map(|consumer| {
            Some(Waiting {
                node: consumer.name.parse().ok()?,
                undelivered: consumer.num_pending,
                unsettled: consumer.num_ack_pending as u64,
            })
        });
        Ok(waiting.collect())
    }

    /// Reports of all nodes that management has not recorded. One request for each 256 nodes.
    pub async fn reports_waiting(&self) -> Result<u64, TopologyError> {
        let streams: Vec<_> = self
            .context()
            .streams()
            .try_collect()
            .await
            .map_err(TopologyError::request("listing the streams"))?;
        let of_reports = streams
            .iter()
            .filter(|stream| node_of_reports_stream(&stream.config.name).is_some());
        Ok(of_reports.map(|stream| stream.state.messages).sum())
    }
}
