//! Creates users; many callers share one transaction.

use std::{collections::HashSet, sync::Arc};

use chrono::{DateTime, SubsecRound, Utc};
use sea_orm::{ColumnTrait, DatabaseConnection, DatabaseTransaction, DbErr, QueryFilter};
use vpnmanager_entities::{
    group,
    placement::{self, Role},
    user,
};
use vpnmanager_nats::{
    groups::GroupName,
    ids::{DEFAULT_POOL, NodeId, UserKey},
    own_rules::OwnRules,
    username::Username,
};

use crate::{
    domain::{
        actor::Actor,
        lifetime::Lifetime,
        own_limits::OwnLimits,
        own_rules::OwnGroup,
        placement::{Fleet, Home, Placement, Unplaceable, Wanted, place_new},
        shown_time::shown_time,
    },
    ops::{
        groups::hold::{hold_groups, hold_own_groups},
        placement::read_fleet::read_fleet_locked,
        transact::transact,
        users::{
            insert::{insert_details, insert_users},
            read::UserView,
        },
    },
};

/// A user to create. The expiry, if any, lies in the future.
#[derive(Debug, Clone)]
pub struct NewUser {
    /// The name.
    pub username: Username,
    /// `false`: suspended from the start.
    pub active: bool,
    /// When access ends; `Some(None)`: it does not end by itself; `None`: as the group says.
    pub expires_at: Option<Option<DateTime<Utc>>>,
    /// The group that it is in.
    pub group: GroupName,
    /// Own values for what management holds the user to.
    pub limits: OwnLimits,
    /// Own values for what nodes hold the user to.
    pub rules: OwnRules,
    /// Who chooses the home.
    pub home: Home,
    /// Who asked.
    pub actor: Actor,
}

impl NewUser {
    /// A user with this name and no other wishes.
    pub fn named(username: Username, actor: Actor) -> Self {
        Self {
            username,
            active: true,
            expires_at: None,
            group: GroupName::default(),
            limits: OwnLimits::default(),
            rules: OwnRules::default(),
            home: Home::Any,
            actor,
        }
    }
}

