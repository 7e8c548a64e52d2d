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
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::allow::{KeyRule, Operation};
use super::problems::refusal;
use super::{body, problems};
use crate::auth;
use crate::problem::{ApiError, Problem};
use crate::server::Connection;

/// Bodies above the default limit that are read at the same time; further ones wait.
const LARGE_AT_ONCE: usize = 8;

/// The largest of them, in bytes. A request whose body may be larger keeps a place until it is answered, because so long its body is in memory.
const LARGEST_IN_TURN: usize = 1024 * 1024;

/// The places for those. Who finds none is refused at once: nobody knows how long the others take.
const HUGE_AT_ONCE: usize = 2;

/// When who found no place may try again.
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(5);

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
    huge: Arc<Semaphore>,
}

/// A request that is admitted: its body (empty for an operation without one), and the place that a huge one has while this lives.
#[derive(Debug, Default)]
pub(super) struct Admitted {
    pub(super) body: Bytes,
    _place: Option<OwnedSemaphorePermit>,
}

impl Admission {
    pub(super) fn new(body_timeout: Duration) -> Self {
        Self {
            body_limits: BTreeMap::new(),
            body_timeout,
            check_key: None,
            large: Arc::new(Semaphore::new(LARGE_AT_ONCE)),
            huge: Arc::new(Semaphore::new(HUGE_AT_ONCE)),
        }
    }

    pub(super) fn check_keys_of<Identity: Clone + Send + Sync + 'static>(&mut self) {
        self.check_key = Some(|request| Box::pin(auth::check_key::<Identity>(request)));
    }

    /// Finds out who asks.
    pub(super) async fn admit_caller(
        &self,
        request: &mut Request,
        operation: Option<&Operation>,
    ) -> Result<(), Response> {
        body::refuse_nul_in_uri(request).map_err(refusal)?;
        match operation {
            Some(operation) => self.admit_key(request, operation.key).await.map_err(refusal),
            None => Ok(()),
        }
    }

    /// Admits what somebody asks: its body is put back into it, and given as a second handle.
    pub(super) async fn admit(
        &self,
        request: &mut Request,
        operation: Option<&Operation>,
    ) -> Result<Admitted, Response> {
        if let Some(operation) = operation {
            operation.query.check(request).map_err(refusal)?;
        }
        // A body that nobody asked for is read where it may be meant to say what should be done.
        let is_read = |operation: &&Operation| operation.has_body || !request.method().is_safe();
        let admitted = match operation.filter(is_read) {
            Some(operation) => self.read(request, &operation.id).await?,
            None => {
                // Not read: the server closes the connection if more of it is on the way.
                drop(request.take_body());
                Admitted::default()
            }
        };
        if let Some(connection) = request.extensions().get::<Arc<Connection>>() {
            connection.complete();
        }
        Ok(admitted)
    }

    async fn admit_key(&self, request: &mut Request, rule: KeyRule) -> Result<(), ApiError> {
        let Some(check_key) = self.check_key else {
            return Ok(());
        };
        let presented = auth::presented_key(request.headers()).is_some();
        match (rule, presented) {
            (KeyRule::None, _) | (KeyRule::Optional, false) => Ok(()),
            (KeyRule::Optional | KeyRule::Needed, true) => check_key(request).await,
            // The operation says whether a caller of this machine needs one.
            (KeyRule::Needed, false) if auth::is_local(request) => Ok(()),
            (KeyRule::Needed, false) => Err(auth::no_key()),
        }
    }

    async fn read(&self, request: &mut Request, operation: &str) -> Result<Admitted, Response> {
        let limit = self.body_limits.get(operation).copied().unwrap_or(DEFAULT_BODY_LIMIT);
        // No more comes than is announced: a small body of an operation that takes large ones waits for nobody.
        let most = body::announced(request).map_or(limit, |length| length.min(limit));
        let place = if most > LARGEST_IN_TURN {
            let free = Arc::clone(&self.huge).try_acquire_owned();
            Some(free.map_err(|_none| refusal(no_place()))?)
        } else {
            None
        };
        let takes_turn = most > DEFAULT_BODY_LIMIT && place.is_none();
        let read = async {
            let _turn = if takes_turn {
                self.large.acquire().await.ok()
            } else {
                None
            };
            body::read(request, limit).await
        };
        match tokio::time::timeout(self.body_timeout, read).await {
            Ok(body) => {
                let body = body.map_err(refusal)?;
                Ok(Admitted { body, _place: place })
            }
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

fn no_place() -> ApiError {
    let detail =
        "as many large bodies as are taken at once are being worked on: try again when one of them is answered";
    ApiError::too_many_requests(detail, TRY_AGAIN_AFTER)
}
