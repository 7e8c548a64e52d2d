//! What a long history of sessions costs: who had an address at a time, the sessions of a user, and creates while old rows are deleted.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use clap::Args;
use sea_orm::{ConnectionTrait, DatabaseConnection, FromQueryResult, Statement};
use serde::Serialize;
use vpnmanager_testbed::{
    api::Api,
    postgres::Durability,
    stack::{Part, Stack, StackOptions},
    wait,
};

use super::{
    conditions::Conditions,
    load::{Latencies, Summary},
    report,
};
use crate::{
    interrupt::unless_interrupted,
    screen::{self, say},
};

/// Lookups of each kind: so many that what each connection to the database learns once does not count as the slowest of a hundred.
const LOOKUPS: i64 = 1_000;
/// Creates of each phase, one after the other.
const CREATES: usize = 300;
/// Rows that are older than the history may be.
const EXPIRED: i64 = 200_000;
const PATIENCE: Duration = Duration::from_secs(1200);

/// How long the history is.
#[derive(Debug, Clone, Args, Serialize)]
pub(crate) struct History {
    /// Sessions of the last 90 days
    #[arg(long, default_value_t = 10_000_000, value_parser = clap::value_parser!(u32).range(10_000..=100_000_000))]
    sessions: u32,
    /// Folder for the result, a JSON file
    #[arg(long, default_value = "target/bench")]
    out: PathBuf,
}

#[derive(Debug, Serialize)]
struct Measured {
    at: chrono::DateTime<chrono::Utc>,
    options: History,
    conditions: Conditions,
    table_mib: f64,
    /// `GET /api/sessions?address=&at=`.
    who_had_an_address: Summary,
    /// A bare SELECT by primary key of as many rows.
    floor: Summary,
    /// The first page of `GET /api/sessions/history?username=`.
    sessions_of_a_user: Summary,
    creates_alone: Summary,
    creates_while_rows_are_deleted: Summary,
    deleted_seconds: f64,
}

impl History {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        if cfg!(debug_assertions) {
            say("This is a dev build: its numbers say little. `make bench ONLY=history` builds for release.");
        }
        unless_interrupted(self.with_stack()).await?.context("bench failed")
    }

    async fn with_stack(&self) -> anyhow::Result<()> {
        let mut stack = Stack::start(StackOptions {
            durability: Durability::Durable,
            progress: screen::step,
            ..StackOptions::default()
        })
        .await?;
        let measured = self.measure(&mut stack).await;
        stack.down().await;
        let measured = measured?;
        say(table(&measured));
        let file = report::store(&self.out, &format!("history-{}", self.sessions), measured.at, &measured)?;
        say(format_args!("Result: {}", file.display()));
        Ok(())
    }

    async fn measure(&self, stack: &mut Stack) -> anyhow::Result<Measured> {
        let db = stack.connect_database().await.context("cannot connect to PostgreSQL")?;
        let conditions = Conditions::look(stack, &db).await?;
        self.fill(&db).await?;
        let api = stack.api();
        let wanted = Wanted::draw(&db).await?;
        let who_had_an_address = who_had(&api, &wanted).await?;
        let floor = by_key(&db, &wanted).await?;
        let sessions_of_a_user = of_user(&api, &wanted).await?;
        let creates_alone = create(&api, "alone").await?;
        let began = Instant::now();
        expire(stack, &db).await?;
        let creates_while_rows_are_deleted = create(&api, "beside").await?;
        gone(&db).await?;
        Ok(Measured {
            at: chrono::Utc::now(),
            options: self.clone(),
            conditions,
            table_mib: mebibytes(&db).await?,
            who_had_an_address,
            floor,
            sessions_of_a_user,
            creates_alone,
            creates_while_rows_are_deleted,
            deleted_seconds: began.elapsed().as_secs_f64(),
        })
    }

    /// Sessions of up to an hour within 90 days, of 10,000 users on 2 nodes, with addresses of a network of 4,000.
    async fn fill(&self, db: &DatabaseConnection) -> anyhow::Result<()> {
        let started = Instant::now();
        // Indexes are made faster than they grow.
        let indexes = Index::of_sessions(db).await?;
        for Index { name, .. } in &indexes {
            db.execute_unprepared(&format!("DROP INDEX {name}")).await?;
        }
        let insert = Statement::from_sql_and_values(
            db.get_database_backend(),
            "INSERT INTO sessions (server_id, since, cid, common_name, user_id, username, device, real_address, virtual_address,
                 bytes_in, bytes_out, seen_at, ended_at, gone_at, end_kind)
             SELECT 'node-' || (1 + n % 2), began, n, 'past-' || n % 10000 || '.x', n % 10000, 'past-' || n % 10000, 'default',
                 '198.51.100.' || n % 250 || ':' || 1024 + n % 60000, '10.8.0.0'::inet + 2 + n % 4000, n, 2 * n,
                 began + length, began + length, began + length, 'seen'
             FROM (SELECT n, date_trunc('second', now()) - interval '90 days' * ((n + 1)::float8 / ($1 + 1)) AS began,
                       interval '1 second' * (60 + (hashint8(n) & 32767) % 3540) AS length
                   FROM generate_series(1, $1) n) AS made",
            [i64::from(self.sessions).into()],
        );
        db.execute_raw(insert).await?;
        db.execute_unprepared("SET maintenance_work_mem = '1GB'").await?;
        for Index { definition, .. } in &indexes {
            db.execute_unprepared(definition).await?;
        }
        db.execute_unprepared("VACUUM (ANALYZE) sessions").await?;
        db.execute_unprepared("CHECKPOINT").await?;
        screen::done(
            "Write the history",
            &format!("{} sessions", self.sessions),
            started.elapsed(),
        );
        Ok(())
    }
}

