//! How long `vpnmanager users list` takes, from the start of the process to its end, beside curl for the same page.

use std::{
    path::PathBuf,
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use clap::Args;
use serde::Serialize;
use serde_json::Value;
use tokio::process::Command;
use vpnmanager_testbed::{
    binaries,
    stack::{Stack, StackOptions},
};

use super::{
    conditions::Conditions,
    load::{Creator, Latencies, Summary},
    on_stack::on_stack,
    page, report,
};
use crate::screen::{self, say};

/// What is promised.
const TARGET_MS: f64 = 60.0;
/// Runs of each that do not count: they read the programs from the disk.
const WARM_UP: u32 = 5;

/// How often, and over what.
#[derive(Debug, Clone, Args, Serialize)]
pub(crate) struct CommandLine {
    /// Runs of each
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(10..=10_000))]
    runs: u32,
    /// Have management serve HTTPS
    #[arg(long)]
    tls: bool,
    /// Folder for the result, a JSON file
    #[arg(long, default_value = "target/bench")]
    out: PathBuf,
}

#[derive(Debug, Serialize)]
struct Measured {
    at: chrono::DateTime<chrono::Utc>,
    options: CommandLine,
    conditions: Conditions,
    users_list: Summary,
    /// curl.
    floor: Summary,
    /// Of the medians.
    ratio: f64,
}

/// A program that prints the page.
#[derive(Debug)]
struct Program {
    file: PathBuf,
    arguments: Vec<String>,
    variables: Vec<(&'static str, String)>,
    /// Counts the users in what it prints.
    users: fn(&str) -> usize,
}

impl CommandLine {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let options = StackOptions {
            tls: self.tls,
            ..StackOptions::default()
        };
        let measured = on_stack("cli", options, async |stack: &Stack| self.measure(stack).await).await?;
        say(table(&measured));
        let file = report::store(&self.out, "cli", measured.at, &measured)?;
        say(format_args!("Result: {}", file.display()));
        Ok(())
    }

    async fn measure(&self, stack: &Stack) -> anyhow::Result<Measured> {
        let (ours, floor) = (vpnmanager(stack)?, curl(stack)?);
        let db = stack.connect_database().await.context("cannot connect to PostgreSQL")?;
        let conditions = Conditions::look(stack, &db).await?;
        page::fill(stack).await?;
        for _ in 0..WARM_UP {
            ours.time().await?;
            floor.time().await?;
        }
        let started = Instant::now();
        let (mut of_ours, mut of_floor) = (Latencies::default(), Latencies::default());
        for run in 0..self.runs {
            // Each is as often first as second.
            if run % 2 == 0 {
                of_ours.record(ours.time().await?);
                of_floor.record(floor.time().await?);
            } else {
                of_floor.record(floor.time().await?);
                of_ours.record(ours.time().await?);
            }
        }
        let (users_list, floor) = (of_ours.summary(), of_floor.summary());
        screen::done(
            "List users, each time with a new process",
            &format!("p95 {:.1} ms, curl {:.1} ms", users_list.p95_ms, floor.p95_ms),
            started.elapsed(),
        );
        Ok(Measured {
            at: chrono::Utc::now(),
            options: self.clone(),
            conditions,
            ratio: users_list.p50_ms / floor.p50_ms,
            users_list,
            floor,
        })
    }
}

/// The command line, as an operator has it whose environment says where management is.
fn vpnmanager(stack: &Stack) -> anyhow::Result<Program> {
    let state = stack.state();
    let mut variables = vec![
        ("MANAGEMENT_URL", state.management_url()),
        ("API_KEY", state.api_key.clone()),
        home(stack),
    ];
    if state.tls {
        variables.push(("MANAGEMENT_CA", state.ca_file().display().to_string()));
    }
    Ok(Program {
        file: binaries::command_line()?,
        arguments: words(&["users", "list", "--limit", &page::USERS.to_string()]),
        variables,
        users: |text| text.lines().filter(|line| line.contains(Creator::PREFIX)).count(),
    })
}

fn curl(stack: &Stack) -> anyhow::Result<Program> {
    let state = stack.state();
    let key = format!("X-API-Key: {}", state.api_key);
    let url = format!("{}{}", state.management_url(), page::path());
    let mut arguments = words(&["--silent", "--show-error", "--fail", "--header", &key, &url]);
    if state.tls {
        arguments.extend(words(&["--cacert", &state.ca_file().display().to_string()]));
    }
    Ok(Program {
        file: binaries::required_tool("curl")?,
        arguments,
        variables: vec![home(stack)],
        users: |text| {
            let answer: Value = serde_json::from_str(text).unwrap_or_default();
            answer["items"].as_array().map_or(0, Vec::len)
        },
    })
}

/// A home without contexts, and without settings of curl.
fn home(stack: &Stack) -> (&'static str, String) {
    ("HOME", stack.state().dir.display().to_string())
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

impl Program {
    /// Runs it once, with nothing of this program's environment.
    async fn time(&self) -> anyhow::Result<Duration> {
        let name = self.file.display();
        let mut command = Command::new(&self.file);
        command
            .args(&self.arguments)
            .env_clear()
            .envs(self.variables.iter().map(|(name, value)| (*name, value)))
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let started = Instant::now();
        let ran = command.output().await.with_context(|| format!("cannot run {name}"))?;
        let took = started.elapsed();
        ensure!(
            ran.status.success(),
            "{name} failed: {}",
            String::from_utf8_lossy(&ran.stderr)
        );
        let users = (self.users)(&String::from_utf8_lossy(&ran.stdout));
        ensure!(
            users == page::USERS,
            "{name} printed {users} users and not {}",
            page::USERS
        );
        Ok(took)
    }
}

fn table(measured: &Measured) -> String {
    let conditions = &measured.conditions;
    let line = |what: &str, summary: Summary| {
        format!(
            "{what}: p50 {:.1}, p95 {:.1}, max {:.1} ms ({})",
            summary.p50_ms, summary.p95_ms, summary.max_ms, summary.count
        )
    };
    let verdict = if measured.users_list.p95_ms <= TARGET_MS {
        "reached"
    } else {
        "MISSED"
    };
    [
        String::new(),
        format!(
            "{} users by {}; {}, {} cores; {} build",
            page::USERS,
            if measured.options.tls { "HTTPS" } else { "HTTP" },
            conditions.cpu,
            conditions.cores,
            conditions.build
        ),
        line("vpnmanager users list", measured.users_list),
        line("floor: curl", measured.floor),
        format!("ratio of p50: {:.1}", measured.ratio),
        format!(
            "Target: p95 at most {TARGET_MS} ms: {verdict} ({:.1} ms)",
            measured.users_list.p95_ms
        ),
    ]
    .join("\n")
}
