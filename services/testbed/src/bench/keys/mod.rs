//! What wrong keys cost those who have the right one: the same requests alone, beside wrong keys, and beside as many requests to a server
//! that does nothing, in turns.
//!
//! The last are the floor: who asks and who answers share the cores of one machine, so wrong keys take some from others even where they are
//! answered for nothing. Whoever has a wrong key gives way with his own work, which he has another machine for in the field.

mod asker;

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use clap::Args;
use serde::Serialize;
use tokio::task::JoinSet;
use vpnmanager_testbed::stack::{Stack, StackOptions};

use asker::{Asker, asks};

use super::{
    accounting::Parties,
    bare_server,
    conditions::Conditions,
    load::{Latencies, Summary, open_loop},
    on_stack::on_stack,
    page,
    ratios::Ratios,
    report,
    rounds::{Begun, Round, Rounds, Side},
};
use crate::{
    giving_way,
    screen::{self, say},
};

/// What the p99 beside wrong keys may be of the p99 alone.
const TARGET: f64 = 1.2;
const RIGHT: u16 = 200;
const WRONG: u16 = 401;
/// Who has the right key. Those with wrong ones have other addresses.
const OPERATOR: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const WARM_UP: Duration = Duration::from_secs(3);

/// How many requests, and for how long.
#[derive(Debug, Clone, Args, Serialize)]
pub(crate) struct Keys {
    /// Seconds of each round
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(2..=3600))]
    seconds: u64,
    /// Requests per second with the right key
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    rate: u32,
    /// Requests per second with wrong keys
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    wrong: u32,
    /// Number of loopback addresses that the wrong keys come from
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u8).range(1..=200))]
    addresses: u8,
    /// Number of turns: a round of each kind
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u8).range(1..=100))]
    turns: u8,
    /// Folder for the result, a JSON file
    #[arg(long, default_value = "target/bench")]
    out: PathBuf,
}

#[derive(Debug, Serialize)]
struct Measured {
    at: chrono::DateTime<chrono::Utc>,
    options: Keys,
    conditions: Conditions,
    alone: Side,
    beside_wrong_keys: Side,
    /// The floor.
    beside_bare_server: Side,
    /// How long wrong keys waited for their answers, which may well be long.
    wrong_keys: Summary,
    /// Of the p99 of all rounds: beside wrong keys to alone.
    ratio: f64,
    /// The same of each turn.
    ratios: Option<Ratios>,
    /// Beside as many requests to a bare server to alone.
    ratio_of_floor: f64,
}

/// What is done beside the requests with the right key.
#[derive(Debug, Clone, Copy)]
enum Beside {
    Nothing,
    WrongKeys,
    BareServer,
}

impl Keys {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let options = StackOptions::default();
        let measured = on_stack("keys", options, async |stack: &Stack| self.measure(stack).await).await?;
        say(table(&measured));
        let file = report::store(&self.out, &format!("keys-{}", self.wrong), measured.at, &measured)?;
        say(format_args!("Result: {}", file.display()));
        Ok(())
    }

    async fn measure(&self, stack: &Stack) -> anyhow::Result<Measured> {
        let mut serving = JoinSet::new();
        let bare_server = bare_server::serve(&mut serving).await?;
        let db = stack.connect_database().await.context("cannot connect to PostgreSQL")?;
        let conditions = Conditions::look(stack, &db).await?;
        let started = Instant::now();
        page::fill(stack).await?;
        let management = stack.state().management_url();
        let url = format!("{management}{}", page::path());
        let operator = Arc::new(Asker::new([OPERATOR], url, Some(&stack.state().api_key), RIGHT)?);
        open_loop(self.rate, WARM_UP, asks(&operator)).await?;
        operator.sound()?;
        screen::done("Warm up", &format!("{} users", 2 * page::USERS), started.elapsed());
        let mut run = Run {
            keys: self,
            parties: Parties::of(stack),
            management,
            bare_server,
            operator,
            alone: Rounds::new("List users, alone"),
            beside_wrong_keys: Rounds::new("List users, beside wrong keys"),
            beside_bare_server: Rounds::new("List users, beside a bare server"),
            wrong_keys: Latencies::default(),
        };
        let mut order = [Beside::Nothing, Beside::WrongKeys, Beside::BareServer];
        for _ in 0..self.turns {
            for beside in order {
                run.round(beside).await?;
            }
            order.rotate_left(1);
        }
        Ok(run.measured(conditions))
    }

    /// Those with wrong keys, who ask the server at `base`.
    fn strangers(&self, base: &str) -> anyhow::Result<Arc<Asker>> {
        let addresses = (1..=self.addresses).map(|number| Ipv4Addr::new(127, 0, 2, number));
        let url = format!("{base}{}", page::path());
        Ok(Arc::new(Asker::new(addresses, url, None, WRONG)?))
    }
}

