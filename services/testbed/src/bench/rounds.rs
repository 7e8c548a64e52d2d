//! Rounds of one kind, added up.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::{
    accounting::{Parties, Reading, Usage},
    conditions::load_average,
    load::{Latencies, Summary},
};
use crate::screen;

/// One round.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Round {
    pub(super) seconds: f64,
    pub(super) per_second: f64,
    pub(super) latency: Summary,
    pub(super) usage: Usage,
    pub(super) load_average: String,
}

/// All rounds of one kind.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Rounds {
    pub(super) what: &'static str,
    pub(super) rounds: Vec<Round>,
    #[serde(skip)]
    latencies: Latencies,
}

/// The sum of all rounds of one kind.
#[derive(Debug, Serialize)]
pub(super) struct Side {
    pub(super) latency: Summary,
    pub(super) per_second: f64,
    pub(super) cpu_ms_each: Vec<(String, f64)>,
    #[serde(flatten)]
    pub(super) rounds: Rounds,
}

/// A round that has begun.
#[derive(Debug)]
pub(super) struct Begun<'p> {
    parties: &'p Parties,
    before: Reading,
    started: Instant,
}

impl<'p> Begun<'p> {
    pub(super) fn now(parties: &'p Parties) -> Self {
        Self {
            parties,
            before: parties.read(),
            started: Instant::now(),
        }
    }
}

impl Rounds {
    pub(super) fn new(what: &'static str) -> Self {
        Self {
            what,
            rounds: Vec::new(),
            latencies: Latencies::default(),
        }
    }

    /// Ends a round with what it has done.
    pub(super) fn end(&mut self, begun: &Begun<'_>, latencies: &Latencies) {
        let (took, usage) = (begun.started.elapsed(), begun.parties.since(&begun.before));
        self.latencies.add(latencies);
        let latency = latencies.summary();
        let round = Round {
            seconds: took.as_secs_f64(),
            per_second: number(latency.count) / took.as_secs_f64(),
            latency,
            usage,
            load_average: load_average(),
        };
        let result = format!(
            "{:>6.0}/s, p50 {:.1} ms, p99 {:.1} ms; others used {:.0}% of the CPU, load {}",
            round.per_second, latency.p50_ms, latency.p99_ms, round.usage.others_percent, round.load_average
        );
        self.rounds.push(round);
        screen::done(&format!("{}, round {}", self.what, self.rounds.len()), &result, took);
    }

    /// Of all rounds together.
    fn latency(&self) -> Summary {
        self.latencies.summary()
    }

    /// Of all rounds together.
    fn per_second(&self) -> f64 {
        let seconds: f64 = self.rounds.iter().map(|round| round.seconds).sum();
        number(self.latencies.summary().count) / seconds.max(Duration::from_millis(1).as_secs_f64())
    }

    /// CPU milliseconds for each create, by program.
    fn cpu_ms_each(&self) -> Vec<(String, f64)> {
        let count = number(self.latencies.summary().count).max(1.0);
        let Some(first) = self.rounds.first() else {
            return Vec::new();
        };
        let names = first.usage.cpu_s.iter().map(|(name, _)| name.clone()).enumerate();
        let sum = |index: usize| {
            self.rounds
                .iter()
                .filter_map(|round| round.usage.cpu_s.get(index))
                .map(|(_, used)| used)
                .sum::<f64>()
        };
        names.map(|(index, name)| (name, sum(index) * 1e3 / count)).collect()
    }
}

impl From<Rounds> for Side {
    fn from(rounds: Rounds) -> Self {
        let (latency, per_second, cpu_ms_each) = (rounds.latency(), rounds.per_second(), rounds.cpu_ms_each());
        Self {
            latency,
            per_second,
            cpu_ms_each,
            rounds,
        }
    }
}

impl Side {
    /// A number of each round.
    pub(super) fn of_each(&self, number: impl Fn(&Round) -> f64) -> Vec<f64> {
        self.rounds.rounds.iter().map(number).collect()
    }
}

fn number(count: u64) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}
