//! Why the bus cannot be used as it is.

use super::shapes::REPORTS_ROOM;
use crate::store_limit::RAISE;

/// Why the bus cannot be used as it is.
#[derive(Debug, thiserror::Error)]
pub enum TopologyError {
    /// The server is older than [`OLDEST_SERVER`](super::OLDEST_SERVER).
    #[error(
        "nats-server {found} is too old: VPN Manager needs 2.14 or newer, older ones ignore settings that keep nodes apart"
    )]
    ServerTooOld {
        /// The version of the server.
        found: String,
    },
    /// A stream or consumer on the server has another setting than VPN Manager needs.
    #[error(
        "{name} differs from what VPN Manager needs: {field} is {found}, not {wanted}; nothing was changed, correct or remove it by hand"
    )]
    Differs {
        /// The stream or consumer.
        name: String,
        /// The setting.
        field: &'static str,
        /// The value that it must have.
        wanted: String,
        /// The value that it has.
        found: String,
    },
    /// A stream or consumer is not there.
    #[error("{name} is not there: management makes it when it starts, and that of a node when the node enrols")]
    Missing {
        /// The stream or consumer.
        name: String,
    },
    /// The server has no more room to reserve for another stream.
    #[error(
        "the bus has reserved all the room that its `max_file` allows ({REPORTS_ROOM} bytes for each node), so it makes no stream {name}: \
         {RAISE}"
    )]
    NoRoom {
        /// The stream.
        name: String,
    },
    /// A request to the server failed.
    #[error("{action} failed")]
    Request {
        /// The action that failed.
        action: String,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl TopologyError {
    pub(super) fn request<E>(action: impl Into<String>) -> impl FnOnce(E) -> Self
    where
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let action = action.into();
        |source| Self::Request {
            action,
            source: source.into(),
        }
    }
}
