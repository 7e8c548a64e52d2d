//! One entry of a list, as it was sent: checked here, by the rules of the operations for one user.

use std::fmt::Display;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use poem_openapi::Enum;
use vpnmanager_nats::groups::GroupName;
use vpnmanager_nats::own_rules::OwnRules;
use vpnmanager_nats::username::Username;
use vpnmanager_openapi::problem::ApiError;
use vpnmanager_openapi::time::Timestamp;

use super::limits::SaidLimits;
use crate::api::users::reissue::OldProfiles;
use crate::api::users::schema::in_the_future;
use crate::domain::actor::Actor;
use crate::domain::own_limits::OwnLimits;
use crate::domain::placement::Home;
use crate::ops::users::change::UserChange;
use crate::ops::users::create::NewUser;
use crate::ops::users::operation::UserOperation;
use crate::ops::users::reissue::{Devices, Reissue};

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
    /// As `POST /api/users/{username}/devices/{device}/reissue`, of one device or of all that the user has.
    Reissue,
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
    pub(super) device: Option<String>,
    pub(super) old_profiles: Option<OldProfiles>,
    pub(super) made_before: Option<String>,
}

impl Entry {
    /// The operation, or what is wrong with it.
    pub(super) fn into_operation(self, actor: &Actor) -> Result<UserOperation, ApiError> {
        let username: Username = parsed("username", &self.username)?;
        let group = match &self.group {
            Some(name) if matches!(self.action, Action::Create | Action::Change) => {
                Some(parsed::<GroupName>("group", name)?)
            }
            Some(_) | None => None,
        };
        if self.action != Action::Reissue {
            refuse(self.first_of_reissue(), "is taken by reissue only: leave it out")?;
        }
        match self.action {
            Action::Create => {
                self.limits.check_told()?;
                let (limits, rules) = self.limits.into_changes()?;
                Ok(UserOperation::Create(NewUser {
                    active: self.active.unwrap_or(true),
                    expires_at: self.expires_at.parse()?,
                    group: group.unwrap_or_default(),
                    limits: OwnLimits::default().changed(limits),
                    rules: rules.applied_to(OwnRules::default()),
                    home: match &self.server_id {
                        Some(id) => Home::Named(parsed("server_id", id)?),
                        None => Home::Any,
                    },
                    ..NewUser::named(username, actor.clone())
                }))
            }
            Action::Change => {
                if self.server_id.is_some() {
                    return Err(ApiError::invalid("server_id", "is taken by create only: leave it out"));
                }
                let (limits, rules) = self.limits.into_changes()?;
                let change = UserChange {
                    active: self.active,
                    expires_at: self.expires_at.parse()?,
                    group,
                    limits,
                    rules,
                };
                Ok(UserOperation::Change { username, change })
            }
            Action::Remove => {
                refuse(self.first_of_user(), "is not taken by remove: leave it out")?;
                Ok(UserOperation::Remove { username })
            }
            Action::Reissue => {
                refuse(self.first_of_user(), "is not taken by reissue: leave it out")?;
                let reissue = self.reissue()?;
                Ok(UserOperation::Reissue { username, reissue })
            }
        }
    }

    fn reissue(&self) -> Result<Reissue, ApiError> {
        let devices = match &self.device {
            Some(name) => Devices::One(parsed("device", name)?),
            None => Devices::All,
        };
        let made_before = match &self.made_before {
            Some(text) => Some(that_has_passed(parsed("made_before", text)?)?),
            None => None,
        };
        Ok(Reissue {
            devices,
            old: self.old_profiles.unwrap_or_default().into(),
            made_before,
        })
    }

