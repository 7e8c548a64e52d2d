//! What the tasks and the local API of an enrolled node share.

use std::time::Duration;

use async_nats::{Client, jetstream};
use chrono::Utc;
use vpnmanager_nats::{commands::Command, endpoint::Endpoint};

use crate::{
    apply::Applier,
    backend::{BackendHealth, VpnBackend as _},
    coordination::{
        bus_trouble::BusTrouble, contact::Contact, draining::Draining, intent_waiters::IntentWaiters,
        issue_queue::IssueQueue, network_progress::NetworkProgress, progress::Progress, readiness::Readiness,
        reporting::Reporting,
    },
    disk::Disk,
    faults::{all_of, detail_of},
    groups::{Definitions, Holding},
    journal::Journal,
    metrics::figures::Figures,
    node::Node,
    plan::let_in_with,
    server_certificate::ServerCertificate,
    vpn::Vpn,
};

/// The handles to the parts of an enrolled node. Cheap to clone; all clones are the same node.
#[derive(Debug, Clone)]
pub struct Shared {
    /// Who it is.
    pub node: Node,
    /// Where clients reach it.
    pub endpoint: Endpoint,
    /// What it holds.
    pub journal: Journal,
    /// Changes who is let in.
    pub applier: Applier,
    /// The VPN server.
    pub vpn: Vpn,
    /// The certificate of the server.
    pub certificate: ServerCertificate,
    /// Whether it serves.
    pub readiness: Readiness,
    /// Whether its clients are moved away.
    pub draining: Draining,
    /// The network of its pool.
    pub network: NetworkProgress,
    /// The groups of the fleet.
    pub definitions: Definitions,
    /// How their members are held to their rules.
    pub holding: Holding,
    /// How far it followed the commands.
    pub progress: Progress,
    /// The profiles to make.
    pub issue: IssueQueue,
    /// Who waits for management's answer to a local request.
    pub waiters: IntentWaiters,
    /// The connection to the bus.
    pub bus: Client,
    /// The JetStream of this node, over the same connection.
    pub jetstream: jetstream::Context,
    /// What the handshakes show of the way to management.
    pub contact: Contact,
    /// Why the bus cannot be used, if so.
    pub bus_trouble: BusTrouble,
    /// Whether the bus takes what it reports.
    pub reporting: Reporting,
    /// The disk of its state.
    pub disk: Disk,
    /// Figures for monitoring.
    pub figures: Figures,
}

impl Shared {
    /// The health of the server, with what this node lacks of its pool's network, and which members of groups it does not let in.
    pub async fn server_health(&self) -> BackendHealth {
        let mut server = self.vpn.health().await;
        let lacks = [self.network.lack(), self.holding.lack()];
        server.detail = detail_of(&server, self.network.fault(), lacks);
        server
    }

    /// Waits, this long at most, until management has told of the groups of these commands' users: a user may come before her group, and would log
    /// in without its routes. What only ends access waits for nothing.
    pub async fn learn_of_groups(&self, commands: &[Command], within: Duration) {
        let now = Utc::now();
        let groups = commands.iter().filter_map(|command| let_in_with(command, now));
        let ask = || self.node.wakes.prompt.wake();
        self.definitions.learn_of(groups.cloned().collect(), ask, within).await;
    }

    /// All that degrades this node although its server is as it should be, the worst first, in as many characters as management takes. What may
    /// only follow from a bus that is not there is not among it, [`Self::lack_of_users`] and what the bus does not take of its reports: the local
    /// `/health` says before them whether there is a connection.
    pub fn fault(&self, server: &BackendHealth) -> Option<String> {
        all_of([
            server.fault.clone(),
            self.journal.fault(),
            self.disk.fault(),
            self.network.fault(),
            self.holding.fault(),
        ])
    }

    /// That management has not told of all users of this node yet, if so.
    pub fn lack_of_users(&self) -> Option<String> {
        (!self.readiness.is_complete()).then(|| "it does not hold all its users yet".to_owned())
    }
}
