//! A report for people at a terminal.

use std::fmt::Write as _;

use crate::domain::import::outcome::Outcome;
use crate::domain::import::report::{Counts, Entry, Remark, Report, Server};

/// The width of the column of names.
const NAME: usize = 28;

/// The report. A trial names each entry; else it names those that say more than that all is well.
pub(super) fn of(report: &Report, is_trial: bool) -> String {
    let mut text = format!(
        "{}: {}\n  {}, SHA-256 {}\n",
        report.node,
        report.source,
        report.kinds.join(", "),
        report.sha256
    );
    let Counts { old_certificates, .. } = report.counts;
    // Writing to a String cannot fail.
    let _infallible = writeln!(text, "  {}; {old_certificates} old certificates", counts(report));
    if let Some(server) = &report.server {
        text += &of_server(server);
    }
    for remark in &report.remarks {
        text += &of_remark(remark);
    }
    for entry in &report.entries {
        if is_trial || entry.is_noteworthy() {
            text += &of_entry(entry);
        }
    }
    text.push('\n');
    text
}

/// How many of all sources came to what.
pub(super) fn summary(reports: &[Report], failed: usize) -> String {
    let all = Outcome::ALL.map(|outcome| {
        let sum: u64 = reports.iter().map(|report| report.counts.of_outcome(outcome)).sum();
        format!("{} {sum}", outcome.as_str())
    });
    format!(
        "{} sources, {failed} not imported: {}\n",
        reports.len() + failed,
        all.join(", ")
    )
}

fn counts(report: &Report) -> String {
    let counts = Outcome::ALL.map(|outcome| format!("{} {}", outcome.as_str(), report.counts.of_outcome(outcome)));
    counts.join(", ")
}

fn of_server(server: &Server) -> String {
    let network = serde_json::to_string(&server.pool_network).unwrap_or_default();
    format!(
        "  its server.conf: {} with {}\n  a pool that leads to the same has the network\n    {network}\n",
        listed(&server.listeners),
        listed(&server.networks)
    )
}

fn listed(items: &[String]) -> String {
    match items {
        [] => "nothing".to_owned(),
        _ => items.join(", "),
    }
}

fn of_remark(remark: &Remark) -> String {
    let place = place(&remark.file, remark.line);
    match place.is_empty() {
        true => format!("  note: {}\n", remark.text),
        false => format!("  note: {place}: {}\n", remark.text),
    }
}

fn of_entry(entry: &Entry) -> String {
    let name = match &entry.username {
        Some(username) if username.as_str() != entry.name => format!("{} as {username}", entry.name),
        Some(_) | None => entry.name.clone(),
    };
    let mut text = format!(
        "  {:<10}{name:<NAME$} {}\n",
        entry.outcome.as_str(),
        place(&entry.file, entry.line)
    );
    for reason in &entry.reasons {
        let _infallible = writeln!(text, "            {reason}");
    }
    text
}

fn place(file: &str, line: Option<u64>) -> String {
    match line {
        Some(line) => format!("{file}:{line}"),
        None => file.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, outcome: Outcome, reasons: &[&str]) -> Entry {
        Entry {
            name: name.to_owned(),
            username: None,
            outcome,
            reasons: reasons.iter().map(|reason| (*reason).to_owned()).collect(),
            file: "index.txt".to_owned(),
            line: Some(3),
        }
    }

    fn report() -> Report {
        Report {
            id: None,
            node: "node-1".parse().expect("a valid id"),
            source: "/etc/openvpn".to_owned(),
            sha256: "00".to_owned(),
            kinds: vec!["easy-rsa 3".to_owned()],
            counts: Counts {
                created: 1,
                conflicts: 1,
                old_certificates: 1,
                ..Counts::default()
            },
            authority: None,
            server: None,
            entries: vec![
                entry("alice", Outcome::Created, &[]),
                entry("bob", Outcome::Conflict, &["the source has this name twice"]),
            ],
            entries_left_out: 0,
            remarks: vec![Remark::of_all("the key needs a passphrase".to_owned())],
        }
    }

    #[test]
    fn a_trial_names_each_entry_and_an_import_those_that_need_a_look() {
        let trial = of(&report(), true);
        assert!(trial.contains("  created   alice "), "{trial}");
        let done = of(&report(), false);
        assert!(!done.contains("alice"), "{done}");
        for text in [&trial, &done] {
            for part in [
                "node-1: /etc/openvpn\n",
                "created 1, joined 0, changed 0, unchanged 0, conflict 1, skipped 0; 1 old certificates\n",
                "  note: the key needs a passphrase\n",
                "  conflict  bob                          index.txt:3\n            the source has this name twice\n",
            ] {
                assert!(text.contains(part), "{part:?} is not in {text}");
            }
        }
    }

    #[test]
    fn the_summary_adds_all_sources_up() {
        assert_eq!(
            summary(&[report(), report()], 1),
            "3 sources, 1 not imported: created 2, joined 0, changed 0, unchanged 0, conflict 2, skipped 0\n"
        );
    }
}
