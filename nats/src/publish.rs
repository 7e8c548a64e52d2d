//! Publishing commands: compare-and-set on the subject's sequence, so that no replica can put an older revision on top of a newer one.

use std::time::Duration;

use async_nats::jetstream::{
    self, context::PublishErrorKind, message::PublishMessage, publish::PublishAck, stream::LastRawMessageErrorKind,
};
use futures_util::{StreamExt as _, stream};

use crate::{
    commands::Command,
    envelope::Envelope,
    ids::{NodeId, Revision, UserKey},
    subjects,
    topology::Topology,
};

/// The header that carries a command's revision, readable without the body.
pub const REVISION_HEADER: &str = "Vpn-Rev";
/// A tombstone that nobody ever acked goes away by itself after this.
const TOMBSTONE_TTL: Duration = Duration::from_secs(90 * 24 * 60 * 60);
/// How often a lost compare-and-set is tried again before the reconciler takes over.
const MAX_TRIES: usize = 3;
/// Publications of one batch that wait for the server at once.
const IN_FLIGHT: usize = 256;

/// One command with what is known of its subject.
#[derive(Debug, Clone)]
pub struct Publication {
    /// What the node should hold.
    pub command: Envelope<Command>,
    /// Stream sequence of the last message known on its subject, 0 for none.
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
    /// The same revision or a newer one from another replica.
    Overtaken {
        /// Its stream sequence.
        sequence: u64,
        /// Its revision.
        revision: Revision,
    },
}

/// Why a command may not be in the stream. It may be all the same: a time-out is no proof.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// Not stored, or not known to be.
    #[error("publishing a command failed")]
    Publish(#[source] jetstream::context::PublishError),
    /// The message that stood in the way could not be read.
    #[error("reading the newest command of a subject failed")]
    Read(#[source] jetstream::stream::LastRawMessageError),
    /// Other publishers were faster three times.
    #[error("the subject changed at each try")]
    Contended,
}

/// Publishes all, many in flight at once. One result for each, in order.
pub async fn publish_all(topology: &Topology, publications: &[Publication]) -> Vec<Result<Published, PublishError>> {
    // Whoever waits for a slot of the connection must be polled together with those that hold one: a batch, or several,
    // could otherwise hold all slots and wait for the next one for ever.
    let pending: Vec<_> = publications
        .iter()
        .map(|publication| publish(topology, publication))
        .collect();
    stream::iter(pending).buffered(IN_FLIGHT).collect().await
}

/// Forgets an acked tombstone, unless something newer took its place.
///
/// # Errors
/// When the server does not do it; the tombstone's time to live does, then.
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
        Ok(message) => {
            let header = message
                .headers
                .get(REVISION_HEADER)
                .and_then(|text| text.as_str().parse().ok());
            Ok(Some((message.sequence, Revision(header.unwrap_or_default()))))
        }
        Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
        Err(error) => Err(PublishError::Read(error)),
    }
}
