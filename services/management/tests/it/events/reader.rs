//! Reads a stream of events as the WHATWG HTML standard says.

use std::net::SocketAddr;
use std::time::Duration;

use reqwest::{Client, Response};
use serde_json::Value;
use vpnmanager_testbed::wait;

use crate::stack::ADMIN_KEY;

/// An open stream.
pub(crate) struct Reader {
    response: Response,
    text: String,
    /// What a browser would send as `Last-Event-ID`.
    pub(crate) last_id: String,
}

/// What came.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Message {
    pub(crate) id: i64,
    pub(crate) kind: String,
    pub(crate) data: Value,
}

/// Asks for a stream.
pub(crate) async fn ask(server: SocketAddr, query: &str, key: &str, last_id: Option<&str>) -> Response {
    let mut request = Client::new()
        .get(format!("http://{server}/api/events{query}"))
        .header("x-api-key", key);
    if let Some(id) = last_id {
        request = request.header("last-event-id", id);
    }
    request.send().await.expect("answered")
}

impl Reader {
    pub(crate) async fn open(server: SocketAddr, query: &str) -> Self {
        Self::of(ask(server, query, ADMIN_KEY, None).await).await
    }

    /// Goes on where another one ended.
    pub(crate) async fn resume(server: SocketAddr, last_id: &str) -> Self {
        Self::of(ask(server, "", ADMIN_KEY, Some(last_id)).await).await
    }

    /// Waits for the first block, which says from where on this is.
    pub(crate) async fn of(response: Response) -> Self {
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let mut reader = Self {
            response,
            text: String::new(),
            last_id: String::new(),
        };
        let hello = reader.block().await.expect("the first block");
        assert!(hello.starts_with("retry: "), "{hello}");
        reader.note_id(&hello);
        reader
    }

    /// The next event; `None` at the end of the stream.
    pub(crate) async fn next(&mut self) -> Option<Message> {
        let next = async {
            loop {
                let block = self.block().await?;
                self.note_id(&block);
                if let Some(message) = message_of(&block) {
                    return Some(message);
                }
            }
        };
        tokio::time::timeout(wait::SOON, next).await.expect("an event in time")
    }

    /// Whether nothing comes for this long.
    pub(crate) async fn is_silent_for(&mut self, time: Duration) -> bool {
        tokio::time::timeout(time, self.next()).await.is_err()
    }

    /// The rest of the stream, which ends.
    pub(crate) async fn rest(mut self) -> String {
        let rest = async {
            while let Ok(Some(bytes)) = self.response.chunk().await {
                self.text.push_str(std::str::from_utf8(&bytes).expect("text"));
            }
            self.text
        };
        tokio::time::timeout(wait::SOON, rest).await.expect("the end in time")
    }

    /// Lines up to an empty one.
    async fn block(&mut self) -> Option<String> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.text = rest;
                return Some(block);
            }
            let bytes = self.response.chunk().await.ok()??;
            self.text.push_str(std::str::from_utf8(&bytes).expect("text"));
        }
    }

    fn note_id(&mut self, block: &str) {
        if let Some(id) = field(block, "id") {
            id.clone_into(&mut self.last_id);
        }
    }
}

fn field<'a>(block: &'a str, name: &str) -> Option<&'a str> {
    block
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

/// A block without data dispatches nothing.
fn message_of(block: &str) -> Option<Message> {
    let data = field(block, "data")?;
    Some(Message {
        id: field(block, "id").expect("an id").parse().expect("a number"),
        kind: field(block, "event").expect("a type").to_owned(),
        data: serde_json::from_str(data).expect("JSON"),
    })
}