/// Why a user was not created. Nothing was changed, except possibly after [`CreateUserError::Database`].
#[derive(Debug, Clone, thiserror::Error)]
pub enum CreateUserError {
    /// A living user has the name.
    #[error("the username is taken")]
    UsernameTaken,
    /// There is no such group.
    #[error("there is no group {0}")]
    UnknownGroup(GroupName),
    /// The group that stands for the own rules is not there.
    #[error("the group for the own values of the user is not there")]
    LacksOwnGroup(Box<OwnGroup>),
    /// There is no such node.
    #[error("there is no such server")]
    UnknownServer,
    /// The node is in another pool than the one that the group places its members in.
    #[error("the group {group} places its members in the pool {pool}, and the server {server} is in another one")]
    ServerInOtherPool {
        /// The node.
        server: NodeId,
        /// The group.
        group: GroupName,
        /// Its pool.
        pool: NodeId,
    },
    /// The node takes no users: disabled, draining or leaving its pool.
    #[error("the server takes no users")]
    ServerUnavailable,
    /// The node is lost, or not in sync again.
    #[error("the server {server} is lost since {}", shown_time(*since))]
    ServerLost {
        /// The node.
        server: NodeId,
        /// Since when.
        since: DateTime<Utc>,
    },
    /// No node of this pool takes users.
    #[error("no end-node of the pool {pool} takes users: enrol one first")]
    NoServer {
        /// The pool.
        pool: String,
        /// The group that places its members there; `None`: none says where.
        group: Option<GroupName>,
    },
    /// The database refused it or did not answer.
    #[error("recording the user failed")]
    Database(#[source] Arc<DbErr>),
    /// The process is about to stop.
    #[error("management is stopping")]
    Stopping,
}

impl From<DbErr> for CreateUserError {
    fn from(error: DbErr) -> Self {
        Self::Database(Arc::new(error))
    }
}

/// How users are placed.
#[derive(Debug, Clone)]
pub struct PlacementRules {
    /// Nodes for each user, its home included, in a pool that says nothing else; at least 1.
    pub nodes_per_user: usize,
    /// The name of this management replica in the audit trail.
    pub recorder: String,
}

/// Creates a batch in one transaction. Returns one result for each user, in the same order; a user that cannot be created does not
/// affect the others.
pub async fn create_batch(
    db: &DatabaseConnection,
    rules: &PlacementRules,
    batch: Vec<NewUser>,
) -> Vec<Result<UserView, CreateUserError>> {
    let batch = batch.as_slice();
    match transact(db, |tx| async move { create_within(&tx, rules, batch).await }).await {
        Ok(results) => results,
        Err(error) => {
            let error = CreateUserError::from(error);
            batch.iter().map(|_| Err(error.clone())).collect()
        }
    }
}

/// Like [`create_batch`], within a transaction of the caller. After an error the transaction can only be rolled back.
pub async fn create_within(
    transaction: &DatabaseTransaction,
    rules: &PlacementRules,
    batch: &[NewUser],
) -> Result<Vec<Result<UserView, CreateUserError>>, DbErr> {
    let fleet = read_fleet_locked(transaction).await?;
    let named = batch.iter().map(|new| new.group.clone()).collect();
    let groups = hold_groups(transaction, named).await?;
    let draft = |new: &NewUser| {
        let group = groups.get(&new.group);
        let group = group.ok_or_else(|| CreateUserError::UnknownGroup(new.group.clone()))?;
        Draft::place(new, group, &fleet, rules.nodes_per_user)
    };
    let drafts = batch.iter().map(draft).collect();
    let drafts = refuse_lacking(transaction, batch, drafts).await?;

    let users = drafts.iter().flatten().map(|draft| &draft.user).collect();
    let ids = insert_users(transaction, users).await?;
    let views: Vec<Result<UserView, CreateUserError>> = drafts
        .into_iter()
        .map(|draft| {
            let draft = draft?;
            match ids.get(&draft.user.key) {
                Some(id) => Ok(draft.into_view(*id)),
                None => Err(CreateUserError::UsernameTaken),
            }
        })
        .collect();
    let created: Vec<(&Actor, &UserView)> = batch
        .iter()
        .zip(&views)
        .filter_map(|(new, view)| Some((&new.actor, view.as_ref().ok()?)))
        .collect();
    insert_details(transaction, &rules.recorder, &created).await?;
    Ok(views)
}

/// Refuses those whose group for own rules is not there. It is made only for who can be created otherwise.
async fn refuse_lacking(
    transaction: &DatabaseTransaction,
    batch: &[NewUser],
    drafts: Vec<Result<Draft, CreateUserError>>,
) -> Result<Vec<Result<Draft, CreateUserError>>, DbErr> {
    let own = |new: &NewUser| OwnGroup::of(&new.group, &new.rules);
    let named = batch.iter().filter_map(own).map(|own| own.name).collect();
    let held = hold_own_groups(transaction, named).await?;
    let lacking = |new: &NewUser| own(new).filter(|own| !held.contains(&own.name));
    let names = batch.iter().filter(|new| lacking(new).is_some());
    let names = names.map(|new| new.username.as_str()).collect();
    let taken = taken_names(transaction, names).await?;
    let drafts = batch.iter().zip(drafts).map(|(new, draft)| {
        let draft = draft?;
        match lacking(new) {
            None => Ok(draft),
            Some(_) if taken.contains(&new.username) => Err(CreateUserError::UsernameTaken),
            Some(own) => Err(CreateUserError::LacksOwnGroup(Box::new(own))),
        }
    });
    Ok(drafts.collect())
}

/// Those of these names that living users have.
async fn taken_names(transaction: &DatabaseTransaction, names: Vec<&str>) -> Result<HashSet<Username>, DbErr> {
    if names.is_empty() {
        return Ok(HashSet::new());
    }
    let found = user::Entity::find_living()
        .filter(user::Column::Username.is_in(names))
        .all(transaction)
        .await?;
    Ok(found.into_iter().map(|user| user.username).collect())
}

/// A user and its nodes, before the database has given it an id.
struct Draft {
    user: user::Model,
    nodes: Vec<(NodeId, Role)>,
}

impl Draft {
    fn place(new: &NewUser, group: &group::Model, fleet: &Fleet, replicas: usize) -> Result<Self, CreateUserError> {
        let key = UserKey::new();
        let wanted = Wanted {
            home: &new.home,
            pool: group.pool.as_ref(),
        };
        let placed = place_new(key, wanted, fleet, replicas);
        let Placement { home, nodes } = placed.map_err(|error| unplaceable(error, &new.home, group))?;
        let created_at = Utc::now().trunc_subsecs(6);
        let OwnLimits {
            devices,
            sessions,
            session_excess,
            quota,
        } = new.limits;
        let own_group = OwnGroup::of(&group.name, &new.rules);
        let (own_group, own_rules) = own_group.map(|own| (own.name, own.rules)).unzip();
        let user = user::Model {
            id: 0,
            key,
            username: new.username.clone(),
            created_at,
            expires_at: match new.expires_at {
                Some(at) => at.map(|at| at.trunc_subsecs(6)),
                None => end_by_group(group, created_at),
            },
            active: new.active,
            ovpn_path: None,
            port: home.public_port,
            protocol: home.public_protocol,
            last_access: None,
            checksum: None,
            synced: false,
            server_id: home.name.clone(),
            created_by: new.actor.creator(),
            group_name: group.name.clone(),
            revision: 1,
            former_pool: None,
            own_devices: devices,
            own_sessions: sessions,
            own_session_excess: session_excess,
            own_traffic_bytes: quota.map(|quota| quota.bytes),
            own_traffic_period: quota.map(|quota| quota.period),
            own_traffic_reset_day: quota.map(|quota| quota.reset_day),
            own_rules,
            own_group,
            over_quota_since: None,
            traffic_forgiven: 0,
            forgiven_on: None,
            quota_warned_from: None,
            refused_again_at: None,
            removed_at: None,
        };
        Ok(Self { user, nodes })
    }

