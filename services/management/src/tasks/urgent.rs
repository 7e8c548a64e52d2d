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
        publications::{
            ask_directly::{
                AskDirectlyError, BATCH, OF_ONE_NODE, Spared, ask_directly, claim, is_any_due, leave_to_stream,
            },
            claim::LOCKED_FOR,
        },
        reports::follow_up,
    },
};

/// Commands that are on their way at the same time.
const CONCURRENT: usize = 256;
/// A node counts as silent for this long after it did not answer.
const SILENT_FOR: Duration = Duration::from_secs(5);
/// A silent node gets one command in this time: it takes few places, and is noticed when it is back.
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(300);

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
    asked_at: Option<Instant>,
    /// When what it answered last was asked.
    answers_since: Option<Instant>,
    silent_since: Option<Instant>,
}

impl Node {
    fn is_silent(&self) -> bool {
        self.silent_since.is_some_and(|at| at.elapsed() < SILENT_FOR)
    }
}

impl Asked {
    /// Returns when the node was asked.
    fn begins(&self, node: &NodeId) -> Instant {
        let now = Instant::now();
        let mut nodes = self.nodes();
        let known = nodes.entry(node.clone()).or_default();
        known.in_flight += 1;
        known.asked_at = Some(now);
        now
    }

    fn ended(&self, node: &NodeId, asked_at: Instant, is_silent: bool) {
        let mut nodes = self.nodes();
        let Some(known) = nodes.get_mut(node) else { return };
        known.in_flight -= 1;
        if !is_silent {
            known.answers_since = known.answers_since.max(Some(asked_at));
            known.silent_since = None;
        } else if known.answers_since.is_none_or(|at| at < asked_at) {
            // Otherwise it was away, and has answered something newer since.
            known.silent_since = Some(Instant::now());
        }
    }

    /// Nodes that get no further command now, or only one, so that what waits for them takes no place from others.
    fn spared(&self) -> Spared {
        let mut nodes = self.nodes();
        nodes.retain(|_, node| node.in_flight > 0 || node.is_silent());
        let mut spared = Spared::default();
        for (name, node) in nodes.iter() {
            let was_asked_lately = node.asked_at.is_some_and(|at| at.elapsed() < TRY_AGAIN_AFTER);
            if node.in_flight >= OF_ONE_NODE || (node.is_silent() && was_asked_lately) {
                spared.wholly.push(name.clone());
            } else if node.is_silent() {
                spared.but_for_one.push(name.clone());
            }
        }
        spared
    }

    fn anybody_is_silent(&self) -> bool {
        self.nodes().values().any(Node::is_silent)
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

    /// What was locked is looked at again soon, and whoever is silent is tried again.
    async fn rest(&self) -> anyhow::Result<Next> {
        let left = is_any_due(&self.app.leases, &self.asked.spared()).await;
        let left = left.context("looking for commands that were left failed")?;
        Ok(if left {
            Next::After(LOCKED_FOR)
        } else if self.asked.anybody_is_silent() {
            Next::After(TRY_AGAIN_AFTER)
        } else {
            Next::Idle
        })
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
            return self.rest().await;
        }
        let is_full = claims.len() == BATCH;
        for claim in claims {
            // The semaphore is never closed.
            let Ok(place) = Arc::clone(&self.places).acquire_owned().await else {
                break;
            };
            let (app, asked) = (self.app.clone(), self.asked.clone());
            let node = claim.publication.command.body.node().clone();
            let asked_at = asked.begins(&node);
            self.tasks.spawn_job("urgent-command", async move {
                let answered = contain("asking a node directly", ask_directly(&app, claim)).await;
                let is_silent = matches!(&answered, Ok(Err(error)) if error.is_silence());
                asked.ended(&node, asked_at, is_silent);
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
        if is_full { Ok(Next::Again) } else { self.rest().await }
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

    fn nodes() -> [NodeId; 2] {
        ["node-1", "node-2"].map(|id| id.parse().expect("a valid id"))
    }

    #[test]
    fn a_node_is_spared_while_it_has_enough() {
        let asked = Asked::default();
        let [one, _] = nodes();
        let mut at = None;
        for _ in 0..OF_ONE_NODE {
            assert_eq!(asked.spared(), Spared::default());
            at = Some(asked.begins(&one));
        }
        assert_eq!(asked.spared().wholly, std::slice::from_ref(&one));
        asked.ended(&one, at.expect("asked"), false);
        assert_eq!(asked.spared(), Spared::default());
    }

    #[test]
    fn a_silent_node_gets_one_command_now_and_then_until_it_answers() {
        let asked = Asked::default();
        let [_, two] = nodes();
        let (first, second) = (asked.begins(&two), asked.begins(&two));
        asked.ended(&two, first, true);
        assert_eq!(asked.spared().wholly, std::slice::from_ref(&two));
        let earlier = Instant::now()
            .checked_sub(TRY_AGAIN_AFTER)
            .expect("the machine runs for longer");
        asked.nodes().get_mut(&two).expect("known").asked_at = Some(earlier);
        let one = Spared {
            but_for_one: vec![two.clone()],
            ..Spared::default()
        };
        assert_eq!(asked.spared(), one);
        assert!(asked.anybody_is_silent());

        let third = asked.begins(&two);
        asked.ended(&two, third, false);
        assert_eq!(asked.spared(), Spared::default());
        // What was asked while it was away says nothing any more.
        asked.ended(&two, second, true);
        assert!(!asked.anybody_is_silent());
    }
}
