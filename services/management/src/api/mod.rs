//! The HTTP API: nouns are folders, verbs are files. Its description is generated from this code and committed as
//! `openapi/management.json`.

mod access;
mod address;
mod durations;
mod entries;
mod failure;
mod faults;
mod limits;
mod narrowed;
mod scalars;
mod tags;

mod api_keys;
mod audit;
mod certificates;
mod devices;
mod endnodes;
mod events;
mod groups;
mod health;
mod imports;
mod install;
mod join_tokens;
mod links;
mod old_certificates;
mod pools;
mod repeats;
mod sessions;
mod users;
mod webhooks;

use std::sync::Arc;

use poem::{Endpoint, EndpointExt as _, Response};
use poem_openapi::OpenApiService;
use tokio_util::sync::CancellationToken;
use vpnmanager_openapi::auth::Authenticator;
use vpnmanager_openapi::idempotency::{AnswerStore, with_idempotency_key};
use vpnmanager_openapi::middleware::{Conventions, with_rate_limits};
use vpnmanager_openapi::spec::Spec;

use crate::app::App;
use crate::domain::link_token::PAGES;
use crate::ops::keys::authenticate::Operator;
use access::Keys;
use repeats::KeptAnswers;

const TITLE: &str = "VPN Manager, management";
const DESCRIPTION: &str = "Create, change and remove users of a fleet of OpenVPN servers, say what they reach, and enrol the servers.\n\n\
    Every operation needs a key, as `X-API-Key` or as a bearer token, except `/health` and what is below it, \
    an end-node's question about its standing, and a registration with a join token; each says which role of key. \
    Errors are `application/problem+json` (RFC 9457) and name the field that is wrong. Lists are pages: follow `next_cursor`. \
    `RateLimit-Policy` and `RateLimit` say how much a key may ask, and how much of it is left.";

type Apis = (
    users::UsersApi,
    users::BulkApi,
    devices::DevicesApi,
    old_certificates::OldCertificatesApi,
    links::LinksApi,
    imports::ImportsApi,
    endnodes::EndnodesApi,
    pools::PoolsApi,
    groups::GroupsApi,
    sessions::SessionsApi,
    sessions::HistoryApi,
    sessions::TrafficApi,
    (api_keys::ApiKeysApi, join_tokens::JoinTokensApi),
    // A tuple has 16 places.
    (
        audit::AuditApi,
        certificates::CertificatesApi,
        events::EventsApi,
        webhooks::WebhooksApi,
    ),
    health::HealthApi,
);

/// The description of the API. Needs neither database nor bus.
#[must_use]
pub fn spec() -> Spec {
    Spec::of(&service())
}

/// The whole HTTP service, including `/docs`, the pages of links to profiles and what new nodes install. Requests that wait for a user end when `stopping` is cancelled.
pub fn application(app: App, stopping: CancellationToken) -> impl Endpoint<Output = Response> + 'static {
    let keys: Arc<dyn Authenticator<Operator>> = Arc::new(Keys::new(app.clone()));
    let answers: Arc<dyn AnswerStore> = Arc::new(KeptAnswers::new(app.clone()));
    let body_timeout = app.config.http.body_timeout;
    let requests_per_key = app.config.callers.requests_per_key;
    let metrics = app.figures.http.clone();
    let adapt = move |conventions: Conventions| {
        conventions
            .keys_of::<Operator>()
            .rate_of::<Operator>(requests_per_key)
            .repeats_of::<Operator>(answers)
            .body_timeout(body_timeout)
            .body_limit_of("batch_users", users::LARGEST_BATCH)
            .body_limit_of("import_users", users::LARGEST_IMPORT)
            .body_limit_of("import_source", imports::LARGEST_SOURCE)
            .secret_below(PAGES)
            .measured_by(metrics)
    };
    let of_pages = app.clone();
    let pages = move |documents| install::add_to(links::pages::add_to(documents, &of_pages), &of_pages);
    vpnmanager_openapi::application_with_pages(service(), pages, adapt)
        .data(app)
        .data(keys)
        .data(users::Stopping(stopping))
        .map_to_response()
}

fn service() -> OpenApiService<Apis, ()> {
    let apis = (
        users::UsersApi,
        users::BulkApi::default(),
        devices::DevicesApi,
        old_certificates::OldCertificatesApi,
        links::LinksApi,
        imports::ImportsApi::default(),
        endnodes::EndnodesApi,
        pools::PoolsApi,
        groups::GroupsApi::default(),
        sessions::SessionsApi,
        sessions::HistoryApi,
        sessions::TrafficApi,
        (api_keys::ApiKeysApi, join_tokens::JoinTokensApi),
        (
            audit::AuditApi,
            certificates::CertificatesApi,
            events::EventsApi,
            webhooks::WebhooksApi,
        ),
        health::HealthApi::default(),
    );
    let service = OpenApiService::new(apis, TITLE, env!("CARGO_PKG_VERSION"))
        .description(DESCRIPTION)
        .server("/");
    with_rate_limits(with_idempotency_key(service))
}