    fn into_view(self, id: i64) -> UserView {
        let created_at = self.user.created_at;
        let placements = self.nodes.into_iter().map(|(node, role)| placement::Model {
            id: 0,
            user_id: id,
            server_id: node,
            role,
            wanted_present: true,
            wanted_revision: 1,
            applied_revision: 0,
            applied_at: None,
            outcome: None,
            error: None,
            published_revision: 0,
            published_sequence: 0,
            published_at: None,
            attempts: 0,
            lease_until: DateTime::<Utc>::UNIX_EPOCH,
            urgent_since: None,
            asked_at: None,
            digest: 0,
            created_at,
        });
        let placements = placements.collect();
        UserView {
            user: user::Model { id, ..self.user },
            placements,
        }
    }
}

/// When access ends of a user of this group who is created at this time, and of whom nothing else is said.
fn end_by_group(group: &group::Model, created_at: DateTime<Utc>) -> Option<DateTime<Utc>> {
    Lifetime::of_seconds(group.lifetime?).end(created_at)
}

fn unplaceable(error: Unplaceable, home: &Home, group: &group::Model) -> CreateUserError {
    let none = || CreateUserError::NoServer {
        pool: group
            .pool
            .as_ref()
            .map_or_else(|| DEFAULT_POOL.to_owned(), ToString::to_string),
        group: group.pool.as_ref().map(|_| group.name.clone()),
    };
    let server = match home {
        Home::Any => None,
        Home::Named(server) | Home::Asking(server) => Some(server.clone()),
    };
    match error {
        Unplaceable::UnknownHome => CreateUserError::UnknownServer,
        Unplaceable::HomeTakesNobody => CreateUserError::ServerUnavailable,
        Unplaceable::HomeInOtherPool => match (server, group.pool.clone()) {
            (Some(server), Some(pool)) => CreateUserError::ServerInOtherPool {
                server,
                group: group.name.clone(),
                pool,
            },
            // Nothing else is refused so.
            (None, _) | (_, None) => none(),
        },
        Unplaceable::HomeIsLost(since) => match server {
            Some(server) => CreateUserError::ServerLost { server, since },
            None => none(),
        },
        Unplaceable::NoNode => none(),
    }
}
