//! What an agent does for the network of its pool and for members of groups, done in the network namespace of the node.

use std::thread::JoinHandle;

use tokio_util::sync::CancellationToken;
use vpnmanager_endnode::{
    coordination::{network_progress::NetworkProgress, readiness::Readiness},
    groups::Definitions,
    network::{Keeper, Site, Tools},
    tasks::network,
};
use vpnmanager_nats::{
    groups::{Group, Groups},
    ids::Revision,
    network::{Network, PoolNetwork},
};
use vpnmanager_runtime::reconcile::Wake;
use vpnmanager_testbed::wait;

use crate::{agent::Agent, fleet::Fleet, inside::inside};

pub(crate) struct Upkeep {
    pub(crate) progress: NetworkProgress,
    pub(crate) definitions: Definitions,
    pub(crate) readiness: Readiness,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl Upkeep {
    /// The task of the agent, on a thread inside.
    pub(crate) fn start(fleet: &Fleet, agent: &Agent) -> Self {
        let definitions = fleet.definitions.clone();
        let site = Site {
            tunnels: agent.backend.tunnels().expect("a managed server"),
            pushed: fleet.allow_list.pushed().expect("links").clone(),
            pushed_groups: fleet.allow_list.pushed_groups().expect("files").clone(),
            places: fleet.places.clone(),
            definitions: definitions.clone(),
            mtus: fleet.dir().join("mtu"),
            egress: None,
        };
        let progress = NetworkProgress::default();
        let keeper = Keeper::new(site, Tools::default(), progress.clone());
        let (readiness, stop) = (Readiness::new(true, None), CancellationToken::new());
        let task = network::run(keeper, readiness.clone(), Wake::new(), stop.clone());
        let thread = inside(fleet.node(), move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(task).expect("it ends when told");
        });
        Self {
            progress,
            definitions,
            readiness,
            stop,
            thread: Some(thread),
        }
    }

    /// Management says this, and the node applies it wholly.
    pub(crate) async fn applies(&self, revision: i64, network: Option<Network>) {
        self.progress.learn(PoolNetwork {
            pool: "default".parse().expect("a pool"),
            revision: Revision(revision),
            network,
        });
        let look = async || match self.progress.applied() {
            Some(applied) if applied.revision.0 == revision => Ok(()),
            applied => Err(format!("{applied:?}, {:?}", self.progress.fault())),
        };
        wait::until_ok(wait::SOON, format_args!("revision {revision} of the pool"), look)
            .await
            .expect("applied");
    }

    /// Management says that these are all groups, and the node holds their members to them.
    pub(crate) async fn holds(&self, revision: i64, groups: &[Group]) {
        self.definitions.learn(Groups {
            revision: Revision(revision),
            groups: groups.to_vec(),
        });
        let look = async || match self.definitions.applied() {
            Some(applied) if applied.0 == revision => Ok(()),
            applied => Err(format!("{applied:?}, {:?}", self.progress.fault())),
        };
        wait::until_ok(wait::SOON, format_args!("revision {revision} of the groups"), look)
            .await
            .expect("held");
    }

    /// As when the agent ends: nothing is undone.
    pub(crate) fn ends(self) {
        drop(self);
    }
}

impl Drop for Upkeep {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            // A panic of the thread is on the screen.
            _ = thread.join();
        }
    }
}
