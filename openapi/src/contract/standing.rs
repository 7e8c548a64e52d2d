//! `POST /api/endnodes/{server_id}/standing`: an agent whose credential the bus refuses asks whether its node is still registered.

use poem_openapi::types::Example;
use poem_openapi::{Enum, Object};
use serde::{Deserialize, Serialize};
use vpnmanager_nats::security::standing::Standing;

use super::scalars::{BusKeyText, SignatureText};
use crate::time::Timestamp;

/// The question of an agent whether its node is still registered.
#[derive(Debug, Clone, PartialEq, Eq, Object, Serialize, Deserialize)]
#[oai(example)]
pub struct StandingQuestion {
    /// The public NKey of the agent.
    pub bus_public_key: BusKeyText,
    /// When it asks. It is signed as RFC 3339 in UTC with `Z` and six digits of a second.
    pub at: Timestamp,
    /// The Ed25519 signature of the question by that key, base64url without padding.
    pub signature: SignatureText,
}

/// The answer, signed by the CA of the fleet.
#[derive(Debug, Clone, PartialEq, Eq, Object, Serialize, Deserialize)]
#[oai(skip_serializing_if_is_none, example)]
pub struct StandingAnswer {
    /// Whether the node is registered.
    pub standing: StandingWord,
    /// A fresh bus credential for a registered node. It cannot be used without the seed of the node's key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bus_jwt: Option<String>,
    /// ECDSA P-256 with SHA-256 (ASN.1) by the fleet's CA, base64url without padding, over the line `vpnmanager standing answer`, the
    /// signed text of the question, the standing, and `bus_jwt` or `-`, each with a line feed after it.
    pub signature: String,
    /// Where the bus is, for a registered node: it may have moved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bus: Option<StandingBus>,
}

/// Where the bus is, signed by the CA of the fleet.
#[derive(Debug, Clone, PartialEq, Eq, Object, Serialize, Deserialize)]
#[oai(skip_serializing_if_is_none)]
pub struct StandingBus {
    /// The URLs of the bus.
    pub urls: Vec<String>,
    /// The CA of the bus, PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
    /// ECDSA P-256 with SHA-256 (ASN.1) by the fleet's CA, base64url without padding, over the line `vpnmanager standing bus`, the signed
    /// text of the question, the number of `urls`, each of them, and the SHA-256 of `ca` in lower-case hex or `-`, each with a line feed
    /// after it.
    pub signature: String,
}

/// Whether a node with this key is registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum, Serialize, Deserialize)]
#[oai(rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum StandingWord {
    /// It is registered.
    Registered,
    /// Its key was revoked, and it must not serve.
    Deregistered,
    /// The key is not known.
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
            bus_public_key: "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4"
                .parse()
                .expect("a valid public key"),
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
            bus: None,
        }
    }
}
