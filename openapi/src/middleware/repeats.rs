//! Requests with an `Idempotency-Key`: worked on once, and answered as often as they are sent.

use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256, digest};
use bytes::Bytes;
use poem::http::{HeaderValue, Method, header};
use poem::{Body, Request, Response};
use vpnmanager_runtime::traces;

use super::problems::refusal;
use crate::auth;
use crate::idempotency::{
    AnswerStore, Claimed, Done, IdempotencyKey, Kept, KeyedRequest, LARGEST, Seal, decode, encode, is_final, refusals,
};
use crate::problem::ApiError;

/// When somebody whose request is still being worked on may ask again, in seconds.
const TRY_AGAIN_AFTER: &str = "1";

/// Whose requests are worked on once, and where their answers are kept.
#[derive(Debug, Clone)]
pub(super) struct Repeats {
    caller: fn(&Request) -> Option<String>,
    store: Arc<dyn AnswerStore>,
}

/// A request with a key.
struct Keyed {
    request: KeyedRequest,
    seal: Seal,
}

impl Repeats {
    pub(super) fn of<Identity: Clone + auth::Named + Send + Sync + 'static>(store: Arc<dyn AnswerStore>) -> Self {
        Self {
            caller: auth::name_of::<Identity>,
            store,
        }
    }

    /// Gives the answer that is kept, or works on the request. What the operation changes is changed as if there were no key, in transactions
    /// of its own: so a claim is recorded before it, and settled after it.
    pub(super) async fn answer<Run, Running>(&self, request: Request, body: Bytes, run: Run) -> Response
    where
        Run: FnOnce(Request) -> Running + Send,
        Running: Future<Output = Response> + Send + 'static,
    {
        let keyed = match self.keyed(&request, &body) {
            Ok(Some(keyed)) => keyed,
            Ok(None) => return run(request).await,
            Err(error) => return refusal(error),
        };
        drop(body);
        let Keyed { request: asked, seal } = keyed;
        let fingerprint = asked.fingerprint;
        match self.store.claim(asked).await {
            Ok(Claimed::New(claim)) => {
                // The store works in a task of its own, which knows the trace of no request.
                let (running, trace) = (run(request), traces::current());
                let work = async move { done(traces::within(trace, running).await, &seal, &fingerprint).await };
                self.store.work(claim, Box::pin(work)).await.unwrap_or_else(refusal)
            }
            Ok(Claimed::Answered(Some(sealed))) => {
                let answer = seal.open(&sealed, &fingerprint);
                answer
                    .and_then(|answer| decode(&answer))
                    .unwrap_or_else(|| refusal(refusals::of_another_secret()))
            }
            Ok(Claimed::Answered(None)) => refusal(refusals::too_large()),
            Ok(Claimed::UnderWay) => {
                let mut response = refusal(refusals::under_way());
                let after = HeaderValue::from_static(TRY_AGAIN_AFTER);
                response.headers_mut().insert(header::RETRY_AFTER, after);
                response
            }
            Ok(Claimed::Unknown) => refusal(refusals::unknown()),
            Ok(Claimed::Another) => refusal(refusals::another_request()),
            Err(error) => refusal(error),
        }
    }

    /// The request, if it is one that counts: a POST of a caller with an API key, or at the local socket.
    fn keyed(&self, request: &Request, body: &[u8]) -> Result<Option<Keyed>, ApiError> {
        if request.method() != Method::POST {
            return Ok(None);
        }
        let Some(caller) = (self.caller)(request) else {
            return Ok(None);
        };
        let Some(key) = IdempotencyKey::of(request.headers())? else {
            return Ok(None);
        };
        let key = key.value();
        // Whoever asks at the local socket needs none. The `Idempotency-Key` alone is a secret of his, too.
        let api_key = auth::presented_key(request.headers()).unwrap_or_default();
        Ok(Some(Keyed {
            request: KeyedRequest {
                caller,
                key_hash: bytes_of(digest(&SHA256, key.as_bytes()).as_ref()),
                fingerprint: fingerprint(request, body),
            },
            seal: Seal::new(api_key, &key),
        }))
    }
}

