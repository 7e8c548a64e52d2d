//! The order of the measurements.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Context as _;
use sea_orm::{ConnectionTrait, DatabaseConnection, Statement};
use serde_json::{Value, json};
use vpnmanager_testbed::{
    api::Api,
    stack::{Part, Stack},
    wait,
};

use super::{
    endings::Endings,
    floor,
    measured::{Beside, Further, Measured, Resync, Resyncs, Scale},
};
use crate::{
    bench::{
        accounting::Parties,
        conditions::Conditions,
        load::{Creator, Latencies, closed_loop},
    },
    screen,
};

/// Clients that create users at the same time.
const CLIENTS: u16 = 64;
/// Looks at a node: so many that what each connection to the database learns once does not count as the slowest of a hundred.
const LOOKS: usize = 2_000;
/// Between two looks whether users are left to create.
const PAUSE: Duration = Duration::from_millis(100);
/// How long everything may take that the measurements wait for.
const PATIENCE: Duration = Duration::from_secs(1200);
/// Before what stands idle is measured: management looks once more whether anybody lacks a node.
const SETTLE: Duration = Duration::from_secs(30);
const LOST: &str = "node-2";
/// The node of the further users.
const AWAY: &str = "node-3";
/// How often it loses its journal.
const LOSSES: usize = 4;

pub(super) async fn measure(scale: &Scale, stack: &mut Stack) -> anyhow::Result<Measured> {
    let db = stack.connect_database().await.context("cannot connect to PostgreSQL")?;
    let conditions = Conditions::look(stack, &db).await?;
    let created_per_second = seed(scale, stack, &db).await?;
    // What PostgreSQL does by itself after so many inserts is no part of standing idle.
    db.execute_unprepared("VACUUM (ANALYZE)").await?;
    db.execute_unprepared("CHECKPOINT").await?;
    tokio::time::sleep(SETTLE).await;
    let api = stack.api();
    let suspender = floor::Suspender::prepare(stack, &db).await?;
    let parties = Parties::of(stack);

    let views = look(&api, &db, "node-1").await?;
    let idle_percent = stand_idle(scale, &parties).await;
    let further = match scale.further {
        0 => None,
        users => {
            add_further(stack, &db, users).await?;
            Some(Further {
                views: look(&api, &db, AWAY).await?,
                idle_percent: stand_idle(scale, &parties).await,
            })
        }
    };

    let allow = stack.nodes().take(2).map(|node| node.allow_dir()).collect();
    let mut endings = Endings::new(&api, allow);
    let mut rows = Vec::new();
    let mut ending = endings.begin(&suspender).await?;
    ending.beside(nothing()).await?;
    rows.push(("nothing else", ending.end()));
    let mut ending = endings.begin(&suspender).await?;
    let (creator, length) = (Arc::new(Creator::named(stack, "bulk")), scale.length());
    let creates = closed_loop(32, length, move || {
        let creator = Arc::clone(&creator);
        async move { creator.create(None).await }
    });
    ending.beside(async { creates.await.map(drop) }).await?;
    rows.push(("32 clients create", ending.end()));
    drained(&db).await?;
    let users = endnode(&api).await?["sync"]["wanted"].as_i64().unwrap_or_default();
    let floor_seconds = floor::pull_and_write(stack, LOST, users).await?.as_secs_f64();
    let mut resyncs = Vec::with_capacity(LOSSES);
    let mut ending = endings.begin(&suspender).await?;
    for _ in 0..LOSSES {
        let node = lose_journal(stack).await?;
        let began = Instant::now();
        // Nobody can be refused at a node that cannot be reached.
        wait::until(PATIENCE, "the agent to hear the bus", async || {
            node.get("/health")
                .await
                .is_ok_and(|health| health.body["bus_connected"] == true)
        })
        .await?;
        let whole = async {
            resyncs.push(Resync {
                held_seconds: held(&node, began).await?,
                known_seconds: known(&api, began).await?,
            });
            Ok(())
        };
        ending.beside(whole).await?;
        drained(&db).await?;
        screen::done("Make a node whole again", "", began.elapsed());
    }
    rows.push(("a node gets everything again", ending.end()));
    let memory_mib = Parties::of(stack).memory();
    // Whoever loses access from here on is on the other node only, or is on both still.
    endings.allow.truncate(1);
    let mut ending = endings.begin(&suspender).await?;
    let began = Instant::now();
    let deregister = async {
        let answer = api
            .post(&format!("/api/endnodes/{LOST}/deregister"), &json!({}))
            .await?;
        answer.success()?;
        Ok(())
    };
    ending.beside(deregister).await?;
    let deregistered_seconds = began.elapsed().as_secs_f64();
    rows.push(("a node is deregistered", ending.end()));
    Ok(Measured {
        at: chrono::Utc::now(),
        options: scale.clone(),
        conditions,
        created_per_second,
        views,
        idle_percent,
        further,
        endings: rows,
        deregistered_seconds,
        resyncs: Resyncs {
            rounds: resyncs,
            floor_seconds,
            users,
        },
        memory_mib,
    })
}

