//! `POST /api/users.csv`.

use poem_openapi::Object;
use poem_openapi::types::Example;
use vpnmanager_openapi::problem::ApiError;

use super::answers::{Counts, Refusal, repeated};
use super::rows;
use super::run::{self, ItemResult, Listed, Turns};
use crate::app::App;
use crate::domain::actor::Actor;

/// The most lines that are named in an answer.
const MOST_NAMED: usize = 10_000;

/// What became of the rows.
#[derive(Debug, Object)]
#[oai(example)]
pub(super) struct ImportAnswer {
    /// The rows that were not done, in their order: the first 10,000 of them.
    failures: Vec<RowFailure>,
    #[oai(flatten)]
    counts: Counts,
}

/// A row that was not done.
#[derive(Debug, Object)]
struct RowFailure {
    /// The line of the file that the row begins on, from 1, which is the header.
    line: u32,
    /// The name in the row.
    username: String,
    /// As the operation for one user answers.
    status: u16,
    /// Why it was not done.
    error: Refusal,
}

/// Does what a file says.
pub(super) async fn run_import(app: &App, turns: &Turns, actor: &Actor, text: &[u8]) -> Result<ImportAnswer, ApiError> {
    let rows = rows::read(text)?;
    let places: Vec<(u32, String)> = rows.iter().map(|row| (row.line, repeated(&row.username))).collect();
    let list = rows.into_iter().map(|row| Listed {
        username: row.username,
        operation: row.entry.and_then(|entry| entry.into_operation(actor)),
    });
    let results = run::run(app, turns, actor, list.collect()).await;
    Ok(ImportAnswer::new(places, &results))
}

impl ImportAnswer {
    fn new(places: Vec<(u32, String)>, results: &[ItemResult]) -> Self {
        let failures = places
            .into_iter()
            .zip(results)
            .filter_map(|((line, username), result)| {
                let (status, error) = Refusal::of(result.as_ref().err()?);
                Some(RowFailure {
                    line,
                    username,
                    status,
                    error,
                })
            });
        Self {
            failures: failures.take(MOST_NAMED).collect(),
            counts: Counts::of(results),
        }
    }
}

impl Example for ImportAnswer {
    fn example() -> Self {
        let (status, error) = Refusal::example();
        let failure = RowFailure {
            line: 17,
            username: "bob".to_owned(),
            status,
            error,
        };
        let counts = Counts {
            created: 998,
            unchanged: 1,
            failed: 1,
            ..Counts::default()
        };
        Self {
            failures: vec![failure],
            counts,
        }
    }
}
