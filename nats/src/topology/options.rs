//! What an operator chooses about the streams.

/// How the streams are kept.
#[derive(Debug, Clone)]
pub struct TopologyOptions {
    /// Copies of each stream: 1 on a single server, 3 on a cluster.
    pub replicas: usize,
    /// Keep node consumers in memory: four times the throughput with a thousand nodes, but lost when the server restarts.
    pub memory_consumers: bool,
}

impl Default for TopologyOptions {
    fn default() -> Self {
        Self {
            replicas: 1,
            memory_consumers: false,
        }
    }
}
