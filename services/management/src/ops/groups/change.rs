//! Changes what a group says of its members.

use chrono::{SubsecRound, Utc};
use sea_orm::{ActiveModelTrait, ActiveValue::Set, DatabaseTransaction, DbErr, IntoActiveModel};
use tracing::warn;
use vpnmanager_entities::group::{self, SessionExcess};
use vpnmanager_nats::{
    groups::{GroupName, GroupRules, Reach, Speed},
    ids::NodeId,
    network::Prefix,
};
use vpnmanager_runtime::log_limit::LogLimit;

use crate::{
    app::App,
    domain::{actor::Actor, audit_action::AuditAction, lifetime::Lifetime, quota::Quota},
    ops::{
        audit::{self, Entry, group_snapshot},
        groups::{
            check::{CheckGroupError, check_pool, check_routes, check_rules},
            read::{self, GroupView},
            tell::{TellGroupsError, count_change},
        },
        in_turn::transact_on_fleet,
        nodes::{one_at_a_time::one_at_a_time, request_handshakes::request_all},
        quotas::{set::set_quota, settle::settle_group},
    },
};

static NOT_SETTLED: LogLimit = LogLimit::new("settling groups after a change of their quotas failed");

/// What to change; a field that is `None` keeps its value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GroupChange {
    /// The pool that new members are placed in; `Some(None)`: `default`, or that of the node that is asked for.
    pub pool: Option<Option<NodeId>>,
    /// What members may reach; `Some(None)`: all that the network and the routes lead to.
    pub reach: Option<Option<Vec<Reach>>>,
    /// What members send into the tunnel besides the routes of their pool.
    pub routes: Option<Vec<Prefix>>,
    /// The speed of each device, both ways.
    pub speed: Option<Speeds>,
    /// The most devices of a member, 1 to 16; `Some(None)`: 16.
    pub devices: Option<Option<i16>>,
    /// The most devices of a member that are connected at the same time, 1 to 16; `Some(None)`: any number.
    pub sessions: Option<Option<i16>>,
    /// What happens beyond that.
    pub session_excess: Option<SessionExcess>,
    /// How long new members have access; `Some(None)`: without end.
    pub lifetime: Option<Option<Lifetime>>,
    /// The traffic of each member in a period; `Some(None)`: any amount.
    pub quota: Option<Option<Quota>>,
}

/// The speed of each device of a member; `None`: as fast as it goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Speeds {
    /// Towards the node.
    pub up: Option<Speed>,
    /// From the node.
    pub down: Option<Speed>,
}

/// Why a group was not changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeGroupError {
    /// There is no such group.
    #[error("there is no such group")]
    UnknownGroup,
    /// It cannot be so.
    #[error(transparent)]
    Check(#[from] CheckGroupError),
    /// Nodes cannot be told.
    #[error(transparent)]
    Tell(#[from] TellGroupsError),
    /// The database failed.
    #[error("recording the change failed")]
    Database(#[from] DbErr),
}

/// Changes a group. Where its rules change, or whether it has a quota, all nodes are asked for a handshake, whose answer brings them the change. If all values are the
/// same already, neither the revision nor the audit trail changes. Another pool or lifetime is for members that come; it changes nobody who
/// is one. After another quota, what is kept of the members is made to fit it, and the review of quotas, which is woken, judges them.
pub async fn change_group(
    app: &App,
    actor: &Actor,
    name: &GroupName,
    change: GroupChange,
) -> Result<GroupView, ChangeGroupError> {
    let change = &change;
    let view = transact_on_fleet(app, |tx| async move { record(app, &tx, actor, name, change).await }).await?;
    settle_members(app, &view.group).await;
    Ok(view)
}

/// Settles the members after a change of the quota, a few in each transaction. The change is made, whatever becomes of this: when it fails, or the
/// replica dies, the review of quotas of any replica goes on with it.
async fn settle_members(app: &App, group: &group::Model) {
    if group.quota_settled_upto.is_none() {
        return;
    }
    if let Err(error) = settle_group(app, group.id).await
        && let Some(times) = NOT_SETTLED.admit()
    {
        warn!(
            group = %group.name,
            error = app.reach.explain_any(&error),
            times,
            "Settling the members of a group after a change of its quota failed, the next review goes on with it"
        );
    }
    app.quotas.wake();
}

async fn record(
    app: &App,
    transaction: &DatabaseTransaction,
    actor: &Actor,
    name: &GroupName,
    change: &GroupChange,
) -> Result<GroupView, ChangeGroupError> {
    one_at_a_time(transaction).await?;
    let before = group::Entity::find_by_group_name(name).one(transaction).await?;
    let before = before.ok_or(ChangeGroupError::UnknownGroup)?;
    let after = changed(&before, change);
    if after == before {
        return Ok(read::view(transaction, before).await?);
    }
    if after.pool != before.pool
        && let Some(pool) = &after.pool
    {
        check_pool(transaction, pool).await?;
    }
    let quota = Quota::of(&after);
    let is_metered_anew = quota.is_some() != Quota::of(&before).is_some();
    let is_told = after.rules != before.rules || is_metered_anew;
    if is_told {
        check_rules(&after.rules)?;
        if after.rules.routes != before.rules.routes {
            check_routes(app, transaction, &after.rules.routes).await?;
        }
        // Nodes before the group, as everywhere.
        request_all(transaction).await?;
    }
    let mut row = before.clone().into_active_model();
    row.revision = Set(before.revision + 1);
    row.pool = Set(after.pool);
    row.rules = Set(after.rules);
    row.devices = Set(after.devices);
    row.sessions = Set(after.sessions);
    row.session_excess = Set(after.session_excess);
    row.lifetime = Set(after.lifetime);
    set_quota(&mut row, quota);
    if quota != Quota::of(&before) {
        row.quota_settled_upto = Set(Some(0));
    }
    row.changed_at = Set(Utc::now().trunc_subsecs(6));
    let after = row.update(transaction).await?;
    if is_told {
        count_change(transaction).await?;
    }
    let entry = Entry::new(actor, AuditAction::GroupChanged, &app.config.server_id)
        .before(group_snapshot(&before))
        .after(group_snapshot(&after));
    audit::record_one(transaction, entry).await?;
    Ok(read::view(transaction, after).await?)
}

/// The group with the values that are asked for.
fn changed(before: &group::Model, change: &GroupChange) -> group::Model {
    let held = &before.rules;
    let quota = change.quota.unwrap_or_else(|| Quota::of(before));
    let speed = change.speed.unwrap_or(Speeds {
        up: held.up,
        down: held.down,
    });
    group::Model {
        pool: change.pool.clone().unwrap_or_else(|| before.pool.clone()),
        rules: GroupRules {
            reach: change.reach.clone().unwrap_or_else(|| held.reach.clone()),
            routes: change.routes.clone().unwrap_or_else(|| held.routes.clone()),
            up: speed.up,
            down: speed.down,
        },
        devices: change.devices.unwrap_or(before.devices),
        sessions: change.sessions.unwrap_or(before.sessions),
        session_excess: change.session_excess.unwrap_or(before.session_excess),
        traffic_bytes: quota.map(|quota| quota.bytes),
        traffic_period: quota.map_or(before.traffic_period, |quota| quota.period),
        traffic_reset_day: quota.map_or(before.traffic_reset_day, |quota| quota.reset_day),
        lifetime: match change.lifetime {
            Some(lifetime) => lifetime.map(Lifetime::seconds),
            None => before.lifetime,
        },
        ..before.clone()
    }
}
