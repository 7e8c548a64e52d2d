//! `POST /api/endnodes/{server_id}/standing`.

use chrono::SubsecRound as _;
use data_encoding::BASE64URL_NOPAD;
use vpnmanager_nats::ids::NodeId;
use vpnmanager_nats::security::standing::Question;
use vpnmanager_openapi::contract::standing::{StandingAnswer, StandingBus, StandingQuestion};
use vpnmanager_openapi::problem::ApiError;

use crate::api::failure;
use crate::app::App;
use crate::ops::nodes::tell_standing::{StandingReply, tell_standing};

pub(super) async fn tell(app: &App, node: NodeId, body: StandingQuestion) -> Result<StandingAnswer, ApiError> {
    let question = Question {
        node,
        key: body.bus_public_key.key().map_err(failure::nodes::of_bus_key)?,
        at: body.at.to_utc().trunc_subsecs(6),
    };
    tell_standing(app, &question, &body.signature.decode())
        .await
        .map(answer_of)
        .map_err(|error| failure::nodes::of_tell_standing(app, error))
}

fn answer_of(told: StandingReply) -> StandingAnswer {
    StandingAnswer {
        standing: told.standing.into(),
        bus_jwt: told.bus_jwt,
        signature: BASE64URL_NOPAD.encode(&told.signature),
        bus: told.bus.map(|(place, signature)| StandingBus {
            urls: place.urls,
            ca: place.ca,
            signature: BASE64URL_NOPAD.encode(&signature),
        }),
    }
}
