//! The report of a run.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use crate::screen::say;

/// The most violations that are printed; all are in the evidence.
const TOLD: usize = 25;

/// The result of a run.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) seed: u64,
    /// The number of operations by kind and result.
    pub(super) operations: BTreeMap<(&'static str, &'static str), usize>,
    /// The number of faults by kind.
    pub(super) faults: BTreeMap<String, usize>,
    /// How often services ended by themselves.
    pub(super) restarts: BTreeMap<String, usize>,
    pub(super) logins: usize,
    pub(super) violations: Vec<String>,
    /// The time from the end of the last fault until everything agreed; `None` if it never did.
    pub(super) converged: Option<Duration>,
    /// The folder of the evidence, if it was kept.
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
        summary(self.operations(), self.faults(), self.violations.len(), self.converged)
    }
}

/// The last line of a run, and of a table.
fn summary(operations: usize, faults: usize, violations: usize, converged: Option<Duration>) -> String {
    let converged = match converged {
        Some(after) => format!("converged in {:.1}s", after.as_secs_f64()),
        None => "did not converge".to_owned(),
    };
    format!("chaos: {operations} operations, {faults} faults, {violations} violations, {converged}")
}

/// Prints a table of several runs, with their sum and the slowest convergence.
pub(super) fn tell_all(reports: &[Report]) {
    say("");
    for line in table(reports) {
        say(line);
    }
}

fn table(reports: &[Report]) -> Vec<String> {
    let row = |seed: String, operations: usize, faults: usize, violations: usize, converged: String| {
        format!("{seed:>8} {operations:>10} {faults:>6} {violations:>10}   {converged}")
    };
    let mut lines = vec![format!(
        "{:>8} {:>10} {:>6} {:>10}   {}",
        "seed", "operations", "faults", "violations", "converged after"
    )];
    lines.extend(reports.iter().map(|report| {
        row(
            report.seed.to_string(),
            report.operations(),
            report.faults(),
            report.violations.len(),
            seconds(report.converged),
        )
    }));
    let mut converged: Vec<Duration> = reports.iter().filter_map(|report| report.converged).collect();
    converged.sort();
    let total = |of: fn(&Report) -> usize| reports.iter().map(of).sum::<usize>();
    // If a run never agreed there is no slowest time.
    let worst = converged.last().copied().filter(|_| converged.len() == reports.len());
    let (operations, faults) = (total(Report::operations), total(Report::faults));
    let violations = total(|report| report.violations.len());
    lines.push(row(
        format!("all {}", reports.len()),
        operations,
        faults,
        violations,
        format!(
            "median {}, worst {}",
            seconds(converged.get(converged.len() / 2).copied()),
            seconds(worst)
        ),
    ));
    lines.push(summary(operations, faults, violations, worst));
    lines
}

fn seconds(after: Option<Duration>) -> String {
    after.map_or("never".to_owned(), |after| format!("{:.1}s", after.as_secs_f64()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(seed: u64, converged: Option<u64>) -> Report {
        Report {
            seed,
            operations: BTreeMap::from([(("create", "answered"), 7), (("delete", "open"), 2)]),
            faults: BTreeMap::from([("kill nats".to_owned(), 3)]),
            restarts: BTreeMap::new(),
            logins: 4,
            violations: converged.map_or(vec!["not converged".to_owned()], |_| Vec::new()),
            converged: converged.map(Duration::from_secs),
            evidence: None,
        }
    }

    #[test]
    fn the_last_line_of_a_run_says_it_all() {
        assert_eq!(
            report(1, Some(12)).last_line(),
            "chaos: 9 operations, 3 faults, 0 violations, converged in 12.0s"
        );
        assert_eq!(
            report(1, None).last_line(),
            "chaos: 9 operations, 3 faults, 1 violations, did not converge"
        );
    }

    #[test]
    fn the_table_has_every_seed_and_the_median_and_the_worst() {
        let reports = [report(1, Some(3)), report(2, Some(50)), report(3, Some(9))];
        let lines = table(&reports);
        assert_eq!(lines.len(), 6);
        assert_eq!(
            lines[4].split_whitespace().collect::<Vec<_>>().join(" "),
            "all 3 27 9 0 median 9.0s, worst 50.0s"
        );
        assert_eq!(
            lines[5],
            "chaos: 27 operations, 9 faults, 0 violations, converged in 50.0s"
        );
        let lines = table(&[report(1, Some(3)), report(2, None)]);
        assert!(lines[3].ends_with("median 3.0s, worst never"), "{}", lines[3]);
    }
}
