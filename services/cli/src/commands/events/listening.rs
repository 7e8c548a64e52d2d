//! Listening to management, whatever becomes of the connection.

use std::time::Duration;

use serde_json::Value;
use tokio::time::sleep;

use super::messages::Messages;
use crate::desk::Desk;
use crate::failure::{Failure, Kind};
use crate::given::given;
use crate::parts::Parts;

/// A sign of life comes each 15 s.
const SILENCE: Duration = Duration::from_secs(30);
/// What management asks for.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// Which events: comma lists.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) types: Option<String>,
    pub(super) subjects: Option<String>,
    pub(super) users: Option<String>,
    pub(super) servers: Option<String>,
}

/// Somebody who wants to hear all events from a point on, each once.
pub(super) struct Listening<'desk> {
    desk: &'desk Desk,
    wanted: Wanted,
    /// The id that was reached; `None`: none is known yet.
    reached: Option<i64>,
    /// `None`: there is no connection.
    parts: Option<Parts<'desk>>,
    messages: Messages,
    /// Whether management has ever taken the request.
    was_taken: bool,
    /// Whether it was said that the connection is lost.
    is_told: bool,
}

impl<'desk> Listening<'desk> {
    /// Listens to what comes after this id, or from the first connection on.
    pub(super) fn new(desk: &'desk Desk, wanted: Wanted, after: Option<i64>) -> Self {
        Self {
            desk,
            wanted,
            reached: after,
            parts: None,
            messages: Messages::default(),
            was_taken: false,
            is_told: false,
        }
    }

    /// Waits for the events that come next.
    ///
    /// # Errors
    /// Where it never worked, and where management refuses to go on: the key is not valid any more.
    pub(super) async fn next(&mut self) -> Result<Vec<Value>, Failure> {
        loop {
            match self.read().await {
                Ok(events) => return Ok(events),
                Err(failure) if self.was_taken && may_pass(failure.kind) => {
                    if !self.is_told {
                        self.desk.note(&format!("{failure}; connecting again"));
                        self.is_told = true;
                    }
                    sleep(RETRY_AFTER).await;
                }
                Err(failure) => return Err(failure),
            }
        }
    }

    /// Reads on. After a failure the next call makes another connection.
    async fn read(&mut self) -> Result<Vec<Value>, Failure> {
        let mut parts = match self.parts.take() {
            Some(parts) => parts,
            None => self.connect().await?,
        };
        let Some(part) = parts.next().await? else {
            return Err(Failure::new(Kind::Unreachable, "management ended the stream"));
        };
        self.parts = Some(parts);
        self.is_told = false;
        let mut events = Vec::new();
        for message in self.messages.read(&part) {
            self.reached = message.id.or(self.reached);
            events.extend(message.data.map(event));
        }
        Ok(events)
    }

    async fn connect(&mut self) -> Result<Parts<'desk>, Failure> {
        let desk = self.desk;
        let request = given!(
            desk.api.stream_events(),
            after = self.reached,
            type_ = self.wanted.types.clone(),
            subject = self.wanted.subjects.clone(),
            username = self.wanted.users.clone(),
            server_id = self.wanted.servers.clone(),
        );
        let parts = desk.api.parts(SILENCE, request.send()).await?;
        self.messages = Messages::default();
        self.was_taken = true;
        Ok(parts)
    }
}

/// Whether it is worth while to try again. Of failures without a kind, too many streams at a time are one.
fn may_pass(kind: Kind) -> bool {
    match kind {
        Kind::Unreachable | Kind::Failed => true,
        Kind::Usage | Kind::NotFound | Kind::Conflict | Kind::Refused => false,
    }
}

/// What is no JSON is shown as it is.
fn event(data: String) -> Value {
    serde_json::from_str(&data).unwrap_or(Value::String(data))
}
