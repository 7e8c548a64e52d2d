//! A flood of messages with one credential, at full speed or paced, bounded in count and time.

use std::{
    io::Write,
    net::SocketAddr,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use bytes::Bytes;
use serde::Serialize;

use super::{
    credential::Credential,
    size::Size,
    wire::{Wire, WireError},
};

/// Where this stands in a payload, each message has an id of its own.
pub(super) const EACH: &str = "eeeeeeee-eeee-7eee-8eee-eeeeeeeeeeee";
/// Frames are written in chunks of about this many bytes.
const CHUNK: usize = 64 * 1024;
/// The longest time that a flood takes.
const WITHIN: Duration = Duration::from_secs(30);
/// How much longer than its pace a flood may take that is hurried.
const HURRY: Duration = Duration::from_secs(4);
/// The step of a paced flood.
const STEP: Duration = Duration::from_millis(5);
/// The pause before a thief that was cut off tries again.
const RETRY: Duration = Duration::from_millis(50);
/// How long the server may take to read the last bytes of a flood.
const TAKEN: Duration = Duration::from_secs(60);
/// How long answers are waited for after the last request.
const ANSWERS: Duration = Duration::from_secs(3);

/// What to send.
pub(super) struct Flood {
    /// Subjects and payloads, sent in turn.
    pub(super) messages: Vec<(String, Bytes)>,
    /// How many to send.
    pub(super) count: u64,
    /// Messages in a second; `None`: as fast as the server takes them.
    pub(super) rate: Option<u32>,
    /// The longest time to send.
    pub(super) within: Duration,
    /// Whether they name a reply subject of the thief, on which answers are counted.
    pub(super) replies: bool,
    /// Whether the last answers are waited for.
    pub(super) answered: bool,
}

/// What was done in an attack, and what came of it.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Offered {
    /// Messages, requests or connections.
    pub(super) count: u64,
    /// Bytes of their payloads.
    pub(super) bytes: u64,
    /// The time to send them.
    pub(super) seconds: f64,
    /// How many of them were answered.
    pub(super) answered: u64,
    /// How many were refused: errors of the bus, refusing answers, statuses 4xx and 5xx, connections closed at once.
    pub(super) refused: u64,
    /// How often an open connection was closed by the other side.
    pub(super) cut_off: u64,
    /// What the attack found out by itself to be wrong.
    pub(super) wrong: Vec<String>,
    /// What it found out beside that.
    pub(super) notes: Vec<String>,
}

impl Flood {
    /// So many messages, made from these in turn, as fast as the server takes them.
    pub(super) fn at_once(messages: Vec<(String, Bytes)>, count: u64) -> Self {
        Self {
            messages,
            count,
            rate: None,
            within: WITHIN,
            replies: false,
            answered: false,
        }
    }

    /// They are requests, and their answers are waited for.
    pub(super) fn with_answers(self) -> Self {
        Self {
            replies: true,
            answered: true,
            ..self
        }
    }

    /// They name a reply subject, and nobody waits.
    pub(super) fn with_replies(self) -> Self {
        Self { replies: true, ..self }
    }

    /// In the short form it is given up soon after it should be over: a thief who is not let in would try for long.
    pub(super) fn sized(self, size: Size) -> Self {
        if size == Size::Full {
            return self;
        }
        let paced = self.rate.map_or(0, |rate| self.count / u64::from(rate.max(1)));
        let within = self.within.min(Duration::from_secs(paced) + HURRY);
        Self { within, ..self }
    }

    /// The same flood to subjects that nobody hears.
    pub(super) fn unheard(self) -> Self {
        let messages = self.messages.into_iter();
        Self {
            messages: messages.map(|(_, payload)| ("unheard".to_owned(), payload)).collect(),
            replies: false,
            answered: false,
            ..self
        }
    }

    /// Sends it all, or as much as the time allows. A thief that is cut off comes back.
    pub(super) async fn send(&self, bus: SocketAddr, thief: &Credential) -> anyhow::Result<Offered> {
        let frames = Frames::of(self, &thief.name);
        let mut offered = Offered::default();
        let begun = Instant::now();
        let mut sent = 0;
        while sent < self.count && begun.elapsed() < self.within {
            let wire = match self.open(bus, thief).await {
                Ok(wire) => wire,
                Err(WireError::Seed(error)) => return Err(error.into()),
                Err(_refused) => {
                    offered.refused += 1;
                    tokio::time::sleep(RETRY).await;
                    continue;
                }
            };
            sent = self.pour((&wire, &frames), sent, begun, &mut offered).await;
            if sent >= self.count && self.answered {
                wire.messages(self.count, ANSWERS).await;
            }
            let seen = wire.seen();
            offered.answered += seen.messages.load(Ordering::Relaxed);
            offered.refused += seen.refusals.load(Ordering::Relaxed) + seen.errors.load(Ordering::Relaxed);
            offered.cut_off += u64::from(wire.is_closed());
        }
        Ok(offered)
    }