/// An index of the history, apart from its primary key.
#[derive(Debug, FromQueryResult)]
struct Index {
    name: String,
    definition: String,
}

impl Index {
    async fn of_sessions(db: &DatabaseConnection) -> anyhow::Result<Vec<Self>> {
        let statement = Statement::from_string(
            db.get_database_backend(),
            "SELECT indexname AS name, indexdef AS definition FROM pg_indexes
             WHERE tablename = 'sessions' AND indexname <> 'sessions_pkey'",
        );
        Ok(Self::find_by_statement(statement).all(db).await?)
    }
}

/// A session of the past, and a moment in the middle of it.
#[derive(Debug, FromQueryResult)]
struct Wanted {
    address: String,
    at: String,
    username: String,
    server_id: String,
    since: chrono::DateTime<chrono::Utc>,
    cid: i64,
}

impl Wanted {
    async fn draw(db: &DatabaseConnection) -> anyhow::Result<Vec<Self>> {
        let statement = Statement::from_sql_and_values(
            db.get_database_backend(),
            "SELECT host(virtual_address) AS address, to_char((since + (ended_at - since) / 2) AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') AS at,
                 username, server_id, since, cid
             FROM sessions TABLESAMPLE SYSTEM (1) REPEATABLE (7) ORDER BY hashint8(cid) LIMIT $1",
            [LOOKUPS.into()],
        );
        let drawn = Self::find_by_statement(statement).all(db).await?;
        ensure!(!drawn.is_empty(), "the sample of the history is empty");
        Ok(drawn)
    }
}

async fn who_had(api: &Api, wanted: &[Wanted]) -> anyhow::Result<Summary> {
    let started = Instant::now();
    let mut latencies = Latencies::default();
    for Wanted {
        address, at, username, ..
    } in wanted
    {
        let began = Instant::now();
        let answer = api
            .get(&format!("/api/sessions?address={address}&at={at}"))
            .await?
            .expect(200)?;
        latencies.record(began.elapsed());
        let items = answer.body["items"].as_array().context("no items")?;
        ensure!(
            items.iter().any(|item| item["username"] == username.as_str()),
            "{username} is not among those who had {address} at {at}: {}",
            answer.text
        );
    }
    let summary = latencies.summary();
    screen::done(
        "Ask who had an address",
        &format!("p99 {:.1} ms", summary.p99_ms),
        started.elapsed(),
    );
    Ok(summary)
}

async fn by_key(db: &DatabaseConnection, wanted: &[Wanted]) -> anyhow::Result<Summary> {
    let mut latencies = Latencies::default();
    for Wanted {
        server_id, since, cid, ..
    } in wanted
    {
        let statement = Statement::from_sql_and_values(
            db.get_database_backend(),
            "SELECT * FROM sessions WHERE since = $1 AND cid = $2 AND server_id = $3",
            [(*since).into(), (*cid).into(), server_id.clone().into()],
        );
        let began = Instant::now();
        db.query_one_raw(statement).await?.context("no row")?;
        latencies.record(began.elapsed());
    }
    Ok(latencies.summary())
}

async fn of_user(api: &Api, wanted: &[Wanted]) -> anyhow::Result<Summary> {
    let started = Instant::now();
    let mut latencies = Latencies::default();
    for Wanted { username, .. } in wanted {
        let began = Instant::now();
        api.get(&format!("/api/sessions/history?username={username}"))
            .await?
            .expect(200)?;
        latencies.record(began.elapsed());
    }
    let summary = latencies.summary();
    screen::done(
        "List sessions of a user",
        &format!("p99 {:.1} ms", summary.p99_ms),
        started.elapsed(),
    );
    Ok(summary)
}

