//! The outermost middleware.

use std::num::NonZeroU32;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use poem::http::{HeaderName, HeaderValue, StatusCode, header};
use poem::{Endpoint, IntoResponse, Middleware, Request, Response};
use serde_json::Value;
use tracing::{Instrument as _, debug, debug_span};
use vpnmanager_runtime::metrics::HttpMetrics;
use vpnmanager_runtime::traces;

use crate::auth::Named;
use crate::idempotency::AnswerStore;
use crate::problem::{FieldError, Problem};
use crate::server::ForwardedPrefix;
use crate::spec::Spec;

use super::admission::{Admission, Admitted};
use super::allow::{Allowed, Operation};
use super::diagnosis::{self, Refused};
use super::rate::Rate;
use super::repeats::Repeats;
use super::request_id::RequestId;
use super::request_uri::RequestUri;
use super::server_span::ServerSpan;
use super::{browsers, prefix, problems, request_id};

/// How long a body may take, unless [`Conventions::body_timeout`] says otherwise.
pub const DEFAULT_BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// The outermost middleware: request ids, keys before bodies, how much a key may ask, the limits of bodies, no NUL anywhere, nothing that
/// the description does not know, requests with an `Idempotency-Key` done once, every error a problem with its field, 405 with `Allow`,
/// 401 with a challenge, what browsers must not do, panics as a bare 500, and the access log (at `debug`).
#[derive(Debug, Clone)]
pub struct Conventions {
    rules: Arc<Rules>,
}

#[derive(Debug, Clone)]
struct Rules {
    allowed: Allowed,
    document: Value,
    admission: Admission,
    rate: Option<Rate>,
    repeats: Option<Repeats>,
    /// What is below this path is a secret.
    secret_below: Option<&'static str>,
    /// What counts the answers.
    metrics: Option<HttpMetrics>,
}

impl Conventions {
    /// The conventions for the operations of a description.
    #[must_use]
    pub fn new(spec: &Spec) -> Self {
        let document = spec.document().clone();
        let allowed = Allowed::of(&document);
        Self {
            rules: Arc::new(Rules {
                allowed,
                document,
                admission: Admission::new(DEFAULT_BODY_TIMEOUT),
                rate: None,
                repeats: None,
                secret_below: None,
                metrics: None,
            }),
        }
    }

    /// Checks the key of these callers before the body of their request is read. Their [`Authenticator`](crate::auth::Authenticator) is in
    /// the request data.
    #[must_use]
    pub fn keys_of<Identity: Clone + Send + Sync + 'static>(self) -> Self {
        self.with(Admission::check_keys_of::<Identity>)
    }

    /// Another limit for the bodies of one operation, in bytes.
    #[must_use]
    pub fn body_limit_of(self, operation_id: &str, bytes: usize) -> Self {
        self.with(|admission| {
            admission.body_limits.insert(operation_id.to_owned(), bytes);
        })
    }

    /// Another time within which a body must arrive.
    #[must_use]
    pub fn body_timeout(self, timeout: Duration) -> Self {
        self.with(|admission| admission.body_timeout = timeout)
    }

    /// Each of these callers may send so many requests in 10 s, and is told how many are left.
    #[must_use]
    pub fn rate_of<Identity: Clone + Named + Send + Sync + 'static>(self, most: NonZeroU32) -> Self {
        self.with_rules(|rules| rules.rate = Some(Rate::of::<Identity>(most)))
    }

    /// Requests of these callers with an `Idempotency-Key` are done once, and answered from here when they are repeated.
    #[must_use]
    pub fn repeats_of<Identity: Clone + Named + Send + Sync + 'static>(self, answers: Arc<dyn AnswerStore>) -> Self {
        self.with_rules(|rules| rules.repeats = Some(Repeats::of::<Identity>(answers)))
    }

    /// No log says what follows this in a path, such as `/p/`: it is as good as a key.
    #[must_use]
    pub fn secret_below(self, prefix: &'static str) -> Self {
        self.with_rules(|rules| rules.secret_below = Some(prefix))
    }

    /// Counts the answers by operation, and how long they took.
    #[must_use]
    pub fn measured_by(self, metrics: HttpMetrics) -> Self {
        self.with_rules(|rules| rules.metrics = Some(metrics))
    }

    fn with(self, change: impl FnOnce(&mut Admission)) -> Self {
        self.with_rules(|rules| change(&mut rules.admission))
    }

    fn with_rules(self, change: impl FnOnce(&mut Rules)) -> Self {
        let mut rules = (*self.rules).clone();
        change(&mut rules);
        Self { rules: Arc::new(rules) }
    }
}

impl<E: Endpoint + 'static> Middleware<E> for Conventions {
    type Output = Conventional<E>;

    fn transform(&self, inner: E) -> Conventional<E> {
        Conventional {
            inner: Arc::new(inner),
            rules: self.rules.clone(),
        }
    }
}

/// An endpoint under the [`Conventions`].
#[derive(Debug)]
pub struct Conventional<E> {
    inner: Arc<E>,
    rules: Arc<Rules>,
}

