//! A message from a stream that must be settled. Each method that settles it consumes it, so that it is settled exactly once.

use std::time::Duration;

use crate::{
    acks::Ack,
    commands::Command,
    envelope::{DecodeError, Envelope},
    events::Event,
    ids::NodeId,
    payload::Payload,
    sessions::SessionReport,
    subjects::FromNode,
};
use async_nats::jetstream::{self, AckKind};

/// One delivered message.
#[derive(Debug)]
pub struct Delivery {
    message: jetstream::Message,
}

/// The server could not be told; it delivers the message again.
#[derive(Debug, thiserror::Error)]
#[error("settling a message failed")]
pub struct SettleError(#[source] async_nats::Error);

/// What management receives from the stream of acks, events and sessions.
#[derive(Debug)]
pub enum Report {
    /// The result of a command.
    Ack(Box<Envelope<Ack>>),
    /// An event for the audit trail.
    Event(Box<Envelope<Event>>),
    /// Sessions for the history.
    Sessions(Box<Envelope<SessionReport>>),
}

impl From<jetstream::Message> for Delivery {
    fn from(message: jetstream::Message) -> Self {
        Self { message }
    }
}

impl Delivery {
    /// The subject that it came on.
    pub fn subject(&self) -> &str {
        self.message.subject.as_str()
    }

    /// How many bytes it has, with subject and headers.
    pub fn size(&self) -> usize {
        self.message.length
    }

    /// Its sequence in the stream, 0 when the server gave none.
    pub fn sequence(&self) -> u64 {
        self.message.info().map_or(0, |info| info.stream_sequence)
    }

    /// Its place among the deliveries of its consumer: each delivery, also of a message that comes again, has the next one. They begin with 1
    /// when the consumer is made, and again when it is rewound.
    pub fn place(&self) -> u64 {
        self.message.info().map_or(0, |info| info.consumer_sequence)
    }

    /// How often it was delivered, including this time.
    pub fn deliveries(&self) -> i64 {
        self.message.info().map_or(1, |info| info.delivered)
    }

    /// The command for `node`.
    pub fn command(&self, node: &NodeId) -> Result<Envelope<Command>, DecodeError> {
        let envelope: Envelope<Command> = self.decode()?;
        if envelope.body.node() == node {
            Ok(envelope)
        } else {
            Err(DecodeError::ForeignNode)
        }
    }

    /// What a node reports.
    pub fn report(&self) -> Result<Report, DecodeError> {
        let foreign = |speaker: &NodeId, subject: &NodeId| speaker != subject;
        match FromNode::parse(self.subject()) {
            Some(FromNode::Ack(node, user)) => {
                let ack: Envelope<Ack> = self.decode()?;
                if foreign(&ack.body.node, &node) || ack.body.user_key != user {
                    return Err(DecodeError::ForeignNode);
                }
                Ok(Report::Ack(Box::new(ack)))
            }
            Some(FromNode::Event(node)) => {
                let event: Envelope<Event> = self.decode()?;
                if foreign(&event.body.node, &node) {
                    return Err(DecodeError::ForeignNode);
                }
                Ok(Report::Event(Box::new(event)))
            }
            Some(FromNode::Sessions(node)) => {
                let sessions: Envelope<SessionReport> = self.decode()?;
                if foreign(&sessions.body.node, &node) {
                    return Err(DecodeError::ForeignNode);
                }
                Ok(Report::Sessions(Box::new(sessions)))
            }
            Some(FromNode::Health(_) | FromNode::Sync(_) | FromNode::Sign(_) | FromNode::Intent(_)) | None => {
                Err(DecodeError::ForeignNode)
            }
        }
    }

    /// The work is done; the message must not be delivered again.
    pub async fn done(self) -> Result<(), SettleError> {
        self.message.ack().await.map_err(SettleError)
    }

    /// The message should be delivered again after a pause.
    pub async fn retry(self, after: Duration) -> Result<(), SettleError> {
        self.message
            .ack_with(AckKind::Nak(Some(after)))
            .await
            .map_err(SettleError)
    }

    /// The message can never be handled, and that was recorded; it is not delivered again.
    pub async fn terminate(self) -> Result<(), SettleError> {
        self.message.ack_with(AckKind::Term).await.map_err(SettleError)
    }

    fn decode<T: Payload>(&self) -> Result<Envelope<T>, DecodeError> {
        Envelope::decode(&self.message.payload)
    }
}
