//! One entry of a list, as it was sent: checked here, by the rules of the operations for one user.

use std::fmt::Display;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use poem_openapi::Enum;
use vpnmanager_nats::groups::GroupName;
use vpnmanager_nats::username::Username;
use vpnmanager_openapi::problem::ApiError;
use vpnmanager_openapi::time::Timestamp;

use super::limits::SaidLimits;
use crate::api::users::schema::in_the_future;
use crate::domain::actor::Actor;
use crate::domain::own_limits::OwnLimits;
use crate::domain::placement::Home;
use crate::ops::users::change::UserChange;
use crate::ops::users::create::NewUser;
use crate::ops::users::operation::UserOperation;

/// What to do with a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case", rename = "BulkAction")]
pub(super) enum Action {
    /// As `POST /api/users`.
    Create,
    /// As `PATCH /api/users/{username}`.
    Change,
    /// As `DELETE /api/users/{username}`.
    Remove,
}

/// When access ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    /// Not said.
    LeftOut,
    /// It does not end by itself.
    Never,
    /// At this time.
    At(String),
}

/// The values of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) action: Action,
    pub(super) username: String,
    pub(super) active: Option<bool>,
    pub(super) expires_at: End,
    pub(super) server_id: Option<String>,
    pub(super) group: Option<String>,
    pub(super) limits: SaidLimits,
}

impl Entry {
    /// The operation, or what is wrong with it.
    pub(super) fn into_operation(self, actor: &Actor) -> Result<UserOperation, ApiError> {
        let username: Username = parsed("username", &self.username)?;
        let group = match &self.group {
            Some(name) if self.action != Action::Remove => Some(parsed::<GroupName>("group", name)?),
            Some(_) | None => None,
        };
        match self.action {
            Action::Create => Ok(UserOperation::Create(NewUser {
                active: self.active.unwrap_or(true),
                expires_at: self.expires_at.parse()?,
                group: group.unwrap_or_default(),
                limits: OwnLimits::default().changed(self.limits.into_change()?),
                home: match &self.server_id {
                    Some(id) => Home::Named(parsed("server_id", id)?),
                    None => Home::Any,
                },
                ..NewUser::named(username, actor.clone())
            })),
            Action::Change => {
                if self.server_id.is_some() {
                    return Err(ApiError::invalid("server_id", "is taken by create only: leave it out"));
                }
                let change = UserChange {
                    active: self.active,
                    expires_at: self.expires_at.parse()?,
                    group,
                    limits: self.limits.into_change()?,
                };
                Ok(UserOperation::Change { username, change })
            }
            Action::Remove => match self.first_value() {
                Some(field) => Err(ApiError::invalid(field, "is not taken by remove: leave it out")),
                None => Ok(UserOperation::Remove { username }),
            },
        }
    }

    /// A value beside the username.
    fn first_value(&self) -> Option<&'static str> {
        let given = [
            ("active", self.active.is_some()),
            ("expires_at", self.expires_at != End::LeftOut),
            ("server_id", self.server_id.is_some()),
            ("group", self.group.is_some()),
        ];
        let given = given
            .into_iter()
            .find_map(|(field, is_given)| is_given.then_some(field));
        given.or_else(|| self.limits.first_value())
    }
}

impl End {
    /// `None`: not said. `Some(None)`: access does not end by itself.
    fn parse(&self) -> Result<Option<Option<DateTime<Utc>>>, ApiError> {
        match self {
            Self::LeftOut => Ok(None),
            Self::Never => Ok(Some(None)),
            Self::At(text) => {
                let end: Timestamp = parsed("expires_at", text)?;
                Ok(Some(Some(in_the_future(end)?)))
            }
        }
    }
}

fn parsed<T: FromStr<Err: Display>>(field: &str, text: &str) -> Result<T, ApiError> {
    text.parse()
        .map_err(|error: T::Err| ApiError::invalid(field, error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(action: Action) -> Entry {
        Entry {
            action,
            username: "alice".to_owned(),
            active: None,
            expires_at: End::LeftOut,
            server_id: None,
            group: None,
            limits: SaidLimits::default(),
        }
    }

    /// The field that is refused.
    fn refused(entry: Entry) -> Option<String> {
        let refusal = entry.into_operation(&Actor::key("test", None, None)).err()?;
        Some(refusal.problem().errors.first().expect("a field").field.clone())
    }

    #[test]
    fn a_value_that_an_action_does_not_take_is_named() {
        for action in [Action::Create, Action::Change, Action::Remove] {
            assert_eq!(refused(entry(action)), None);
            let is_remove = action == Action::Remove;
            let suspended = Entry {
                active: Some(false),
                ..entry(action)
            };
            assert_eq!(refused(suspended), is_remove.then(|| "active".to_owned()));
            let endless = Entry {
                expires_at: End::Never,
                ..entry(action)
            };
            assert_eq!(refused(endless), is_remove.then(|| "expires_at".to_owned()));
            let at_home = Entry {
                server_id: Some("node-1".to_owned()),
                ..entry(action)
            };
            let is_refused = action != Action::Create;
            assert_eq!(refused(at_home), is_refused.then(|| "server_id".to_owned()));
            let in_group = Entry {
                group: Some("sales".to_owned()),
                ..entry(action)
            };
            assert_eq!(refused(in_group), is_remove.then(|| "group".to_owned()));
            let limited = Entry {
                limits: SaidLimits {
                    sessions: Some(None),
                    ..SaidLimits::default()
                },
                ..entry(action)
            };
            assert_eq!(refused(limited), is_remove.then(|| "limits.sessions".to_owned()));
        }
    }

    #[test]
    fn a_bad_value_is_named() {
        let bad_name = Entry {
            username: "-a".to_owned(),
            ..entry(Action::Remove)
        };
        assert_eq!(refused(bad_name).as_deref(), Some("username"));
        for end in ["soon", "2020-01-01T00:00:00Z"] {
            let past = Entry {
                expires_at: End::At(end.to_owned()),
                ..entry(Action::Change)
            };
            assert_eq!(refused(past).as_deref(), Some("expires_at"), "{end}");
        }
        let nowhere = Entry {
            server_id: Some("a.b".to_owned()),
            ..entry(Action::Create)
        };
        assert_eq!(refused(nowhere).as_deref(), Some("server_id"));
        for action in [Action::Create, Action::Change] {
            let odd = Entry {
                group: Some("Sales".to_owned()),
                ..entry(action)
            };
            assert_eq!(refused(odd).as_deref(), Some("group"));
            let too_many = Entry {
                limits: SaidLimits {
                    devices: Some(Some("17".to_owned())),
                    ..SaidLimits::default()
                },
                ..entry(action)
            };
            assert_eq!(refused(too_many).as_deref(), Some("limits.devices"));
        }
    }
}
