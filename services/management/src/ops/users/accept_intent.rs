//! Carries out what an operator requested at a node's local API. A repeated request gets the same answer.

use chrono::Utc;
use sea_orm::{ActiveValue::Set, ColumnTrait, DatabaseTransaction, DbErr, EntityTrait, QueryFilter, QuerySelect};
use vpnmanager_entities::{intent, placement, user};
use vpnmanager_nats::{
    ids::Revision,
    intents::{Intent, IntentAction, IntentAnswer, IntentRefusal},
};

use crate::{
    app::App,
    domain::{actor::Actor, audit_action::AuditAction, placement::Home},
    ops::{
        audit::Entry,
        audit_room::{self, Caused},
        transact::transact,
        users::{
            create::{self, CreateUserError, NewUser},
            local_limits::{asks_too_much, has_enough_users, is_its_turn},
            read::UserView,
            remove::remove_within,
        },
    },
};

/// Carries out one intent, once. After an error, and after [`IntentAnswer::Unavailable`], the node sends it again.
pub async fn accept(app: &App, intent: &Intent) -> Result<IntentAnswer, DbErr> {
    let answer = transact(&app.db, |tx| async move { accept_within(app, &tx, intent).await }).await?;
    app.wake_publishers();
    Ok(answer)
}

async fn accept_within(app: &App, transaction: &DatabaseTransaction, intent: &Intent) -> Result<IntentAnswer, DbErr> {
    if !is_its_turn(transaction, &intent.node).await? {
        return Ok(IntentAnswer::Unavailable);
    }
    if let Some(known) = intent::Entity::find_by_id(intent.id).one(transaction).await? {
        if known.server_id != intent.node {
            // Ids are random: the node took that of another one's request, and learns nothing of it.
            return Ok(IntentAnswer::Unavailable);
        }
        return serde_json::from_value(known.answer).map_err(|error| DbErr::Json(error.to_string()));
    }
    let actor = if intent.local {
        Actor::local(&intent.node)
    } else {
        Actor {
            address: intent.source,
            ..Actor::node(&intent.node)
        }
    };
    if asks_too_much(transaction, &intent.node, app.config.node.max_users).await? {
        return answer_unrecorded(app, transaction, intent, &actor).await;
    }
    let answer = carry_out(app, transaction, intent, &actor).await?;
    let row = intent::ActiveModel {
        id: Set(intent.id),
        server_id: Set(intent.node.clone()),
        answer: Set(serde_json::to_value(&answer).map_err(|error| DbErr::Json(error.to_string()))?),
        created_at: Set(Utc::now()),
    };
    intent::Entity::insert(row).exec_without_returning(transaction).await?;
    if let IntentAnswer::Refused { detail, .. } = &answer {
        let caused = Caused {
            by: intent.node.clone(),
            action: AuditAction::LocalRequestRefused,
            entry: refusal(intent, &actor, detail),
        };
        audit_room::record_caused(transaction, [caused]).await?;
    }
    Ok(answer)
}

/// The node has asked for so much that nothing more is stored for it, neither answers nor refusals. A removal is carried out all the same:
/// access must end, and repeating one changes nothing.
async fn answer_unrecorded(
    app: &App,
    transaction: &DatabaseTransaction,
    intent: &Intent,
    actor: &Actor,
) -> Result<IntentAnswer, DbErr> {
    match &intent.action {
        IntentAction::CreateUser { .. } => Ok(refused(
            IntentRefusal::NodeUnavailable,
            "this node has asked for too much in the last day: try again tomorrow, or create users at management",
        )),
        IntentAction::RemoveUser { .. } => carry_out(app, transaction, intent, actor).await,
    }
}

async fn carry_out(
    app: &App,
    transaction: &DatabaseTransaction,
    intent: &Intent,
    actor: &Actor,
) -> Result<IntentAnswer, DbErr> {
    match &intent.action {
        IntentAction::CreateUser { username, expires_at } => {
            if expires_at.is_some_and(|at| at <= Utc::now()) {
                return Ok(refused(
                    IntentRefusal::Expiry,
                    "the expiry is in the past by the time it arrived",
                ));
            }
            let most = app.config.node.max_users;
            if has_enough_users(transaction, &intent.node, most).await? {
                return Ok(refused(
                    IntentRefusal::NodeUnavailable,
                    &format!(
                        "this node has created {most} users and may create no more (NODE_MAX_USERS of management): remove some, or create users at management"
                    ),
                ));
            }
            let new = NewUser {
                expires_at: expires_at.map(Some),
                home: Home::Asking(intent.node.clone()),
                ..NewUser::named(username.clone(), actor.clone())
            };
            let created = create::create_within(transaction, &app.config.placement_rules(), &[new]).await?;
            created
                .into_iter()
                .next()
                .map_or(Ok(IntentAnswer::Unavailable), answer_to_create)
        }
        IntentAction::RemoveUser { user_key, .. } => {
            let found = user::Entity::find_living()
                .filter(user::Column::Key.eq(*user_key))
                .lock_exclusive()
                .one(transaction)
                .await?;
            let Some(user) = found else {
                return Ok(refused(IntentRefusal::UnknownUser, "the user is removed already"));
            };
            let holds = placement::Entity::find_of([user.id])
                .filter(placement::Column::ServerId.eq(intent.node.clone()))
                .filter(placement::COLUMN.wanted_present.eq(true))
                .one(transaction)
                .await?;
            if holds.is_none() {
                return Ok(refused(IntentRefusal::UnknownUser, "the user is not on this node"));
            }
            let view = remove_within(transaction, &app.config.server_id, actor, user).await?;
            Ok(IntentAnswer::Accepted {
                user_key: *user_key,
                revision: Revision(view.user.revision),
            })
        }
    }
}

fn answer_to_create(created: Result<UserView, CreateUserError>) -> Result<IntentAnswer, DbErr> {
    match created {
        Ok(view) => Ok(IntentAnswer::Accepted {
            user_key: view.user.key,
            revision: Revision(view.user.revision),
        }),
        Err(error @ CreateUserError::UsernameTaken) => Ok(refused(IntentRefusal::UsernameTaken, &error.to_string())),
        Err(
            error @ (CreateUserError::UnknownGroup(_)
            | CreateUserError::UnknownServer
            | CreateUserError::ServerInOtherPool { .. }
            | CreateUserError::ServerUnavailable
            | CreateUserError::ServerLost { .. }
            | CreateUserError::NoServer { .. }),
        ) => Ok(refused(IntentRefusal::NodeUnavailable, &error.to_string())),
        // It asks for no own rules.
        Err(CreateUserError::LacksOwnGroup(_) | CreateUserError::Database(_) | CreateUserError::Stopping) => {
            Ok(IntentAnswer::Unavailable)
        }
    }
}

/// The audit entry for a request that was refused.
fn refusal(intent: &Intent, actor: &Actor, detail: &str) -> Entry {
    let (asked, username) = match &intent.action {
        IntentAction::CreateUser { username, .. } => ("create", username),
        IntentAction::RemoveUser { username, .. } => ("delete", username),
    };
    Entry::new(actor, AuditAction::LocalRequestRefused, &intent.node)
        .about(username)
        .details(format!("{asked}: {detail}"))
}

fn refused(reason: IntentRefusal, detail: &str) -> IntentAnswer {
    IntentAnswer::Refused {
        reason,
        detail: detail.to_owned(),
    }
}
