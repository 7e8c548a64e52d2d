//! Applying the list.

use poem::web::Data;
use poem_openapi::{OpenApi, payload::Json};
use vpnmanager_nats::{acks::Outcome, ids::UserKey};
use vpnmanager_openapi::{auth::Caller, problem::ApiError};

use super::{
    synced::{RefusedUser, Synced},
    wanted::UserList,
};
use crate::{
    api::{
        access::Operator,
        local::{LocalNode, internal},
        tags::Tag,
    },
    apply::{Applied, ApplyError, Handled},
    coordination::issue_queue::IssueJob,
    shared::Shared,
};

pub(crate) struct SyncApi;

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
            (Applied::Answered(Outcome::Refused { error } | Outcome::Failed { error }) | Applied::Unheld(error), _) => {
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

fn failed(error: ApplyError) -> ApiError {
    ApiError::internal(error)
}
