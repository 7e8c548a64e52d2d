//! The order of the measurements: the floor and the creates take turns, so that both run under the same conditions.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context;
use sea_orm::{ConnectionTrait, DatabaseConnection, Statement};
use serde::Serialize;
use tokio::task::JoinSet;
use vpnmanager_testbed::{stack::Stack, wait};

use super::{
    accounting::Parties,
    conditions::{Conditions, load_average},
    easyrsa::{self, Easyrsa},
    floor::{Floor, Span},
    load::{Creator, Latencies, Summary, Work, closed_loop, creates, open_loop},
    options::{Bench, WAIT},
    rounds::{Begun, Rounds, Side},
    verify::{Verified, verify},
};
use crate::screen;

/// How long users may stay pending after the last create.
const DRAIN: Duration = Duration::from_secs(120);

/// All results.
#[derive(Debug, Serialize)]
pub(super) struct Measured {
    pub(super) at: chrono::DateTime<chrono::Utc>,
    pub(super) options: Bench,
    pub(super) conditions: Conditions,
    pub(super) load_average_after: String,
    pub(super) latency: Pair,
    pub(super) answered: Side,
    pub(super) throughput: Pair,
    pub(super) unwaited: Unwaited,
    /// Users per second if only keys, requests, signatures and files are made, on all cores.
    pub(super) issue_alone_per_second: f64,
    pub(super) memory_mib: Vec<(String, f64)>,
    pub(super) easyrsa: Option<Easyrsa>,
    pub(super) verified: Verified,
}

/// The creates and their floor.
#[derive(Debug, Serialize)]
pub(super) struct Pair {
    pub(super) floor: Side,
    pub(super) floor_steps: Vec<(Span, Summary)>,
    pub(super) ours: Side,
}

/// Creates without `?wait=`.
#[derive(Debug, Serialize)]
pub(super) struct Unwaited {
    pub(super) answered: Side,
    /// The time from the last answer until no user was pending.
    pub(super) drain_seconds: f64,
    /// The number of creates, divided by the time from the first request until no user was pending.
    pub(super) applied_per_second: f64,
}

pub(super) async fn measure(bench: &Bench, stack: &Stack) -> anyhow::Result<Measured> {
    let mut tasks = JoinSet::new();
    let creator = Arc::new(Creator::new(stack));
    let db = stack.connect_database().await.context("cannot connect to PostgreSQL")?;
    let parties = Parties::of(stack);

    let started = Instant::now();
    let warm = closed_loop(bench.clients, bench.short_round(), creates(&creator, Some(WAIT))).await?;
    creator.sound()?;
    let floor = Floor::prepare(stack, bench, &mut tasks).await?;
    closed_loop(bench.clients, Duration::from_secs(1), chains(&floor)).await?;
    floor.sound()?;
    screen::done("Warm up", &format!("{} users", warm.summary().count), started.elapsed());
    let conditions = Conditions::look(stack, &db).await?;

    let run = Run {
        bench,
        parties: &parties,
        creator: &creator,
        floor: &floor,
    };
    let latency = run.latency().await?;
    let answered = run.answered().await?;
    drained(&db).await?;
    let throughput = run.throughput().await?;
    let unwaited = run.unwaited(&db).await?;
    floor.sound()?;
    creator.sound()?;

    let started = Instant::now();
    let issue_alone_per_second = floor.issue_alone(bench.short_round()).await?;
    let result = format!("{issue_alone_per_second:>6.0}/s on all cores");
    screen::done("Floor: key, request, signature, files", &result, started.elapsed());

    let started = Instant::now();
    let verified = verify(stack, &db, creator.created())
        .await
        .context("what was counted is not in order")?;
    let result = format!("{} users synced, certificates distinct, profiles whole", verified.users);
    screen::done("Verify every user, file by file", &result, started.elapsed());
    let memory_mib = parties.memory();

    let started = Instant::now();
    let easyrsa = easyrsa::measure(&stack.state().dir).await?;
    let result = easyrsa.map_or("easy-rsa not installed: not measured".to_owned(), |found| {
        format!(
            "EC {:.2} s, RSA {:.2} s per user",
            found.ec_seconds_per_user, found.rsa_seconds_per_user
        )
    });
    screen::done("easyrsa build-client-full", &result, started.elapsed());

    Ok(Measured {
        at: chrono::Utc::now(),
        options: bench.clone(),
        conditions,
        load_average_after: load_average(),
        latency,
        answered,
        throughput,
        unwaited,
        issue_alone_per_second,
        memory_mib,
        easyrsa,
        verified,
    })
}

