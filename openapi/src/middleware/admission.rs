//! What a request must bring before the operation sees it, in this order: no NUL in its URL, a key where one is needed, query parameters that
//! the operation has, and only then its body, within its size and its time. So who has no key makes nobody store what it sends.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use poem::http::StatusCode;
use poem::{Request, Response};
use tokio::sync::Semaphore;

use super::allow::{KeyRule, Operation};
use super::{body, problems};
use crate::auth;
use crate::problem::{ApiError, Problem};
use crate::server::Connection;

/// Bodies above the default limit that are read at the same time; further ones wait.
const LARGE_AT_ONCE: usize = 8;

/// Checks the key of a request: [`auth::check_key`] for one kind of caller.
type KeyCheck = for<'r> fn(&'r mut Request) -> Pin<Box<dyn Future<Output = Result<(), ApiError>> + Send + 'r>>;

/// The largest body of an operation in bytes, unless [`Conventions::body_limit_of`](super::Conventions::body_limit_of) says otherwise for it.
pub const DEFAULT_BODY_LIMIT: usize = 32 * 1024;

/// The rules of admission.
#[derive(Debug, Clone)]
pub(super) struct Admission {
    pub(super) body_limits: BTreeMap<String, usize>,
    pub(super) body_timeout: Duration,
    check_key: Option<KeyCheck>,
    large: Arc<Semaphore>,
}

impl Admission {
    pub(super) fn new(body_timeout: Duration) -> Self {
        Self {
            body_limits: BTreeMap::new(),
            body_timeout,
            check_key: None,
            large: Arc::new(Semaphore::new(LARGE_AT_ONCE)),
        }
    }

    pub(super) fn check_keys_of<Identity: Clone + Send + Sync + 'static>(&mut self) {
        self.check_key = Some(|request| Box::pin(auth::check_key::<Identity>(request)));
    }

    /// Admits a request: its body (empty for an operation without one) is put back into it, and given as a second handle.
    pub(super) async fn admit(&self, request: &mut Request, operation: Option<&Operation>) -> Result<Bytes, Response> {
        body::refuse_nul_in_uri(request).map_err(refusal)?;
        if let Some(operation) = operation {
            self.admit_key(request, operation.key).await.map_err(refusal)?;
            operation.query.check(request).map_err(refusal)?;
        }
        // A body that nobody asked for is read where it may be meant to say what should be done.
        let is_read = |operation: &&Operation| operation.has_body || !request.method().is_safe();
        let body = match operation.filter(is_read) {
            Some(operation) => self.read(request, &operation.id).await?,
            None => {
                // Not read: the server closes the connection if more of it is on the way.
                drop(request.take_body());
                Bytes::new()
            }
        };
        if let Some(connection) = request.extensions().get::<Arc<Connection>>() {
            connection.complete();
        }
        Ok(body)
    }

    async fn admit_key(&self, request: &mut Request, rule: KeyRule) -> Result<(), ApiError> {
        let Some(check_key) = self.check_key else {
            return Ok(());
        };
        let presented = auth::presented_key(request.headers()).is_some();
        match (rule, presented) {
            (KeyRule::None, _) | (KeyRule::Optional, false) => Ok(()),
            (KeyRule::Optional | KeyRule::Needed, true) => check_key(request).await,
            (KeyRule::Needed, false) => Err(auth::no_key()),
        }
    }

    async fn read(&self, request: &mut Request, operation: &str) -> Result<Bytes, Response> {
        let limit = self.body_limits.get(operation).copied().unwrap_or(DEFAULT_BODY_LIMIT);
        let read = async {
            let _turn = if limit > DEFAULT_BODY_LIMIT {
                self.large.acquire().await.ok()
            } else {
                None
            };
            body::read(request, limit).await
        };
        match tokio::time::timeout(self.body_timeout, read).await {
            Ok(body) => body.map_err(refusal),
            Err(_over) => Err(problems::respond(&Problem::of(
                StatusCode::REQUEST_TIMEOUT,
                format!(
                    "the body did not arrive within {}",
                    humantime::format_duration(self.body_timeout)
                ),
            ))),
        }
    }
}

fn refusal(error: ApiError) -> Response {
    poem::Error::from(error).into_response()
}
