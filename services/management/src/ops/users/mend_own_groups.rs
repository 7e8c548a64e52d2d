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

/// A user whose group for own rules is not there, or is one of another group. Of one whose own group is not there nothing can be mended.
#[derive(FromQueryResult)]
struct Misplaced {
    username: Username,
    group_name: GroupName,
    own_rules: OwnRules,
}

/// Changes up to 100 users who are in a wrong one, and says whether there may be more. Replicas may do this at once.
///
/// # Errors
/// The first one, after all were tried; none where there may be more and somebody was mended, because the next run comes at once and ends sooner
/// or later.
pub async fn mend_own_groups(app: &App) -> Result<bool, ChangeUserError> {
    let misplaced = misplaced(&app.db).await?;
    let mut is_any_mended = false;
    let mut failed = None;
    for user in &misplaced {
        match mend(app, user).await {
            Ok(()) => is_any_mended = true,
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    let more = is_any_mended && misplaced.len() == BATCH;
    match failed {
        Some(error) if !more => Err(error),
        Some(_) | None => Ok(more),
    }
}

/// Some of them, in another order each time: those who cannot be mended hold up nobody.
async fn misplaced(db: &DatabaseConnection) -> Result<Vec<Misplaced>, DbErr> {
    let statement = Statement::from_string(
        db.get_database_backend(),
        format!(
            "SELECT u.username, u.group_name, u.own_rules
             FROM users u JOIN groups g ON g.name = u.group_name LEFT JOIN own_groups o ON o.name = u.own_group
             WHERE u.own_group IS NOT NULL AND u.removed_at IS NULL AND o.group_name IS DISTINCT FROM u.group_name
             ORDER BY random() LIMIT {BATCH}"
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
