//! `POST /api/sync/users`: a list of users, applied in the same way as commands of the bus.

use poem::web::Data;
use poem_openapi::{Enum, Object, OpenApi, payload::Json, types::Example};
use serde_json::json;
use uuid::Uuid;
use vpnmanager_nats::{
    acks::Outcome,
    commands::Command,
    ids::{NodeId, UserKey},
};
use vpnmanager_openapi::{auth::Caller, problem::ApiError, time::Timestamp};

use super::{
    access::Operator,
    local::{LocalNode, internal},
    tags::Tag,
};
use crate::{
    apply::{Applied, ApplyError, Handled},
    coordination::issue_queue::IssueJob,
    shared::Shared,
};

/// A list of users.
#[derive(Debug, Object)]
#[oai(example)]
struct UserList {
    /// Whether the list holds all users of the node: users that are not listed are removed.
    #[oai(default)]
    full: bool,
    /// The users, at most 10,000; a body holds 1 MiB.
    #[oai(validator(max_items = 10000))]
    users: Vec<WantedUser>,
}

/// What the node should hold of one user.
#[derive(Debug, Object)]
#[oai(skip_serializing_if_is_none)]
struct WantedUser {
    /// Whether the user is wanted here.
    r#type: Wanted,
    /// The key that management gave the user.
    user_key: Uuid,
    /// The name.
    #[oai(validator(max_length = 255))]
    username: String,
    /// Revision of this state; it is applied only when it is greater than the one that the node holds.
    revision: i64,
    /// `false` suspends the user. Required for `put_user`.
    active: Option<bool>,
    /// From this moment on the user is refused and cut.
    expires_at: Option<Timestamp>,
    /// What the node is to the user. Required for `put_user`.
    role: Option<WantedRole>,
    /// Every credential that is let in. Required for `put_user`.
    #[oai(validator(max_items = 100))]
    credentials: Option<Vec<String>>,
    /// The profile that this node makes; only for the role `home`.
    issue: Option<WantedProfile>,
}

/// A profile to make.
#[derive(Debug, Object)]
struct WantedProfile {
    /// Its credential.
    #[oai(validator(max_length = 64))]
    common_name: String,
    /// Where clients connect, in this order.
    #[oai(validator(max_items = 100))]
    remotes: Vec<WantedRemote>,
}

/// One node that a profile names.
#[derive(Debug, Object)]
struct WantedRemote {
    /// A DNS name or an IP address.
    #[oai(validator(max_length = 253))]
    host: String,
    /// The port.
    port: u16,
    /// The transport.
    protocol: WantedProtocol,
}

/// Whether a user is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
enum Wanted {
    /// The node should hold the user.
    PutUser,
    /// The node should hold nothing of the user.
    RemoveUser,
}

/// What the node is to a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
enum WantedRole {
    /// Makes and keeps the profile.
    Home,
    /// Also lets the user in.
    Standby,
}

/// The transport of a tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
enum WantedProtocol {
    /// UDP.
    Udp,
    /// TCP.
    Tcp,
}

/// What the list changed.
#[derive(Debug, Object)]
#[oai(example)]
struct Synced {
    /// Users whose state on the node changed, removed ones included.
    changed: Vec<String>,
    /// Number of users whose state was already as listed.
    unchanged: u64,
    /// Users that were refused, and why.
    refused: Vec<RefusedUser>,
}

/// A user that was refused.
#[derive(Debug, Object)]
struct RefusedUser {
    /// The name as it was given.
    username: String,
    /// Why.
    reason: String,
}

pub(super) struct SyncApi;

#[OpenApi(tag = "Tag::Users", prefix_path = "/api/sync")]
impl SyncApi {
    /// Apply a list of users
    ///
    /// Applies each user by the rules of commands on the bus: an entry is the whole state of a user with a revision, and an older
    /// revision is refused. An invalid entry is refused without the others. With `full`, users that are not listed are removed.
    #[oai(path = "/users", method = "post", operation_id = "sync_users")]
    async fn users(
        &self,
        node: Data<&LocalNode>,
        _caller: Caller<Operator>,
        list: Json<UserList>,
    ) -> Result<Json<Synced>, ApiError> {
        take(node.shared()?, list.0).await.map(Json)
    }
}

