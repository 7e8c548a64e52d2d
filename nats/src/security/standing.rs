//! A node whose credential the bus refuses asks management over HTTP whether it is still registered. Question and answer are signed,
//! because the connection authenticates neither side: the node signs with its bus key, management with the key of the fleet's CA.

use std::fmt;

use chrono::{DateTime, SecondsFormat, SubsecRound, Utc};
use nkeys::KeyPair;
use serde::{Deserialize, Serialize};

use super::{enrolment::Sha256, keys::NodePublicKey};
use crate::{endpoint::BusPlace, ids::NodeId};

/// Whether a node with this key is a part of the fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// The node is registered with this key.
    Registered,
    /// The key was revoked: the node was deregistered, or enrolled again with another key.
    Deregistered,
    /// The key is not known: it belongs to another fleet, or the database was restored from an older state.
    Unknown,
}

/// The question of a node whether it is still registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The node that asks.
    pub node: NodeId,
    /// The key that signs the question.
    pub key: NodePublicKey,
    /// When it asks, by the node's clock, in whole microseconds. It is part of the signed answer, so that an answer fits one question only.
    pub at: DateTime<Utc>,
}

impl Question {
    /// A question with the current time.
    pub fn new(node: NodeId, key: NodePublicKey) -> Self {
        Self {
            node,
            key,
            at: Utc::now().trunc_subsecs(6),
        }
    }

    /// The time in the form that is signed.
    pub fn at_text(&self) -> String {
        self.at.to_rfc3339_opts(SecondsFormat::Micros, true)
    }

    /// The node's signature.
    pub fn sign(&self, key: &KeyPair) -> Result<Vec<u8>, nkeys::error::Error> {
        key.sign(self.text().as_bytes())
    }

    /// Whether the holder of the key signed this.
    pub fn is_signed(&self, signature: &[u8]) -> bool {
        self.key.has_signed(&self.text(), signature)
    }

    /// What management signs for its answer to this question.
    pub fn answer_text(&self, standing: Standing, bus_jwt: Option<&str>) -> String {
        format!(
            "vpnmanager standing answer\n{}{standing}\n{}\n",
            self.text(),
            bus_jwt.unwrap_or("-")
        )
    }

    /// What management signs beside it, when it says where the bus is. Apart from the answer, because agents of an older release check
    /// that one as it was.
    pub fn bus_text(&self, bus: &BusPlace) -> String {
        let ca = bus
            .ca
            .as_deref()
            .map_or_else(|| "-".to_owned(), |ca| Sha256::of(ca).hex());
        format!(
            "vpnmanager standing bus\n{}{}\n{}\n{ca}\n",
            self.text(),
            bus.urls.len(),
            bus.urls.join("\n")
        )
    }

    /// No part can hold a line feed, so that no two questions have the same text.
    fn text(&self) -> String {
        format!(
            "vpnmanager standing question\n{}\n{}\n{}\n",
            self.node,
            self.key,
            self.at_text()
        )
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Registered => "registered",
            Self::Deregistered => "deregistered",
            Self::Unknown => "unknown",
        })
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn a_signature_is_of_one_question_by_one_key() {
        let (key, other) = (KeyPair::new_user(), KeyPair::new_user());
        let question = Question::new("n1".parse().unwrap(), NodePublicKey::of(&key).unwrap());
        let signature = question.sign(&key).unwrap();

        assert!(question.is_signed(&signature));
        let altered = [
            Question {
                node: "n2".parse().unwrap(),
                ..question.clone()
            },
            Question {
                key: NodePublicKey::of(&other).unwrap(),
                ..question.clone()
            },
            Question {
                at: question.at + TimeDelta::microseconds(1),
                ..question.clone()
            },
        ];
        for altered in altered {
            assert!(!altered.is_signed(&signature), "{altered:?}");
        }
        assert!(!question.is_signed(&question.sign(&other).unwrap()));
        assert!(!question.is_signed(b"noise"));
    }
}
