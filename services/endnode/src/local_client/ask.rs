//! Asking the agent at its socket.

use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::Method;
use serde_json::Value;
use thiserror::Error;
use vpnmanager_openapi::problem::Problem;
use vpnmanager_runtime::error_chain::innermost;

/// Management may take five seconds for a create.
const PATIENCE: Duration = Duration::from_secs(30);
/// The most items of a page.
const PAGE: usize = 1000;

/// The agent did not do what it was asked for.
#[derive(Debug, Error)]
pub(super) enum AskError {
    /// Nobody answers at the socket.
    #[error("the agent does not answer at {} ({}): does it run, and is this root?", .0.display(), .1)]
    Away(PathBuf, String),
    /// It refuses.
    #[error("{0}")]
    Refused(String),
    /// It answers with something else than JSON.
    #[error("the answer at {} cannot be read", .0.display())]
    Unreadable(PathBuf, #[source] reqwest::Error),
}

/// The agent at a socket.
#[derive(Debug)]
pub(super) struct Agent<'a> {
    pub(super) socket: &'a Path,
}

impl Agent<'_> {
    /// All items of a list.
    pub(super) async fn list(&self, path: &str) -> Result<Vec<Value>, AskError> {
        let (mut items, mut cursor) = (Vec::new(), None::<String>);
        loop {
            // A cursor has hex digits.
            let behind = cursor.map(|cursor| format!("&cursor={cursor}")).unwrap_or_default();
            let mut page = self
                .ask(Method::GET, &format!("{path}?limit={PAGE}{behind}"), None)
                .await?;
            if let Some(found) = page.get_mut("items").and_then(Value::as_array_mut) {
                items.append(found);
            }
            cursor = page["next_cursor"].as_str().map(str::to_owned);
            if cursor.is_none() {
                return Ok(items);
            }
        }
    }

    /// One request, and what is answered.
    pub(super) async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, AskError> {
        let away = |error: reqwest::Error| AskError::Away(self.socket.to_owned(), innermost(&error));
        let client = reqwest::Client::builder().unix_socket(self.socket);
        let client = client.timeout(PATIENCE).no_proxy().build().map_err(away)?;
        let mut request = client.request(method, format!("http://localhost{path}"));
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await.map_err(away)?;
        let unreadable = |error| AskError::Unreadable(self.socket.to_owned(), error);
        if answer.status().is_success() {
            return answer.json().await.map_err(unreadable);
        }
        let problem: Problem = answer.json().await.map_err(unreadable)?;
        Err(AskError::Refused(problem.detail.unwrap_or(problem.title)))
    }
}