async fn create(api: &Api, prefix: &str) -> anyhow::Result<Summary> {
    let started = Instant::now();
    let mut latencies = Latencies::default();
    for number in 0..CREATES {
        let began = Instant::now();
        let answer = api
            .create_user(&format!("{prefix}-{number}"), Some(Duration::from_secs(10)))
            .await?;
        ensure!(answer.status == 201, "{}", answer.text);
        latencies.record(began.elapsed());
    }
    let summary = latencies.summary();
    screen::done(
        "Create users",
        &format!("p99 {:.1} ms", summary.p99_ms),
        started.elapsed(),
    );
    Ok(summary)
}

/// Makes the oldest rows so old that housekeeping deletes them, which it does when management starts, and waits until it has begun.
async fn expire(stack: &mut Stack, db: &DatabaseConnection) -> anyhow::Result<()> {
    let statement = Statement::from_sql_and_values(
        db.get_database_backend(),
        "UPDATE sessions SET since = since - interval '1 year', seen_at = seen_at - interval '1 year',
             ended_at = ended_at - interval '1 year', gone_at = gone_at - interval '1 year',
             first_recorded_at = first_recorded_at - interval '1 year', recorded_at = recorded_at - interval '1 year'
         WHERE (since, cid, server_id) IN (SELECT since, cid, server_id FROM sessions ORDER BY since LIMIT $1)",
        [EXPIRED.into()],
    );
    db.execute_raw(statement).await?;
    stack.stop_part(Part::Management).await?;
    stack.start_part(Part::Management).await?;
    let begun = async || match expired(db).await {
        Ok(left) if left < EXPIRED => Ok(()),
        Ok(left) => Err(format!("{left} are left")),
        Err(error) => Err(error.to_string()),
    };
    wait::until_ok(PATIENCE, "housekeeping to begin", begun).await?;
    Ok(())
}

async fn gone(db: &DatabaseConnection) -> anyhow::Result<()> {
    let gone = async || match expired(db).await {
        Ok(0) => Ok(()),
        Ok(left) => Err(format!("{left} are left")),
        Err(error) => Err(error.to_string()),
    };
    wait::until_ok(PATIENCE, "the old rows to be deleted", gone).await?;
    Ok(())
}

async fn expired(db: &DatabaseConnection) -> anyhow::Result<i64> {
    number(
        db,
        "SELECT count(*) AS number FROM sessions WHERE since < now() - interval '200 days'",
    )
    .await
}

async fn mebibytes(db: &DatabaseConnection) -> anyhow::Result<f64> {
    let kibibytes = number(db, "SELECT pg_total_relation_size('sessions') / 1024 AS number").await?;
    Ok(f64::from(i32::try_from(kibibytes)?) / 1024.0)
}

async fn number(db: &DatabaseConnection, sql: &'static str) -> anyhow::Result<i64> {
    let row = db
        .query_one_raw(Statement::from_string(db.get_database_backend(), sql))
        .await?;
    Ok(row.context("no row")?.try_get("", "number")?)
}

fn table(measured: &Measured) -> String {
    let conditions = &measured.conditions;
    let line = |what: &str, summary: Summary| {
        format!(
            "{what}: p50 {:.1}, p99 {:.1}, max {:.1} ms ({})",
            summary.p50_ms, summary.p99_ms, summary.max_ms, summary.count
        )
    };
    [
        String::new(),
        format!(
            "{} sessions, {:.0} MiB with indexes; {}, {} cores, {:.0} GiB, a page synced in {:.2} ms; {} build",
            measured.options.sessions,
            measured.table_mib,
            conditions.cpu,
            conditions.cores,
            conditions.memory_gib,
            conditions.fdatasync_ms,
            conditions.build
        ),
        line("who had an address at a time", measured.who_had_an_address),
        line("floor: one row by its key, straight from PostgreSQL", measured.floor),
        format!(
            "ratio of p50: {:.1}",
            measured.who_had_an_address.p50_ms / measured.floor.p50_ms
        ),
        line("the newest sessions of a user", measured.sessions_of_a_user),
        line("create and wait until applied", measured.creates_alone),
        line(
            &format!("the same while {EXPIRED} old sessions are deleted"),
            measured.creates_while_rows_are_deleted,
        ),
        format!("they are deleted after {:.1} s", measured.deleted_seconds),
    ]
    .join("\n")
}
