//! The conditions of a measurement; without them its numbers cannot be compared.

use std::{
    fs,
    io::Write,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::Context;
use sea_orm::{ConnectionTrait, DatabaseConnection, Statement};
use serde::Serialize;
use vpnmanager_testbed::stack::Stack;

use super::floor;

const SYNCS: usize = 50;

#[derive(Debug, Clone, Serialize)]
pub(super) struct Conditions {
    pub(super) build: &'static str,
    pub(super) cpu: String,
    pub(super) cores: usize,
    pub(super) memory_gib: f64,
    pub(super) kernel: String,
    pub(super) file_system: String,
    /// Median time to write and sync one page: the least time that a commit waits.
    pub(super) fdatasync_ms: f64,
    pub(super) postgres: String,
    pub(super) postgres_settings: Vec<(String, String)>,
    pub(super) nats_server: String,
    pub(super) openvpn: String,
    pub(super) tunnels: bool,
    pub(super) load_average_before: String,
}

impl Conditions {
    pub(super) async fn look(stack: &Stack, db: &DatabaseConnection) -> anyhow::Result<Self> {
        let dir = stack.state().dir.clone();
        let tunnels = stack.network().is_ok();
        Ok(Self {
            build: if cfg!(debug_assertions) { "dev" } else { "release" },
            cpu: field("/proc/cpuinfo", "model name").unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            memory_gib: memory_gib(),
            kernel: first_line("/proc/sys/kernel/osrelease"),
            file_system: file_system(&dir),
            fdatasync_ms: fdatasync(&dir).context("cannot write and sync a file")?.as_secs_f64() * 1e3,
            postgres: setting(db, "server_version").await?,
            postgres_settings: settings(db).await?,
            nats_server: floor::connect(stack).await?.server_info().version.clone(),
            openvpn: if tunnels {
                openvpn().await
            } else {
                "not running: the nodes are without OpenVPN".to_owned()
            },
            tunnels,
            load_average_before: load_average(),
        })
    }
}

/// The load average of the last 1, 5 and 15 minutes.
pub(super) fn load_average() -> String {
    first_line("/proc/loadavg")
        .split(' ')
        .take(3)
        .collect::<Vec<_>>()
        .join(" ")
}

async fn settings(db: &DatabaseConnection) -> anyhow::Result<Vec<(String, String)>> {
    let mut settings = Vec::new();
    for name in [
        "fsync",
        "synchronous_commit",
        "full_page_writes",
        "wal_sync_method",
        "shared_buffers",
    ] {
        settings.push((name.to_owned(), setting(db, name).await?));
    }
    Ok(settings)
}

async fn setting(db: &DatabaseConnection, name: &str) -> anyhow::Result<String> {
    let statement = Statement::from_sql_and_values(
        db.get_database_backend(),
        "SELECT current_setting($1) AS value",
        [name.into()],
    );
    let row = db
        .query_one_raw(statement)
        .await?
        .context("PostgreSQL answered nothing")?;
    Ok(row.try_get("", "value")?)
}

async fn openvpn() -> String {
    let output = tokio::process::Command::new("openvpn").arg("--version").output().await;
    let text = output
        .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
        .unwrap_or_default();
    text.split_whitespace()
        .nth(1)
        .unwrap_or("of unknown version")
        .to_owned()
}

fn fdatasync(dir: &Path) -> std::io::Result<Duration> {
    let path = dir.join("fdatasync");
    let mut file = fs::File::create(&path)?;
    let mut times = Vec::with_capacity(SYNCS);
    for _ in 0..SYNCS {
        let started = Instant::now();
        file.write_all(&[0; 8192])?;
        file.sync_data()?;
        times.push(started.elapsed());
    }
    fs::remove_file(path)?;
    times.sort();
    Ok(times[SYNCS / 2])
}

/// The type of the file system that holds the folder.
fn file_system(dir: &Path) -> String {
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    let fields = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let above = fields.filter(|fields| fields.len() > 3 && dir.starts_with(fields[1]));
    above
        .max_by_key(|fields| fields[1].len())
        .map_or("unknown".to_owned(), |fields| fields[2].to_owned())
}

fn memory_gib() -> f64 {
    let text = field("/proc/meminfo", "MemTotal").unwrap_or_default();
    let kib: f64 = text
        .split(' ')
        .next()
        .and_then(|number| number.parse().ok())
        .unwrap_or_default();
    kib / f64::from(1 << 20)
}

fn field(file: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn first_line(file: &str) -> String {
    fs::read_to_string(file)
        .unwrap_or_default()
        .lines()
        .next()
        .unwrap_or_default()
        .to_owned()
}
