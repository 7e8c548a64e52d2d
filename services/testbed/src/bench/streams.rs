//! What open streams of events cost while nothing happens.

use std::{
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
    time::Duration,
};

use anyhow::{Context as _, ensure};
use clap::Args;
use futures_util::future::join_all;
use reqwest::{Client, Response};
use serde::Serialize;
use tokio::time::timeout;
use vpnmanager_testbed::stack::{Part, Stack, StackOptions};

use super::{accounting::Parties, on_stack::on_stack, report};
use crate::screen::say;

/// Streams from one address: fewer than `HTTP_MAX_CONNECTIONS_PER_ADDRESS`.
const OF_ONE_ADDRESS: u32 = 200;
/// What a process asks for at the start, and frees later, does not count for streams.
const SETTLE: Duration = Duration::from_secs(10);
/// A stream that says nothing for this long has no more to say, and is open: its end would come at once. Shorter than its heartbeat.
const QUIET: Duration = Duration::from_secs(2);

/// How many streams, and for how long.
#[derive(Debug, Clone, Args, Serialize)]
pub(crate) struct Streams {
    /// Streams that are open
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=500))]
    streams: u32,
    /// Seconds to measure for, with and without them
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// Folder for the result, a JSON file
    #[arg(long, default_value = "target/bench")]
    out: PathBuf,
}

#[derive(Debug, Serialize)]
struct Measured {
    at: chrono::DateTime<chrono::Utc>,
    options: Streams,
    /// Percent of a core that management uses.
    cpu_without_percent: f64,
    cpu_percent: f64,
    /// What management has in memory.
    memory_without_mib: f64,
    memory_mib: f64,
    kib_for_each_stream: f64,
}

impl Streams {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let options = StackOptions::default();
        let measured = on_stack("streams", options, async |stack: &Stack| self.measure(stack).await).await?;
        say(format_args!(
            "{} streams: {:.1} % of a core (without: {:.1} %), {:.1} KiB each",
            self.streams, measured.cpu_percent, measured.cpu_without_percent, measured.kib_for_each_stream
        ));
        let file = report::store(&self.out, &format!("streams-{}", self.streams), measured.at, &measured)?;
        say(format_args!("Result: {}", file.display()));
        Ok(())
    }

    async fn measure(&self, stack: &Stack) -> anyhow::Result<Measured> {
        let parties = Parties::of(stack);
        tokio::time::sleep(SETTLE).await;
        let (cpu_without_percent, memory_without_mib) = self.look(&parties).await?;
        let open = self.open(stack).await?;
        tokio::time::sleep(SETTLE).await;
        let (cpu_percent, memory_mib) = self.look(&parties).await?;
        still_open(open).await?;
        Ok(Measured {
            at: chrono::Utc::now(),
            options: self.clone(),
            cpu_without_percent,
            cpu_percent,
            memory_without_mib,
            memory_mib,
            kib_for_each_stream: (memory_mib - memory_without_mib) * 1024.0 / f64::from(self.streams),
        })
    }

    /// Opens the streams; nothing of them is read beyond what came with the head.
    async fn open(&self, stack: &Stack) -> anyhow::Result<Vec<Response>> {
        let (url, key) = (
            format!("{}/api/events", stack.state().management_url()),
            &stack.state().api_key,
        );
        let mut open = Vec::new();
        for number in 0..self.streams {
            let block = u8::try_from(number / OF_ONE_ADDRESS).context("too many streams")?;
            let client = Client::builder()
                .local_address(IpAddr::V4(Ipv4Addr::new(127, 0, 1, 1 + block)))
                .build()?;
            let answer = client.get(&url).header("x-api-key", key).send().await?;
            ensure!(
                answer.status() == 200,
                "stream {number} was answered {}",
                answer.status()
            );
            open.push(answer);
        }
        Ok(open)
    }

    /// The percent of a core that management uses meanwhile, and its memory at the end.
    async fn look(&self, parties: &Parties) -> anyhow::Result<(f64, f64)> {
        let time = Duration::from_secs(self.seconds);
        let before = parties.read();
        tokio::time::sleep(time).await;
        let used = of_management(&parties.since(&before).cpu_s)?;
        Ok((used / time.as_secs_f64() * 100.0, of_management(&parties.memory())?))
    }
}

/// Fails if a stream has ended: it would have cost nothing.
async fn still_open(streams: Vec<Response>) -> anyhow::Result<()> {
    let ended = join_all(streams.into_iter().map(has_ended)).await;
    let ended = ended.into_iter().filter(|has_ended| *has_ended).count();
    ensure!(ended == 0, "{ended} streams have ended");
    Ok(())
}

/// Reads all that has come.
async fn has_ended(mut stream: Response) -> bool {
    loop {
        match timeout(QUIET, stream.chunk()).await {
            Ok(Ok(Some(_))) => {}
            Ok(Ok(None) | Err(_)) => return true,
            Err(_quiet) => return false,
        }
    }
}

fn of_management(numbers: &[(String, f64)]) -> anyhow::Result<f64> {
    let name = Part::Management.to_string();
    let found = numbers.iter().find(|(party, _)| *party == name);
    found.map(|(_, number)| *number).context("management does not run")
}
