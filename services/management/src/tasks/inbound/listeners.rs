//! Keeps one listener for each registered node, and one source of reports for each node that has reports.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context;
use futures_util::{StreamExt, stream};
use sea_orm::{EntityTrait, QuerySelect};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::DropGuard;
use tracing::warn;
use vpnmanager_entities::server;
use vpnmanager_nats::{ids::NodeId, subjects, topology::MANAGEMENT_GROUP};
use vpnmanager_runtime::{
    contain::contain,
    error_chain::chain,
    reconcile::{Next, Reconciler},
    tasks::Tasks,
};

use super::{
    heartbeats::Mailbox,
    listener,
    marks::Marks,
    report_sources::{self, Source},
    shared::Shared,
    verdicts::Judged,
};
use crate::app::App;

/// The most requests of all nodes that are answered at the same time.
const SEATS: usize = 64;
/// The most sources of reports that are opened at the same time.
const OPENED_AT_ONCE: usize = 16;
/// How often to look for reports of nodes that are not registered any more.
const LOOK_FOR_LEFTOVERS: Duration = Duration::from_secs(30);

pub(super) struct Listeners {
    shared: Shared,
    tasks: Tasks,
    listening: HashMap<NodeId, DropGuard>,
    alive: Marks,
    sources: mpsc::Sender<Source>,
    open: Marks,
    looked_for_leftovers: Option<Instant>,
}

impl Listeners {
    pub(super) fn new(
        app: App,
        tasks: &Tasks,
        mailbox: Mailbox,
        verdicts: mpsc::Sender<Judged>,
        sources: mpsc::Sender<Source>,
    ) -> Self {
        let shared = Shared {
            app,
            mailbox,
            seats: Arc::new(Semaphore::new(SEATS)),
            verdicts,
        };
        Self {
            shared,
            tasks: tasks.clone(),
            listening: HashMap::new(),
            alive: Marks::default(),
            sources,
            open: Marks::default(),
            looked_for_leftovers: None,
        }
    }

    /// Starts what is missing, and stops the listeners of nodes that left.
    async fn listen_to(&mut self, registered: &HashSet<NodeId>) -> anyhow::Result<()> {
        let alive = &self.alive;
        self.listening
            .retain(|node, _| registered.contains(node) && alive.contains(node));
        for node in registered {
            if self.listening.contains_key(node) {
                continue;
            }
            let subject = subjects::messages_of(node);
            let client = &self.shared.app.inbound.client;
            let subscriber = client.queue_subscribe(subject, MANAGEMENT_GROUP.to_owned());
            let subscriber = subscriber.await.context("subscribing to a node failed")?;
            let stop = self.tasks.token().child_token();
            let (shared, name, mark) = (self.shared.clone(), node.clone(), self.alive.mark(node));
            let listening = listener::run(shared, name, subscriber, stop.clone());
            self.tasks.spawn_job(format!("listener of {node}"), async move {
                let _alive = mark;
                // One that panicked is missed, and started again.
                contain("listening to a node", listening).await.unwrap_or_default();
                Ok(())
            });
            self.listening.insert(node.clone(), stop.drop_guard());
        }
        Ok(())
    }

    /// Opens the sources of reports that are not open: of the registered nodes, and of those that left reports behind.
    async fn open_sources(&mut self, registered: &HashSet<NodeId>) -> anyhow::Result<()> {
        let mut wanted = registered.clone();
        let is_due = self
            .looked_for_leftovers
            .is_none_or(|looked| looked.elapsed() > LOOK_FOR_LEFTOVERS);
        if is_due {
            let topology = &self.shared.app.topology;
            for node in topology.nodes_with_reports().await? {
                if !registered.contains(&node) && !topology.forget_recorded_reports(&node).await? {
                    wanted.insert(node);
                }
            }
            self.looked_for_leftovers = Some(Instant::now());
        }
        let missing: Vec<NodeId> = wanted.into_iter().filter(|node| !self.open.contains(node)).collect();
        let (app, open, sources) = (&self.shared.app, &self.open, &self.sources);
        stream::iter(missing)
            .for_each_concurrent(OPENED_AT_ONCE, async |node| {
                match report_sources::open(app, &node, open).await {
                    // The receiver ends only when management stops.
                    Ok(source) => sources.send(source).await.unwrap_or_default(),
                    Err(error) => {
                        warn!(node.id = %node, error = %chain(&error), "The reports of a node cannot be read yet")
                    }
                }
            })
            .await;
        Ok(())
    }
}

impl Reconciler for Listeners {
    async fn reconcile(&mut self) -> anyhow::Result<Next> {
        let registered = server::Entity::find()
            .select_only()
            .column(server::Column::Name)
            .into_tuple::<NodeId>()
            .all(&self.shared.app.db)
            .await
            .context("reading the nodes failed")?;
        let registered: HashSet<NodeId> = registered.into_iter().collect();
        self.listen_to(&registered).await?;
        self.open_sources(&registered).await?;
        Ok(Next::Idle)
    }
}
