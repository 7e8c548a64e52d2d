//! The figures of a service: each is registered once, with its name and what it says.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge;
use prometheus_client::metrics::histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Metric, Registry};

use super::listed::{Listed, listed};

/// The content type of [`Exposed::text`]: OpenMetrics 1.0.0, section "Text format".
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The labels of one series, in the order in which the family names them.
type Labels<const N: usize> = [(&'static str, String); N];

/// A number that only grows, as long as the process lives.
#[derive(Debug, Clone, Default)]
pub struct Counter(counter::Counter);

/// Seconds that only grow, as long as the process lives.
#[derive(Debug, Clone, Default)]
pub struct Seconds(counter::Counter<f64, AtomicU64>);

/// A number that goes up and down.
#[derive(Debug, Clone, Default)]
pub struct Gauge(gauge::Gauge<f64, AtomicU64>);

/// How often something had which size.
#[derive(Debug, Clone)]
pub struct Histogram(histogram::Histogram);

/// Counters that differ by their labels.
#[derive(Debug, Clone)]
pub struct Counters<const N: usize> {
    names: [&'static str; N],
    family: Family<Labels<N>, counter::Counter<f64, AtomicU64>>,
}

/// Gauges that differ by their labels.
#[derive(Debug, Clone)]
pub struct Gauges<const N: usize> {
    names: [&'static str; N],
    family: Family<Labels<N>, gauge::Gauge<f64, AtomicU64>>,
}

/// Histograms that differ by their labels.
#[derive(Debug, Clone)]
pub struct Histograms<const N: usize> {
    names: [&'static str; N],
    family: Family<Labels<N>, histogram::Histogram, Buckets>,
}

/// The upper ends of the classes of a histogram.
#[derive(Debug, Clone, Copy)]
struct Buckets(&'static [f64]);

impl MetricConstructor<histogram::Histogram> for Buckets {
    fn new_metric(&self) -> histogram::Histogram {
        histogram::Histogram::new(self.0.iter().copied())
    }
}

/// Figures that are being registered.
#[derive(Debug, Default)]
pub struct Catalogue {
    registry: Registry,
    listed: Vec<Listed>,
}

/// The figures of a service. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Exposed {
    registry: Arc<Registry>,
    listed: Arc<[Listed]>,
}

impl Catalogue {
    /// A counter. Its name ends with `_total`.
    pub fn counter(&mut self, name: &'static str, help: &'static str) -> Counter {
        let counter = Counter::default();
        self.register(listed((name, "counter", help), &[]), counter.0.clone());
        counter
    }

    /// A counter of seconds. Its name ends with `_total`.
    pub fn seconds(&mut self, name: &'static str, help: &'static str) -> Seconds {
        let seconds = Seconds::default();
        self.register(listed((name, "counter", help), &[]), seconds.0.clone());
        seconds
    }

    /// Counters with these labels. Their name ends with `_total`.
    pub fn counters<const N: usize>(
        &mut self,
        name: &'static str,
        help: &'static str,
        labels: [&'static str; N],
    ) -> Counters<N> {
        let counters = Counters {
            names: labels,
            family: Family::default(),
        };
        self.register(
            listed((name, "counter", help), &counters.names),
            counters.family.clone(),
        );
        counters
    }

    /// A gauge.
    pub fn gauge(&mut self, name: &'static str, help: &'static str) -> Gauge {
        let gauge = Gauge::default();
        self.register(listed((name, "gauge", help), &[]), gauge.0.clone());
        gauge
    }

    /// Gauges with these labels.
    pub fn gauges<const N: usize>(
        &mut self,
        name: &'static str,
        help: &'static str,
        labels: [&'static str; N],
    ) -> Gauges<N> {
        let gauges = Gauges {
            names: labels,
            family: Family::default(),
        };
        self.register(listed((name, "gauge", help), &gauges.names), gauges.family.clone());
        gauges
    }

    /// A histogram whose classes end at these values.
    pub fn histogram(&mut self, name: &'static str, help: &'static str, ends: &'static [f64]) -> Histogram {
        let histogram = Buckets(ends).new_metric();
        self.register(listed((name, "histogram", help), &[]), histogram.clone());
        Histogram(histogram)
    }

    /// Histograms with these labels, whose classes end at these values.
    pub fn histograms<const N: usize>(
        &mut self,
        name: &'static str,
        help: &'static str,
        labels: [&'static str; N],
        ends: &'static [f64],
    ) -> Histograms<N> {
        let histograms = Histograms {
            names: labels,
            family: Family::new_with_constructor(Buckets(ends)),
        };
        self.register(
            listed((name, "histogram", help), &histograms.names),
            histograms.family.clone(),
        );
        histograms
    }

    /// What does not change while the process lives, as labels. Its name ends with `_info`.
    pub fn info<const N: usize>(
        &mut self,
        name: &'static str,
        help: &'static str,
        labels: [(&'static str, &'static str); N],
    ) {
        let names = labels.map(|(name, _)| name);
        let labels = labels.map(|(name, value)| (name, value.to_owned()));
        self.register(listed((name, "info", help), &names), Info::new(labels));
    }

    /// Ends the registration.
    #[must_use]
    pub fn expose(self) -> Exposed {
        Exposed {
            registry: Arc::new(self.registry),
            listed: self.listed.into(),
        }
    }

    fn register(&mut self, listed: Listed, metric: impl Metric) {
        let Listed { name, kind, help, .. } = listed;
        // The encoder adds these endings of the format itself.
        let stem = match kind {
            "counter" => name.strip_suffix("_total"),
            "info" => name.strip_suffix("_info"),
            _ => Some(name),
        };
        debug_assert!(stem.is_some(), "{name} has not the ending of its kind");
        self.listed.push(listed);
        self.registry.register(stem.unwrap_or(name), help, metric);
    }
}

impl Exposed {
    /// All figures as text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        if let Err(error) = encode(&mut text, &self.registry) {
            // A text takes all that is written into it.
            tracing::error!(error = %error, "The figures could not be written");
        }
        text
    }

    /// The figures that there are, in the order of their registration.
    #[must_use]
    pub fn listed(&self) -> &[Listed] {
        &self.listed
    }
}

impl Counter {
    /// One more.
    pub fn inc(&self) {
        self.0.inc();
    }

    /// So many more.
    pub fn add(&self, more: u64) {
        self.0.inc_by(more);
    }

    /// How many there are.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.get()
    }

    /// Counts on to a number that somebody else counts; a smaller one changes nothing.
    pub fn follow(&self, counted: u64) {
        self.0.inc_by(counted.saturating_sub(self.0.get()));
    }
}

impl Seconds {
    /// Counts on to a number that somebody else counts; a smaller one changes nothing.
    pub fn follow(&self, counted: f64) {
        self.0.inc_by((counted - self.0.get()).max(0.0));
    }
}

impl Gauge {
    /// It has this value.
    pub fn set(&self, value: f64) {
        self.0.set(value);
    }

    /// It is 1 where this holds, else 0.
    pub fn set_flag(&self, holds: bool) {
        self.0.set(f64::from(u8::from(holds)));
    }
}

impl Histogram {
    /// Something had this size.
    pub fn observe(&self, value: f64) {
        self.0.observe(value);
    }
}

fn labels<const N: usize>(names: [&'static str; N], values: [&str; N]) -> Labels<N> {
    let mut values = values.into_iter();
    names.map(|name| (name, values.next().unwrap_or_default().to_owned()))
}

impl<const N: usize> Counters<N> {
    /// One more of the series with these values of its labels.
    pub fn inc(&self, values: [&str; N]) {
        self.add(values, 1.0);
    }

    /// So many more.
    pub fn add(&self, values: [&str; N], more: f64) {
        self.family.get_or_create(&labels(self.names, values)).inc_by(more);
    }

    /// Forgets all series, before those are told that there are.
    pub fn clear(&self) {
        self.family.clear();
    }
}

impl<const N: usize> Gauges<N> {
    /// The series with these values of its labels has this value.
    pub fn set(&self, values: [&str; N], value: f64) {
        self.family.get_or_create(&labels(self.names, values)).set(value);
    }

    /// Forgets all series, before those are told that there are.
    pub fn clear(&self) {
        self.family.clear();
    }
}

impl<const N: usize> Histograms<N> {
    /// Something had this size, in the series with these values of its labels.
    pub fn observe(&self, values: [&str; N], value: f64) {
        self.family.get_or_create(&labels(self.names, values)).observe(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_registered_is_shown_and_listed_by_the_same_name() {
        let mut catalogue = Catalogue::default();
        let creates = catalogue.counter("creates_total", "Users that were created");
        let nodes = catalogue.gauges("nodes", "Nodes by state", ["state"]);
        let seconds = catalogue.histogram("wait_seconds", "How long they waited", &[0.1, 1.0]);
        let bytes = catalogue.counters("bytes_total", "Bytes by node", ["node"]);
        catalogue.info("build_info", "What runs", [("version", "1.2.3")]);
        let exposed = catalogue.expose();
        creates.add(2);
        nodes.set(["lost"], 1.0);
        seconds.observe(0.5);
        bytes.add(["endnode-1"], 7.0);

        let text = exposed.text();

        for line in [
            "# HELP creates Users that were created.",
            "# TYPE creates counter",
            "creates_total 2",
            "nodes{state=\"lost\"} 1.0",
            "wait_seconds_bucket{le=\"1.0\"} 1",
            "wait_seconds_count 1",
            "bytes_total{node=\"endnode-1\"} 7.0",
            "build_info{version=\"1.2.3\"} 1",
            "# EOF",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
        let names: Vec<&str> = exposed.listed().iter().map(|listed| listed.name).collect();
        assert_eq!(
            names,
            ["creates_total", "nodes", "wait_seconds", "bytes_total", "build_info"]
        );
        let rows: Vec<String> = exposed.listed().iter().map(Listed::row).collect();
        assert_eq!(rows[1], "| `nodes` | gauge | `state` | Nodes by state |");
        assert_eq!(rows[0], "| `creates_total` | counter |  | Users that were created |");
    }

    #[test]
    fn a_series_that_is_not_told_again_is_gone() {
        let mut catalogue = Catalogue::default();
        let nodes = catalogue.gauges("nodes", "Nodes by state", ["state"]);
        let exposed = catalogue.expose();
        nodes.set(["lost"], 1.0);
        nodes.clear();
        nodes.set(["healthy"], 2.0);
        let text = exposed.text();
        assert!(!text.contains("lost") && text.contains("healthy"), "{text}");
    }

    #[test]
    fn a_counter_follows_what_somebody_else_counts() {
        let counter = Counter::default();
        for (counted, expected) in [(3, 3), (2, 3), (5, 5)] {
            counter.follow(counted);
            assert_eq!(counter.get(), expected);
        }
    }
}