impl<E: Endpoint + 'static> Endpoint for Conventional<E> {
    type Output = Response;

    async fn call(&self, mut request: Request) -> poem::Result<Response> {
        let started = Instant::now();
        let id = RequestId::of(request.headers());
        request.set_data(id.clone());
        request.set_data(RequestUri(request.uri().clone()));
        let (method, path) = (
            request.method().clone(),
            shown(request.uri().path(), self.rules.secret_below),
        );
        let prefix = request.data::<ForwardedPrefix>().cloned();
        let span = debug_span!("request", request.id = %id, http.method = %method, http.path = path);
        let operation = self.rules.allowed.operation(&method, request.uri().path());
        let trace = ServerSpan::begin(&method, operation, request.headers());
        let response = async {
            let mut response = traces::within(trace.traceparent(), self.answer(request, operation)).await;
            let headers = response.headers_mut();
            headers.insert(request_id::HEADER, id.header_value());
            browsers::restrict(headers);
            if let Some(prefix) = &prefix {
                prefix::apply(prefix, headers);
            }
            debug!(
                http.status = response.status().as_u16(),
                duration_ms = millis_since(started),
                "Answered"
            );
            if let Some(metrics) = &self.rules.metrics {
                let operation = operation.map(|operation| operation.id.as_str());
                metrics.answered(operation, response.status().as_u16(), started.elapsed());
            }
            trace.answered(response.status());
            response
        };
        Ok(response.instrument(span).await)
    }
}

impl Rules {
    /// What is wrong with a body, members that the description does not know included.
    fn faults_of(&self, operation: &Operation, request: &Request, body: &[u8]) -> Vec<FieldError> {
        if body.is_empty() {
            return Vec::new();
        }
        if !operation.has_body {
            return diagnosis::faults_without_body(body);
        }
        let (document, path) = (&self.document, request.uri().path());
        match self.allowed.body_schema(document, request.method(), path) {
            Some(schema) => diagnosis::faults_of_body(document, schema, request.content_type(), body),
            None => Vec::new(),
        }
    }
}

impl<E: Endpoint + 'static> Conventional<E> {
    async fn answer(&self, mut request: Request, operation: Option<&Operation>) -> Response {
        let rules = &self.rules;
        if let Err(refusal) = rules.admission.admit_caller(&mut request, operation).await {
            return refusal;
        }
        let Some((left, spent)) = rules.rate.as_ref().and_then(|rate| rate.spend(&request)) else {
            return self.answer_to_caller(request, operation).await;
        };
        let mut response = match spent {
            Ok(()) => self.answer_to_caller(request, operation).await,
            Err(put_off) => problems::refusal(put_off),
        };
        left.tell(response.headers_mut());
        response
    }

    async fn answer_to_caller(&self, mut request: Request, operation: Option<&Operation>) -> Response {
        let rules = &self.rules;
        let admitted = match rules.admission.admit(&mut request, operation).await {
            Ok(admitted) => admitted,
            Err(refusal) => return refusal,
        };
        if let Some(operation) = operation
            && let faults = rules.faults_of(operation, &request, &admitted.body)
            && !faults.is_empty()
        {
            return problems::respond(&Problem::of_fields(StatusCode::BAD_REQUEST, faults));
        }
        let (inner, rules, body) = (self.inner.clone(), rules.clone(), admitted.body.clone());
        let run = move |request| perform(inner, rules, admitted, request);
        match self.rules.repeats.as_ref().filter(|_| operation.is_some()) {
            Some(repeats) => repeats.answer(request, body, run).await,
            None => run(request).await,
        }
    }
}

/// Has the operation done. `admitted` lives until it is: a huge body has a place so long.
async fn perform<E: Endpoint>(inner: Arc<E>, rules: Arc<Rules>, admitted: Admitted, request: Request) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let outcome = match AssertUnwindSafe(inner.call(request)).catch_unwind().await {
        Ok(outcome) => outcome.map(IntoResponse::into_response),
        // The panic hook has logged it.
        Err(_panic) => Ok(problems::respond(&Problem::bare(StatusCode::INTERNAL_SERVER_ERROR))),
    };
    let mut response = match outcome {
        Ok(response) => problems::of_response(response),
        Err(error) => {
            let Rules { allowed, document, .. } = &*rules;
            problems::of_error(
                error,
                &Refused {
                    allowed,
                    document,
                    method: &method,
                    path: &path,
                    body: &admitted.body,
                },
            )
        }
    };
    match response.status() {
        StatusCode::METHOD_NOT_ALLOWED => insert(&mut response, header::ALLOW, rules.allowed.header_value(&path)),
        StatusCode::UNAUTHORIZED => {
            let challenge = HeaderValue::from_static(crate::problem::CHALLENGE);
            insert(&mut response, header::WWW_AUTHENTICATE, challenge);
        }
        _ => {}
    }
    response
}

/// The path as logs may have it.
fn shown(path: &str, secret_below: Option<&'static str>) -> String {
    match secret_below {
        Some(prefix) if path.starts_with(prefix) => format!("{prefix}..."),
        Some(_) | None => path.to_owned(),
    }
}

fn insert(response: &mut Response, name: HeaderName, value: HeaderValue) {
    response.headers_mut().entry(name).or_insert(value);
}

fn millis_since(started: Instant) -> u64 {
    u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_log_has_what_is_below_the_path_of_secrets() {
        for (path, logged) in [
            ("/p/token", "/p/..."),
            ("/p/token/profile", "/p/..."),
            ("/p/%74oken", "/p/..."),
            ("/api/users", "/api/users"),
        ] {
            assert_eq!(shown(path, Some("/p/")), logged);
            assert_eq!(shown(path, None), path);
        }
    }
}
