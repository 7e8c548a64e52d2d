//! `POST /api/endnodes/register`: a node enrols.

use chrono::{DateTime, Utc};
use poem_openapi::Object;
use poem_openapi::types::Example;
use serde::{Deserialize, Serialize};
use vpnmanager_nats::commands::Protocol;
use vpnmanager_nats::ids::DEFAULT_POOL;
use vpnmanager_nats::security::enrolment::{EnrolmentClaim, Sha256};
use vpnmanager_nats::security::keys::InvalidKey;

use super::needed::Needed;
use super::scalars::{
    BusKeyText, CsrText, EXAMPLE_CSR, HostText, PoolText, ProtocolText, ServerIdText, SignatureText, TokenText,
    VersionText,
};
use crate::time::Timestamp;

/// The IANA port of OpenVPN.
const DEFAULT_PORT: u16 = 1194;
/// The request of a node to join the fleet.
#[derive(Clone, Object, Serialize, Deserialize)]
#[oai(skip_serializing_if_is_none, example)]
pub struct Registration {
    /// The id of the node.
    pub server_id: ServerIdText,
    /// A one-time join token. Without one the request needs an API key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub join_token: Option<TokenText>,
    /// The public NKey of its agent. The seed of the key never leaves the node.
    pub bus_public_key: BusKeyText,
    /// The request for its OpenVPN server certificate: PKCS #10 in PEM, ECDSA P-256.
    pub csr: CsrText,
    /// The DNS name or address that clients connect to. Default: the address that the request comes from, if others can dial that: no
    /// loopback, link-local, unspecified or multicast address. Such a host is refused by name too, except a loopback address or
    /// `localhost`, which is for a trial on one machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<HostText>,
    /// The port that clients connect to, of its first listener. It tells of others once it is connected to the bus.
    #[oai(default = "default_port", validator(minimum(value = "1")))]
    #[serde(default = "default_port")]
    pub port: u16,
    /// The transport of its first listener: `udp`, which is faster, or `tcp` for networks that allow nothing else.
    #[oai(default = "default_protocol")]
    #[serde(default = "default_protocol")]
    pub protocol: ProtocolText,
    /// Its pool.
    #[oai(default = "default_pool")]
    #[serde(default = "default_pool")]
    pub pool: PoolText,
    /// The most clients that it accepts.
    #[oai(validator(minimum(value = "1"), maximum(value = "1000000")))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity: Option<u32>,
    /// The version of its agent. The only part that is not signed: heartbeats replace it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_version: Option<VersionText>,
    /// When it is sent, by the clock of the node. It is signed as RFC 3339 in UTC with `Z` and six digits of a second, and may differ
    /// from management's clock by at most 5 minutes.
    #[serde(default, skip_serializing_if = "Needed::is_missing")]
    pub at: Needed<Timestamp>,
    /// The Ed25519 signature of the request by `bus_public_key`, base64url without padding.
    #[serde(default, skip_serializing_if = "Needed::is_missing")]
    pub signature: Needed<SignatureText>,
}

impl Registration {
    /// What the node signs, if the request is sent at this time.
    ///
    /// # Errors
    /// When the checksum in its bus key is wrong.
    pub fn claim(&self, at: DateTime<Utc>) -> Result<EnrolmentClaim, InvalidKey> {
        Ok(EnrolmentClaim {
            node: self.server_id.0.clone(),
            key: self.bus_public_key.key()?,
            csr: Sha256::of(self.csr.as_str()),
            host: self.host.as_ref().map(|host| host.0.clone()),
            port: self.port,
            protocol: self.protocol.0,
            pool: self.pool.0.clone(),
            capacity: self.capacity,
            join_token: self.join_token.as_ref().map(|token| Sha256::of(token.as_str())),
            at,
        })
    }

    /// The request with the node's signature over this claim, which must be its own.
    #[must_use]
    pub fn signed(self, claim: &EnrolmentClaim, signature: &[u8]) -> Self {
        Self {
            at: Needed(Some(claim.at.into())),
            signature: Needed(Some(SignatureText::encode(signature))),
            ..self
        }
    }
}

/// Everything that a node needs to serve.
#[derive(Clone, Object, Serialize, Deserialize)]
#[oai(skip_serializing_if_is_none, example)]
pub struct Enrolment {
    /// The id of the node.
    pub server_id: String,
    /// How it connects to the bus.
    pub bus: EnrolmentBus,
    /// Its certificates and keys.
    pub pki: EnrolmentPki,
}

/// How a node connects to the bus.
#[derive(Clone, Object, Serialize, Deserialize)]
#[oai(skip_serializing_if_is_none)]
pub struct EnrolmentBus {
    /// The URLs of the bus.
    pub urls: Vec<String>,
    /// The node's credential. It cannot be used without the seed of the node's key.
    pub jwt: String,
    /// The CA of the bus, PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
}

/// A node's certificates and keys.
#[derive(Clone, Object, Serialize, Deserialize)]
pub struct EnrolmentPki {
    /// The fleet's CA, PEM.
    pub ca: String,
    /// Its OpenVPN server certificate, PEM.
    pub certificate: String,
    /// The fleet's tls-crypt-v2 server key, PEM. A secret.
    pub tls_crypt_v2_key: String,
    /// The prefix of the common names of all servers of the fleet.
    pub server_name_prefix: String,
}

fn default_port() -> u16 {
    DEFAULT_PORT
}

fn default_protocol() -> ProtocolText {
    ProtocolText(Protocol::Udp)
}

fn default_pool() -> PoolText {
    PoolText(DEFAULT_POOL.parse().expect("the name of the default pool is valid"))
}

impl Example for Registration {
    fn example() -> Self {
        Self {
            server_id: ServerIdText("endnode-1".parse().expect("a valid server id")),
            join_token: "vpnjoin-zq3v5k2mhx6t".parse().ok(),
            bus_public_key: "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4"
                .parse()
                .expect("a valid public key"),
            csr: EXAMPLE_CSR.parse().expect("valid text"),
            host: None,
            port: DEFAULT_PORT,
            protocol: default_protocol(),
            pool: default_pool(),
            capacity: Some(1000),
            agent_version: "0.1.0".parse().ok(),
            at: Needed("2027-03-01T12:00:00.000001Z".parse().ok()),
            signature: Needed("c2lnbmVk".parse().ok()),
        }
    }
}

impl Example for Enrolment {
    fn example() -> Self {
        let pem = |label: &str| format!("-----BEGIN {label}-----\n...\n-----END {label}-----\n");
        Self {
            server_id: "endnode-1".to_owned(),
            bus: EnrolmentBus {
                urls: vec!["tls://bus.example.org:4222".to_owned()],
                jwt: "eyJ0eXAiOiJKV1QiLCJhbGciOiJlZDI1NTE5LW5rZXkifQ...".to_owned(),
                ca: Some(pem("CERTIFICATE")),
            },
            pki: EnrolmentPki {
                ca: pem("CERTIFICATE"),
                certificate: pem("CERTIFICATE"),
                tls_crypt_v2_key: pem("OpenVPN tls-crypt-v2 server key"),
                server_name_prefix: "vpn-9f86d081.".to_owned(),
            },
        }
    }
}
