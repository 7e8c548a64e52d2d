//! Whether a join token enrols a node.

use chrono::{DateTime, Utc};
use vpnmanager_entities::join_token;
use vpnmanager_nats::ids::NodeId;

/// What a valid token is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenUse {
    /// It is to be marked as used by this node.
    First,
    /// The node that used it repeats its request.
    Repeated,
}

/// Why a token enrols nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenRefusal {
    /// It was made for another node.
    OfAnotherNode,
    /// Its time is over.
    Expired,
    /// It was used, by another node or for another key.
    Used,
}

/// A request that presents a token.
#[derive(Debug, Clone, Copy)]
pub struct Presented<'a> {
    /// The node that wants to enrol.
    pub node: &'a NodeId,
    /// Whether the node is enrolled with the bus key of this request.
    pub same_key: bool,
    /// When it came.
    pub at: DateTime<Utc>,
}

/// Whether the token enrols the node that presents it.
pub fn judge_token(token: &join_token::Model, presented: Presented<'_>) -> Result<TokenUse, TokenRefusal> {
    if token.server_id.as_ref().is_some_and(|wanted| wanted != presented.node) {
        return Err(TokenRefusal::OfAnotherNode);
    }
    if token.expires_at <= presented.at {
        return Err(TokenRefusal::Expired);
    }
    if token.used_at.is_none() {
        return Ok(TokenUse::First);
    }
    if presented.same_key && token.used_by.as_ref() == Some(presented.node) {
        Ok(TokenUse::Repeated)
    } else {
        Err(TokenRefusal::Used)
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn a_token_enrols_its_node_once_and_lets_that_node_repeat_itself() {
        let (now, hour) = (Utc::now(), TimeDelta::hours(1));
        let (ours, other): (NodeId, NodeId) = ("node-1".parse().expect("valid"), "node-2".parse().expect("valid"));
        let token = join_token::Model {
            id: 1,
            hash: vec![0; 32],
            server_id: None,
            created_by: "key:admin".to_owned(),
            created_at: now - hour,
            expires_at: now + hour,
            used_at: None,
            used_by: None,
        };
        let bound = |node: &NodeId| join_token::Model {
            server_id: Some(node.clone()),
            ..token.clone()
        };
        let used_by = |node: &NodeId| join_token::Model {
            used_at: Some(now),
            used_by: Some(node.clone()),
            ..token.clone()
        };
        let expired = join_token::Model {
            expires_at: now,
            ..token.clone()
        };
        let cases = [
            ("fresh", token.clone(), false, Ok(TokenUse::First)),
            ("made for this node", bound(&ours), false, Ok(TokenUse::First)),
            (
                "made for another",
                bound(&other),
                false,
                Err(TokenRefusal::OfAnotherNode),
            ),
            ("expired", expired, true, Err(TokenRefusal::Expired)),
            (
                "used by this node, the same key",
                used_by(&ours),
                true,
                Ok(TokenUse::Repeated),
            ),
            (
                "used by this node, another key",
                used_by(&ours),
                false,
                Err(TokenRefusal::Used),
            ),
            ("used by another node", used_by(&other), true, Err(TokenRefusal::Used)),
        ];
        for (what, token, same_key, expected) in cases {
            let presented = Presented {
                node: &ours,
                same_key,
                at: now,
            };
            assert_eq!(judge_token(&token, presented), expected, "{what}");
        }
    }
}
