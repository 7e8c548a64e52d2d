//! What an agent does for the network of its pool, done in the network namespace of the node.

use std::{fs::File, os::fd::AsFd as _, thread::JoinHandle};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio_util::sync::CancellationToken;
use vpnmanager_endnode::{
    coordination::{network_progress::NetworkProgress, readiness::Readiness},
    network::{Keeper, Site, Tools},
    tasks::network,
};
use vpnmanager_nats::{
    ids::Revision,
    network::{Network, PoolNetwork},
};
use vpnmanager_runtime::reconcile::Wake;
use vpnmanager_testbed::wait;

use crate::{agent::Agent, fleet::Fleet};

pub(crate) struct Upkeep {
    pub(crate) progress: NetworkProgress,
    pub(crate) readiness: Readiness,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl Upkeep {
    /// The task of the agent, on a thread inside.
    pub(crate) fn start(fleet: &Fleet, agent: &Agent) -> Self {
        let site = Site {
            tunnel: agent.backend.tunnel().expect("a managed server"),
            pushed: fleet.allow_list.pushed().expect("links").clone(),
            egress: None,
        };
        let progress = NetworkProgress::new(None);
        let keeper = Keeper::new(site, Tools::default(), progress.clone());
        let (readiness, stop) = (Readiness::new(true, None), CancellationToken::new());
        let task = network::run(keeper, readiness.clone(), Wake::new(), stop.clone());
        let namespace = File::open(format!("/run/netns/{}", fleet.node().name)).expect("a namespace");
        let thread = std::thread::spawn(move || {
            // This thread alone, and what it starts.
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).expect("moved");
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(task).expect("it ends when told");
        });
        Self {
            progress,
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
