//! What a command works with: management, and somebody who reads the answers.

use std::future::Future;
use std::io::{self, ErrorKind, Write as _};
use std::time::{Duration, Instant};

use console::Term;
use indicatif::ProgressBar;
use serde_json::Value;

use crate::api::{Api, Sent};
use crate::arguments::{Listing, Wait, Watch};
use crate::failure::{Failure, Kind};
use crate::output::{Output, Shape, tidy};
use crate::pages::{Listed, items};

/// How often something is looked at that is waited for.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Management, and where answers go.
#[derive(Debug)]
pub(crate) struct Desk {
    pub(crate) api: Api,
    pub(crate) output: Output,
}

/// A sign that something goes on, until it is dropped.
#[derive(Debug)]
pub(crate) struct Working(Option<ProgressBar>);

impl Drop for Working {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

impl Desk {
    /// Prints an answer. Who reads no further, such as `head`, has enough.
    pub(crate) fn print(&self, text: &str) -> Result<(), Failure> {
        self.print_on(text.as_bytes())?;
        Ok(())
    }

    /// Prints a part of an answer. `false`: nobody reads any more.
    pub(crate) fn print_on(&self, part: &[u8]) -> Result<bool, Failure> {
        let mut out = io::stdout().lock();
        match out.write_all(part).and_then(|()| out.flush()) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Says something beside the answer.
    pub(crate) fn note(&self, text: &str) {
        if !self.output.is_quiet() {
            let _closed = writeln!(io::stderr(), "{text}");
        }
    }

    /// Shows that something takes its time, to people at a terminal.
    pub(crate) fn working(&self, what: &str) -> Working {
        if self.output.is_quiet() || !Term::stderr().is_term() {
            return Working(None);
        }
        let bar = ProgressBar::new_spinner().with_message(what.to_owned());
        bar.enable_steady_tick(Duration::from_millis(100));
        Working(Some(bar))
    }

    /// A list as text. What management could not ask is said.
    pub(crate) fn listed(&self, shape: &Shape, listed: &Listed) -> Result<String, Failure> {
        for server in &listed.missing {
            let word = |member| server.get(member).and_then(Value::as_str).map(tidy).unwrap_or_default();
            self.note(&format!("{} is missing: {}", word("server_id"), word("reason")));
        }
        self.output.list(shape, &listed.items)
    }

    /// Prints a list of many pages. `page` asks for one, with the number of its items and the cursor of the page before.
    pub(crate) async fn list<Asked>(
        &self,
        shape: &Shape,
        listing: &Listing,
        page: impl Fn(i64, Option<String>) -> Asked,
    ) -> Result<(), Failure>
    where
        Asked: Future<Output = Sent<Value>>,
    {
        let look = async || {
            let listed = self.api.pages(listing.limit, &page).await?;
            self.listed(shape, &listed)
        };
        self.look(&listing.watch, look).await
    }

    /// Prints a list of one page.
    pub(crate) async fn list_whole(
        &self,
        shape: &Shape,
        watch: &Watch,
        ask: impl AsyncFn() -> Result<Value, Failure>,
    ) -> Result<(), Failure> {
        let look = async || {
            let answer = ask().await?;
            self.output.list(shape, items(&answer))
        };
        self.look(watch, look).await
    }

    /// Prints one thing, with all that is known of it.
    pub(crate) async fn show(
        &self,
        shape: &Shape,
        watch: &Watch,
        find: impl AsyncFn() -> Result<Value, Failure>,
    ) -> Result<(), Failure> {
        let look = async || {
            let found = find().await?;
            self.output.one(shape, &found)
        };
        self.look(watch, look).await
    }

    /// Prints what `look` sees, once, or again and again until nobody reads any more.
    pub(crate) async fn look(
        &self,
        watch: &Watch,
        look: impl AsyncFn() -> Result<String, Failure>,
    ) -> Result<(), Failure> {
        loop {
            let text = look().await?;
            if watch.watch.is_some() && self.output.is_for_people() && self.output.is_terminal() {
                Term::stdout().clear_screen()?;
            }
            if !self.print_on(text.as_bytes())? {
                return Ok(());
            }
            let Some(every) = watch.watch else {
                return Ok(());
            };
            tokio::time::sleep(every).await;
        }
    }

    /// Prints a user, or a part of one, whose change was recorded; before that it waits for the nodes if it was asked to.
    pub(crate) async fn settle(
        &self,
        shape: &Shape,
        wait: &Wait,
        username: &str,
        answer: Value,
    ) -> Result<(), Failure> {
        let mut user = answer;
        let outcome = self.wait_for_nodes(wait, username, &mut user).await;
        self.print(&self.output.brief(shape, &user)?)?;
        outcome
    }

    /// The same for one of several, whose answers are printed together when all that could be done is done.
    pub(crate) async fn settle_one_of(
        &self,
        answers: &mut Vec<Value>,
        wait: &Wait,
        username: &str,
        answer: Value,
    ) -> Result<(), Failure> {
        let mut user = answer;
        let outcome = self.wait_for_nodes(wait, username, &mut user).await;
        answers.push(user);
        outcome.map_err(|failure| failure.of(username))
    }

    /// Prints what became of the things that one command named, in one document: the answer where one was `named`, otherwise a list of the
    /// answers. Nothing where nothing was done.
    pub(crate) fn print_together(&self, shape: &Shape, named: usize, answers: &[Value]) -> Result<(), Failure> {
        let text = match answers {
            [] => return Ok(()),
            [answer] if named == 1 => self.output.brief(shape, answer)?,
            answers => self.output.list(shape, answers)?,
        };
        self.print(&text)
    }

    /// Waits, if it was asked to, until the nodes have applied a change of a user, who is as she was seen last afterwards.
    async fn wait_for_nodes(&self, wait: &Wait, username: &str, user: &mut Value) -> Result<(), Failure> {
        let Some(patience) = wait.wait else {
            return Ok(());
        };
        let deadline = Instant::now() + patience;
        let _working = self.working(&format!("Waiting for the nodes of {username}"));
        while !is_synced(user) && Instant::now() < deadline {
            tokio::time::sleep(LOOK_EVERY).await;
            let seen = self.api.answer(self.api.get_user().username(username).send()).await;
            if let Some(seen) = for_now(seen, deadline)? {
                *user = seen;
            }
        }
        match is_synced(user) {
            true => Ok(()),
            false => Err(Failure::failed(format!(
                "it is recorded, and not everywhere yet: {}",
                behind(user)
            ))),
        }
    }

    /// Looks at something until it is as it should be.
    ///
    /// # Errors
    /// Also when that takes longer than `patience`.
    pub(crate) async fn until(
        &self,
        what: &str,
        patience: Duration,
        look: impl AsyncFn() -> Result<Value, Failure>,
        is_done: impl Fn(&Value) -> bool,
    ) -> Result<Value, Failure> {
        let deadline = Instant::now() + patience;
        let _working = self.working(&format!("Waiting until {what}"));
        loop {
            let seen = for_now(look().await, deadline)?;
            if let Some(seen) = seen.filter(&is_done) {
                return Ok(seen);
            }
            if Instant::now() >= deadline {
                let patience = humantime::format_duration(patience);
                return Err(Failure::failed(format!("after {patience} it is not so that {what}")));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

/// What somebody sees who waits; `None` where management cannot be reached for now, such as while it is restarted, and there is time left.
fn for_now(seen: Result<Value, Failure>, deadline: Instant) -> Result<Option<Value>, Failure> {
    match seen {
        Ok(seen) => Ok(Some(seen)),
        Err(failure) if failure.kind == Kind::Unreachable && Instant::now() < deadline => Ok(None),
        Err(failure) => Err(failure),
    }
}

pub(crate) fn is_synced(user: &Value) -> bool {
    user.get("synced").and_then(Value::as_bool).unwrap_or_default()
}

/// The nodes that have not applied what they should.
fn behind(user: &Value) -> String {
    let nodes = user.get("nodes").and_then(Value::as_array).into_iter().flatten();
    let pending = nodes.filter(|node| node.get("applied_revision") != node.get("wanted_revision"));
    let names: Vec<String> = pending
        .filter_map(|node| Some(tidy(node.get("server_id")?.as_str()?)))
        .collect();
    match names.is_empty() {
        true => "a profile is not made yet".to_owned(),
        false => format!("{} did not apply it yet", names.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn who_waits_goes_on_while_management_is_restarted_and_time_is_left() {
        let (now, hour) = (Instant::now(), Duration::from_secs(3600));
        let told = |kind, deadline| for_now(Err(Failure::new(kind, "no")), deadline).map_err(|failure| failure.kind);
        assert_eq!(told(Kind::Unreachable, now + hour), Ok(None));
        assert_eq!(told(Kind::Unreachable, now), Err(Kind::Unreachable));
        assert_eq!(told(Kind::NotFound, now + hour), Err(Kind::NotFound));
        assert_eq!(for_now(Ok(json!(1)), now).ok().flatten(), Some(json!(1)));
    }

    #[test]
    fn nodes_that_are_behind_are_named() {
        let node =
            |id: &str, applied: u64| json!({ "server_id": id, "applied_revision": applied, "wanted_revision": 2 });
        let user = json!({ "synced": false, "nodes": [node("node-1", 2), node("node-2", 1)] });
        assert!(!is_synced(&user));
        assert_eq!(behind(&user), "node-2 did not apply it yet");
        assert_eq!(
            behind(&json!({ "nodes": [node("node-1", 2)] })),
            "a profile is not made yet"
        );
    }
}