async fn nothing() -> anyhow::Result<()> {
    tokio::time::sleep(PAUSE * 100).await;
    Ok(())
}

/// Creates the users, and waits until both nodes hold them.
async fn seed(scale: &Scale, stack: &Stack, db: &DatabaseConnection) -> anyhow::Result<f64> {
    let started = Instant::now();
    let creator = Arc::new(Creator::new(stack));
    let left = Arc::new(AtomicU32::new(scale.users));
    let work = {
        let (creator, left) = (Arc::clone(&creator), Arc::clone(&left));
        move || {
            let (creator, left) = (Arc::clone(&creator), Arc::clone(&left));
            async move {
                let one = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
                match one {
                    Ok(_) => creator.create(None).await,
                    // Nothing is left to do.
                    Err(_) => {
                        tokio::time::sleep(PAUSE).await;
                        false
                    }
                }
            }
        }
    };
    while left.load(Ordering::Relaxed) > 0 {
        closed_loop(CLIENTS, Duration::from_secs(5), work.clone()).await?;
    }
    creator.sound()?;
    drained(db).await?;
    let rate = f64::from(scale.users) / started.elapsed().as_secs_f64();
    screen::done(
        "Create the users",
        &format!("{rate:.0}/s until applied"),
        started.elapsed(),
    );
    Ok(rate)
}

async fn drained(db: &DatabaseConnection) -> anyhow::Result<()> {
    let pending = Statement::from_string(
        db.get_database_backend(),
        "SELECT count(*) AS pending FROM users WHERE NOT synced OR (active AND checksum IS NULL)",
    );
    let none = async || {
        let row = db
            .query_one_raw(pending.clone())
            .await
            .map_err(|error| error.to_string())?;
        match row.and_then(|row| row.try_get::<i64>("", "pending").ok()) {
            Some(0) => Ok(()),
            pending => Err(format!("{pending:?} users pending")),
        }
    };
    wait::until_ok(PATIENCE, "every user to be synced", none).await?;
    Ok(())
}

async fn look(api: &Api, db: &DatabaseConnection, node: &str) -> anyhow::Result<Beside> {
    let started = Instant::now();
    let floor = floor::view(db, node, LOOKS).await?.summary();
    let mut latencies = Latencies::default();
    for _ in 0..LOOKS {
        let began = Instant::now();
        api.endnode(node).await?.expect(200)?;
        latencies.record(began.elapsed());
    }
    let ours = latencies.summary();
    screen::done(
        "Look at one node",
        &format!("p99 {:.1} ms", ours.p99_ms),
        started.elapsed(),
    );
    Ok(Beside { ours, floor })
}

