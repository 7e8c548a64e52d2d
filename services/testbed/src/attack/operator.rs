//! The honest callers: an operator who creates users on the honest node and lists users, and a monitor that asks for the health. Each
//! request is sent when it is due, whether or not earlier ones are answered, and is timed from that moment.

use std::{
    net::Ipv4Addr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::json;
use tokio::{task::JoinSet, time::MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use vpnmanager_testbed::api::Api;

use super::scene::{HONEST, Scene};
use crate::bench::Latencies;

/// Their address. Strangers have others, so that what is done against an address does not hit them.
const ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
/// How long a create waits for the node.
const WAIT: Duration = Duration::from_secs(10);

/// How often each asks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    pub(super) creates: Duration,
    pub(super) reads: Duration,
}

/// What they saw.
#[derive(Debug, Default)]
pub(super) struct Sight {
    pub(super) creates: Latencies,
    pub(super) lists: Latencies,
    pub(super) health: Latencies,
    /// The users that were answered 201.
    pub(super) created: Vec<String>,
    /// Creates that were not answered 201, or not applied within the wait.
    pub(super) failed_creates: u64,
    /// Lists and health checks that were not answered 200.
    pub(super) failed_reads: u64,
    /// The first of each.
    pub(super) told: Vec<String>,
}

/// The operator and the monitor.
pub(super) struct Operator {
    /// Keeps its connections, as programs do.
    api: Api,
    /// Opens a connection for each request, as monitors do.
    monitor: Api,
    /// Part of the names of users.
    round: usize,
    next: AtomicU64,
}

impl Operator {
    pub(super) fn new(scene: &Scene, round: usize) -> anyhow::Result<Self> {
        let state = scene.stack.state();
        let at = |idle| client(idle).map(|http| Api::with_client(state.management_url(), Some(&state.api_key), http));
        Ok(Self {
            api: at(usize::MAX)?,
            monitor: at(0)?,
            round,
            next: AtomicU64::new(1),
        })
    }

    /// The API as the operator reaches it.
    pub(super) fn api(&self) -> &Api {
        &self.api
    }

    /// Works until `stop`; then waits for the answers that are still out.
    pub(super) async fn work(self: &Arc<Self>, pace: Pace, stop: &CancellationToken) -> Sight {
        let sight = Arc::new(Mutex::new(Sight::default()));
        let creates = every(pace.creates, stop, || {
            let (me, sight) = (Arc::clone(self), Arc::clone(&sight));
            async move { me.create(&sight).await }
        });
        let lists = every(pace.reads, stop, || {
            let (me, sight) = (Arc::clone(self), Arc::clone(&sight));
            async move {
                me.read(&me.api, "/api/users?limit=50", &sight, |sight| &mut sight.lists)
                    .await
            }
        });
        let checks = every(pace.reads, stop, || {
            let (me, sight) = (Arc::clone(self), Arc::clone(&sight));
            async move { me.read(&me.monitor, "/health", &sight, |sight| &mut sight.health).await }
        });
        tokio::join!(creates, lists, checks);
        std::mem::take(&mut *sight.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn create(&self, sight: &Mutex<Sight>) {
        let name = format!("honest-{}-{}", self.round, self.next.fetch_add(1, Ordering::Relaxed));
        let begun = Instant::now();
        let answer = self
            .api
            .create_user_as(&json!({ "username": name, "server_id": HONEST }), Some(WAIT))
            .await;
        let took = begun.elapsed();
        let mut sight = sight.lock().unwrap_or_else(PoisonError::into_inner);
        sight.creates.record(took);
        let problem = match answer {
            Err(error) => error.to_string(),
            Ok(answer) if answer.status != 201 => format!("answered {}: {}", answer.status, answer.text),
            Ok(answer) => {
                sight.created.push(name.clone());
                if answer.body["synced"] == true {
                    return;
                }
                format!("not applied within {}", humantime::format_duration(WAIT))
            }
        };
        sight.failed_creates += 1;
        if sight.failed_creates == 1 {
            sight.told.push(format!("create of {name}: {problem}"));
        }
    }

    async fn read(&self, api: &Api, path: &str, sight: &Mutex<Sight>, of: fn(&mut Sight) -> &mut Latencies) {
        let begun = Instant::now();
        let answer = api.get(path).await.and_then(|answer| answer.expect(200));
        let took = begun.elapsed();
        let mut sight = sight.lock().unwrap_or_else(PoisonError::into_inner);
        of(&mut sight).record(took);
        if let Err(error) = answer {
            sight.failed_reads += 1;
            if sight.failed_reads == 1 {
                sight.told.push(error.to_string());
            }
        }
    }
}

/// A client with their address, which keeps so many connections that are not used.
pub(super) fn client(idle: usize) -> Result<reqwest::Client, reqwest::Error> {
    reqwest::Client::builder()
        .local_address(std::net::IpAddr::V4(ADDRESS))
        .pool_max_idle_per_host(idle)
        .build()
}

/// Starts work at each step until `stop`, and then waits for its end.
async fn every<F: Future<Output = ()> + Send + 'static>(
    step: Duration,
    stop: &CancellationToken,
    work: impl Fn() -> F,
) {
    let mut due = tokio::time::interval(step);
    due.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut running = JoinSet::new();
    while stop.run_until_cancelled(due.tick()).await.is_some() {
        running.spawn(work());
        // Those that are done.
        while running.try_join_next().is_some() {}
    }
    while running.join_next().await.is_some() {}
}
