//! The outermost middleware.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use futures_util::FutureExt as _;
use poem::http::{HeaderName, HeaderValue, StatusCode, header};
use poem::{Endpoint, IntoResponse, Middleware, Request, Response};
use serde_json::Value;
use tracing::{Instrument as _, debug, debug_span};

use crate::problem::Problem;
use crate::spec::Spec;

use super::allow::Allowed;
use super::diagnosis::Refused;
use super::request_id::RequestId;
use super::request_uri::RequestUri;
use super::{body, problems, request_id};

/// The largest body accepted, unless a service says otherwise.
pub const DEFAULT_BODY_LIMIT: usize = 1024 * 1024;

/// The outermost middleware: request ids, the body limit, no NUL anywhere, every error a problem with its field, 405 with `Allow`,
/// 401 with a challenge, panics as a bare 500, and the access log (at `debug`).
#[derive(Debug, Clone)]
pub struct Conventions {
    rules: Arc<Rules>,
}

#[derive(Debug, Clone)]
struct Rules {
    allowed: Allowed,
    document: Value,
    body_limit: usize,
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
                body_limit: DEFAULT_BODY_LIMIT,
            }),
        }
    }

    /// Another limit for bodies, in bytes.
    #[must_use]
    pub fn body_limit(self, bytes: usize) -> Self {
        Self {
            rules: Arc::new(Rules {
                body_limit: bytes,
                ..(*self.rules).clone()
            }),
        }
    }
}

impl<E: Endpoint> Middleware<E> for Conventions {
    type Output = Conventional<E>;

    fn transform(&self, inner: E) -> Conventional<E> {
        Conventional {
            inner,
            rules: self.rules.clone(),
        }
    }
}

/// An endpoint under the [`Conventions`].
#[derive(Debug)]
pub struct Conventional<E> {
    inner: E,
    rules: Arc<Rules>,
}

impl<E: Endpoint> Endpoint for Conventional<E> {
    type Output = Response;

    async fn call(&self, mut request: Request) -> poem::Result<Response> {
        let started = Instant::now();
        let id = RequestId::of(request.headers());
        request.set_data(id.clone());
        request.set_data(RequestUri(request.uri().clone()));
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let span = debug_span!("request", request.id = %id, http.method = %method, http.path = path);
        let response = async {
            let mut response = self.answer(request).await;
            let headers = response.headers_mut();
            headers.insert(request_id::HEADER, id.header_value());
            headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
            debug!(
                http.status = response.status().as_u16(),
                duration_ms = millis_since(started),
                "Answered"
            );
            response
        };
        Ok(response.instrument(span).await)
    }
}

impl<E: Endpoint> Conventional<E> {
    async fn answer(&self, mut request: Request) -> Response {
        let rules = &self.rules;
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let body = match body::admit(&mut request, rules.body_limit).await {
            Ok(body) => body,
            Err(error) => return poem::Error::from(error).into_response(),
        };
        let outcome = match AssertUnwindSafe(self.inner.call(request)).catch_unwind().await {
            Ok(outcome) => outcome.map(IntoResponse::into_response),
            // The panic hook has logged it.
            Err(_panic) => Ok(problems::respond(&Problem::bare(StatusCode::INTERNAL_SERVER_ERROR))),
        };
        let mut response = match outcome {
            Ok(response) => problems::of_response(response),
            Err(error) => {
                let Rules { allowed, document, .. } = &**rules;
                problems::of_error(
                    error,
                    &Refused {
                        allowed,
                        document,
                        method: &method,
                        path: &path,
                        body: &body,
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
}

fn insert(response: &mut Response, name: HeaderName, value: HeaderValue) {
    response.headers_mut().entry(name).or_insert(value);
}

fn millis_since(started: Instant) -> u64 {
    u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX)
}