    /// A value of a user, beside the name.
    fn first_of_user(&self) -> Option<&'static str> {
        first_given(&[
            ("active", self.active.is_some()),
            ("expires_at", self.expires_at != End::LeftOut),
            ("server_id", self.server_id.is_some()),
            ("group", self.group.is_some()),
        ])
        .or_else(|| self.limits.first_value())
    }

    /// A value of a reissue.
    fn first_of_reissue(&self) -> Option<&'static str> {
        first_given(&[
            ("device", self.device.is_some()),
            ("old_profiles", self.old_profiles.is_some()),
            ("made_before", self.made_before.is_some()),
        ])
    }
}

fn first_given(fields: &[(&'static str, bool)]) -> Option<&'static str> {
    fields.iter().find_map(|(field, is_given)| is_given.then_some(*field))
}

fn refuse(given: Option<&str>, detail: &str) -> Result<(), ApiError> {
    match given {
        Some(field) => Err(ApiError::invalid(field, detail)),
        None => Ok(()),
    }
}

/// Refuses a time to come: by that no list could be sent again.
fn that_has_passed(made_before: Timestamp) -> Result<DateTime<Utc>, ApiError> {
    let made_before = made_before.to_utc();
    if made_before <= Utc::now() {
        Ok(made_before)
    } else {
        Err(ApiError::conflict("made_before", "must not be in the future"))
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
    use super::super::limits::REACH_AND_ROUTES;
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
            device: None,
            old_profiles: None,
            made_before: None,
        }
    }

    /// The field that is refused.
    fn refused(entry: Entry) -> Option<String> {
        let refusal = entry.into_operation(&Actor::key("test", None, None)).err()?;
        Some(refusal.problem().errors.first().expect("a field").field.clone())
    }

    #[test]
    fn a_value_that_an_action_does_not_take_is_named() {
        for action in [Action::Create, Action::Change, Action::Remove, Action::Reissue] {
            assert_eq!(refused(entry(action)), None);
            let takes_none = matches!(action, Action::Remove | Action::Reissue);
            let suspended = Entry {
                active: Some(false),
                ..entry(action)
            };
            assert_eq!(refused(suspended), takes_none.then(|| "active".to_owned()));
            let endless = Entry {
                expires_at: End::Never,
                ..entry(action)
            };
            assert_eq!(refused(endless), takes_none.then(|| "expires_at".to_owned()));
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
            assert_eq!(refused(in_group), takes_none.then(|| "group".to_owned()));
            let limited = Entry {
                limits: SaidLimits {
                    sessions: Some(None),
                    ..SaidLimits::default()
                },
                ..entry(action)
            };
            assert_eq!(refused(limited), takes_none.then(|| "limits.sessions".to_owned()));
            let of_reissue = [
                Entry {
                    device: Some("laptop".to_owned()),
                    ..entry(action)
                },
                Entry {
                    old_profiles: Some(OldProfiles::Keep),
                    ..entry(action)
                },
                Entry {
                    made_before: Some("2020-01-01T00:00:00Z".to_owned()),
                    ..entry(action)
                },
            ];
            for (given, field) in of_reissue.into_iter().zip(["device", "old_profiles", "made_before"]) {
                let is_refused = action != Action::Reissue;
                assert_eq!(refused(given), is_refused.then(|| field.to_owned()));
            }
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
        // A change leaves them as they are.
        for (action, field) in [(Action::Create, Some(REACH_AND_ROUTES)), (Action::Change, None)] {
            let untold = Entry {
                limits: SaidLimits {
                    has_untold_lists: true,
                    ..SaidLimits::default()
                },
                ..entry(action)
            };
            assert_eq!(refused(untold).as_deref(), field);
        }
        let nameless = Entry {
            device: Some("-".to_owned()),
            ..entry(Action::Reissue)
        };
        assert_eq!(refused(nameless).as_deref(), Some("device"));
        for time in ["soon", "2999-01-01T00:00:00Z"] {
            let to_come = Entry {
                made_before: Some(time.to_owned()),
                ..entry(Action::Reissue)
            };
            assert_eq!(refused(to_come).as_deref(), Some("made_before"), "{time}");
        }
    }
}
