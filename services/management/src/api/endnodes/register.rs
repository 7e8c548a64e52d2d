//! `POST /api/endnodes/register`.

use std::net::{IpAddr, Ipv4Addr};

use poem_openapi::ApiResponse;
use poem_openapi::payload::Json;
use secrecy::ExposeSecret as _;
use vpnmanager_nats::ids::NodeId;
use vpnmanager_openapi::contract::enrolment::{
    Enrolment as EnrolmentBody, EnrolmentBus, EnrolmentPki, Registration as RegistrationBody,
};
use vpnmanager_openapi::contract::join_token;
use vpnmanager_openapi::contract::scalars::VersionText;
use vpnmanager_openapi::problem::ApiError;

use crate::api::access::Origin;
use crate::api::failure;
use crate::app::App;
use crate::domain::actor::Actor;
use crate::ops::nodes::register::{self, Authority, Enrolment, RegisterNodeError, Registration};
use crate::ops::scope::BeyondScope;

#[derive(ApiResponse)]
pub(crate) enum Registered {
    /// The end-node is part of the fleet.
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
    origin: &Origin,
    body: RegistrationBody,
) -> Result<Registered, ApiError> {
    let authority = match (&body.join_token, caller) {
        // An agent of an older release sends what is for itself, too.
        (Some(token), _) => Authority::JoinToken(join_token::split(token.as_str()).0.into()),
        (None, Some(actor)) => Authority::Key(actor),
        (None, None) => return Err(ApiError::unauthorized("a join_token in the body or a key is needed")),
    };
    if let Authority::Key(actor) = &authority
        && !actor.scope.has_pool(body.pool.0.as_str())
    {
        return Err(failure::keys::beyond(&BeyondScope::Pool(body.pool.0.to_string())));
    }
    let peer = origin.address();
    if body.host.is_none() && peer.is_none() {
        return Err(ApiError::invalid(
            "host",
            "is required: the address of the request is not known",
        ));
    }
    let (Some(at), Some(signature)) = (body.at.0, &body.signature.0) else {
        let missing = if body.at.is_missing() { "at" } else { "signature" };
        return Err(ApiError::invalid(
            missing,
            "is required: the agent signs its request; update it if it does not",
        ));
    };
    let id = body.server_id.0.clone();
    let registration = Registration {
        claim: body.claim(at.to_utc()).map_err(failure::nodes::of_bus_key)?,
        signature: signature.decode(),
        csr: body.csr.into_string(),
        agent_version: body.agent_version.map(VersionText::into_string),
        peer: peer.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
    };
    let enrolment = register::register_node(app, registration, authority)
        .await
        .map_err(|error| {
            use RegisterNodeError::{ExpiredToken, InvalidToken, UsedToken};
            if matches!(error, InvalidToken | ExpiredToken | UsedToken) {
                app.gatekeeper.refused(origin.source());
            }
            failure::nodes::of_register_node(app, error)
        })?;
    let location = format!("/api/endnodes/{id}");
    Ok(Registered::Created(
        Json(body_of(id, enrolment)),
        location,
        "no-store".to_owned(),
    ))
}

fn body_of(server_id: NodeId, enrolment: Enrolment) -> EnrolmentBody {
    EnrolmentBody {
        server_id: server_id.to_string(),
        bus: EnrolmentBus {
            urls: enrolment.bus_urls,
            jwt: enrolment.bus_jwt,
            ca: enrolment.bus_ca,
        },
        pki: EnrolmentPki {
            ca: enrolment.ca,
            certificate: enrolment.certificate,
            tls_crypt_v2_key: enrolment.tls_crypt_v2_key.expose_secret().to_owned(),
            server_name_prefix: enrolment.server_name_prefix,
        },
    }
}
