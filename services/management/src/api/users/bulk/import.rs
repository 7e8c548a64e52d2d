//! `POST /api/users.csv`.

use poem_openapi::Object;
use poem_openapi::types::Example;
use vpnmanager_openapi::problem::ApiError;

use super::answers::{Counts, Refusal, repeated};
use super::rows;
use super::run::{self, Fate, Listed, Turns};
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
    /// Users that were created.
    created: u32,
    /// Users that were changed.
    changed: u32,
    /// Users that were removed.
    removed: u32,
    /// Rows whose user was as wanted already.
    unchanged: u32,
    /// Rows that were not done.
    failed: u32,
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
        wish: row.entry.and_then(|entry| entry.into_wish(actor)),
    });
    let fates = run::run(app, turns, actor, list.collect()).await;
    Ok(ImportAnswer::new(places, &fates))
}

impl ImportAnswer {
    fn new(places: Vec<(u32, String)>, fates: &[Fate]) -> Self {
        let failures = places.into_iter().zip(fates).filter_map(|((line, username), fate)| {
            let (status, error) = Refusal::of(fate.as_ref().err()?);
            Some(RowFailure {
                line,
                username,
                status,
                error,
            })
        });
        Self::counted(failures.take(MOST_NAMED).collect(), Counts::of(fates))
    }

    fn counted(failures: Vec<RowFailure>, counts: Counts) -> Self {
        let Counts {
            created,
            changed,
            removed,
            unchanged,
            failed,
        } = counts;
        Self {
            failures,
            created,
            changed,
            removed,
            unchanged,
            failed,
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
        Self::counted(vec![failure], counts)
    }
}
