//! Creates a group.

use sea_orm::{ActiveModelTrait, ActiveValue::Set, DatabaseTransaction, DbErr};
use vpnmanager_entities::group::{self, SessionExcess};
use vpnmanager_nats::{
    groups::{GroupName, GroupRules},
    ids::NodeId,
};

use crate::{
    app::App,
    domain::{
        actor::Actor, audit_action::AuditAction, lifetime::Lifetime, own_rules::stands_for_own_rules, quota::Quota,
    },
    ops::{
        audit::{self, Entry, group_snapshot},
        groups::{
            check::{CheckGroupError, check_pool, check_routes, check_rules},
            read::{self, GroupView},
            tell::{TellGroupsError, check_room, count_change},
        },
        in_turn::transact_on_fleet,
        nodes::{one_at_a_time::one_at_a_time, request_handshakes::request_all},
        quotas::set::set_quota,
    },
};

/// A group to create.
#[derive(Debug, Clone)]
pub struct NewGroup {
    /// Its name.
    pub name: GroupName,
    /// The pool that new members are placed in; `None`: `default`, or that of the node that is asked for.
    pub pool: Option<NodeId>,
    /// What every node holds its members to.
    pub rules: GroupRules,
    /// The most devices of a member, 1 to 16; `None`: 16.
    pub devices: Option<i16>,
    /// The most devices of a member that are connected at the same time, 1 to 16; `None`: any number.
    pub sessions: Option<i16>,
    /// What happens beyond that.
    pub session_excess: SessionExcess,
    /// How long new members have access; `None`: without end.
    pub lifetime: Option<Lifetime>,
    /// The traffic of each member in a period; `None`: any amount.
    pub quota: Option<Quota>,
}

impl NewGroup {
    /// A group with this name that asks nothing of its members.
    pub fn named(name: GroupName) -> Self {
        Self {
            name,
            pool: None,
            rules: GroupRules::default(),
            devices: None,
            sessions: None,
            session_excess: SessionExcess::default(),
            lifetime: None,
            quota: None,
        }
    }
}

/// Why a group was not created.
#[derive(Debug, thiserror::Error)]
pub enum CreateGroupError {
    /// There is a group of that name.
    #[error("there is a group of that name")]
    NameTaken,
    /// Groups for own rules of users have such names.
    #[error("such a name stands for own values of users")]
    NameOfOwnRules,
    /// It cannot be so.
    #[error(transparent)]
    Check(#[from] CheckGroupError),
    /// Nodes cannot be told.
    #[error(transparent)]
    Tell(#[from] TellGroupsError),
    /// The database failed.
    #[error("recording the group failed")]
    Database(#[from] DbErr),
}

/// Creates a group without members, and has all nodes asked for a handshake, whose answer brings them the group.
pub async fn create_group(app: &App, actor: &Actor, new: NewGroup) -> Result<GroupView, CreateGroupError> {
    let new = &new;
    transact_on_fleet(app, |tx| async move { record(app, &tx, actor, new).await }).await
}

async fn record(
    app: &App,
    transaction: &DatabaseTransaction,
    actor: &Actor,
    new: &NewGroup,
) -> Result<GroupView, CreateGroupError> {
    if stands_for_own_rules(&new.name) {
        return Err(CreateGroupError::NameOfOwnRules);
    }
    one_at_a_time(transaction).await?;
    let existing = group::Entity::find_by_group_name(&new.name).one(transaction).await?;
    if existing.is_some() {
        return Err(CreateGroupError::NameTaken);
    }
    if let Some(pool) = &new.pool {
        check_pool(transaction, pool).await?;
    }
    check_rules(&new.rules)?;
    check_routes(app, transaction, &new.rules.routes).await?;
    // Nodes before groups, as everywhere.
    request_all(transaction).await?;
    check_room(transaction).await?;
    let mut row = group::ActiveModel {
        name: Set(new.name.clone()),
        pool: Set(new.pool.clone()),
        rules: Set(new.rules.clone()),
        devices: Set(new.devices),
        sessions: Set(new.sessions),
        session_excess: Set(new.session_excess),
        lifetime: Set(new.lifetime.map(Lifetime::seconds)),
        ..Default::default()
    };
    set_quota(&mut row, new.quota);
    let made = row.insert(transaction).await?;
    count_change(transaction).await?;
    let entry = Entry::new(actor, AuditAction::GroupCreated, &app.config.server_id).after(group_snapshot(&made));
    audit::record_one(transaction, entry).await?;
    Ok(read::view(transaction, made).await?)
}
