//! The whole local API, and its description.

use std::{sync::Arc, time::Duration};

use poem::{Endpoint, EndpointExt as _, Response};
use poem_openapi::OpenApiService;
use secrecy::SecretString;
use vpnmanager_openapi::{
    auth::Authenticator,
    idempotency::{AnswerStore, with_idempotency_key},
    middleware::Conventions,
    spec::Spec,
};
use vpnmanager_runtime::tasks::Tasks;

use super::{
    access::{LocalKey, Operator},
    health::HealthApi,
    local::LocalNode,
    repeats::KeptAnswers,
    sync::SyncApi,
    users::UsersApi,
};

const TITLE: &str = "VPN Manager, end-node";
const DESCRIPTION: &str = "What one node of the fleet holds, and what an operator can do on it when management is away.\n\n\
    Every operation except `/health` and what is below it needs the node's key, as `X-API-Key` or as a bearer token. Errors are \
    `application/problem+json` (RFC 9457) and name the field that is wrong.";

type Apis = (UsersApi, SyncApi, HealthApi);

/// The largest body of `POST /api/sync/users`, in bytes: a list of users with their credentials.
const LARGEST_LIST: usize = 1024 * 1024;

/// The description of the interface; needs no state.
#[must_use]
pub fn spec() -> Spec {
    Spec::of(&service())
}

/// The description as JSON text.
#[must_use]
pub fn spec_json() -> String {
    spec().json()
}

/// The description as YAML text.
#[must_use]
pub fn spec_yaml() -> String {
    spec().yaml()
}

/// The whole application, documents included. What is asked with an `Idempotency-Key` is done in `tasks`.
pub fn application(
    node: LocalNode,
    key: SecretString,
    body_timeout: Duration,
    tasks: Tasks,
) -> impl Endpoint<Output = Response> + 'static {
    let figures = node.figures.clone();
    let keys: Arc<dyn Authenticator<Operator>> = Arc::new(LocalKey::new(key, figures.work));
    let answers: Arc<dyn AnswerStore> = Arc::new(KeptAnswers::new(node.clone(), tasks));
    let adapt = move |conventions: Conventions| {
        conventions
            .keys_of::<Operator>()
            .repeats_of::<Operator>(answers)
            .body_timeout(body_timeout)
            .body_limit_of("sync_users", LARGEST_LIST)
            .measured_by(figures.http)
    };
    vpnmanager_openapi::application(service(), adapt)
        .data(node)
        .data(keys)
        .map_to_response()
}

fn service() -> OpenApiService<Apis, ()> {
    let service = OpenApiService::new(
        (UsersApi, SyncApi, HealthApi::default()),
        TITLE,
        env!("CARGO_PKG_VERSION"),
    )
    .description(DESCRIPTION)
    .server("/");
    with_idempotency_key(service)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use vpnmanager_openapi::spec;

    #[test]
    fn the_committed_description_is_the_generated_one_and_lacks_nothing() {
        let spec = super::spec();
        assert_eq!(spec.lint(), Vec::<String>::new());
        let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../openapi/endnode.json");
        spec::assert_committed(&committed, &spec);
    }
}
