//! The result: a table for people, JSON for programs.

use std::{
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context;

use super::run::{Measured, Result};

/// The table with one line for each attack, and what is wrong below it.
pub(super) fn table(results: &[Result]) -> String {
    let mut text = String::new();
    // Writing into a string does not fail.
    let _ = lines(&mut text, results);
    text
}

fn lines(text: &mut String, results: &[Result]) -> std::fmt::Result {
    writeln!(
        text,
        "\n{:<26}{:>9}{:>9}{:>7}{:>9}{:>9}{:>5}{:>7}{:>6}{:>6}{:>6}{:>9}{:>9}{:>7}{:>7}{:>9}{:>9}{:>7}{:>7}",
        "attack",
        "offered",
        "MB",
        "s",
        "answered",
        "refused",
        "cut",
        "mgmt %",
        "MiB",
        "bus %",
        "MiB",
        "create",
        "create",
        "x calm",
        "floor",
        "list",
        "health",
        "failed",
        "wrong"
    )?;
    writeln!(
        text,
        "{:<26}{:>9}{:>9}{:>7}{:>9}{:>9}{:>5}{:>7}{:>6}{:>6}{:>6}{:>9}{:>9}{:>7}{:>7}{:>9}{:>9}{:>7}{:>7}",
        "",
        "",
        "",
        "",
        "",
        "",
        "off",
        "",
        "",
        "",
        "",
        "p50 ms",
        "p99 ms",
        "",
        "x calm",
        "p99 ms",
        "p99 ms",
        "",
        "states"
    )?;
    for result in results {
        if results.first().is_some_and(|first| std::ptr::eq(first, result)) {
            line(text, "(calm)", &result.calm, result, 0)?;
        }
        line(text, result.attack, &result.during, result, result.wrong.len())?;
    }
    for result in results {
        let wrong = result.wrong.iter().map(|what| ("WRONG ", what));
        let broken = result.broken.iter().map(|what| ("BROKEN", what));
        let notes = result.notes.iter().map(|what| ("note  ", what));
        for (kind, what) in wrong.chain(broken).chain(notes) {
            writeln!(text, "{kind} {}: {}", result.attack, shortened(what))?;
        }
        writeln!(text, "thief  {}: {}", result.attack, result.thief)?;
    }
    Ok(())
}

fn line(text: &mut String, name: &str, measured: &Measured, result: &Result, wrong: usize) -> std::fmt::Result {
    let (offered, used) = (&measured.offered, &measured.used);
    let calm = result.calm.creates;
    let of_calm = |p99: f64| {
        if calm.count == 0 {
            return "-".to_owned();
        }
        format!("{:.1}", p99 / calm.p99_ms)
    };
    let floor = result.floor.as_ref().map(|floor| of_calm(floor.creates.p99_ms));
    writeln!(
        text,
        "{name:<26}{:>9}{:>9.1}{:>7.1}{:>9}{:>9}{:>5}{:>7.0}{:>6.0}{:>6.0}{:>6.0}{:>9.1}{:>9.1}{:>7}{:>7}{:>9.1}{:>9.1}{:>7}{wrong:>7}",
        offered.count,
        offered.bytes as f64 / 1e6,
        offered.seconds,
        offered.answered,
        offered.refused,
        offered.cut_off,
        used.management_cpu,
        used.management_mib,
        used.bus_cpu,
        used.bus_mib,
        measured.creates.p50_ms,
        measured.creates.p99_ms,
        of_calm(measured.creates.p99_ms),
        floor.as_deref().unwrap_or("-"),
        measured.lists.p99_ms,
        measured.health.p99_ms,
        measured.failed_creates + measured.failed_reads,
    )
}

fn shortened(text: &str) -> String {
    let mut short: String = text.chars().take(300).collect();
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
