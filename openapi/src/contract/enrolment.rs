//! `POST /api/endnodes/register`: a node enrols.

use poem_openapi::Object;
use poem_openapi::types::Example;
use serde::{Deserialize, Serialize};
use vpnmanager_nats::commands::Protocol;

use super::scalars::{
    BusKeyText, CsrText, EXAMPLE_CSR, HostText, PoolText, ProtocolText, ServerIdText, TokenText, VersionText,
};

/// The IANA port of OpenVPN.
const DEFAULT_PORT: u16 = 1194;
/// The pool of a node that names none.
const DEFAULT_POOL: &str = "default";

/// What a node says of itself.
#[derive(Clone, Object, Serialize, Deserialize)]
#[oai(skip_serializing_if_is_none, example)]
pub struct Registration {
    /// Its id.
    pub server_id: ServerIdText,
    /// A one-time token; without one the request needs a key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub join_token: Option<TokenText>,
    /// The public NKey of its agent, whose seed never leaves it.
    pub bus_public_key: BusKeyText,
    /// Request for its OpenVPN server certificate: PKCS #10 in PEM, ECDSA P-256.
    pub csr: CsrText,
    /// What clients dial; the address that the request comes from when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<HostText>,
    /// The port that clients dial.
    #[oai(default = "default_port", validator(minimum(value = "1")))]
    #[serde(default = "default_port")]
    pub port: u16,
    /// The transport of its tunnels: the faster `udp`, or `tcp` for networks that let nothing else through.
    #[oai(default = "default_protocol")]
    #[serde(default = "default_protocol")]
    pub protocol: ProtocolText,
    /// Its pool.
    #[oai(default = "default_pool")]
    #[serde(default = "default_pool")]
    pub pool: PoolText,
    /// Clients that it takes at most.
    #[oai(validator(minimum(value = "1"), maximum(value = "1000000")))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity: Option<u32>,
    /// Release of its agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_version: Option<VersionText>,
}

/// All that a node needs to serve.
#[derive(Clone, Object, Serialize, Deserialize)]
#[oai(skip_serializing_if_is_none, example)]
pub struct Enrolment {
    /// Its id.
    pub server_id: String,
    /// Its way to the bus.
    pub bus: EnrolmentBus,
    /// Its certificates.
    pub pki: EnrolmentPki,
}

/// A node's way to the bus.
#[derive(Clone, Object, Serialize, Deserialize)]
#[oai(skip_serializing_if_is_none)]
pub struct EnrolmentBus {
    /// Where the bus is.
    pub urls: Vec<String>,
    /// Its credential; of no use without its seed.
    pub jwt: String,
    /// The CA of the bus, PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
}

/// A node's certificates.
#[derive(Clone, Object, Serialize, Deserialize)]
pub struct EnrolmentPki {
    /// The fleet's CA, PEM.
    pub ca: String,
    /// Its OpenVPN server certificate, PEM.
    pub certificate: String,
    /// The fleet's tls-crypt-v2 server key, PEM. A secret.
    pub tls_crypt_v2_key: String,
    /// How the common names of all servers of the fleet begin.
    pub server_name_prefix: String,
}

fn default_port() -> u16 {
    DEFAULT_PORT
}

fn default_protocol() -> ProtocolText {
    ProtocolText(Protocol::Udp)
}

fn default_pool() -> PoolText {
    DEFAULT_POOL.parse().expect("the name of the default pool is valid")
}

impl Example for Registration {
    fn example() -> Self {
        Self {
            server_id: ServerIdText("endnode-1".parse().expect("a valid server id")),
            join_token: "vpnjoin-zq3v5k2mhx6t".parse().ok(),
            bus_public_key: BusKeyText(
                "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4"
                    .parse()
                    .expect("a valid public key"),
            ),
            csr: EXAMPLE_CSR.parse().expect("valid text"),
            host: None,
            port: DEFAULT_PORT,
            protocol: default_protocol(),
            pool: default_pool(),
            capacity: Some(1000),
            agent_version: "0.1.0".parse().ok(),
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
