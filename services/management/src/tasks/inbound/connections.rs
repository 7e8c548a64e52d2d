//! Looks at the connections of the nodes, and at how much each node sends in all: some of it never reaches management.

use std::time::{Duration, Instant};

use anyhow::Context;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use tokio::sync::mpsc;
use vpnmanager_entities::server;
use vpnmanager_nats::{
    connect::Bus,
    security::connections::{NodeConnection, list_node_connections},
};
use vpnmanager_runtime::reconcile::{Next, Reconciler};

use super::verdicts::Judged;
use crate::{
    app::App,
    domain::traffic::{Limits, Traffic},
};

pub(super) const EVERY: Duration = Duration::from_secs(5);

pub(super) struct Connections {
    app: App,
    verdicts: mpsc::Sender<Judged>,
    system: Option<Bus>,
    traffic: Traffic,
    looked: Instant,
}

impl Connections {
    pub(super) fn new(app: App, verdicts: mpsc::Sender<Judged>) -> Self {
        Self {
            app,
            verdicts,
            system: None,
            traffic: Traffic::default(),
            looked: Instant::now(),
        }
    }

    /// What the servers say. Notes whether they do.
    async fn list(&mut self) -> anyhow::Result<Vec<NodeConnection>> {
        let listed = self.ask().await;
        match &listed {
            Ok(_) => self.app.traffic_watch.counted(Instant::now()),
            Err(error) => self.app.traffic_watch.failed(format!("{error:#}")),
        }
        listed
    }

    async fn ask(&mut self) -> anyhow::Result<Vec<NodeConnection>> {
        let access = &self.app.bus_access;
        let system = match &self.system {
            Some(system) => system,
            None => self.system.insert(access.connect_as_system().await?),
        };
        Ok(list_node_connections(&system.client, &access.authority().account).await?)
    }
}

impl Reconciler for Connections {
    async fn reconcile(&mut self) -> anyhow::Result<Next> {
        let connections = self.list().await?;
        let budget = self.app.config.budget;
        let limits = Limits {
            connections: budget.connections,
            messages: budget.traffic,
            bytes: budget.traffic_bytes,
        };
        let since = self.looked.elapsed();
        self.looked = Instant::now();
        for (key, what) in self.traffic.look(&connections, since, limits) {
            let of_key = server::Entity::find().filter(server::Column::BusPublicKey.eq(key));
            let of_key = of_key.one(&self.app.db).await;
            let Some(server) = of_key.context("reading the node failed")? else {
                continue;
            };
            let judged = Judged {
                node: server.name,
                what,
                cut_off: true,
            };
            // When there is no room, the next look says the same.
            self.verdicts.try_send(judged).ok();
        }
        Ok(Next::Idle)
    }
}
