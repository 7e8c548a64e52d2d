//! What a run tells.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use crate::screen::say;

/// Violations that are told in full; all are in the evidence.
const TOLD: usize = 25;

/// What came of a run.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) seed: u64,
    /// Operations by kind and end.
    pub(super) operations: BTreeMap<(&'static str, &'static str), usize>,
    /// Faults by kind.
    pub(super) faults: BTreeMap<String, usize>,
    /// Services that ended by themselves.
    pub(super) restarts: BTreeMap<String, usize>,
    pub(super) logins: usize,
    pub(super) violations: Vec<String>,
    /// From the last fault's end to agreement; `None` without.
    pub(super) converged: Option<Duration>,
    /// What was kept.
    pub(super) evidence: Option<PathBuf>,
}

impl Report {
    fn operations(&self) -> usize {
        self.operations.values().sum()
    }

    fn faults(&self) -> usize {
        self.faults.values().sum()
    }

    pub(super) fn tell(&self) {
        say(format_args!("seed        {}", self.seed));
        let mut kinds: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for ((kind, how), times) in &self.operations {
            kinds.entry(kind).or_default().push(format!("{times} {how}"));
        }
        for (kind, hows) in kinds {
            say(format_args!("operation   {kind:<10} {}", hows.join(", ")));
        }
        for (kind, times) in &self.faults {
            say(format_args!("fault       {kind:<22} {times}"));
        }
        for (part, times) in &self.restarts {
            say(format_args!("restarted   {part:<22} {times}"));
        }
        say(format_args!("logins      {}", self.logins));
        for violation in self.violations.iter().take(TOLD) {
            say(format_args!("VIOLATION   {violation}"));
        }
        if self.violations.len() > TOLD {
            say(format_args!("            and {} more", self.violations.len() - TOLD));
        }
        if let Some(dir) = &self.evidence {
            say(format_args!("evidence    {}", dir.display()));
        }
        say(self.last_line());
    }

    fn last_line(&self) -> String {
        let converged = match self.converged {
            Some(after) => format!("converged in {:.1}s", after.as_secs_f64()),
            None => "did not converge".to_owned(),
        };
        format!(
            "chaos: {} operations, {} faults, {} violations, {converged}",
            self.operations(),
            self.faults(),
            self.violations.len()
        )
    }
}

/// A table of several runs.
pub(super) fn tell_all(reports: &[Report]) {
    say("");
    for report in reports {
        say(format_args!("seed {:<6} {}", report.seed, report.last_line()));
    }
    let mut converged: Vec<Duration> = reports.iter().filter_map(|report| report.converged).collect();
    converged.sort();
    let seconds = |at: Option<&Duration>| at.map_or("none".to_owned(), |after| format!("{:.1}s", after.as_secs_f64()));
    let total = |of: fn(&Report) -> usize| reports.iter().map(of).sum::<usize>();
    say(format_args!(
        "{} seeds: {} operations, {} faults, {} violations, {} converged, median {}, worst {}",
        reports.len(),
        total(Report::operations),
        total(Report::faults),
        total(|report| report.violations.len()),
        converged.len(),
        seconds(converged.get(converged.len() / 2)),
        seconds(converged.last())
    ));
}
