//! What happens beyond the number of devices that may be connected at the same time, in the API.

use poem_openapi::Enum;
use vpnmanager_entities::group::SessionExcess;

/// What happens when a user connects with more devices than may be connected at the same time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case", rename = "SessionExcess")]
pub(in crate::api) enum Excess {
    /// The device that has been connected for longest is disconnected.
    #[default]
    OldestEnds,
    /// The one that came last is.
    NewestEnds,
}

impl Excess {
    pub(in crate::api) fn of(excess: SessionExcess) -> Self {
        match excess {
            SessionExcess::OldestEnds => Self::OldestEnds,
            SessionExcess::NewestEnds => Self::NewestEnds,
        }
    }

    pub(in crate::api) fn into_excess(self) -> SessionExcess {
        match self {
            Self::OldestEnds => SessionExcess::OldestEnds,
            Self::NewestEnds => SessionExcess::NewestEnds,
        }
    }
}
