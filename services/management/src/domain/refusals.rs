//! Who was refused because of an unknown key, join token or link, and how often.

use std::collections::HashMap;

use vpnmanager_openapi::server::Source;

/// The most callers that are counted apart between two reports.
const MOST_SOURCES: usize = 4096;

/// The most callers that a report names; whoever was refused most comes first.
const MOST_NAMED: usize = 10;

/// Refusals since the last report.
#[derive(Debug, Default)]
pub struct Refusals {
    by_source: HashMap<Option<Source>, u64>,
    uncounted: u64,
}

/// The refusals of a while.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Callers and their refusals, the most refusals first. `None`: those whose address is not known.
    pub named: Vec<(Option<Source>, u64)>,
    /// The refusals of all other callers together.
    pub others: u64,
}

impl Refusals {
    /// Counts one.
    pub fn count(&mut self, source: Option<Source>) {
        if self.by_source.len() < MOST_SOURCES || self.by_source.contains_key(&source) {
            *self.by_source.entry(source).or_default() += 1;
        } else {
            self.uncounted += 1;
        }
    }

    /// Counts again what a report held that could not be recorded.
    pub fn put_back(&mut self, report: &Report) {
        for (source, times) in &report.named {
            *self.by_source.entry(*source).or_default() += times;
        }
        self.uncounted += report.others;
    }

    /// What was counted since the last report.
    pub fn report(&mut self) -> Report {
        let mut named: Vec<(Option<Source>, u64)> = self.by_source.drain().collect();
        named.sort_unstable_by(|left, right| right.1.cmp(&left.1).then(left.0.cmp(&right.0)));
        let rest = named.split_off(named.len().min(MOST_NAMED));
        Report {
            named,
            others: std::mem::take(&mut self.uncounted) + rest.iter().map(|(_, times)| times).sum::<u64>(),
        }
    }
}

impl Report {
    /// How often anybody was refused.
    pub fn total(&self) -> u64 {
        self.others + self.named.iter().map(|(_, times)| times).sum::<u64>()
    }

    /// Whether nobody was refused.
    pub fn is_empty(&self) -> bool {
        self.named.is_empty() && self.others == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(number: usize) -> Option<Source> {
        Some(Source::of(
            std::net::Ipv4Addr::from_bits(u32::try_from(number).unwrap()).into(),
        ))
    }

    #[test]
    fn a_report_names_the_worst_and_counts_all() {
        let mut refusals = Refusals::default();
        (0..3).for_each(|_| refusals.count(source(7)));
        (0..MOST_SOURCES + 50).for_each(|number| refusals.count(source(number)));
        assert_eq!(refusals.by_source.len(), MOST_SOURCES);

        let report = refusals.report();

        assert_eq!(report.named.len(), MOST_NAMED);
        assert_eq!(report.named[0], (source(7), 4));
        assert_eq!(report.total(), 3 + 4096 + 50);
        assert!(refusals.report().is_empty());
        refusals.put_back(&report);
        assert_eq!(refusals.report(), report);
    }
}
