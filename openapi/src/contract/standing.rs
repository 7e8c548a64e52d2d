//! `POST /api/endnodes/{server_id}/standing`: an agent whose credential the bus refuses asks whether its node is still registered.

use poem_openapi::types::Example;
use poem_openapi::{Enum, Object};
use serde::{Deserialize, Serialize};
use vpnmanager_nats::security::standing::Standing;

use super::scalars::{BusKeyText, SignatureText};
use crate::time::Timestamp;

/// An agent asks how it stands.
#[derive(Debug, Clone, PartialEq, Eq, Object, Serialize, Deserialize)]
#[oai(example)]
pub struct StandingQuestion {
    /// The public NKey of the agent.
    pub bus_public_key: BusKeyText,
    /// When it asks; signed as RFC 3339 in UTC with `Z` and six digits of a second.
    pub at: Timestamp,
    /// Ed25519 by that key, base64url without padding.
    pub signature: SignatureText,
}

/// How the agent stands.
#[derive(Debug, Clone, PartialEq, Eq, Object, Serialize, Deserialize)]
#[oai(skip_serializing_if_is_none, example)]
pub struct StandingAnswer {
    /// In one word.
    pub standing: StandingWord,
    /// A fresh bus credential for a registered node; of no use without its seed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bus_jwt: Option<String>,
    /// ECDSA P-256 with SHA-256 (ASN.1) by the fleet's CA, base64url without padding, over the line `vpnmanager standing answer`, the
    /// signed text of the question, the standing, and `bus_jwt` or `-`, each with a line feed after it.
    pub signature: String,
}

/// Whether a node is a part of the fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum, Serialize, Deserialize)]
#[oai(rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum StandingWord {
    /// It is.
    Registered,
    /// It was; its key is revoked, and it must not serve.
    Deregistered,
    /// Nothing is known of that key.
    Unknown,
}

impl From<Standing> for StandingWord {
    fn from(standing: Standing) -> Self {
        match standing {
            Standing::Registered => Self::Registered,
            Standing::Deregistered => Self::Deregistered,
            Standing::Unknown => Self::Unknown,
        }
    }
}

impl From<StandingWord> for Standing {
    fn from(word: StandingWord) -> Self {
        match word {
            StandingWord::Registered => Self::Registered,
            StandingWord::Deregistered => Self::Deregistered,
            StandingWord::Unknown => Self::Unknown,
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
