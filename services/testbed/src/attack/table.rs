//! The result: a table for people, JSON for programs.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context;

use super::run::{Measured, Result};

/// The longest sentence below the table, in characters.
const SENTENCE: usize = 300;

/// The shortest time in seconds over which a speed is told.
const MEASURABLE: f64 = 0.05;

/// The columns after the name: two lines of heading, and the width.
const COLUMNS: [(&str, &str, usize); 22] = [
    ("offered", "", 8),
    ("MB", "", 8),
    ("s", "", 6),
    ("answered", "", 9),
    ("refused", "", 8),
    ("cut", "off", 5),
    ("mgmt", "cpu %", 6),
    ("mgmt", "MiB", 6),
    ("bus", "cpu %", 6),
    ("bus", "MiB", 6),
    ("create", "p50 ms", 8),
    ("create", "p99 ms", 8),
    ("attack", "x calm", 7),
    ("floor", "x calm", 7),
    ("list", "p99 ms", 8),
    ("health", "p99 ms", 8),
    ("failed", "", 7),
    ("trail", "rows", 7),
    ("DB", "MB", 6),
    ("log", "lines", 7),
    ("bus log", "kB", 8),
    ("wrong", "states", 7),
];

/// The table with one line for each attack, and what is wrong below it.
pub(super) fn table(results: &[Result]) -> String {
    let heading = |line: fn(&(&'static str, &'static str, usize)) -> &'static str| {
        COLUMNS.iter().map(|column| line(column).to_owned()).collect()
    };
    let mut lines = vec![
        String::new(),
        line("attack", heading(|column| column.0)),
        line("", heading(|column| column.1)),
    ];
    lines.extend(results.last().filter(|last| last.calm.creates.count > 0).map(calm));
    lines.extend(results.iter().map(|result| line(result.attack, cells(result))));
    for result in results {
        let wrong = result.wrong.iter().map(|what| ("WRONG ", what));
        let broken = result.broken.iter().map(|what| ("BROKEN", what));
        let notes = result.notes.iter().map(|what| ("note  ", what));
        let told = wrong.chain(broken).chain(notes);
        lines.extend(told.map(|(kind, what)| format!("{kind} {}: {}", result.attack, shortened(what))));
        if result.thief != "healthy" {
            lines.push(format!("thief  {}: {}", result.attack, shortened(&result.thief)));
        }
    }
    lines.extend(fastest(results));
    lines.join("\n")
}

fn line(name: &str, cells: Vec<String>) -> String {
    let cells = cells.into_iter().zip(COLUMNS);
    let cells: String = cells.map(|(cell, (_, _, width))| format!("{cell:>width$}")).collect();
    format!("{name:<26}{cells}").trim_end().to_owned()
}

/// The calm phase of the last attack; its creates are those of all calm phases.
fn calm(result: &Result) -> String {
    let mut cells = measured(&result.calm, result);
    cells.truncate(17);
    line("(calm)", cells)
}

fn cells(result: &Result) -> Vec<String> {
    let mut cells = measured(&result.during, result);
    cells.extend([
        result.stored.trail_rows.to_string(),
        format!("{:.0}", result.stored.megabytes()),
        result.stored.log_lines.to_string(),
        (result.stored.bus_log_bytes / 1_000).to_string(),
        result.wrong.len().to_string(),
    ]);
    cells
}

fn measured(measured: &Measured, result: &Result) -> Vec<String> {
    let (offered, used) = (&measured.offered, &measured.used);
    let calm = result.calm.creates;
    let of_calm = |p99: f64| match calm.count {
        0 => "-".to_owned(),
        _ => format!("{:.1}", p99 / calm.p99_ms),
    };
    let floor = result.floor.as_ref().map(|floor| of_calm(floor.creates.p99_ms));
    vec![
        offered.count.to_string(),
        format!("{:.1}", offered.bytes as f64 / 1e6),
        format!("{:.1}", offered.seconds),
        offered.answered.to_string(),
        offered.refused.to_string(),
        offered.cut_off.to_string(),
        format!("{:.0}", used.management_cpu),
        format!("{:.0}", used.management_mib),
        format!("{:.0}", used.bus_cpu),
        format!("{:.0}", used.bus_mib),
        format!("{:.1}", measured.creates.p50_ms),
        format!("{:.1}", measured.creates.p99_ms),
        of_calm(measured.creates.p99_ms),
        floor.unwrap_or_else(|| "-".to_owned()),
        format!("{:.1}", measured.lists.p99_ms),
        format!("{:.1}", measured.health.p99_ms),
        (measured.failed_creates + measured.failed_reads).to_string(),
    ]
}

/// How fast one thief can push, where nobody hears it and where management does.
fn fastest(results: &[Result]) -> Option<String> {
    let rate = |measured: &Measured| measured.offered.count as f64 / measured.offered.seconds.max(0.001);
    let floods = results
        .iter()
        .filter_map(|result| Some((result, result.floor.as_ref()?)));
    let floods = floods.filter(|(_, floor)| floor.offered.seconds > MEASURABLE);
    let (result, floor) = floods.max_by(|(_, one), (_, other)| rate(one).total_cmp(&rate(other)))?;
    Some(format!(
        "One thief pushed {:.0} messages a second where nobody hears them, and {:.0} to management ({})",
        rate(floor),
        rate(&result.during),
        result.attack
    ))
}

fn shortened(text: &str) -> String {
    let mut short: String = text.chars().take(SENTENCE).collect();
    if short.len() < text.len() {
        short.push_str(" ...");
    }
    short
}

/// Writes the result into `dir`, named by its time.
pub(super) fn store(dir: &Path, results: &[Result]) -> anyhow::Result<PathBuf> {
    let file = dir.join(format!("{}.json", chrono::Utc::now().format("%Y-%m-%dT%H-%M-%SZ")));
    let text = serde_json::to_string_pretty(results)?;
    fs::create_dir_all(dir)
        .and_then(|()| fs::write(&file, text))
        .with_context(|| format!("cannot write {}", file.display()))?;
    Ok(file)
}
