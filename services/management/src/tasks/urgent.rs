//! Sends commands that end access to their nodes directly, each in a job of its own: a node that does not answer holds up no other.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anyhow::Context;
use tokio::sync::Semaphore;
use tracing::{debug, warn};
use vpnmanager_nats::ids::NodeId;
use vpnmanager_runtime::{
    contain::contain,
    error_chain::chain,
    log_limit::LogLimit,
    reconcile::{Next, Reconciler},
    tasks::Tasks,
};

use crate::{
    app::App,
    ops::{
        publications::ask_directly::{AskDirectlyError, BATCH, OF_ONE_NODE, ask_directly, claim, leave_to_stream},
        reports::follow_up,
    },
};

/// Commands that are on their way at the same time.
const CONCURRENT: usize = 256;
/// A node that did not answer is left alone for this long.
const SILENT_FOR: Duration = Duration::from_secs(5);

static NOT_APPLIED: LogLimit = LogLimit::lines("a command could not be applied directly", 5);

pub(super) struct Urgent {
    app: App,
    tasks: Tasks,
    places: Arc<Semaphore>,
    asked: Asked,
}

/// The nodes that are being asked, or that did not answer lately. Cheap to clone.
#[derive(Debug, Clone, Default)]
struct Asked {
    nodes: Arc<Mutex<HashMap<NodeId, Node>>>,
}

#[derive(Debug, Default)]
struct Node {
    /// Commands that are on their way to it.
    in_flight: usize,
    silent_since: Option<Instant>,
}

impl Asked {
    fn begins(&self, node: &NodeId) {
        self.nodes().entry(node.clone()).or_default().in_flight += 1;
    }

    fn ended(&self, node: &NodeId, is_silent: bool) {
        if let Some(known) = self.nodes().get_mut(node) {
            known.in_flight -= 1;
            if is_silent {
                known.silent_since = Some(Instant::now());
            }
        }
    }

    /// Nodes that get no further command now, so that what waits for them takes no place from others.
    fn spared(&self) -> Vec<NodeId> {
        let mut nodes = self.nodes();
        let is_silent = |node: &Node| node.silent_since.is_some_and(|at| at.elapsed() < SILENT_FOR);
        nodes.retain(|_, node| node.in_flight > 0 || is_silent(node));
        let spared = nodes
            .iter()
            .filter(|(_, node)| node.in_flight >= OF_ONE_NODE || is_silent(node));
        spared.map(|(name, _)| name.clone()).collect()
    }

    fn nodes(&self) -> MutexGuard<'_, HashMap<NodeId, Node>> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Urgent {
    pub(super) fn new(app: App, tasks: &Tasks) -> Self {
        Self {
            app,
            tasks: tasks.clone(),
            places: Arc::new(Semaphore::new(CONCURRENT)),
            asked: Asked::default(),
        }
    }
}

impl Reconciler for Urgent {
    async fn reconcile(&mut self) -> anyhow::Result<Next> {
        let leases = &self.app.leases;
        let claims = claim(leases, &self.asked.spared())
            .await
            .context("finding commands that end access failed")?;
        if claims.is_empty() {
            leave_to_stream(leases)
                .await
                .context("leaving commands to the stream failed")?;
            return Ok(Next::Idle);
        }
        let is_full = claims.len() == BATCH;
        for claim in claims {
            // The semaphore is never closed.
            let Ok(place) = Arc::clone(&self.places).acquire_owned().await else {
                break;
            };
            let (app, asked) = (self.app.clone(), self.asked.clone());
            let node = claim.publication.command.body.node().clone();
            asked.begins(&node);
            self.tasks.spawn_job("urgent-command", async move {
                let answered = contain("asking a node directly", ask_directly(&app, claim)).await;
                let is_silent = matches!(&answered, Ok(Err(error)) if error.is_silence());
                asked.ended(&node, is_silent);
                drop(place);
                // There may be more for this node.
                app.urgent.wake();
                match answered {
                    Ok(Ok(applied)) => follow_up::forget(&app, applied).await,
                    Ok(Err(error)) => note(&node, &error),
                    Err(panicked) => warn!(node.id = %node, error = %chain(&panicked), "Asking a node directly failed"),
                }
                Ok(())
            });
        }
        Ok(if is_full { Next::Again } else { Next::Idle })
    }
}

fn note(node: &NodeId, error: &AskDirectlyError) {
    if error.is_silence() {
        debug!(node.id = %node, "A node that should end access is away; the stream has the command");
    } else if let Some(times) = NOT_APPLIED.admit() {
        warn!(times, node.id = %node, error = %chain(error), "A command that ends access could not be applied directly; the stream has it");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_spared_while_it_has_enough_or_was_silent() {
        let asked = Asked::default();
        let [one, two]: [NodeId; 2] = ["node-1", "node-2"].map(|id| id.parse().expect("a valid id"));
        for _ in 0..OF_ONE_NODE {
            assert!(asked.spared().is_empty());
            asked.begins(&one);
        }
        asked.begins(&two);
        assert_eq!(asked.spared(), std::slice::from_ref(&one));
        asked.ended(&one, false);
        assert!(asked.spared().is_empty());
        asked.ended(&two, true);
        assert_eq!(asked.spared(), [two]);
    }
}
