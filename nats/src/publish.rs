//! Publishing commands: compare-and-set on the subject's sequence, so that no replica can put an older revision on top of a newer one.

use std::time::Duration;

use async_nats::jetstream::{
    self, context::PublishErrorKind, message::PublishMessage, publish::PublishAck, stream::LastRawMessageErrorKind,
};
use futures_util::{StreamExt as _, stream};

use crate::{
    commands::Command,
    envelope::Envelope,
    headers::{REVISION_HEADER, revision_of},
    ids::{NodeId, Revision, UserKey},
    subjects,
    topology::Topology,
};

/// The time to live of a tombstone: one that no node acks disappears after this time.
const TOMBSTONE_TTL: Duration = Duration::from_secs(90 * 24 * 60 * 60);
/// How often a failed compare-and-set is tried again before it is left to the reconciler.
const MAX_TRIES: usize = 3;
/// The most publications of one batch that are in flight at the same time.
const IN_FLIGHT: usize = 256;

/// One command, with the last known sequence of its subject.
#[derive(Debug, Clone)]
pub struct Publication {
    /// What the node should hold.
    pub command: Envelope<Command>,
    /// Stream sequence of the last known message on its subject, 0 for none.
    pub expected_sequence: u64,
}

/// What the stream holds after a publication.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Published {
    /// This command, at this sequence.
    Stored {
        /// Its stream sequence.
        sequence: u64,
    },
    /// The same revision or a newer one, published by another replica.
    Overtaken {
        /// Its stream sequence.
        sequence: u64,
        /// Its revision.
        revision: Revision,
    },
}

/// Why a command may be missing from the stream. After a time-out it may also have been stored.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// It was not stored, or the server did not confirm it in time.
    #[error("publishing a command failed")]
    Publish(#[source] jetstream::context::PublishError),
    /// The newest message of the subject could not be read.
    #[error("reading the newest command of a subject failed")]
    Read(#[source] jetstream::stream::LastRawMessageError),
    /// Other publishers changed the subject between every read and write.
    #[error("the subject changed at each try")]
    Contended,
}

/// Publishes all of them, many in flight at once. Gives one result for each, in the same order.
pub async fn publish_all(topology: &Topology, publications: &[Publication]) -> Vec<Result<Published, PublishError>> {
    // Whoever waits for a slot of the connection must be polled together with those that hold one: a batch, or several,
    // could otherwise hold all slots and wait for the next one for ever.
    let pending: Vec<_> = publications
        .iter()
        .map(|publication| publish(topology, publication))
        .collect();
    stream::iter(pending).buffered(IN_FLIGHT).collect().await
}

/// Deletes an acked tombstone from the stream, unless a newer message has replaced it.
///
/// # Errors
/// The tombstone is still in the stream; its time to live removes it later.
pub async fn forget_tombstone(
    topology: &Topology,
    node: &NodeId,
    user: UserKey,
    sequence: u64,
) -> Result<(), jetstream::stream::PurgeError> {
    let subject = subjects::command(node, user);
    topology
        .commands()
        .purge()
        .sequence(sequence + 1)
        .filter(subject)
        .await
        .map(drop)
}

async fn publish(topology: &Topology, publication: &Publication) -> Result<Published, PublishError> {
    let (mut expected_sequence, mut repeat) = (publication.expected_sequence, Repeat::Recognised);
    for _ in 0..MAX_TRIES {
        match send(topology, &publication.command, expected_sequence, repeat).await {
            Ok(ack) if !ack.duplicate => return Ok(Published::Stored { sequence: ack.sequence }),
            // The server remembers having stored this once, which a purge may have undone since.
            Ok(_) => repeat = Repeat::Stored,
            Err(error) if error.kind() == PublishErrorKind::WrongLastSequence => {}
            Err(error) => return Err(PublishError::Publish(error)),
        }
        let newest = newest_on_subject(topology, &publication.command.body).await?;
        if let Some((sequence, revision)) = newest
            && revision >= publication.command.body.revision()
        {
            return Ok(Published::Overtaken { sequence, revision });
        }
        expected_sequence = newest.map_or(0, |(sequence, _)| sequence);
    }
    Err(PublishError::Contended)
}

/// What the server does with a revision that it stored within the last two minutes.
#[derive(Clone, Copy)]
enum Repeat {
    /// It answers that it is a duplicate and stores nothing.
    Recognised,
    /// It stores it again.
    Stored,
}

async fn send(
    topology: &Topology,
    command: &Envelope<Command>,
    expected_sequence: u64,
    repeat: Repeat,
) -> Result<PublishAck, jetstream::context::PublishError> {
    let Envelope { body, .. } = command;
    let revision = body.revision();
    let message = PublishMessage::build()
        .payload(command.encode())
        .expected_last_subject_sequence(expected_sequence)
        .header(REVISION_HEADER, revision.to_string());
    let message = match repeat {
        Repeat::Recognised => message.message_id(format!("{}:{}:{revision}", body.node(), body.user_key())),
        Repeat::Stored => message,
    };
    let message = match body {
        Command::PutUser(_) => message,
        Command::RemoveUser(_) => message.ttl(TOMBSTONE_TTL),
    };
    let subject = subjects::command(body.node(), body.user_key());
    topology.context().send_publish(subject, message).await?.await
}

async fn newest_on_subject(topology: &Topology, command: &Command) -> Result<Option<(u64, Revision)>, PublishError> {
    let subject = subjects::command(command.node(), command.user_key());
    match topology.commands().get_last_raw_message_by_subject(&subject).await {
        Ok(message) => Ok(Some((message.sequence, revision_of(Some(&message.headers))))),
        Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
        Err(error) => Err(PublishError::Read(error)),
    }
}
