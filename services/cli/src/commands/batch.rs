//! `batch`: many changes of users in one request.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::Value;

use super::report::counts;
use crate::client::types;
use crate::desk::Desk;
use crate::failure::Failure;
use crate::output::{Shape, column};

const RESULT: Shape = Shape {
    name: "/username",
    columns: &[
        column("INDEX", "/index"),
        column("USER", "/username"),
        column("STATUS", "/status"),
        column("FIELD", "/error/field"),
        column("WHY", "/error/detail"),
    ],
};

/// What to do.
#[derive(Debug, Args)]
pub(crate) struct Batch {
    /// File with a JSON array of items, such as [{"action": "create", "username": "alice"}], or - for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

impl Batch {
    pub(crate) async fn run(&self, desk: &Desk) -> Result<(), Failure> {
        let text = read(&self.file)
            .map_err(|error| Failure::usage(format!("cannot read {}: {error}", self.file.display())))?;
        let items: Value =
            serde_json::from_str(&text).map_err(|error| Failure::usage(format!("{}: {error}", self.file.display())))?;
        let body = types::UserBatch::builder().items(items);
        let answer = desk.api.answer(desk.api.batch_users().body(body).send()).await?;
        if !desk.output.is_for_people() {
            desk.print(&desk.output.one(&RESULT, &answer)?)?;
        } else {
            desk.note(&counts(&answer));
        }
        let results = answer.get("results").and_then(Value::as_array).into_iter().flatten();
        let failed: Vec<Value> = results
            .filter(|result| result.get("error").is_some())
            .cloned()
            .collect();
        if failed.is_empty() {
            return Ok(());
        }
        if desk.output.is_for_people() {
            desk.print(&desk.output.list(&RESULT, &failed)?)?;
        }
        Err(Failure::failed(format!("{} items were not done", failed.len())))
    }
}

fn read(file: &Path) -> io::Result<String> {
    if file != Path::new("-") {
        return fs::read_to_string(file);
    }
    let mut text = String::new();
    io::stdin().lock().read_to_string(&mut text)?;
    Ok(text)
}
