#![doc = include_str!("../README.md")]

mod circles;
mod dependencies;
mod features;
mod graph;
mod modules;
mod source;
mod tokens;
mod workspace;

use std::io::Write as _;
use std::process::ExitCode;

use workspace::Workspace;

/// What a check found, one finding an entry; or why it could not look.
type Findings = std::io::Result<Vec<String>>;

/// A name on the command line and what it stands for.
type Check = (&'static str, fn(&Workspace) -> Findings);

const CHECKS: [Check; 3] = [
    ("circles", circles::find),
    ("dependencies", dependencies::find_unused),
    ("features", features::find_splits),
];

fn main() -> ExitCode {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    match run(&wanted) {
        Ok(findings) if findings.is_empty() => ExitCode::SUCCESS,
        Ok(findings) => {
            write(&findings);
            ExitCode::FAILURE
        }
        Err(error) => {
            write(&[format!("cannot check the source tree: {error}")]);
            ExitCode::FAILURE
        }
    }
}

fn run(wanted: &[String]) -> Findings {
    if let Some(unknown) = wanted.iter().find(|name| CHECKS.iter().all(|(known, _)| known != name)) {
        let known: Vec<&str> = CHECKS.iter().map(|(name, _)| *name).collect();
        return Ok(vec![format!("no check is called {unknown}: take {}", known.join(", "))]);
    }
    let workspace = Workspace::read(std::path::Path::new("."))?;
    let mut findings = Vec::new();
    for (name, check) in CHECKS {
        if wanted.is_empty() || wanted.iter().any(|it| it == name) {
            findings.extend(check(&workspace)?);
        }
    }
    Ok(findings)
}

fn write(findings: &[String]) {
    let mut out = std::io::stderr().lock();
    for finding in findings {
        // Nobody is left to tell when standard error is closed.
        let _ = writeln!(out, "{finding}");
    }
}