    async fn open(&self, bus: SocketAddr, thief: &Credential) -> Result<Wire, WireError> {
        let wire = Wire::connect(bus, thief).await?;
        if self.replies {
            wire.write(format!("SUB _INBOX.{}.> 1\r\n", thief.name).as_bytes())
                .await?;
        }
        Ok(wire)
    }

    /// Writes from message number `sent` on until all are written, the time is over, or the connection is closed. Returns the number of
    /// the next message.
    async fn pour(
        &self,
        (wire, frames): (&Wire, &Frames<'_>),
        mut sent: u64,
        begun: Instant,
        offered: &mut Offered,
    ) -> u64 {
        let mut chunk = Vec::with_capacity(2 * CHUNK);
        let (first, started) = (sent, Instant::now());
        while sent < self.count && begun.elapsed() < self.within && !wire.is_closed() {
            let due = match self.rate {
                Some(rate) => first + (started.elapsed().as_secs_f64() * f64::from(rate)) as u64,
                None => self.count,
            };
            chunk.clear();
            let (mut bytes, mut more) = (0, 0);
            while sent + more < due.min(self.count) && chunk.len() < CHUNK {
                bytes += frames.write(sent + more, &mut chunk);
                more += 1;
            }
            if more == 0 {
                tokio::time::sleep(STEP).await;
                continue;
            }
            if wire.write(&chunk).await.is_err() {
                break;
            }
            sent += more;
            offered.count += more;
            offered.bytes += bytes;
        }
        wire.taken(TAKEN).await;
        offered.seconds += started.elapsed().as_secs_f64();
        sent
    }
}

/// The messages, made ready to be written many times.
struct Frames<'f> {
    flood: &'f Flood,
    thief: &'f str,
    /// Where [`EACH`] stands in each payload.
    ids: Vec<Vec<usize>>,
    /// The first digits of all ids.
    nonce: u32,
}

impl<'f> Frames<'f> {
    fn of(flood: &'f Flood, thief: &'f str) -> Self {
        let payloads = flood
            .messages
            .iter()
            .map(|(_, payload)| String::from_utf8_lossy(payload));
        Self {
            flood,
            thief,
            ids: payloads
                .map(|text| text.match_indices(EACH).map(|(at, _)| at).collect())
                .collect(),
            nonce: fastrand::u32(..),
        }
    }

    /// Appends one message. Returns the length of its payload.
    fn write(&self, number: u64, chunk: &mut Vec<u8>) -> u64 {
        let at = usize::try_from(number).unwrap_or_default() % self.flood.messages.len();
        let (subject, payload) = &self.flood.messages[at];
        // Writing into a vector does not fail.
        let _ = if self.flood.replies {
            write!(
                chunk,
                "PUB {subject} _INBOX.{}.{number} {}\r\n",
                self.thief,
                payload.len()
            )
        } else {
            write!(chunk, "PUB {subject} {}\r\n", payload.len())
        };
        let begin = chunk.len();
        chunk.extend_from_slice(payload);
        for id in &self.ids[at] {
            let new = format!("{:08x}-0000-7000-8000-{number:012x}", self.nonce);
            chunk[begin + id..begin + id + new.len()].copy_from_slice(new.as_bytes());
        }
        chunk.extend_from_slice(b"\r\n");
        payload.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_message_has_an_id_of_its_own_and_its_length() {
        let payload = format!("{{\"id\":\"{EACH}\"}}");
        let flood = Flood::at_once(vec![("a.b".to_owned(), payload.clone().into())], 2).with_replies();
        let frames = Frames::of(&flood, "n");
        let mut chunk = Vec::new();
        frames.write(0, &mut chunk);
        frames.write(1, &mut chunk);
        let text = String::from_utf8(chunk).unwrap();
        let lines: Vec<&str> = text.split("\r\n").collect();
        assert_eq!(lines[0], format!("PUB a.b _INBOX.n.0 {}", payload.len()));
        assert_eq!(lines[2], format!("PUB a.b _INBOX.n.1 {}", payload.len()));
        assert_ne!(lines[1], lines[3]);
        assert!(!text.contains(EACH) && lines[1].len() == payload.len(), "{text}");
    }
}
