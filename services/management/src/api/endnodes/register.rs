//! `POST /api/endnodes/register`.

use std::net::{IpAddr, Ipv4Addr};

use poem_openapi::payload::Json;
use poem_openapi::types::Example;
use poem_openapi::{ApiResponse, Object};
use secrecy::ExposeSecret as _;
use vpnmanager_nats::commands::Protocol;
use vpnmanager_openapi::problem::ApiError;

use crate::api::failure;
use crate::api::names::{
    BusKeyText, CsrText, EXAMPLE_CSR, HostText, PoolText, ProtocolText, ServerIdText, TokenText, VersionText,
};
use crate::app::App;
use crate::domain::actor::Actor;
use crate::ops::nodes::register::{self, Authority, Enrolment, Registration};

/// The IANA port of OpenVPN.
const DEFAULT_PORT: u16 = 1194;
const DEFAULT_POOL: &str = "default";

/// What a node says of itself.
#[derive(Debug, Object)]
#[oai(skip_serializing_if_is_none, example, rename = "Registration")]
pub(crate) struct RegistrationBody {
    /// Its id.
    server_id: ServerIdText,
    /// A one-time token; without one the request needs a key.
    join_token: Option<TokenText>,
    /// The public NKey of its agent, whose seed never leaves it.
    bus_public_key: BusKeyText,
    /// Request for its OpenVPN server certificate: PKCS #10 in PEM, ECDSA P-256.
    csr: CsrText,
    /// What clients dial; the address that the request comes from when not given.
    host: Option<HostText>,
    /// The port that clients dial.
    #[oai(default = "default_port", validator(minimum(value = "1")))]
    port: u16,
    /// The transport of its tunnels: the faster `udp`, or `tcp` for networks that let nothing else through.
    #[oai(default = "default_protocol")]
    protocol: ProtocolText,
    /// Its pool.
    #[oai(default = "default_pool")]
    pool: PoolText,
    /// Clients that it takes at most.
    #[oai(validator(minimum(value = "1"), maximum(value = "1000000")))]
    capacity: Option<u32>,
    /// Release of its agent.
    agent_version: Option<VersionText>,
}

/// All that a node needs to serve.
#[derive(Debug, Object)]
#[oai(skip_serializing_if_is_none, example, rename = "Enrolment")]
pub(crate) struct EnrolmentBody {
    /// Its id.
    server_id: String,
    /// Its way to the bus.
    bus: BusBody,
    /// Its certificates.
    pki: PkiBody,
}

/// A node's way to the bus.
#[derive(Debug, Object)]
#[oai(skip_serializing_if_is_none, rename = "EnrolmentBus")]
struct BusBody {
    /// Where the bus is.
    urls: Vec<String>,
    /// Its credential; of no use without its seed.
    jwt: String,
    /// The CA of the bus, PEM.
    ca: Option<String>,
}

/// A node's certificates.
#[derive(Debug, Object)]
#[oai(rename = "EnrolmentPki")]
struct PkiBody {
    /// The fleet's CA, PEM.
    ca: String,
    /// Its OpenVPN server certificate, PEM.
    certificate: String,
    /// The fleet's tls-crypt-v2 server key, PEM. A secret.
    tls_crypt_v2_key: String,
    /// How the common names of all servers of the fleet begin.
    server_name_prefix: String,
}

#[derive(ApiResponse)]
pub(crate) enum Registered {
    /// It is a part of the fleet.
    #[oai(status = 201)]
    Created(
        Json<EnrolmentBody>,
        /// The path of the end-node.
        #[oai(header = "Location")]
        String,
        /// Always `no-store`.
        #[oai(header = "Cache-Control")]
        String,
    ),
}

pub(super) async fn register(
    app: &App,
    caller: Option<Actor>,
    peer: Option<IpAddr>,
    body: RegistrationBody,
) -> Result<Registered, ApiError> {
    let right = match (&body.join_token, caller) {
        (Some(token), _) => Authority::JoinToken(token.as_str().into()),
        (None, Some(actor)) => Authority::Key(actor),
        (None, None) => return Err(ApiError::unauthorized("a join_token in the body or a key is needed")),
    };
    if body.host.is_none() && peer.is_none() {
        return Err(ApiError::invalid(
            "host",
            "is required: the address of the request is not known",
        ));
    }
    let id = body.server_id.0.clone();
    let registration = Registration {
        server_id: body.server_id.0,
        bus_public_key: body.bus_public_key.0,
        csr: body.csr.into_string(),
        host: body.host.map(|host| host.0),
        port: body.port,
        protocol: body.protocol.0,
        pool: body.pool.into_string(),
        capacity: body.capacity,
        agent_version: body.agent_version.map(VersionText::into_string),
        peer: peer.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
    };
    let enrolment = register::register_node(app, registration, right)
        .await
        .map_err(failure::of_register_node)?;
    let location = format!("/api/endnodes/{id}");
    Ok(Registered::Created(
        Json(EnrolmentBody::of(id.to_string(), enrolment)),
        location,
        "no-store".to_owned(),
    ))
}

impl EnrolmentBody {
    fn of(server_id: String, enrolment: Enrolment) -> Self {
        Self {
            server_id,
            bus: BusBody {
                urls: enrolment.bus_urls,
                jwt: enrolment.bus_jwt,
                ca: enrolment.bus_ca,
            },
            pki: PkiBody {
                ca: enrolment.ca,
                certificate: enrolment.certificate,
                tls_crypt_v2_key: enrolment.tls_crypt_v2_key.expose_secret().to_owned(),
                server_name_prefix: enrolment.server_name_prefix,
            },
        }
    }
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

impl Example for RegistrationBody {
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

impl Example for EnrolmentBody {
    fn example() -> Self {
        let pem = |label: &str| format!("-----BEGIN {label}-----\n...\n-----END {label}-----\n");
        Self {
            server_id: "endnode-1".to_owned(),
            bus: BusBody {
                urls: vec!["tls://bus.example.org:4222".to_owned()],
                jwt: "eyJ0eXAiOiJKV1QiLCJhbGciOiJlZDI1NTE5LW5rZXkifQ...".to_owned(),
                ca: Some(pem("CERTIFICATE")),
            },
            pki: PkiBody {
                ca: pem("CERTIFICATE"),
                certificate: pem("CERTIFICATE"),
                tls_crypt_v2_key: pem("OpenVPN tls-crypt-v2 server key"),
                server_name_prefix: "vpn-9f86d081.".to_owned(),
            },
        }
    }
}
