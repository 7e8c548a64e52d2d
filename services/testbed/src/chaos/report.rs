//! The report of a run.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    time::Duration,
};

use super::{endings::Endings, history::Checked};
use crate::{bench::Summary, screen::say};

/// The most violations that are printed; all are in the evidence.
const TOLD: usize = 25;

/// The result of a run.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) seed: u64,
    /// The number of operations by kind and result.
    pub(super) operations: BTreeMap<(&'static str, &'static str), usize>,
    /// How often access was ended while something else was under way.
    pub(super) rushes: BTreeMap<&'static str, usize>,
    /// How long it took to end access.
    pub(super) endings: Endings,
    /// How often the totals of all nodes were compared with a count.
    pub(super) totals: usize,
    /// The number of faults by kind.
    pub(super) faults: BTreeMap<String, usize>,
    /// How often services ended by themselves.
    pub(super) restarts: BTreeMap<String, usize>,
    pub(super) logins: usize,
    /// The sessions of the history that were compared.
    pub(super) sessions: Checked,
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
            say(format_args!("operation   {kind:<18} {}", hows.join(", ")));
        }
        for (kind, times) in &self.rushes {
            say(format_args!("access ends {kind:<24} {times}"));
        }
        let [lists, sessions] = self.endings.summaries();
        say(format_args!("access ends {:<24} {}", "on allow-lists", figures(lists)));
        say(format_args!("access ends {:<24} {}", "of sessions", figures(sessions)));
        say(format_args!(
            "access ends {:<24} {} at nodes that could not be reached all the time, {} while this program stood still",
            "without a promise", self.endings.excused, self.endings.stalled
        ));
        say(format_args!("totals      compared {} times", self.totals));
        for (kind, times) in &self.faults {
            say(format_args!("fault       {kind:<22} {times}"));
        }
        for (part, times) in &self.restarts {
            say(format_args!("restarted   {part:<22} {times}"));
        }
        say(format_args!("logins      {}", self.logins));
        say(format_args!(
            "sessions    {} in the history, {} without an end that may be lost with a journal or the bus",
            self.sessions.sessions, self.sessions.excused
        ));
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

fn figures(summary: Summary) -> String {
    let Summary {
        count,
        p50_ms,
        p99_ms,
        max_ms,
        ..
    } = summary;
    format!("{count} times, p50 {p50_ms:.0} ms, p99 {p99_ms:.0} ms, max {max_ms:.0} ms")
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
    for line in faults(reports).into_iter().chain(table(reports)) {
        say(line);
    }
}

/// The faults by kind: a column for each seed.
fn faults(reports: &[Report]) -> Vec<String> {
    let kinds: BTreeSet<&String> = reports.iter().flat_map(|report| report.faults.keys()).collect();
    let line = |kind: &str, cells: Vec<String>| {
        let cells: String = cells.iter().map(|cell| format!(" {cell:>6}")).collect();
        format!("{kind:<24}{cells}")
    };
    let seeds = reports.iter().map(|report| report.seed.to_string()).collect();
    let mut lines = vec![line("fault", seeds)];
    for kind in kinds {
        let times = |report: &Report| report.faults.get(kind).copied().unwrap_or(0).to_string();
        lines.push(line(kind, reports.iter().map(times).collect()));
    }
    lines
}

/// The figures of one line of the table, whose first column names the seed.
struct Row {
    seed: String,
    operations: usize,
    faults: usize,
    violations: usize,
    totals: usize,
    /// Allow-lists and sessions.
    endings: [Summary; 2],
    converged: String,
}

impl Row {
    fn text(self) -> String {
        let [lists, sessions] = self.endings;
        format!(
            "{:>8} {:>10} {:>6} {:>10} {:>6} {:>8} {:>5.0} {:>5.0} {:>5.0} {:>8} {:>5.0} {:>5.0}   {}",
            self.seed,
            self.operations,
            self.faults,
            self.violations,
            self.totals,
            lists.count,
            lists.p50_ms,
            lists.p99_ms,
            lists.max_ms,
            sessions.count,
            sessions.p50_ms,
            sessions.max_ms,
            self.converged
        )
    }
}

/// A line for each seed. `ended` is access that ended on an allow-list, `cut` a session that ended; milliseconds follow.
fn table(reports: &[Report]) -> Vec<String> {
    let mut lines = vec![format!(
        "{:>8} {:>10} {:>6} {:>10} {:>6} {:>8} {:>5} {:>5} {:>5} {:>8} {:>5} {:>5}   {}",
        "seed",
        "operations",
        "faults",
        "violations",
        "totals",
        "ended",
        "p50",
        "p99",
        "max",
        "cut",
        "p50",
        "max",
        "converged after"
    )];
    let mut endings = Endings::default();
    for report in reports {
        endings.add(report.endings.clone());
        let row = Row {
            seed: report.seed.to_string(),
            operations: report.operations(),
            faults: report.faults(),
            violations: report.violations.len(),
            totals: report.totals,
            endings: report.endings.summaries(),
            converged: seconds(report.converged),
        };
        lines.push(row.text());
    }
    let mut converged: Vec<Duration> = reports.iter().filter_map(|report| report.converged).collect();
    converged.sort();
    let total = |of: fn(&Report) -> usize| reports.iter().map(of).sum::<usize>();
    // If a run never agreed there is no slowest time.
    let worst = converged.last().copied().filter(|_| converged.len() == reports.len());
    let (operations, faults) = (total(Report::operations), total(Report::faults));
    let violations = total(|report| report.violations.len());
    let all = Row {
        seed: format!("all {}", reports.len()),
        operations,
        faults,
        violations,
        totals: total(|report| report.totals),
        endings: endings.summaries(),
        converged: format!(
            "median {}, worst {}",
            seconds(converged.get(converged.len() / 2).copied()),
            seconds(worst)
        ),
    };
    lines.push(all.text());
    lines.push(summary(operations, faults, violations, worst));
    lines
}

fn seconds(after: Option<Duration>) -> String {
    after.map_or("never".to_owned(), |after| format!("{:.1}s", after.as_secs_f64()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chaos::endings::Ending;

    fn endings() -> Endings {
        let mut endings = Endings::default();
        let ending = |took| Ending {
            what: "suspend alice".to_owned(),
            node: 1,
            took: Duration::from_millis(took),
            promised: Duration::from_secs(1),
            stalled: Duration::ZERO,
        };
        for took in [20, 30, 400] {
            endings.note_list(&ending(took));
        }
        endings.note_session(&ending(50));
        endings
    }

    fn report(seed: u64, converged: Option<u64>) -> Report {
        Report {
            seed,
            operations: BTreeMap::from([(("create", "answered"), 7), (("delete", "open"), 2)]),
            rushes: BTreeMap::new(),
            endings: endings(),
            totals: 5,
            faults: BTreeMap::from([("kill nats".to_owned(), 3)]),
            restarts: BTreeMap::new(),
            logins: 4,
            sessions: Checked::default(),
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
            "all 3 27 9 0 15 9 30 400 400 3 50 50 median 9.0s, worst 50.0s"
        );
        assert_eq!(
            lines[5],
            "chaos: 27 operations, 9 faults, 0 violations, converged in 50.0s"
        );
        assert_eq!(
            faults(&reports),
            [
                "fault                         1      2      3",
                "kill nats                     3      3      3"
            ]
        );
        let lines = table(&[report(1, Some(3)), report(2, None)]);
        assert!(lines[3].ends_with("median 3.0s, worst never"), "{}", lines[3]);
    }
}