struct Run<'k> {
    keys: &'k Keys,
    parties: Parties,
    management: String,
    bare_server: SocketAddr,
    operator: Arc<Asker>,
    alone: Rounds,
    beside_wrong_keys: Rounds,
    beside_bare_server: Rounds,
    wrong_keys: Latencies,
}

impl Run<'_> {
    async fn round(&mut self, beside: Beside) -> anyhow::Result<()> {
        let length = Duration::from_secs(self.keys.seconds);
        let base = match beside {
            Beside::Nothing => None,
            Beside::WrongKeys => Some(self.management.clone()),
            Beside::BareServer => Some(format!("http://{}", self.bare_server)),
        };
        // New connections each time: the other rounds are longer than some may idle.
        let strangers = base.map(|base| self.keys.strangers(&base)).transpose()?;
        let begun = Begun::now(&self.parties);
        let lists = open_loop(self.keys.rate, length, asks(&self.operator));
        let (lists, answers) = match &strangers {
            None => (lists.await?, Latencies::default()),
            Some(strangers) => {
                let (rate, strangers) = (self.keys.wrong, Arc::clone(strangers));
                let asked = giving_way::apart("strangers", true, async move || {
                    open_loop(rate, length, asks(&strangers)).await
                });
                tokio::try_join!(lists, asked)?
            }
        };
        let rounds = match beside {
            Beside::Nothing => &mut self.alone,
            Beside::WrongKeys => {
                self.wrong_keys.add(&answers);
                &mut self.beside_wrong_keys
            }
            Beside::BareServer => &mut self.beside_bare_server,
        };
        rounds.end(&begun, &lists);
        self.operator.sound()?;
        strangers.map_or(Ok(()), |strangers| strangers.sound())
    }

    fn measured(self, conditions: Conditions) -> Measured {
        let wrong_keys = self.wrong_keys.summary();
        let (alone, beside) = (Side::from(self.alone), Side::from(self.beside_wrong_keys));
        let floor = Side::from(self.beside_bare_server);
        let p99 = |round: &Round| round.latency.p99_ms;
        Measured {
            at: chrono::Utc::now(),
            options: self.keys.clone(),
            conditions,
            wrong_keys,
            ratio: beside.latency.p99_ms / alone.latency.p99_ms,
            ratios: Ratios::of(&beside.of_each(p99), &alone.of_each(p99)),
            ratio_of_floor: floor.latency.p99_ms / alone.latency.p99_ms,
            alone,
            beside_wrong_keys: beside,
            beside_bare_server: floor,
        }
    }
}

fn table(measured: &Measured) -> String {
    let (options, conditions) = (&measured.options, &measured.conditions);
    let line = |what: &str, summary: Summary| {
        format!(
            "{what}: p50 {:.2}, p99 {:.2}, max {:.1} ms ({})",
            summary.p50_ms, summary.p99_ms, summary.max_ms, summary.count
        )
    };
    let verdict = if measured.ratio <= TARGET { "reached" } else { "MISSED" };
    let mut lines = vec![
        String::new(),
        format!(
            "{}/s with the right key, {}/s with wrong ones from {} addresses, {} rounds of {} s of each; {}, {} cores; {} build",
            options.rate,
            options.wrong,
            options.addresses,
            options.turns,
            options.seconds,
            conditions.cpu,
            conditions.cores,
            conditions.build
        ),
        line("list 50 users, alone", measured.alone.latency),
        line("list 50 users, beside wrong keys", measured.beside_wrong_keys.latency),
        line(
            "floor: list 50 users, beside as many requests to a bare server",
            measured.beside_bare_server.latency,
        ),
        line("a wrong key is refused after", measured.wrong_keys),
    ];
    lines.extend(
        measured
            .ratios
            .map(|ratios| format!("ratio of p99, beside wrong keys to alone, by turns: {ratios}")),
    );
    lines.push(format!("ratio of p99 of the floor: {:.2}", measured.ratio_of_floor));
    lines.push(format!(
        "Target: p99 beside wrong keys at most {TARGET} of that alone: {verdict} ({:.2})",
        measured.ratio
    ));
    lines.join("\n")
}