/// What everybody uses while nothing happens: percent of a core by program.
async fn stand_idle(scale: &Scale, parties: &Parties) -> Vec<(String, f64)> {
    let (started, before) = (Instant::now(), parties.read());
    tokio::time::sleep(scale.length()).await;
    let used = parties.since(&before);
    let length = started.elapsed().as_secs_f64();
    screen::done("Stand idle", "", started.elapsed());
    let percent = used
        .cpu_s
        .into_iter()
        .map(|(name, seconds)| (name, seconds / length * 100.0));
    percent.collect()
}

/// Writes users straight into the database, as if one more node had applied them all and gone away. It is in a pool of its own, so that they
/// stay there.
async fn add_further(stack: &mut Stack, db: &DatabaseConnection, users: u32) -> anyhow::Result<()> {
    let started = Instant::now();
    stack.add_node(3).await?;
    stack.stop_part(Part::Node(3)).await?;
    let disabled = stack
        .api()
        .post(&format!("/api/endnodes/{AWAY}/disable"), &json!({}))
        .await?;
    disabled.success()?;
    db.execute_unprepared(&format!("UPDATE servers SET pool = 'away' WHERE name = '{AWAY}'"))
        .await?;
    let insert = Statement::from_sql_and_values(
        db.get_database_backend(),
        "WITH made AS (
             INSERT INTO users (key, username, ovpn_path, checksum, synced, server_id, created_by)
             SELECT gen_random_uuid(), 'further-' || n, '/further/' || n || '.ovpn', repeat('0', 64), true, $1, 'bench'
             FROM generate_series(1, $2) n RETURNING id)
         INSERT INTO placements (user_id, server_id, role, wanted_revision, applied_revision, applied_at, outcome, published_revision, digest)
             SELECT id, $1, 'home', 1, 1, now(), 'applied', 1, hashint8extended(id, 0) FROM made",
        [AWAY.into(), i64::from(users).into()],
    );
    db.execute_raw(insert).await?;
    db.execute_unprepared("VACUUM (ANALYZE)").await?;
    db.execute_unprepared("CHECKPOINT").await?;
    tokio::time::sleep(SETTLE).await;
    screen::done("Write further users", &format!("{users}"), started.elapsed());
    Ok(())
}

async fn endnode(api: &Api) -> anyhow::Result<Value> {
    Ok(api.endnode(LOST).await?.expect(200)?.body)
}

/// Stops the agent, takes its journal away, and starts it. OpenVPN runs on.
async fn lose_journal(stack: &mut Stack) -> anyhow::Result<Api> {
    stack.stop_part(Part::Node(2)).await?;
    for suffix in ["", "-wal", "-shm"] {
        let file = stack.state().node_dir(2).join(format!("journal.db{suffix}"));
        if file.exists() {
            fs::remove_file(file)?;
        }
    }
    let node = stack.node(2)?.api();
    stack.launch_part(Part::Node(2))?;
    Ok(node)
}

/// Waits until the node says that it holds every user again; gives the seconds.
async fn held(node: &Api, began: Instant) -> anyhow::Result<f64> {
    let held = async || match node.get("/health").await {
        Ok(health) if health.body["in_sync"] == true => Ok(()),
        Ok(health) => Err(health.text),
        Err(error) => Err(error.to_string()),
    };
    wait::until_ok(PATIENCE, "the node to hold every user", held).await?;
    Ok(began.elapsed().as_secs_f64())
}

/// Waits until management knows it; gives the seconds.
async fn known(api: &Api, began: Instant) -> anyhow::Result<f64> {
    let whole = async || {
        let node = endnode(api).await.map_err(|error| error.to_string())?;
        let sync = &node["sync"];
        // What is pending of those who lose their access is not counted.
        let holds = node["health"]["users"] == sync["wanted"] && node["health"]["complete"] == true;
        let pending = sync["pending"].as_i64().unwrap_or(i64::MAX);
        if holds && pending < 10 {
            Ok(())
        } else {
            Err(node.to_string())
        }
    };
    wait::until_ok(PATIENCE, "the node to be whole", whole).await?;
    Ok(began.elapsed().as_secs_f64())
}
