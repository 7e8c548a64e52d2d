//! The optional fields of a user: the same where a list gives them and where this node shows them.

use chrono::{DateTime, Utc};
use poem_openapi::{Object, types::Example};
use vpnmanager_nats::commands::PutUser;
use vpnmanager_openapi::time::Timestamp;

/// The optional fields of a user.
#[derive(Debug, Clone, Object)]
#[oai(skip_serializing_if_is_none)]
pub(super) struct UserOptions {
    /// From this moment on the user is refused and cut.
    expires_at: Option<Timestamp>,
}

impl UserOptions {
    /// Those of a user that this node holds.
    pub(super) fn of_held(put: &PutUser) -> Self {
        Self {
            expires_at: put.expires_at.map(Timestamp::from),
        }
    }

    /// Those of a user that is to be created: the rest is up to management.
    pub(super) fn of_create(expires_at: Option<DateTime<Utc>>) -> Self {
        Self {
            expires_at: expires_at.map(Timestamp::from),
        }
    }

    /// The command with these options.
    pub(super) fn set_in(self, put: PutUser) -> PutUser {
        let Self { expires_at } = self;
        PutUser {
            expires_at: expires_at.map(Timestamp::to_utc),
            ..put
        }
    }
}

impl Example for UserOptions {
    fn example() -> Self {
        Self {
            expires_at: "2027-03-01T12:00:00Z".parse().ok(),
        }
    }
}
