//! The same work with none of this project's code.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use async_nats::{
    Client,
    jetstream::{self, consumer::PullConsumer, consumer::pull},
};
use futures_util::StreamExt as _;
use sea_orm::{ConnectionTrait, DatabaseConnection, Statement};
use tokio::task::JoinSet;
use vpnmanager_testbed::stack::Stack;

use crate::bench::{floor::connect, load::Latencies};

const SUBJECT: &str = "bench.suspend";

/// Asks for a commit, tells a bare subscriber, which removes a file for it, and commits again.
pub(super) struct Suspender {
    db: DatabaseConnection,
    bus: Client,
    dir: PathBuf,
    _subscriber: JoinSet<()>,
}

impl Suspender {
    pub(super) async fn prepare(stack: &Stack, db: &DatabaseConnection) -> anyhow::Result<Self> {
        let dir = stack.state().dir.join("floor-allow");
        std::fs::create_dir_all(&dir)?;
        db.execute_unprepared(
            "CREATE TABLE IF NOT EXISTS bench_suspends (id BIGSERIAL PRIMARY KEY, note TEXT NOT NULL)",
        )
        .await?;
        let subscriber = connect(stack).await?;
        let mut asked = subscriber.subscribe(SUBJECT).await?;
        let allow = dir.clone();
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            while let Some(message) = asked.next().await {
                let file = allow.join(String::from_utf8_lossy(&message.payload).as_ref());
                let removed = tokio::fs::remove_file(file).await.is_ok();
                if let Some(reply) = message.reply {
                    // Without an answer the floor fails, which is told.
                    let _ = subscriber
                        .publish(reply, if removed { "1".into() } else { "0".into() })
                        .await;
                }
            }
        });
        Ok(Self {
            db: db.clone(),
            bus: connect(stack).await?,
            dir,
            _subscriber: serving,
        })
    }

    /// Some suspensions, one after the other.
    pub(super) async fn measure(&self, count: usize) -> anyhow::Result<Latencies> {
        let mut latencies = Latencies::default();
        for number in 0..count {
            let name = format!("user-{number}");
            std::fs::write(self.dir.join(&name), "")?;
            let began = Instant::now();
            self.commit().await?;
            let answer = self.bus.request(SUBJECT, name.into()).await?;
            anyhow::ensure!(answer.payload.as_ref() == b"1", "the floor's subscriber failed");
            self.commit().await?;
            latencies.record(began.elapsed());
        }
        Ok(latencies)
    }

    async fn commit(&self) -> anyhow::Result<()> {
        let note = "x".repeat(400);
        let statement = Statement::from_sql_and_values(
            self.db.get_database_backend(),
            "INSERT INTO bench_suspends (note) VALUES ($1)",
            [note.into()],
        );
        self.db.execute_raw(statement).await?;
        Ok(())
    }
}

/// The rows of one node, read straight from PostgreSQL.
pub(super) async fn view(db: &DatabaseConnection, node: &str, count: usize) -> anyhow::Result<Latencies> {
    let mut latencies = Latencies::default();
    for _ in 0..count {
        let began = Instant::now();
        for table in [
            "servers WHERE name",
            "health_status WHERE server_id",
            "node_totals WHERE server_id",
        ] {
            let statement = Statement::from_sql_and_values(
                db.get_database_backend(),
                format!("SELECT * FROM {table} = $1"),
                [node.into()],
            );
            db.query_one_raw(statement).await?.context("no row")?;
        }
        latencies.record(began.elapsed());
    }
    Ok(latencies)
}

/// Pulls every command of a node with a bare consumer, and writes them into a SQLite file in batches of 500.
pub(super) async fn pull_and_write(stack: &Stack, node: &str, users: i64) -> anyhow::Result<Duration> {
    let context = jetstream::new(connect(stack).await?);
    let stream = context.get_stream("VPN_COMMANDS").await?;
    let file = stack.state().dir.join("floor.db");
    let began = Instant::now();
    let consumer: PullConsumer = stream
        .create_consumer(pull::Config {
            filter_subject: format!("vpn.cmd.{node}.>"),
            ack_policy: jetstream::consumer::AckPolicy::None,
            ..pull::Config::default()
        })
        .await?;
    let mut messages = consumer.stream().max_messages_per_batch(500).messages().await?;
    let (sender, receiver) = std::sync::mpsc::sync_channel::<(String, bytes::Bytes)>(2000);
    let writer = tokio::task::spawn_blocking(move || write(&file, &receiver));
    for _ in 0..users {
        let message = messages.next().await.context("the stream ended")??;
        let sent = sender.send((message.subject.to_string(), message.payload.clone()));
        sent.context("the writer ended")?;
    }
    drop(sender);
    writer.await??;
    Ok(began.elapsed())
}

fn write(file: &std::path::Path, receiver: &std::sync::mpsc::Receiver<(String, bytes::Bytes)>) -> anyhow::Result<()> {
    let mut db = rusqlite::Connection::open(file)?;
    db.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE users (key TEXT PRIMARY KEY, state BLOB)",
    )?;
    while let Ok(first) = receiver.recv() {
        let transaction = db.transaction()?;
        let more = std::iter::from_fn(|| receiver.try_recv().ok()).take(499);
        for (subject, payload) in std::iter::once(first).chain(more) {
            transaction.execute(
                "INSERT OR REPLACE INTO users (key, state) VALUES (?1, ?2)",
                rusqlite::params![subject, payload.as_ref()],
            )?;
        }
        transaction.commit()?;
    }
    Ok(())
}
