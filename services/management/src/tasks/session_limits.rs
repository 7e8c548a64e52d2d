//! Holds users to the number of devices that they, or their groups, are allowed at the same time: those of whom a session has just begun at once, and all
//! others now and then. Each session is ended in a job of its own: a node that does not answer holds up no other.

use std::{
    collections::{BTreeSet, HashMap},
    iter,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anyhow::Context;
use tokio::sync::Semaphore;
use tracing::{debug, warn};
use vpnmanager_nats::ids::NodeId;
use vpnmanager_runtime::{
    backoff::jittered,
    contain::contain,
    error_chain::chain,
    log_limit::LogLimit,
    reconcile::{Next, Reconciler},
    tasks::Tasks,
};

use crate::{
    app::App,
    domain::session_id::SessionId,
    ops::sessions::{
        end_excess::{EndExcessError, end_excess},
        find_crowded::find_crowded,
        find_excess::{ExcessSession, find_excess},
    },
};

/// Users that are looked at with one query.
const BATCH: usize = 200;
/// How often all sessions that may live are looked at: a limit or a group was changed, a node did not answer, or another replica has died.
const ALL_EVERY: Duration = Duration::from_secs(10);
/// Sessions that are being ended at the same time.
const CONCURRENT: usize = 64;
/// Those of one node: one that hangs takes no more places.
const OF_ONE_NODE: usize = 4;
/// Users that wait for a place of their node. Others are found by the next look at all.
const MOST_WAITING: usize = 1_000;

static NOT_ENDED: LogLimit = LogLimit::lines("a session beyond the limit of a group could not be ended", 5);

pub(super) struct SessionLimits {
    app: App,
    tasks: Tasks,
    places: Arc<Semaphore>,
    under_way: UnderWay,
    /// When to look at all sessions next.
    look_at: Instant,
    /// Up to this row of a user that look has come.
    looked_upto: i64,
}

/// What is being ended. Cheap to clone; all clones are the same.
#[derive(Debug, Clone, Default)]
struct UnderWay {
    nodes: Arc<Mutex<HashMap<NodeId, Node>>>,
}

#[derive(Debug, Default)]
struct Node {
    sessions: BTreeSet<SessionId>,
    /// The rows of users whose sessions wait for a place.
    waiting: BTreeSet<i64>,
}

impl UnderWay {
    /// False if it is being ended already, or if its node has all its places: then its user waits for one.
    fn begins(&self, excess: &ExcessSession) -> bool {
        let mut nodes = self.lock();
        let node = nodes.entry(excess.id.node.clone()).or_default();
        if node.sessions.contains(&excess.id) {
            return false;
        }
        if node.sessions.len() >= OF_ONE_NODE {
            if node.waiting.len() < MOST_WAITING {
                node.waiting.insert(excess.user_id);
            }
            return false;
        }
        node.sessions.insert(excess.id.clone())
    }

    /// Gives as many of the users who waited for a place of its node as there are free ones: each of them is looked at again, and if all were,
    /// the last of many would be once for each of the others. Those who are left when nobody needs a place are found by the next look at all.
    fn ended(&self, session: &SessionId) -> BTreeSet<i64> {
        let mut nodes = self.lock();
        let Some(node) = nodes.get_mut(&session.node) else {
            return BTreeSet::new();
        };
        node.sessions.remove(session);
        let free = OF_ONE_NODE.saturating_sub(node.sessions.len());
        let next = iter::from_fn(|| node.waiting.pop_first()).take(free).collect();
        if node.sessions.is_empty() && node.waiting.is_empty() {
            nodes.remove(&session.node);
        }
        next
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<NodeId, Node>> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SessionLimits {
    pub(super) fn new(app: App, tasks: &Tasks) -> Self {
        Self {
            app,
            tasks: tasks.clone(),
            places: Arc::new(Semaphore::new(CONCURRENT)),
            under_way: UnderWay::default(),
            look_at: Instant::now(),
            looked_upto: 0,
        }
    }

    /// Looks at those of whom a session has just begun. True if there may be more.
    async fn look_at_newly_connected(&self) -> anyhow::Result<bool> {
        let connected = &self.app.newly_connected;
        let users = connected.take(BATCH);
        let looked = self.hold(&users).await;
        looked.inspect_err(|_| connected.note(users.iter().copied()))?;
        Ok(users.len() == BATCH)
    }

    /// Looks at some of all, if it is time for that. Gives how long until the next ones.
    async fn look_at_all(&mut self) -> anyhow::Result<Duration> {
        let rest = self.look_at.saturating_duration_since(Instant::now());
        if !rest.is_zero() {
            return Ok(rest);
        }
        let users = find_crowded(&self.app.db, self.looked_upto, BATCH)
            .await
            .context("finding users with many sessions failed")?;
        self.hold(&users).await?;
        let is_full = users.len() == BATCH;
        let Some(last) = users.last().filter(|_| is_full) else {
            let rest = jittered(ALL_EVERY);
            self.looked_upto = 0;
            self.look_at = Instant::now() + rest;
            return Ok(rest);
        };
        self.looked_upto = *last;
        Ok(Duration::ZERO)
    }

    /// Ends what these users have beyond their limits. Waits for no node.
    async fn hold(&self, users: &[i64]) -> anyhow::Result<()> {
        let stale_after = self.app.config.health.stale_after;
        let found = find_excess(&self.app.db, users, stale_after)
            .await
            .context("finding sessions beyond the limits of groups failed")?;
        for excess in found.into_iter().filter(|excess| !excess.is_asked) {
            // The semaphore is never closed.
            let Ok(place) = Arc::clone(&self.places).acquire_owned().await else {
                break;
            };
            if !self.under_way.begins(&excess) {
                continue;
            }
            let (app, under_way) = (self.app.clone(), self.under_way.clone());
            self.tasks.spawn_job("session-limit", async move {
                let ended = contain("ending a session beyond a limit", end_excess(&app, &excess)).await;
                let waiting = under_way.ended(&excess.id);
                drop(place);
                app.newly_connected.note(waiting);
                match ended {
                    Ok(Ok(ending)) => debug!(session = %excess.id, ?ending, "A session is beyond the limit of a group"),
                    Ok(Err(error)) => note(&excess, &error),
                    Err(panicked) => warn!(session = %excess.id, error = %chain(&panicked), "Ending a session failed"),
                }
                Ok(())
            });
        }
        Ok(())
    }
}

impl Reconciler for SessionLimits {
    async fn reconcile(&mut self) -> anyhow::Result<Next> {
        let more = self.look_at_newly_connected().await?;
        let rest = self.look_at_all().await?;
        Ok(if more || rest.is_zero() {
            Next::Again
        } else {
            Next::After(rest)
        })
    }
}

fn note(excess: &ExcessSession, error: &EndExcessError) {
    if error.is_silence() {
        debug!(session = %excess.id, "A node that should end a session is away; it is asked again");
    } else if let Some(times) = NOT_ENDED.admit() {
        warn!(
            times,
            session = %excess.id,
            user.name = %excess.username,
            error = %chain(error),
            "A session beyond the limit of a group could not be ended, trying again"
        );
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use vpnmanager_entities::group::SessionExcess;

    use super::*;
    use crate::domain::own_limits::Origin;

    fn excess(id: &str, user_id: i64) -> ExcessSession {
        ExcessSession {
            id: id.parse().expect("the id of a session"),
            common_name: "alice.x".parse().expect("a name"),
            user_id,
            username: "alice".parse().expect("a username"),
            device: "laptop".parse().expect("the name of a device"),
            group: "staff".parse().expect("the name of a group"),
            allowed: 1,
            allowed_by: Origin::Group,
            excess: SessionExcess::OldestEnds,
            is_asked: false,
        }
    }

    #[test]
    fn a_session_is_ended_once_and_a_node_gets_no_more_at_a_time_than_its_places() {
        let under_way = UnderWay::default();
        let number = i64::try_from(OF_ONE_NODE).expect("small");
        let sessions: Vec<ExcessSession> = (0..=number)
            .map(|user| excess(&format!("node-1.1795000000.{user}"), user))
            .collect();
        let (last, first) = sessions.split_last().expect("some");
        assert!(first.iter().all(|excess| under_way.begins(excess)));
        assert!(!first.iter().any(|excess| under_way.begins(excess)));
        assert!(!under_way.begins(last), "it waits for a place");
        assert!(under_way.begins(&excess("node-2.1795000000.0", 9)), "another node");

        assert_eq!(under_way.ended(&first[0].id), BTreeSet::from([last.user_id]));
        assert!(under_way.begins(last));
        for excess in &sessions {
            assert!(under_way.ended(&excess.id).is_empty());
        }
        assert_eq!(under_way.lock().len(), 1, "nothing of the first node is left");
    }

    #[test]
    fn each_of_those_who_wait_is_looked_at_once_more_and_not_once_for_each_that_is_before_it() {
        let under_way = UnderWay::default();
        let sessions: Vec<ExcessSession> = (0..100)
            .map(|user| excess(&format!("node-1.1795000000.{user}"), user))
            .collect();
        let begins = |excess: &&ExcessSession| under_way.begins(excess);
        let mut ending: VecDeque<&ExcessSession> = sessions.iter().filter(begins).collect();
        assert_eq!(ending.len(), OF_ONE_NODE);
        let mut looks = 0;
        while let Some(ended) = ending.pop_front() {
            for user in under_way.ended(&ended.id) {
                looks += 1;
                ending.extend(sessions.iter().filter(|excess| excess.user_id == user).filter(begins));
            }
        }
        assert_eq!(looks, sessions.len() - OF_ONE_NODE);
        assert!(under_way.lock().is_empty());
    }
}
