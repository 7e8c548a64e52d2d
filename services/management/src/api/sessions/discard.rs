//! `POST /api/endnodes/{server_id}/traffic/discard`.

use chrono::DateTime;
use poem_openapi::Object;
use poem_openapi::types::Example;
use vpnmanager_nats::ids::NodeId;
use vpnmanager_openapi::problem::ApiError;

use crate::api::failure;
use crate::api::scalars::DayText;
use crate::app::App;
use crate::domain::actor::Actor;
use crate::ops::quotas::discard;

/// Which traffic is discarded.
#[derive(Debug, Object)]
#[oai(example)]
pub(super) struct TrafficDiscard {
    /// The first day, in UTC: what the server reported for it and for later ones is discarded.
    from: DayText,
}

/// What was discarded.
#[derive(Debug, Object)]
#[oai(example)]
pub(super) struct DiscardedTraffic {
    /// How many users it was counted to.
    users: u64,
    /// Bytes from their clients.
    bytes_in: u64,
    /// Bytes to their clients.
    bytes_out: u64,
}

pub(super) async fn discard_traffic(
    app: &App,
    actor: &Actor,
    node: &NodeId,
    body: TrafficDiscard,
) -> Result<DiscardedTraffic, ApiError> {
    discard::discard_traffic(app, actor, node, body.from.0)
        .await
        .map(DiscardedTraffic::of)
        .map_err(|error| failure::nodes::of_discard_traffic(app, error))
}

impl DiscardedTraffic {
    fn of(discarded: discard::Discarded) -> Self {
        let count = |number: i64| u64::try_from(number).unwrap_or_default();
        Self {
            users: count(discarded.users),
            bytes_in: count(discarded.bytes_in),
            bytes_out: count(discarded.bytes_out),
        }
    }
}

impl Example for TrafficDiscard {
    fn example() -> Self {
        let day = DateTime::from_timestamp(1_795_000_000, 0).unwrap_or_default();
        Self {
            from: DayText(day.date_naive()),
        }
    }
}

impl Example for DiscardedTraffic {
    fn example() -> Self {
        Self {
            users: 120,
            bytes_in: 5_000_000,
            bytes_out: 70_000_000,
        }
    }
}
