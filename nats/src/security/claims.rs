//! The claims of NATS JWTs, version 2: what the server reads of operators, accounts and users.
//!
//! Field names are those of `github.com/nats-io/jwt/v2`. A number of -1 means unlimited, an absent one means zero.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

/// No limit, where a limit is a number.
pub const UNLIMITED: i64 = -1;

/// What can stand under `nats` in a token.
pub trait ClaimBody: Serialize + DeserializeOwned {
    /// The value of `nats.type`.
    const TYPE: &'static str;
}

/// The operator of one fleet, which signs its accounts.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct OperatorClaims {
    /// Public keys that may sign accounts besides the operator's own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signing_keys: Vec<String>,
    /// Public key of the account that sees `$SYS`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system_account: Option<String>,
}

impl ClaimBody for OperatorClaims {
    const TYPE: &'static str = "operator";
}

/// One account: its own space of subjects, with the exports and imports that connect it to others.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct AccountClaims {
    /// Subjects of other accounts that this one uses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub imports: Vec<Import>,
    /// Subjects that other accounts may use.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exports: Vec<Export>,
    /// The limits of the account.
    #[serde(default)]
    pub limits: AccountLimits,
    /// Keys that may sign users of this account, with the permissions of these users.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signing_keys: Vec<SigningKey>,
    /// From the public key of a user to Unix seconds: credentials issued at or before that time are refused.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub revocations: BTreeMap<String, i64>,
    /// What other tools wrote into the token; kept when it is signed again.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl ClaimBody for AccountClaims {
    const TYPE: &'static str = "account";
}

/// Upper bounds of one account.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AccountLimits {
    /// Subscriptions.
    pub subs: i64,
    /// Bytes in all.
    pub data: i64,
    /// Bytes of one message.
    pub payload: i64,
    /// Imports.
    pub imports: i64,
    /// Exports.
    pub exports: i64,
    /// Whether exports may hold wildcards.
    pub wildcards: bool,
    /// Client connections.
    pub conn: i64,
    /// Leaf node connections.
    pub leaf: i64,
    /// Bytes of JetStream in memory.
    pub mem_storage: i64,
    /// Bytes of JetStream on disk.
    pub disk_storage: i64,
    /// Streams.
    pub streams: i64,
    /// Consumers.
    pub consumer: i64,
}

impl Default for AccountLimits {
    /// No limits, but without JetStream and leaf nodes.
    fn default() -> Self {
        Self {
            subs: UNLIMITED,
            data: UNLIMITED,
            payload: UNLIMITED,
            imports: UNLIMITED,
            exports: UNLIMITED,
            wildcards: true,
            conn: UNLIMITED,
            leaf: 0,
            mem_storage: 0,
            disk_storage: 0,
            streams: 0,
            consumer: 0,
        }
    }
}

impl AccountLimits {
    /// The default limits with JetStream on and unlimited.
    pub fn with_jetstream() -> Self {
        Self {
            mem_storage: UNLIMITED,
            disk_storage: UNLIMITED,
            streams: UNLIMITED,
            consumer: UNLIMITED,
            ..Self::default()
        }
    }
}

/// A subject that other accounts may request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Export {
    /// A name for people.
    pub name: String,
    /// The subject, wildcards included.
    pub subject: String,
    /// Always a service here: requests in, replies out. A stream export would show every message to every importer.
    #[serde(rename = "type")]
    pub kind: SharingKind,
    /// How many replies one request may have.
    pub response_type: ResponseType,
    /// After this time without a reply the server forgets the request, in nanoseconds. Absent, it is 2 minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_threshold: Option<i64>,
}

/// A subject of another account that this one may request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Import {
    /// A name for people.
    pub name: String,
    /// The subject in the exporting account.
    pub subject: String,
    /// Public key of the exporting account.
    pub account: String,
    /// The subject in this account, if it differs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local_subject: Option<String>,
    /// As in the export.
    #[serde(rename = "type")]
    pub kind: SharingKind,
}

/// How a subject crosses the border of its account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SharingKind {
    /// Requests go to the exporter, replies come back.
    Service,
    /// Messages go from the exporter to every importer.
    Stream,
}

/// How many replies a request to an exported service may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ResponseType {
    /// One.
    Singleton,
    /// Any number, until an empty one.
    Stream,
}

/// A key that may sign users.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum SigningKey {
    /// Its users get exactly the permissions of a template and may carry none of their own.
    Scoped(UserScope),
    /// Its users carry their own permissions.
    Plain(String),
}

/// A signing key, with the permissions of all users that it signs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UserScope {
    /// Always `user_scope`.
    pub kind: ScopeKind,
    /// Public key of the signing key.
    pub key: String,
    /// A name for people.
    pub role: String,
    /// The permissions; `{{name()}}` in a subject is the name in the user's token.
    pub template: UserPermissions,
}

/// The only kind of scope there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScopeKind {
    /// A scope of user permissions.
    UserScope,
}

/// What one user may do. The default, nothing at all set, is what a scoped key's users must carry.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct UserPermissions {
    /// Subjects to publish on.
    #[serde(rename = "pub", skip_serializing_if = "SubjectPermissions::is_empty")]
    pub publish: SubjectPermissions,
    /// Subjects to subscribe to.
    #[serde(rename = "sub", skip_serializing_if = "SubjectPermissions::is_empty")]
    pub subscribe: SubjectPermissions,
    /// Whether it may answer requests on the reply subject that they name.
    #[serde(rename = "resp", skip_serializing_if = "Option::is_none")]
    pub responses: Option<ResponsePermission>,
    /// Subscriptions.
    #[serde(skip_serializing_if = "is_zero")]
    pub subs: i64,
    /// Bytes in all.
    #[serde(skip_serializing_if = "is_zero")]
    pub data: i64,
    /// Bytes of one message; a larger one costs the client its connection.
    #[serde(skip_serializing_if = "is_zero")]
    pub payload: i64,
}

impl UserPermissions {
    /// Everything in the account, without limits.
    pub fn unlimited() -> Self {
        Self {
            subs: UNLIMITED,
            data: UNLIMITED,
            payload: UNLIMITED,
            ..Self::default()
        }
    }
}

/// Subjects that are allowed or denied. Without an allow-list everything is allowed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SubjectPermissions {
    /// Only these subjects are allowed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<String>,
    /// These subjects are denied.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub deny: Vec<String>,
}

impl SubjectPermissions {
    /// Only these subjects.
    pub fn only(allow: Vec<String>) -> Self {
        Self {
            allow,
            deny: Vec::new(),
        }
    }

    fn is_empty(&self) -> bool {
        self.allow.is_empty() && self.deny.is_empty()
    }
}

/// The permission to answer a request on the reply subject that it names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResponsePermission {
    /// Answers per request.
    pub max: i64,
    /// How long after the request, in nanoseconds.
    pub ttl: i64,
}

/// One user: a client that connects.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct UserClaims {
    /// Public key of the account, where a signing key of it is the issuer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer_account: Option<String>,
    /// What the user may do; empty for users of a scoped key.
    #[serde(flatten)]
    pub permissions: UserPermissions,
}

impl ClaimBody for UserClaims {
    const TYPE: &'static str = "user";
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde's skip_serializing_if passes a reference"
)]
fn is_zero(number: &i64) -> bool {
    *number == 0
}
