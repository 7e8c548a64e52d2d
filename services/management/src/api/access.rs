//! Access to the API: a key identifies an operator. Its role decides which operations are allowed, and what it is narrowed to what they see.
//!
//! Each operation takes one of these types as its caller, which states its role in the API description too. [`Viewer`] and [`Operator`] are for
//! operations on what the path names, and let a narrowed key do those within its pools and groups. [`ScopedViewer`] and [`ScopedOperator`] let
//! each narrowed key in: their operations hand `scope` of the caller on to what they call. [`WholeViewer`] refuses narrowed keys. Keys of
//! admins are never narrowed.

use std::marker::PhantomData;
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
use super::narrowed::{Narrowed, refuse_beyond};
use crate::app::App;
use crate::domain::actor::Actor;
use crate::domain::role::suffices;
use crate::ops::keys::authenticate::Operator as KeyHolder;

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

/// What an operation asks of the key of its caller.
pub(super) trait Demand {
    /// The role that suffices, or a higher one.
    const ROLE: Role;
    /// What it does with a narrowed key.
    const NARROWED: Narrowed;
    /// Both, as the description takes them from the security schemes of an operation.
    const MARK: &'static str;
}

macro_rules! demands {
    ($($(#[$docs:meta])* $caller:ident, $demand:ident: $role:expr, $narrowed:expr, $mark:literal;)+) => {$(
        #[derive(Debug)]
        pub(super) struct $demand;

        impl Demand for $demand {
            const ROLE: Role = $role;
            const NARROWED: Narrowed = $narrowed;
            const MARK: &'static str = $mark;
        }

        $(#[$docs])*
        pub(super) type $caller = Allowed<$demand>;
    )+};
}

demands! {
    /// Whoever may read what the path names.
    Viewer, Views: Role::Viewer, Narrowed::ByPath, "role:viewer";
    /// Whoever may read, with the scope of its key in the query.
    ScopedViewer, ViewsInScope: Role::Viewer, Narrowed::ByOperation, "role:viewer";
    /// Whoever may read what cannot be narrowed.
    WholeViewer, ViewsAll: Role::Viewer, Narrowed::Refused, "role:viewer whole";
    /// Whoever may change the user that the path names.
    Operator, Operates: Role::Operator, Narrowed::ByPath, "role:operator";
    /// Whoever may change users, with the scope of its key in what is done.
    ScopedOperator, OperatesInScope: Role::Operator, Narrowed::ByOperation, "role:operator";
    /// Whoever may do all.
    Admin, Administers: Role::Admin, Narrowed::Refused, "role:admin";
}

/// A caller whose key allows what is demanded. An operation that takes it as a parameter answers everybody else with 401, 403, or 404 for what a
/// narrowed key does not see.
#[derive(Debug)]
pub(super) struct Allowed<D>(Actor, PhantomData<D>);

/// A caller whose key may register nodes, or one without a key: for operations that also accept another proof, such as a join token.
#[derive(Debug)]
pub(super) struct OptionalRole(pub(super) Option<Actor>);

/// The mark of [`OptionalRole`].
const REGISTERS: &str = "role:node";

impl Keys {
    pub(super) fn new(app: App) -> Self {
        Self { app }
    }
}

impl Authenticator<KeyHolder> for Keys {
    fn identify<'a>(&'a self, key: &'a str, from: Option<Source>) -> Identified<'a, KeyHolder> {
        Box::pin(async move {
            let found = self.app.keys.authenticate(key, from).await;
            found
                .map_err(|error| failure::of_authenticate(&self.app, error))?
                .ok_or_else(|| {
                    self.app.gatekeeper.wrong_key(from);
                    ApiError::unauthorized("this key is not known, was revoked or has expired")
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
}

/// The holder of a key that suffices, who is noted to have used it.
fn actor_of(request: &Request, holder: &KeyHolder, needed: Role) -> Result<Actor, ApiError> {
    if !suffices(holder.role, needed) {
        return Err(failure::keys::lacks_role(holder.role, needed));
    }
    let origin = Origin::of(request);
    if let Some(app) = request.data::<App>() {
        app.keys.uses().note(holder.id, origin.address);
    }
    let request_id = Some(origin.request_id).filter(|id| !id.is_empty());
    Ok(Actor::key(&holder.name, origin.address, request_id).within(holder.scope.clone()))
}

impl<D> Deref for Allowed<D> {
    type Target = Actor;

    fn deref(&self) -> &Actor {
        &self.0
    }
}

impl<'a, D: Demand> ApiExtractor<'a> for Allowed<D> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::SecurityScheme];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        <Caller<KeyHolder> as ApiExtractor>::register(registry);
    }

    fn security_schemes() -> Vec<&'static str> {
        let mut schemes = <Caller<KeyHolder> as ApiExtractor>::security_schemes();
        schemes.push(D::MARK);
        schemes
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        options: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        let Caller(holder) = Caller::<KeyHolder>::from_request(request, body, options).await?;
        let actor = actor_of(request, &holder, D::ROLE)?;
        refuse_beyond(request, &actor.scope, D::NARROWED).await?;
        Ok(Self(actor, PhantomData))
    }
}

impl<'a> ApiExtractor<'a> for OptionalRole {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::SecurityScheme];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        <OptionalCaller<KeyHolder> as ApiExtractor>::register(registry);
    }

    fn security_schemes() -> Vec<&'static str> {
        let mut schemes = <OptionalCaller<KeyHolder> as ApiExtractor>::security_schemes();
        schemes.push(REGISTERS);
        schemes
    }

    fn has_security_fallback() -> bool {
        true
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        options: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        let OptionalCaller(holder) = OptionalCaller::<KeyHolder>::from_request(request, body, options).await?;
        let actor = holder
            .map(|holder| actor_of(request, &holder, Role::Node))
            .transpose()?;
        Ok(Self(actor))
    }
}