struct Run<'r> {
    bench: &'r Bench,
    parties: &'r Parties,
    creator: &'r Arc<Creator>,
    floor: &'r Floor,
}

impl Run<'_> {
    async fn latency(&self) -> anyhow::Result<Pair> {
        let (mut floor, mut ours) = (Rounds::new("Floor, paced"), Rounds::new("POST until applied, paced"));
        self.floor.take_spans();
        for _ in 0..self.bench.rounds {
            let begun = Begun::now(self.parties);
            let done = open_loop(self.bench.rate, self.bench.short_round(), chains(self.floor)).await?;
            floor.end(&begun, &done);
            let begun = Begun::now(self.parties);
            let done = open_loop(self.bench.rate, self.bench.round(), creates(self.creator, Some(WAIT))).await?;
            ours.end(&begun, &done);
        }
        Ok(Pair {
            floor: floor.into(),
            floor_steps: steps(self.floor.take_spans()),
            ours: ours.into(),
        })
    }

    async fn answered(&self) -> anyhow::Result<Side> {
        let mut answered = Rounds::new("POST until answered, paced");
        let begun = Begun::now(self.parties);
        let done = open_loop(self.bench.rate, self.bench.short_round(), creates(self.creator, None)).await?;
        answered.end(&begun, &done);
        Ok(answered.into())
    }

    async fn throughput(&self) -> anyhow::Result<Pair> {
        let (mut floor, mut ours) = (Rounds::new("Floor, busy"), Rounds::new("POST until applied, busy"));
        self.floor.take_spans();
        let clients = self.bench.clients;
        for _ in 0..self.bench.rounds {
            let begun = Begun::now(self.parties);
            let done = closed_loop(clients, self.bench.short_round(), chains(self.floor)).await?;
            floor.end(&begun, &done);
            let begun = Begun::now(self.parties);
            let done = closed_loop(clients, self.bench.round(), creates(self.creator, Some(WAIT))).await?;
            ours.end(&begun, &done);
        }
        Ok(Pair {
            floor: floor.into(),
            floor_steps: steps(self.floor.take_spans()),
            ours: ours.into(),
        })
    }

    async fn unwaited(&self, db: &DatabaseConnection) -> anyhow::Result<Unwaited> {
        let mut answered = Rounds::new("POST until answered, busy");
        let started = Instant::now();
        let begun = Begun::now(self.parties);
        let done = closed_loop(
            self.bench.clients,
            self.bench.short_round(),
            creates(self.creator, None),
        )
        .await?;
        answered.end(&begun, &done);
        let drain = drained(db).await?;
        let count = f64::from(u32::try_from(done.summary().count)?);
        let applied_per_second = count / started.elapsed().as_secs_f64();
        screen::done(
            "Drain",
            &format!("{applied_per_second:>6.0}/s applied, from the first request on"),
            drain,
        );
        Ok(Unwaited {
            answered: answered.into(),
            drain_seconds: drain.as_secs_f64(),
            applied_per_second,
        })
    }
}

fn chains(floor: &Floor) -> impl Fn() -> Work + Send + Sync + 'static {
    let floor = floor.clone();
    move || {
        let floor = floor.clone();
        Box::pin(async move { floor.run().await })
    }
}

fn steps(spans: Vec<Latencies>) -> Vec<(Span, Summary)> {
    Span::ALL
        .into_iter()
        .zip(spans.iter().map(Latencies::summary))
        .collect()
}

/// Waits until no user is pending and says how long that took.
async fn drained(db: &DatabaseConnection) -> anyhow::Result<Duration> {
    let pending = "SELECT 1 AS pending FROM users WHERE NOT synced LIMIT 1";
    let took = wait::until_ok(DRAIN, "every user to be synced", async || {
        let statement = Statement::from_string(db.get_database_backend(), pending);
        match db.query_one_raw(statement).await {
            Ok(None) => Ok(()),
            Ok(Some(_)) => Err("users are pending".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    });
    let started = Instant::now();
    took.await?;
    Ok(started.elapsed())
}
