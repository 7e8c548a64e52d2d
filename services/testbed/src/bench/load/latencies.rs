//! Durations, counted in a histogram.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

/// Durations in microseconds, exact to three digits, without an upper limit.
#[derive(Debug, Clone)]
pub(crate) struct Latencies(Histogram<u64>);

/// The usual percentiles.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(crate) struct Summary {
    pub(crate) count: u64,
    pub(crate) p50_ms: f64,
    pub(crate) p90_ms: f64,
    pub(crate) p95_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) max_ms: f64,
    pub(crate) mean_ms: f64,
}

impl Default for Latencies {
    fn default() -> Self {
        Self(Histogram::new(3).expect("three digits are within the histogram's range"))
    }
}

impl Latencies {
    pub(crate) fn record(&mut self, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        // `saturating_record` would never resize.
        self.0
            .record(us)
            .expect("a histogram that resizes itself takes every value");
    }

    pub(crate) fn add(&mut self, others: &Self) {
        self.0
            .add(&others.0)
            .expect("a histogram that resizes itself takes every value");
    }

    pub(crate) fn summary(&self) -> Summary {
        let at = |quantile: f64| Duration::from_micros(self.0.value_at_quantile(quantile)).as_secs_f64() * 1e3;
        Summary {
            count: self.0.len(),
            p50_ms: at(0.5),
            p90_ms: at(0.9),
            p95_ms: at(0.95),
            p99_ms: at(0.99),
            max_ms: Duration::from_micros(self.0.max()).as_secs_f64() * 1e3,
            mean_ms: self.0.mean() / 1e3,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_what_was_recorded() {
        let (mut one, mut two) = (Latencies::default(), Latencies::default());
        (1..=50).for_each(|ms| one.record(Duration::from_millis(ms)));
        (51..=100).for_each(|ms| two.record(Duration::from_millis(ms)));
        one.add(&two);
        let summary = one.summary();
        assert_eq!(summary.count, 100);
        assert!((summary.p50_ms - 50.0).abs() < 0.1, "{summary:?}");
        assert!((summary.p95_ms - 95.0).abs() < 0.2, "{summary:?}");
        assert!((summary.p99_ms - 99.0).abs() < 0.2, "{summary:?}");
        assert!((summary.max_ms - 100.0).abs() < 0.2, "{summary:?}");
    }
}
