//! Places users that have fewer nodes than they should and could have.

use std::time::{Duration, Instant};

use vpnmanager_runtime::reconcile::{Next, Reconciler};

use crate::{
    app::App,
    domain::placement::Goal,
    ops::placement::fill::{Basis, place_users, read_basis},
};

/// A search reads all users. While only users change, it takes at most this share of the time.
const SHARE: u32 = 20;
/// So often all users are read although nothing shows that any of them could lack a node.
const AT_LEAST_EVERY: Duration = Duration::from_secs(60 * 60);

pub(super) struct Placer {
    app: App,
    /// The last search that found nobody.
    searched: Option<Searched>,
}

struct Searched {
    began: Instant,
    took: Duration,
    basis: Basis,
}

impl Placer {
    pub(super) fn new(app: App) -> Self {
        Self { app, searched: None }
    }
}

impl Searched {
    /// How long nobody needs to search, this long after it began: nothing if somebody may lack a node that is open now, and long if nobody
    /// can.
    fn rest(&self, basis: &Basis, age: Duration) -> Duration {
        let rest = if basis.openings != self.basis.openings {
            Duration::ZERO
        } else if basis.progress != self.basis.progress {
            self.took * SHARE
        } else {
            AT_LEAST_EVERY
        };
        rest.saturating_sub(age)
    }
}

impl Reconciler for Placer {
    async fn reconcile(&mut self) -> anyhow::Result<Next> {
        let app = &self.app;
        let goal = Goal {
            replicas: app.config.placement.replicas,
            lost_before: app.clock.now() - app.config.health.rehome_after,
        };
        // Read before the search: what changes meanwhile is seen the next time.
        let basis = read_basis(&app.db, goal).await?;
        let rest = |searched: &Searched| searched.rest(&basis, searched.began.elapsed());
        let rest = self.searched.as_ref().map(rest).unwrap_or_default();
        if !rest.is_zero() {
            return Ok(Next::After(rest));
        }
        let began = Instant::now();
        let placed = place_users(&app.db, goal).await?;
        if placed.users > 0 {
            self.searched = None;
            app.publisher.wake();
        } else {
            let took = began.elapsed();
            self.searched = Some(Searched { began, took, basis });
        }
        Ok(if placed.more { Next::Again } else { Next::Idle })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use vpnmanager_nats::ids::NodeId;

    use super::*;
    use crate::ops::{nodes::read::Progress, placement::fill::Openings};

    fn basis(wanted: i64, candidates: &[&str]) -> Basis {
        let node: NodeId = "node-1".parse().expect("an id");
        let progress = Progress {
            wanted,
            ..Progress::default()
        };
        let candidates = candidates.iter().map(|name| ((*name).to_owned(), "default".to_owned()));
        Basis {
            openings: Openings {
                candidates: candidates.collect(),
                ..Openings::default()
            },
            progress: HashMap::from([(node, progress)]),
        }
    }

    #[test]
    fn users_are_searched_when_a_node_opens_and_now_and_then_while_users_change() {
        let second = Duration::from_secs(1);
        let searched = Searched {
            began: Instant::now(),
            took: second,
            basis: basis(7, &["node-1"]),
        };
        for (now, age, expected) in [
            (basis(7, &["node-1"]), second * 3_000, second * 600),
            (basis(7, &["node-1"]), second * 3_700, Duration::ZERO),
            (basis(7, &["node-1", "node-2"]), second, Duration::ZERO),
            (basis(8, &["node-1"]), second * 19, second),
            (basis(8, &["node-1"]), second * 21, Duration::ZERO),
        ] {
            assert_eq!(searched.rest(&now, age), expected, "{now:?} {age:?}");
        }
    }
}
