//! Sends commands that end access to their nodes directly, each in a job of its own: a node that does not answer holds up no other.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
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
        nodes::ask::AskNodeError,
        publications::ask_directly::{AskDirectlyError, BATCH, ask_directly, claim, leave_to_stream},
    },
};

/// Nodes asked at the same time.
const CONCURRENT: usize = 256;
/// A node that did not answer is left alone for this long, so that what waits for it takes no place from others.
const SILENT_FOR: Duration = Duration::from_secs(5);

static NOT_APPLIED: LogLimit = LogLimit::lines("a command could not be applied directly", 5);

pub(super) struct Urgent {
    app: App,
    tasks: Tasks,
    places: Arc<Semaphore>,
    silent: Silent,
}

/// The nodes that did not answer lately. Cheap to clone.
#[derive(Debug, Clone, Default)]
struct Silent {
    since: Arc<Mutex<HashMap<NodeId, Instant>>>,
}

impl Silent {
    fn note(&self, node: NodeId) {
        self.since().insert(node, Instant::now());
    }

    fn nodes(&self) -> Vec<NodeId> {
        let mut since = self.since();
        since.retain(|_, at| at.elapsed() < SILENT_FOR);
        since.keys().cloned().collect()
    }

    fn since(&self) -> std::sync::MutexGuard<'_, HashMap<NodeId, Instant>> {
        self.since.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Urgent {
    pub(super) fn new(app: App, tasks: &Tasks) -> Self {
        Self {
            app,
            tasks: tasks.clone(),
            places: Arc::new(Semaphore::new(CONCURRENT)),
            silent: Silent::default(),
        }
    }
}

impl Reconciler for Urgent {
    async fn reconcile(&mut self) -> anyhow::Result<Next> {
        let leases = &self.app.leases;
        let claims = claim(leases, &self.silent.nodes())
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
            let (app, silent) = (self.app.clone(), self.silent.clone());
            let node = claim.publication.command.body.node().clone();
            self.tasks.spawn_job("urgent-command", async move {
                let asked = contain("asking a node directly", ask_directly(&app, claim)).await;
                drop(place);
                match asked {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => note(node, &error, &silent),
                    Err(panicked) => warn!(node.id = %node, error = %chain(&panicked), "Asking a node directly failed"),
                }
                Ok(())
            });
        }
        Ok(if is_full { Next::Again } else { Next::Idle })
    }
}

fn note(node: NodeId, error: &AskDirectlyError, silent: &Silent) {
    match error {
        AskDirectlyError::Late | AskDirectlyError::Ask(AskNodeError::Unreachable) => {
            debug!(node.id = %node, "A node that should end access is away; the stream has the command");
            silent.note(node);
        }
        AskDirectlyError::Ask(AskNodeError::Request(_) | AskNodeError::Answer(_))
        | AskDirectlyError::Failed(_)
        | AskDirectlyError::OtherAnswer
        | AskDirectlyError::Record(_) => {
            if let Some(times) = NOT_APPLIED.admit() {
                warn!(times, node.id = %node, error = %chain(error), "A command that ends access could not be applied directly; the stream has it");
            }
        }
    }
}
