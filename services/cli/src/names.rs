//! Names that are there, for the completion of shells.

use std::ffi::OsStr;
use std::future::Future;
use std::time::Duration;

use clap_complete::engine::CompletionCandidate;
use serde_json::Value;

use crate::api::{Api, Sent};
use crate::connection::{Contexts, find, typed};

/// Somebody waits for a key that he pressed.
const PATIENCE: Duration = Duration::from_secs(2);
const MOST: i64 = 200;

/// Users whose names begin so.
pub(crate) fn users(current: &OsStr) -> Vec<CompletionCandidate> {
    let beginning = current.to_str().unwrap_or_default().to_owned();
    ask(current, "username", async |api: &Api| {
        let request = api.list_users().limit(MOST);
        match beginning.is_empty() {
            true => request.send().await,
            false => request.username(beginning).send().await,
        }
    })
}

/// Groups.
pub(crate) fn groups(current: &OsStr) -> Vec<CompletionCandidate> {
    ask(current, "name", async |api: &Api| {
        api.list_groups().limit(MOST).send().await
    })
}

/// Pools.
pub(crate) fn pools(current: &OsStr) -> Vec<CompletionCandidate> {
    ask(current, "name", async |api: &Api| {
        api.list_pools().limit(MOST).send().await
    })
}

/// Nodes.
pub(crate) fn nodes(current: &OsStr) -> Vec<CompletionCandidate> {
    ask(current, "server_id", async |api: &Api| {
        api.list_endnodes().limit(MOST).send().await
    })
}

/// Sessions.
pub(crate) fn sessions(current: &OsStr) -> Vec<CompletionCandidate> {
    ask(current, "id", async |api: &Api| {
        api.list_sessions().limit(MOST).send().await
    })
}

/// Contexts of this account.
pub(crate) fn contexts(current: &OsStr) -> Vec<CompletionCandidate> {
    let contexts = Contexts::load().unwrap_or_default();
    fitting(current, contexts.contexts.into_keys())
}

/// Nothing is worth a message here: without an answer there is no completion.
fn ask(current: &OsStr, member: &str, list: impl AsyncFnOnce(&Api) -> Sent<Value>) -> Vec<CompletionCandidate> {
    let answer = || {
        let api = Api::new(&find(&typed(&words())).ok()?).ok()?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .ok()?;
        runtime.block_on(in_time(list(&api)))
    };
    let page = answer().unwrap_or_default();
    let items = page.get("items").and_then(Value::as_array).cloned().unwrap_or_default();
    let names = items
        .iter()
        .filter_map(|item| Some(item.get(member)?.as_str()?.to_owned()));
    fitting(current, names)
}

/// The command line that is being typed: a shell hands it over after two dashes.
fn words() -> Vec<String> {
    let handed_over = std::env::args_os().skip_while(|word| word != "--").skip(1);
    handed_over.map(|word| word.to_string_lossy().into_owned()).collect()
}

async fn in_time(sent: impl Future<Output = Sent<Value>>) -> Option<Value> {
    let answer = tokio::time::timeout(PATIENCE, sent).await.ok()?;
    Some(answer.ok()?.into_inner())
}

fn fitting(current: &OsStr, names: impl Iterator<Item = String>) -> Vec<CompletionCandidate> {
    let beginning = current.to_str().unwrap_or_default();
    names
        .filter(|name| name.starts_with(beginning))
        .map(CompletionCandidate::new)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_begin_so_are_offered() {
        let names = ["alice", "albert", "bob"].map(str::to_owned).into_iter();
        let found = fitting(OsStr::new("al"), names);
        assert_eq!(
            found.iter().map(|name| name.get_value()).collect::<Vec<_>>(),
            ["alice", "albert"]
        );
    }
}
