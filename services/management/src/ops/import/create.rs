//! Creates the users of a source, many with one statement.

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr, Statement};
use vpnmanager_nats::own_rules::OwnRules;

use super::{
    order::{ImportError, Order, Step},
    rows,
};
use crate::{
    domain::{
        import::{
            certificates::NewCertificate,
            planned::{Newcomer, Planned, Work},
        },
        own_limits::OwnLimits,
        placement::Home,
    },
    ops::users::create::{CreateUserError, NewUser, PlacementRules, create_within},
};

/// Users that are created with one statement: PostgreSQL takes 65,535 values in one, and a user has less than 60.
const CHUNK: usize = 1_000;

/// Creates those that are to be created, in the order of their names, as others do it, so that nobody waits in a circle. Who has got a name meanwhile
/// is a conflict.
pub(super) async fn create(
    transaction: &DatabaseTransaction,
    rules: &PlacementRules,
    order: &Order<'_>,
    planned: &mut [Planned],
    step: &mut Step<'_>,
) -> Result<(), ImportError> {
    let mut newcomers: Vec<(&mut Planned, Newcomer)> = planned.iter_mut().filter_map(newcomer).collect();
    newcomers.sort_by(|(_, one), (_, other)| one.username.cmp(&other.username));
    for chunk in newcomers.chunks_mut(CHUNK) {
        let new: Vec<NewUser> = chunk.iter().map(|(_, newcomer)| new_user(newcomer, order)).collect();
        let created = create_within(transaction, rules, &new).await?;
        let mut users = Vec::with_capacity(created.len());
        for ((planned, newcomer), created) in chunk.iter_mut().zip(created) {
            match created {
                Ok(view) => users.push((view.user.id, &*newcomer)),
                Err(CreateUserError::UsernameTaken) => planned.lose("somebody created a user of this name"),
                // The others are about the node or the group, and so about all users.
                Err(error) => return Err(ImportError::Create(error)),
            }
        }
        let certificates: Vec<(i64, &NewCertificate)> = users
            .iter()
            .flat_map(|(id, newcomer)| newcomer.certificates.iter().map(|certificate| (*id, certificate)))
            .collect();
        rows::insert(transaction, order.node, &certificates).await?;
        keep_times(transaction, &users).await?;
        step.done(new.len());
    }
    Ok(())
}

/// Who is to be created, with the work that is left for it: who is not created has none.
fn newcomer(planned: &mut Planned) -> Option<(&mut Planned, Newcomer)> {
    let newcomer = match &planned.work {
        Work::Create(newcomer) => Newcomer::clone(newcomer),
        Work::None | Work::Amend(_) => return None,
    };
    Some((planned, newcomer))
}

fn new_user(newcomer: &Newcomer, order: &Order<'_>) -> NewUser {
    NewUser {
        username: newcomer.username.clone(),
        active: newcomer.active,
        expires_at: newcomer.expires_at.map(Some),
        group: order.policies.group.clone(),
        limits: OwnLimits::default(),
        rules: OwnRules::default(),
        home: Home::Named(order.node.clone()),
        actor: order.actor.clone(),
    }
}

/// Keeps when the old server created and saw the users. A time in the future is none that it can have been.
async fn keep_times(transaction: &DatabaseTransaction, users: &[(i64, &Newcomer)]) -> Result<(), DbErr> {
    let told = users
        .iter()
        .filter(|(_, newcomer)| newcomer.created_at.is_some() || newcomer.last_access.is_some());
    let (mut ids, mut created, mut seen) = (Vec::new(), Vec::new(), Vec::new());
    for (id, newcomer) in told {
        // The arrays hold no NULL: this time stands for it.
        let never = DateTime::<Utc>::UNIX_EPOCH;
        ids.push(*id);
        created.push(newcomer.created_at.unwrap_or(never).max(never));
        seen.push(newcomer.last_access.unwrap_or(never).max(never));
    }
    if ids.is_empty() {
        return Ok(());
    }
    let statement = Statement::from_sql_and_values(
        transaction.get_database_backend(),
        // `LEAST` passes NULL over.
        "UPDATE users u SET created_at = LEAST(NULLIF(t.created, 'epoch'), u.created_at),
             last_access = CASE WHEN t.seen > 'epoch' THEN LEAST(t.seen, now()) END
         FROM UNNEST($1::bigint[], $2::timestamptz[], $3::timestamptz[]) AS t (id, created, seen) WHERE u.id = t.id",
        [ids.into(), created.into(), seen.into()],
    );
    transaction.execute_raw(statement).await.map(drop)
}
