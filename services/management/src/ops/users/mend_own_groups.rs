//! Puts users into the right group for their own rules. A replica of a release before own rules puts a user into another group, or deletes a group,
//! and leaves the rest as it is.

use sea_orm::{DatabaseConnection, DbErr, FromQueryResult, Statement};
use vpnmanager_nats::{groups::GroupName, own_rules::OwnRules, username::Username};

use crate::{
    app::App,
    domain::{actor::Actor, own_rules::OwnGroup},
    ops::{
        groups::ensure_own::ensure_own_group,
        users::{
            change::{ChangeUserError, UserChange, change_user},
            locked::LivingUserError,
        },
    },
};

/// Users of one run.
const BATCH: usize = 100;

/// A user whose group for own rules is not there, or is one of another group.
#[derive(FromQueryResult)]
struct Misplaced {
    username: Username,
    group_name: GroupName,
    own_rules: OwnRules,
}

/// Changes up to 100 users who are in a wrong one, and says whether there may be more. Replicas may do this at once.
///
/// # Errors
/// The first one, after all were tried.
pub async fn mend_own_groups(app: &App) -> Result<bool, ChangeUserError> {
    let misplaced = misplaced(&app.db).await?;
    let mut failed = None;
    for user in &misplaced {
        if let Err(error) = mend(app, user).await {
            failed = failed.or(Some(error));
        }
    }
    failed.map_or(Ok(misplaced.len() == BATCH), Err)
}

async fn misplaced(db: &DatabaseConnection) -> Result<Vec<Misplaced>, DbErr> {
    let statement = Statement::from_string(
        db.get_database_backend(),
        format!(
            "SELECT u.username, u.group_name, u.own_rules FROM users u LEFT JOIN own_groups o ON o.name = u.own_group
             WHERE u.own_group IS NOT NULL AND u.removed_at IS NULL AND o.group_name IS DISTINCT FROM u.group_name
             ORDER BY u.id LIMIT {BATCH}"
        ),
    );
    Misplaced::find_by_statement(statement).all(db).await
}

async fn mend(app: &App, user: &Misplaced) -> Result<(), ChangeUserError> {
    // A change makes it only for who gets into it.
    if let Some(own) = OwnGroup::of(&user.group_name, &user.own_rules) {
        ensure_own_group(app, &own).await?;
    }
    match change_user(app, &Actor::system(), &user.username, UserChange::default()).await {
        Ok(_) | Err(ChangeUserError::User(LivingUserError::UnknownUser)) => Ok(()),
        Err(error) => Err(error),
    }
}
