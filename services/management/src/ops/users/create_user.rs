//! Creates one user, and what its own rules need for that.

use crate::{
    app::App,
    domain::own_rules::OwnGroup,
    ops::{
        groups::{
            check::check_own_rules,
            ensure_own::{LacksOwnGroup, OwnGroupError, with_own_group},
        },
        scope::{BeyondScope, beyond},
        users::{
            create::{CreateUserError, NewUser},
            read::UserView,
        },
    },
};

/// Why a user was not created.
#[derive(Debug, thiserror::Error)]
pub enum CreateOneError {
    /// It cannot be there so.
    #[error(transparent)]
    User(#[from] CreateUserError),
    /// Nobody can have such own rules.
    #[error(transparent)]
    OwnGroup(#[from] OwnGroupError),
    /// Who asked may put nobody there.
    #[error(transparent)]
    Beyond(#[from] BeyondScope),
}

impl LacksOwnGroup for CreateOneError {
    fn lacking(&self) -> Option<&OwnGroup> {
        match self {
            Self::User(CreateUserError::LacksOwnGroup(lacking)) => Some(lacking),
            Self::User(_) | Self::OwnGroup(_) | Self::Beyond(_) => None,
        }
    }
}

/// Creates a user, in a transaction with others who are created at this moment.
pub async fn create_user(app: &App, new: &NewUser) -> Result<UserView, CreateOneError> {
    let beyond = beyond(&app.db, &new.actor.scope, &new.group, &new.home).await;
    if let Some(beyond) = beyond.map_err(CreateUserError::from)? {
        return Err(beyond.into());
    }
    check_own_rules(app, &app.db, &new.rules)
        .await
        .map_err(OwnGroupError::from)?;
    with_own_group(app, || submit(app, new)).await
}

async fn submit(app: &App, new: &NewUser) -> Result<UserView, CreateOneError> {
    Ok(app.creates.submit(new.clone()).await?)
}