async fn take(shared: &Shared, list: UserList) -> Result<Synced, ApiError> {
    let mut synced = Synced {
        changed: Vec::new(),
        unchanged: 0,
        refused: Vec::new(),
    };
    // A listed user whose entry is invalid is refused, and not removed.
    let listed = list.users.iter().map(|user| UserKey(user.user_key)).collect();
    let mut commands = Vec::with_capacity(list.users.len());
    for user in list.users {
        let username = user.username.clone();
        match user.into_command(&shared.node.id) {
            Ok(command) => commands.push(command),
            Err(reason) => synced.refused.push(RefusedUser { username, reason }),
        }
    }
    let names: Vec<String> = commands.iter().map(|command| command.username().to_string()).collect();
    let handled = shared.applier.apply(commands, 0).await.map_err(failed)?;
    for (username, Handled { applied, changed }) in names.into_iter().zip(handled) {
        match (applied, changed) {
            (Applied::Answered(Outcome::Superseded { holds }), _) => {
                synced.refused.push(RefusedUser {
                    username,
                    reason: format!("the node holds the newer revision {holds}"),
                });
            }
            (Applied::Answered(Outcome::Refused { error } | Outcome::Failed { error }), _) => {
                synced.refused.push(RefusedUser {
                    username,
                    reason: error,
                });
            }
            (Applied::Answered(Outcome::Applied { .. }), true) => synced.changed.push(username),
            (Applied::Answered(Outcome::Applied { .. }), false) => synced.unchanged += 1,
            (Applied::Issuing(order), changed) => {
                shared
                    .issue
                    .push(IssueJob {
                        order,
                        delivery: None,
                        traceparent: None,
                    })
                    .await;
                if changed {
                    synced.changed.push(username);
                } else {
                    synced.unchanged += 1;
                }
            }
        }
    }
    if list.full {
        let ghosts = shared.applier.sweep(|| listed).await.map_err(failed)?;
        synced
            .changed
            .extend(ghosts.iter().map(|ghost| ghost.command.username().to_string()));
        shared
            .journal
            .write(|records| records.set_complete())
            .await
            .map_err(internal)?;
        shared.readiness.completed();
    }
    Ok(synced)
}

impl WantedUser {
    /// The command, by way of the wire's JSON, so that its rules stay in one place.
    fn into_command(self, node: &NodeId) -> Result<Command, String> {
        let put = match self.r#type {
            Wanted::RemoveUser => json!({ "type": "remove_user" }),
            Wanted::PutUser => json!({
                "type": "put_user",
                "active": self.active.ok_or("active is required")?,
                "expires_at": self.expires_at.map(|time| time.to_string()),
                "role": match self.role.ok_or("role is required")? {
                    WantedRole::Home => "home",
                    WantedRole::Standby => "standby",
                },
                "credentials": self.credentials.ok_or("credentials is required")?,
                "issue": self.issue.map(|issue| json!({
                    "common_name": issue.common_name,
                    "remotes": issue.remotes.iter().map(WantedRemote::to_json).collect::<Vec<_>>(),
                })),
            }),
        };
        let mut command = put;
        command["node"] = json!(node);
        command["user_key"] = json!(self.user_key);
        command["username"] = json!(self.username);
        command["revision"] = json!(self.revision);
        if self.revision < 1 {
            return Err("revision must be 1 or more".to_owned());
        }
        serde_json::from_value(command).map_err(|error| error.to_string())
    }
}

impl WantedRemote {
    fn to_json(&self) -> serde_json::Value {
        let protocol = match self.protocol {
            WantedProtocol::Udp => "udp",
            WantedProtocol::Tcp => "tcp",
        };
        json!({ "host": self.host, "port": self.port, "protocol": protocol })
    }
}

fn failed(error: ApplyError) -> ApiError {
    ApiError::internal(error)
}

impl Example for UserList {
    fn example() -> Self {
        Self {
            full: false,
            users: vec![WantedUser {
                r#type: Wanted::PutUser,
                user_key: Uuid::from_u128(0x0193_5b0e_7a00_7000_8000_0000_0000_0001),
                username: "alice".to_owned(),
                revision: 1,
                active: Some(true),
                expires_at: "2027-03-01T12:00:00Z".parse().ok(),
                role: Some(WantedRole::Standby),
                credentials: Some(vec!["alice.abcdefghijklmnop".to_owned()]),
                issue: None,
            }],
        }
    }
}

impl Example for Synced {
    fn example() -> Self {
        let refused = RefusedUser {
            username: "bob".to_owned(),
            reason: "the node holds the newer revision 7".to_owned(),
        };
        Self {
            changed: vec!["alice".to_owned()],
            unchanged: 0,
            refused: vec![refused],
        }
    }
}
