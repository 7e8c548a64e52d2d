//! Which nodes' answers were not taken lately: each is noted once a minute, however often the node is asked.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use vpnmanager_nats::ids::NodeId;

const EVERY: Duration = Duration::from_secs(60);

/// When an unfit answer of each node was noted last, in this replica. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct UnfitAnswers {
    noted: Arc<Mutex<HashMap<NodeId, Instant>>>,
}

impl UnfitAnswers {
    /// Whether the node's answer is to be noted; if so, none is for the next minute.
    pub fn is_due(&self, node: &NodeId, now: Instant) -> bool {
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        noted.retain(|_, at| now.saturating_duration_since(*at) < EVERY);
        if noted.contains_key(node) {
            return false;
        }
        noted.insert(node.clone(), now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_node_is_noted_once_a_minute() {
        let answers = UnfitAnswers::default();
        let node = |id: &str| -> NodeId { id.parse().expect("a valid id") };
        let now = Instant::now();
        assert!(answers.is_due(&node("a"), now));
        assert!(!answers.is_due(&node("a"), now + Duration::from_secs(59)));
        assert!(answers.is_due(&node("b"), now));
        assert!(answers.is_due(&node("a"), now + EVERY));
    }
}
