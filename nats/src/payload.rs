//! How large each kind of message may be. Checked before anything of a payload is read.

use serde::{Serialize, de::DeserializeOwned};

use crate::{
    acks::Ack,
    commands::Command,
    events::Event,
    heartbeats::Heartbeat,
    intents::{Intent, IntentAnswer},
    node_requests::{NodeAnswer, NodeRequest},
    sessions::SessionReport,
    sign::{SignAnswer, SignRequest},
    sync::{SyncReply, SyncRequest},
};

/// The most bytes of any message of a node.
pub const MOST_OF_A_NODE: usize = 60 * 1024;

/// A kind of message.
pub trait Payload: Serialize + DeserializeOwned {
    /// The most bytes of a payload. A larger one is refused unread.
    const MAX_BYTES: usize;
    /// Whether it may hold a private key. What is wrong with one that cannot be read is then not quoted.
    const SECRET: bool = false;
}

macro_rules! payloads {
    ($($kind:ty: $most:expr $(, secret: $secret:literal)?;)+) => {$(
        impl Payload for $kind {
            const MAX_BYTES: usize = $most;
            $(const SECRET: bool = $secret;)?
        }
    )+};
}

// Of a node. `tests/it/sizes.rs` has the largest honest one of each.
payloads! {
    Heartbeat: 8 * 1024;
    Ack: 16 * 1024;
    Event: 48 * 1024;
    SessionReport: 48 * 1024;
    SyncRequest: 4 * 1024;
    Intent: 4 * 1024;
    SignRequest: MOST_OF_A_NODE;
    NodeAnswer: MOST_OF_A_NODE, secret: true;
}

// Of management.
payloads! {
    Command: 256 * 1024;
    // The answer, the addresses and the CAs of the bus, the network of a pool, and the groups, whose rules management bounds.
    SyncReply: 256 * 1024;
    IntentAnswer: 8 * 1024;
    SignAnswer: 128 * 1024;
    // One command at most.
    NodeRequest: 256 * 1024;
}
