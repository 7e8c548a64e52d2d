//! What the management of a test saw, and what it is told to do.

use std::collections::{HashMap, HashSet, VecDeque};

use poem::http::StatusCode;
use serde_json::Value;
use vpnmanager_nats::{
    acks::Ack,
    commands::Command,
    events::Event,
    groups::Groups,
    heartbeats::Heartbeat,
    ids::CommonName,
    intents::{Intent, IntentAnswer},
    network::PoolNetwork,
    sessions::SessionRecord,
    sign::SignedCertificate,
    sync::SyncRequest,
};

/// What management saw, and what it is told to do.
#[derive(Default)]
pub(crate) struct Script {
    pub(crate) registrations: Vec<(Option<String>, Value)>,
    /// Answers to registrations before the good one.
    pub(crate) refusals: VecDeque<(StatusCode, String)>,
    pub(crate) signing_is_down: bool,
    /// Credentials that cannot be signed at this moment.
    pub(crate) unavailable: HashSet<CommonName>,
    /// Certificates are signed and recorded, and the answer is lost.
    pub(crate) signatures_get_lost: bool,
    pub(crate) asked_to_sign: Vec<CommonName>,
    /// How long the certificate of a server that enrols was valid, and will be, in days; `None`: practically for ever.
    pub(crate) server_days: Option<(i64, i64)>,
    /// What management does when it is asked for another one.
    pub(crate) renewing: Renewing,
    /// How often it was asked.
    pub(crate) renewals_asked: u32,
    /// The authorities that it says are trusted; `None`: it says nothing of them.
    pub(crate) authorities: Option<String>,
    pub(crate) certificates: HashMap<CommonName, (String, SignedCertificate)>,
    pub(crate) resync: bool,
    /// At the next resync, the first command is delivered to nobody who settles it.
    pub(crate) first_gets_lost: bool,
    /// At the next resync, this command comes before everything begins anew. What comes again is lost, and acks that were under way settle it.
    pub(crate) overtaken: Option<Command>,
    /// What a resync says of commands that are recorded as applied.
    pub(crate) recorded_upto: Option<u64>,
    /// Handshakes get no answer.
    pub(crate) silent: bool,
    /// The next answer promises a snapshot, and the consumer that should bring it vanishes.
    pub(crate) lose_consumer: bool,
    pub(crate) refuse: Option<String>,
    /// What handshakes say of the pool's network; `None`: nothing, as management of an older release.
    pub(crate) network: Option<PoolNetwork>,
    /// The same of the groups of the fleet.
    pub(crate) groups: Option<Groups>,
    pub(crate) syncs: Vec<SyncRequest>,
    pub(crate) acks: Vec<Ack>,
    pub(crate) events: Vec<Event>,
    pub(crate) sessions: Vec<SessionRecord>,
    pub(crate) heartbeats: Vec<Heartbeat>,
    pub(crate) intents: Vec<Intent>,
    /// `None`: management does not answer intents.
    pub(crate) intent_answer: Option<IntentAnswer>,
}

/// What management does when a node asks for the certificate of its server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Renewing {
    /// It does not know the question, as an earlier release.
    #[default]
    Unknown,
    /// It signs one for 30 days.
    Signs,
    /// It signs one of another authority.
    SignsForeign,
    /// It refuses.
    Refuses,
}
