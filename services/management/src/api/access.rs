//! Access to the API: a key identifies an operator, and the operator's role decides which operations are allowed.

use std::net::IpAddr;
use std::ops::Deref;

use poem::{Request, RequestBody};
use poem_openapi::registry::Registry;
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};
use vpnmanager_openapi::auth::{Authenticator, Caller, Identified, OptionalCaller};
use vpnmanager_openapi::middleware::RequestId;
use vpnmanager_openapi::problem::ApiError;
use vpnmanager_openapi::server::Source;

use super::failure;
use crate::app::App;
use crate::domain::actor::Actor;
use crate::ops::keys::authenticate::Operator;

use vpnmanager_entities::api_key::Role;

/// Looks up API keys in the database.
pub(super) struct Keys {
    app: App,
}

/// Where a request came from.
#[derive(Debug, Clone)]
pub(super) struct Origin {
    address: Option<IpAddr>,
    request_id: String,
}

/// A caller with an admin key. An operation that takes it as a parameter answers everybody else with 401 or 403.
#[derive(Debug)]
pub(super) struct Admin(Actor);

/// A caller with a key of either role, or without a key: for operations that also accept another proof, such as a join token.
#[derive(Debug)]
pub(super) struct OptionalRole(pub(super) Option<Actor>);

impl Keys {
    pub(super) fn new(app: App) -> Self {
        Self { app }
    }
}

impl Authenticator<Operator> for Keys {
    fn identify<'a>(&'a self, key: &'a str, from: Option<Source>) -> Identified<'a, Operator> {
        Box::pin(async move {
            let found = self.app.keys.authenticate(key, from).await;
            found
                .map_err(|error| failure::of_authenticate(&self.app, error))?
                .ok_or_else(|| {
                    self.app.gatekeeper.refused(from);
                    ApiError::unauthorized("this key is not known or has expired")
                })
        })
    }
}

impl Origin {
    pub(super) fn of(request: &Request) -> Self {
        let address = request
            .remote_addr()
            .as_socket_addr()
            .map(|address| address.ip().to_canonical());
        let request_id = request.data::<RequestId>().map(ToString::to_string).unwrap_or_default();
        Self { address, request_id }
    }

    /// The address of the client; of the proxy that the request came through, where that is not one of `TRUSTED_PROXIES`.
    pub(super) fn address(&self) -> Option<IpAddr> {
        self.address
    }

    /// Whom the request counts for.
    pub(super) fn source(&self) -> Option<Source> {
        self.address.map(Source::of)
    }

    /// Somebody without a key.
    pub(super) fn visitor(&self) -> Actor {
        Actor {
            request_id: Some(self.request_id.clone()).filter(|id| !id.is_empty()),
            ..Actor::unknown(self.address)
        }
    }

    fn actor(self, operator: &Operator) -> Actor {
        Actor::key(
            &operator.name,
            self.address,
            Some(self.request_id).filter(|id| !id.is_empty()),
        )
    }
}

impl Deref for Admin {
    type Target = Actor;

    fn deref(&self) -> &Actor {
        &self.0
    }
}

impl<'a> ApiExtractor<'a> for Admin {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::SecurityScheme];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        <Caller<Operator> as ApiExtractor>::register(registry);
    }

    fn security_schemes() -> Vec<&'static str> {
        <Caller<Operator> as ApiExtractor>::security_schemes()
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        options: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        let Caller(operator) = Caller::<Operator>::from_request(request, body, options).await?;
        match operator.role {
            Role::Admin => Ok(Self(Origin::of(request).actor(&operator))),
            Role::Node => Err(ApiError::forbidden("a key of the node role may only register nodes").into()),
        }
    }
}

impl<'a> ApiExtractor<'a> for OptionalRole {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::SecurityScheme];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        <OptionalCaller<Operator> as ApiExtractor>::register(registry);
    }

    fn security_schemes() -> Vec<&'static str> {
        <OptionalCaller<Operator> as ApiExtractor>::security_schemes()
    }

    fn has_security_fallback() -> bool {
        true
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        options: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        let OptionalCaller(operator) = OptionalCaller::<Operator>::from_request(request, body, options).await?;
        Ok(Self(operator.map(|operator| Origin::of(request).actor(&operator))))
    }
}
