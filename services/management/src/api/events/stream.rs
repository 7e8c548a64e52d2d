//! The body of a stream of events.

use std::{collections::VecDeque, io, ops::RangeInclusive, time::Duration};

use bytes::Bytes;
use futures_util::stream;
use poem::{Body, IntoResponse, Response};
use poem_openapi::payload::Payload;
use poem_openapi::registry::{MetaSchema, MetaSchemaRef, Registry};
use poem_openapi::types::Type;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::schema::Event;
use crate::ops::events::listener::Listener;

/// So long after the last message a comment shows that the stream lives.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// How long clients wait before they connect again, in milliseconds: each another time, so that a restart of management does not bring all of
/// them back at once.
const RETRY: RangeInclusive<u64> = 2_000..=5_000;
const CONTENT_TYPE: &str = "text/event-stream";

/// The messages, as they come.
pub(super) struct EventStream(Body);

struct Stream {
    listener: Listener,
    stopping: CancellationToken,
    /// Messages that the connection has not taken yet.
    ready: VecDeque<Bytes>,
    beat_at: Instant,
    is_over: bool,
}

impl EventStream {
    pub(super) fn of(listener: Listener, stopping: CancellationToken) -> Self {
        // It says from where on this is, so that whoever loses the connection before the first event misses none either.
        let (retry, position) = (fastrand::u64(RETRY), listener.hearing.position());
        let hello = format!("retry: {retry}\nid: {position}\n\n");
        let stream = Stream {
            listener,
            stopping,
            ready: VecDeque::from([Bytes::from(hello)]),
            beat_at: Instant::now() + HEARTBEAT,
            is_over: false,
        };
        let messages = stream::unfold(stream, |mut stream| async move {
            let message = stream.next().await?;
            Some((Ok::<_, io::Error>(message), stream))
        });
        Self(Body::from_bytes_stream(messages))
    }
}

impl Stream {
    /// The next message. It is asked for when the connection has taken the one before, so a slow reader keeps no more than one page waiting.
    async fn next(&mut self) -> Option<Bytes> {
        if self.ready.is_empty() && !self.is_over {
            self.wait().await;
            self.beat_at = Instant::now() + HEARTBEAT;
        }
        self.ready.pop_front()
    }

    async fn wait(&mut self) {
        let over = |reason: &str| Bytes::from(format!(": {reason}\n\n"));
        tokio::select! {
            biased;
            () = self.stopping.cancelled() => {
                self.is_over = true;
                self.ready.push_back(over("management is stopping"));
            }
            () = self.listener.place.ended() => {
                self.is_over = true;
                self.ready.push_back(over("the key is not good any more, or not for the same"));
            }
            events = self.listener.hearing.next() => {
                self.ready.extend(events.iter().map(|event| event.frame.clone()));
            }
            () = sleep_until(self.beat_at) => {
                let position = self.listener.hearing.position();
                self.ready.push_back(Bytes::from(format!(": nothing new\nid: {position}\n\n")));
            }
        }
    }
}

impl Payload for EventStream {
    const CONTENT_TYPE: &'static str = CONTENT_TYPE;

    fn schema_ref() -> MetaSchemaRef {
        MetaSchemaRef::Inline(Box::new(MetaSchema {
            items: Some(Box::new(Event::schema_ref())),
            ..MetaSchema::new_with_format("array", "event-stream")
        }))
    }

    fn register(registry: &mut Registry) {
        Event::register(registry);
    }
}

impl IntoResponse for EventStream {
    fn into_response(self) -> Response {
        Response::builder().content_type(CONTENT_TYPE).body(self.0)
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use futures_util::StreamExt as _;
    use sea_orm::DatabaseConnection;
    use vpnmanager_entities::api_key::Role;

    use super::*;
    use crate::config::EventsConfig;
    use crate::domain::scope::Scope;
    use crate::ops::events::feed::Feed;
    use crate::ops::events::filter::EventFilter;
    use crate::ops::keys::authenticate::Operator;

    #[tokio::test(start_paused = true)]
    async fn a_comment_comes_when_nothing_else_does_and_the_end_is_said() {
        let number = |number| NonZeroU32::new(number).expect("not 0");
        let feed = Feed::new(EventsConfig {
            max_streams: number(1),
            max_streams_per_key: number(1),
        });
        feed.settle(7);
        let operator = Operator {
            id: 1,
            name: "admin".to_owned(),
            role: Role::Admin,
            scope: Scope::default(),
        };
        // Nothing is read of it where the listener is where the trail ends.
        let db = DatabaseConnection::default();
        let listener = Listener::begin(&feed, &db, ("a key".into(), operator), (EventFilter::default(), None));
        let stopping = CancellationToken::new();
        let stream = EventStream::of(listener.await.expect("room"), stopping.clone());
        let mut messages = Box::pin(stream.0.into_bytes_stream());
        let mut next = async || {
            let message = messages.next().await;
            message.map(|message| String::from_utf8(message.expect("bytes").to_vec()).expect("text"))
        };
        let begun = Instant::now();
        let hello = next().await.expect("the first message");
        let retry = hello
            .strip_prefix("retry: ")
            .and_then(|rest| rest.strip_suffix("\nid: 7\n\n"));
        let retry: u64 = retry.and_then(|retry| retry.parse().ok()).expect(&hello);
        assert!(RETRY.contains(&retry), "{retry}");
        for beats in 1..=2 {
            assert_eq!(next().await.as_deref(), Some(": nothing new\nid: 7\n\n"));
            assert_eq!(begun.elapsed().as_secs(), 15 * beats);
        }
        stopping.cancel();
        assert_eq!(next().await.as_deref(), Some(": management is stopping\n\n"));
        assert_eq!(next().await, None);
        assert!(!feed.has_listeners(), "its place is free");
    }
}