/// What is asked, as a hash. No part has a line feed, but for the last one.
fn fingerprint(request: &Request, body: &[u8]) -> [u8; 32] {
    let mut hash = Context::new(&SHA256);
    let target = request.uri().path_and_query().map_or("", |target| target.as_str());
    for part in [
        request.method().as_str(),
        target,
        request.content_type().unwrap_or_default(),
    ] {
        hash.update(part.as_bytes());
        hash.update(b"\n");
    }
    hash.update(body);
    bytes_of(hash.finish().as_ref())
}

fn bytes_of(hash: &[u8]) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(hash);
    bytes
}

/// The answer to the caller, and what is kept of it.
async fn done(response: Response, seal: &Seal, fingerprint: &[u8; 32]) -> Done {
    if !is_final(response.status()) {
        return Done {
            response,
            kept: Kept::Nothing,
        };
    }
    let (parts, body) = response.into_parts();
    let Ok(body) = body.into_bytes().await else {
        return Done {
            response: refusal(ApiError::unavailable("the answer could not be made")),
            kept: Kept::TooLarge,
        };
    };
    let response = Response::from_parts(parts, Body::from_bytes(body.clone()));
    let answer = encode(&response, &body);
    let kept = if answer.len() > LARGEST {
        Kept::TooLarge
    } else {
        // It cannot fail for a text that fits into memory.
        seal.seal(answer, fingerprint).map_or(Kept::TooLarge, Kept::Answer)
    };
    Done { response, kept }
}

#[cfg(test)]
mod tests {
    use tokio::task::JoinSet;
    use vpnmanager_runtime::traces::TraceParent;

    use super::*;
    use crate::idempotency::{Claim, Storing, Work};

    /// Has all requests worked on in tasks of their own.
    #[derive(Debug)]
    struct Elsewhere;

    impl AnswerStore for Elsewhere {
        fn claim(&self, request: KeyedRequest) -> Storing<'_, Claimed> {
            Box::pin(async move { Ok(Claimed::New(Claim { request, id: 1 })) })
        }

        fn work(&self, _claim: Claim, work: Work) -> Storing<'_, Response> {
            let mut tasks = JoinSet::new();
            tasks.spawn(work);
            Box::pin(async move { Ok(tasks.join_next().await.expect("one").expect("it ends").response) })
        }
    }

    fn asked(uri: &'static str, content_type: &str, body: &str) -> [u8; 32] {
        let request = Request::builder()
            .method(Method::POST)
            .uri_str(uri)
            .content_type(content_type)
            .finish();
        fingerprint(&request, body.as_bytes())
    }

    #[test]
    fn a_request_is_the_same_only_with_its_query_and_its_body() {
        let first = asked("/api/users?wait=1s", "application/json", "{}");
        assert_eq!(asked("/api/users?wait=1s", "application/json", "{}"), first);
        for other in [
            asked("/api/users?wait=2s", "application/json", "{}"),
            asked("/api/users", "application/json", "{}"),
            asked("/api/groups?wait=1s", "application/json", "{}"),
            asked("/api/users?wait=1s", "text/csv", "{}"),
            asked("/api/users?wait=1s", "application/json", "{ }"),
        ] {
            assert_ne!(other, first);
        }
    }

    #[tokio::test]
    async fn what_a_request_causes_belongs_to_its_trace_though_another_task_does_it() {
        let repeats = Repeats {
            caller: |_request| Some("ci".to_owned()),
            store: Arc::new(Elsewhere),
        };
        let request = Request::builder()
            .method(Method::POST)
            .uri_str("/api/users")
            .header("x-api-key", "api")
            .header("idempotency-key", "k")
            .finish();
        let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let run = |_request: Request| async {
            let current = traces::current().map(|trace| trace.to_string());
            Response::builder().body(current.unwrap_or_default())
        };
        let answer = traces::within(TraceParent::of(Some(trace)), repeats.answer(request, Bytes::new(), run));
        assert_eq!(answer.await.into_body().into_string().await.unwrap(), trace);
    }
}
