//! Whether a request enrols a node. A join token for any node, and an API key, enrol new nodes only. A join token that was made for a node
//! may also give that node other keys or another endpoint. A request that equals the enrolment exactly is a repetition, because the answer
//! may have been lost.

use std::num::NonZeroU16;

use aws_lc_rs::digest;
use chrono::{DateTime, Utc};
use vpnmanager_entities::{join_token, server};
use vpnmanager_nats::{
    commands::{Host, Protocol},
    ids::NodeId,
    listeners::{Listener, Listeners},
    security::keys::NodePublicKey,
};

/// What the node wants to be enrolled as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Its id.
    pub node: NodeId,
    /// Its bus key.
    pub bus_public_key: NodePublicKey,
    /// SHA-256 of the public key in its certificate request. A node that starts again signs another request for the same key.
    pub tls_key_sha256: Vec<u8>,
    /// What clients dial.
    pub host: Host,
    /// The port that clients dial.
    pub port: u16,
    /// The transport of its tunnels.
    pub protocol: Protocol,
    /// The pool that it asks for. A node that is enrolled stays in its own.
    pub pool: String,
}

impl Wanted {
    /// SHA-256 over all of it: what a repetition must equal. The pool is the one that was asked for, so a node that an operator moved may
    /// repeat its request.
    pub fn digest(&self) -> Vec<u8> {
        let tls_key = data_encoding::HEXLOWER.encode(&self.tls_key_sha256);
        // No part can hold a line feed.
        let text = format!(
            "{}\n{}\n{tls_key}\n{}\n{}\n{}\n{}\n",
            self.node, self.bus_public_key, self.host, self.port, self.protocol, self.pool
        );
        digest::digest(&digest::SHA256, text.as_bytes()).as_ref().to_vec()
    }

    /// Its listeners. A node names the first one when it enrols, and all of them at its handshakes. What it told before holds while the first is the
    /// same.
    pub fn listeners(&self, enrolled: Option<&server::Model>) -> Listeners {
        let first = Listener {
            protocol: self.protocol,
            // The API takes no port 0.
            port: NonZeroU16::new(self.port).unwrap_or(NonZeroU16::MIN),
        };
        let told = enrolled.map(|server| &server.listeners);
        let same = told.filter(|listeners| listeners.first() == first);
        same.cloned().unwrap_or_else(|| first.into())
    }

    /// Whether the node is enrolled as exactly this.
    fn is(&self, server: &server::Model) -> bool {
        server.bus_public_key == self.bus_public_key && server.enrolled_as.as_deref() == Some(&self.digest())
    }
}

/// What a request presents.
#[derive(Debug, Clone, Copy)]
pub enum Means<'a> {
    /// A join token, and when it came.
    Token(&'a join_token::Model, DateTime<Utc>),
    /// An API key.
    Key,
}

/// What enrolling means for the fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// A new node joins.
    New,
    /// A node gets other keys or another endpoint.
    Replace,
    /// Nothing: the node repeats its request.
    Repeat,
}

/// Why a request enrols nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The token was made for another node.
    TokenOfAnotherNode,
    /// The token's time is over.
    TokenExpired,
    /// The token was used, by another node or for something else.
    TokenUsed,
    /// The node is enrolled, and as something else.
    NameTaken,
    /// The node was deregistered, and users are still leaving it.
    Leaving,
}

/// Whether this node may use the token at all, as far as the token alone says it. This is asked first, because it costs one short query.
pub fn judge_token(token: &join_token::Model, node: &NodeId, at: DateTime<Utc>) -> Result<(), Refusal> {
    if token.server_id.as_ref().is_some_and(|wanted| wanted != node) {
        return Err(Refusal::TokenOfAnotherNode);
    }
    if token.expires_at <= at {
        return Err(Refusal::TokenExpired);
    }
    if token.used_at.is_some() && token.used_by.as_ref() != Some(node) {
        return Err(Refusal::TokenUsed);
    }
    Ok(())
}

/// Whether the request enrols the node, and what that means. `existing` is the node of that id.
pub fn judge(means: Means<'_>, existing: Option<&server::Model>, wanted: &Wanted) -> Result<Change, Refusal> {
    // Nothing brings back a node that was deregistered, also while its row is still there.
    let repeats = existing.is_some_and(|server| wanted.is(server) && !server.is_deregistered());
    let may_replace = match means {
        Means::Token(token, at) => {
            judge_token(token, &wanted.node, at)?;
            let used = token.used_at.is_some();
            // The node may have been enrolled anew with another token since.
            let used_for_this = repeats && token.used_as == existing.and_then(|server| server.enrolled_as.clone());
            if used && !used_for_this {
                return Err(Refusal::TokenUsed);
            }
            token.server_id.is_some()
        }
        Means::Key => false,
    };
    match existing {
        None => Ok(Change::New),
        Some(server) if server.is_deregistered() => Err(Refusal::Leaving),
        Some(_) if repeats => Ok(Change::Repeat),
        Some(_) if may_replace => Ok(Change::Replace),
        Some(_) => Err(Refusal::NameTaken),
    }
}

#[cfg(test)]
mod tests;
