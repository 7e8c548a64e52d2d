//! `POST /api/endnodes/{server_id}/standing`.

use chrono::SubsecRound as _;
use data_encoding::BASE64URL_NOPAD;
use poem_openapi::types::Example;
use poem_openapi::{Enum, Object};
use vpnmanager_nats::ids::NodeId;
use vpnmanager_nats::security::standing::{Question, Standing};
use vpnmanager_openapi::problem::ApiError;
use vpnmanager_openapi::time::Timestamp;

use crate::api::failure;
use crate::api::names::{BusKeyText, SignatureText};
use crate::app::App;
use crate::ops::nodes::tell_standing::{StandingReply, tell_standing};

/// An agent asks how it stands.
#[derive(Debug, Object)]
#[oai(example)]
pub(crate) struct StandingQuestion {
    /// The public NKey of the agent.
    bus_public_key: BusKeyText,
    /// When it asks; signed as RFC 3339 in UTC with `Z` and six digits of a second.
    at: Timestamp,
    /// Ed25519 by that key, base64url without padding.
    signature: SignatureText,
}

/// How the agent stands.
#[derive(Debug, Object)]
#[oai(skip_serializing_if_is_none, example)]
pub(crate) struct StandingAnswer {
    /// In one word.
    standing: StandingWord,
    /// A fresh bus credential for a registered node; of no use without its seed.
    bus_jwt: Option<String>,
    /// ECDSA P-256 with SHA-256 (ASN.1) by the fleet's CA, base64url without padding, over the line `vpnmanager standing answer`, the
    /// signed text of the question, the standing, and `bus_jwt` or `-`, each with a line feed after it.
    signature: String,
}

/// Whether a node is a part of the fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
enum StandingWord {
    /// It is.
    Registered,
    /// It was; its key is revoked, and it must not serve.
    Deregistered,
    /// Nothing is known of that key.
    Unknown,
}

pub(super) async fn tell(app: &App, node: NodeId, body: StandingQuestion) -> Result<StandingAnswer, ApiError> {
    let question = Question {
        node,
        key: body.bus_public_key.0,
        at: body.at.to_utc().trunc_subsecs(6),
    };
    // What is no base64url is no signature either.
    let signature = BASE64URL_NOPAD
        .decode(body.signature.as_str().as_bytes())
        .unwrap_or_default();
    tell_standing(app, &question, &signature)
        .await
        .map(StandingAnswer::of)
        .map_err(failure::of_tell_standing)
}

impl StandingAnswer {
    fn of(told: StandingReply) -> Self {
        Self {
            standing: match told.standing {
                Standing::Registered => StandingWord::Registered,
                Standing::Deregistered => StandingWord::Deregistered,
                Standing::Unknown => StandingWord::Unknown,
            },
            bus_jwt: told.bus_jwt,
            signature: BASE64URL_NOPAD.encode(&told.signature),
        }
    }
}

impl Example for StandingQuestion {
    fn example() -> Self {
        Self {
            bus_public_key: BusKeyText(
                "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4"
                    .parse()
                    .expect("a valid public key"),
            ),
            at: "2027-03-01T12:00:00.000001Z".parse().expect("a valid time"),
            signature: "c2lnbmVk".parse().expect("valid text"),
        }
    }
}

impl Example for StandingAnswer {
    fn example() -> Self {
        Self {
            standing: StandingWord::Deregistered,
            bus_jwt: None,
            signature: "MEUCIQ".to_owned(),
        }
    }
}
