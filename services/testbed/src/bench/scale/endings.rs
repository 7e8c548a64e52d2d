//! Ends the access of users while something else is under way, and measures how long that takes.

use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use serde_json::json;
use tokio_util::sync::CancellationToken;
use vpnmanager_testbed::api::Api;

use super::{floor, measured::Ended};
use crate::{
    bench::load::{Creator, Latencies, Summary},
    screen,
};

/// The floor is measured so often.
const SAMPLES: usize = 200;
/// Between two users who lose their access.
const PAUSE: Duration = Duration::from_millis(100);
/// Between two looks at the allow-lists.
const LOOK: Duration = Duration::from_millis(2);
/// How long it may take until every node has applied it; after that it has failed.
const WAIT: Duration = Duration::from_secs(30);

/// How long it took to end access.
#[derive(Default)]
struct Taken {
    /// Until no node lets the user in.
    refused: Latencies,
    /// Until the request was answered.
    answered: Latencies,
}

/// Ends the access of users, of each once: one is suspended, the next deleted, and of the next the profile is revoked.
pub(super) struct Endings {
    api: Api,
    /// The allow-list of each node.
    pub(super) allow: Vec<PathBuf>,
    next: AtomicU32,
}

impl Endings {
    pub(super) fn new(api: &Api, allow: Vec<PathBuf>) -> Self {
        Self {
            api: api.clone(),
            allow,
            next: AtomicU32::new(1),
        }
    }

    /// Measures the floor.
    pub(super) async fn begin(&self, floor: &floor::Suspender) -> anyhow::Result<Ending<'_>> {
        Ok(Ending {
            endings: self,
            started: Instant::now(),
            floor: floor.measure(SAMPLES).await?.summary(),
            taken: Taken::default(),
        })
    }

    async fn end(&self, taken: &mut Taken, stop: &CancellationToken) -> anyhow::Result<()> {
        while !stop.is_cancelled() {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let name = format!("{}{number:07}", Creator::PREFIX);
            let user = self.api.user(&name).await?.expect(200)?.body;
            let profile = Path::new(user["ovpn_path"].as_str().context("a user without profile")?);
            let credential = profile.file_stem().context("a profile without name")?;
            let files: Vec<PathBuf> = self.allow.iter().map(|dir| dir.join(credential)).collect();
            ensure!(
                files.iter().all(|file| file.exists()),
                "{name} is not let in everywhere"
            );
            let began = Instant::now();
            let refused = async {
                while files.iter().any(|file| file.exists()) {
                    ensure!(began.elapsed() < WAIT, "{name} is let in after {WAIT:?}");
                    tokio::time::sleep(LOOK).await;
                }
                Ok(began.elapsed())
            };
            let answered = async {
                let answer = match number % 3 {
                    0 => {
                        self.api
                            .change_user(&name, &json!({ "active": false }), Some(WAIT))
                            .await
                    }
                    1 => self.api.delete_user(&name, Some(WAIT)).await,
                    _ => {
                        let revoke = json!({ "old_profiles": "revoke" });
                        self.api.reissue_profile(&name, &revoke, Some(WAIT)).await
                    }
                };
                let answer = answer?.success()?;
                let nodes = answer.body["nodes"].as_array().context("an answer without nodes")?;
                let applied = nodes
                    .iter()
                    .all(|node| node["applied_revision"] == node["wanted_revision"]);
                ensure!(applied, "not applied in {WAIT:?}: {}", answer.text);
                Ok(began.elapsed())
            };
            let (refused, answered) = tokio::try_join!(refused, answered)?;
            taken.refused.record(refused);
            taken.answered.record(answered);
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    }
}

/// What was ended in the same circumstances.
pub(super) struct Ending<'a> {
    endings: &'a Endings,
    started: Instant,
    floor: Summary,
    taken: Taken,
}

impl Ending<'_> {
    /// Ends the access of one user after the other while something else is done.
    pub(super) async fn beside(&mut self, other: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
        let stop = CancellationToken::new();
        let until = stop.clone().drop_guard();
        let other = async {
            let done = other.await;
            drop(until);
            done
        };
        let (done, ended) = tokio::join!(other, self.endings.end(&mut self.taken, &stop));
        done.and(ended)
    }

    pub(super) fn end(self) -> Ended {
        let (refused, answered) = (self.taken.refused.summary(), self.taken.answered.summary());
        let result = format!(
            "refused everywhere: p50 {:.1} ms, p99 {:.1} ms",
            refused.p50_ms, refused.p99_ms
        );
        screen::done("End access", &result, self.started.elapsed());
        Ended {
            refused,
            answered,
            floor: self.floor,
        }
    }
}
