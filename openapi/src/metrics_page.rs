//! `/metrics`: the figures of a service, on a listener of their own. It is no operation of the API and has another key.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use poem::http::{HeaderValue, Method, StatusCode, header};
use poem::{Endpoint, Request, Response};
use secrecy::{ExposeSecret as _, SecretString};
use vpnmanager_runtime::metrics::CONTENT_TYPE;

use crate::auth::{presented_key, same_key};
use crate::middleware::{browsers, problems};
use crate::problem::{CHALLENGE, Problem};

/// Where figures are.
const PATH: &str = "/metrics";

type Looking = Pin<Box<dyn Future<Output = String> + Send>>;
type Look = Box<dyn Fn() -> Looking + Send + Sync>;

/// Answers `GET /metrics`.
pub struct MetricsPage {
    key: Option<SecretString>,
    look: Look,
}

impl MetricsPage {
    /// The figures that `look` gives, for who presents this key; for everybody where there is none.
    pub fn new<F>(key: Option<SecretString>, look: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = String> + Send + 'static,
    {
        Self {
            key,
            look: Box::new(move || -> Looking { Box::pin(look()) }),
        }
    }

    fn refusal(&self, request: &Request) -> Option<Response> {
        let refuse = |status, detail: &str| problems::respond(&Problem::of(status, detail));
        if request.uri().path() != PATH {
            return Some(refuse(StatusCode::NOT_FOUND, "there is nothing but /metrics here"));
        }
        let is_known = match &self.key {
            Some(key) => {
                presented_key(request.headers()).is_some_and(|presented| same_key(presented, key.expose_secret()))
            }
            None => true,
        };
        if !is_known {
            let detail = "the key of METRICS_KEY is needed, as a bearer token";
            let mut refused = refuse(StatusCode::UNAUTHORIZED, detail);
            let challenge = HeaderValue::from_static(CHALLENGE);
            refused.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
            return Some(refused);
        }
        if *request.method() != Method::GET {
            let mut refused = refuse(StatusCode::METHOD_NOT_ALLOWED, "figures are only read: use GET");
            refused
                .headers_mut()
                .insert(header::ALLOW, HeaderValue::from_static("GET"));
            return Some(refused);
        }
        None
    }
}

impl fmt::Debug for MetricsPage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MetricsPage").finish_non_exhaustive()
    }
}

impl Endpoint for MetricsPage {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        let mut response = match self.refusal(&request) {
            Some(refused) => refused,
            None => Response::builder().content_type(CONTENT_TYPE).body((self.look)().await),
        };
        browsers::restrict(response.headers_mut());
        Ok(response)
    }
}

#[cfg(test)]
mod tests {
    use poem::test::TestClient;

    use super::*;

    const KEY: &str = "9f2c4b7e1a8d3f605be7c2914d06a8f3";

    fn page(key: Option<&str>) -> TestClient<MetricsPage> {
        let page = MetricsPage::new(key.map(SecretString::from), || async { "figures\n# EOF\n".to_owned() });
        TestClient::new(page)
    }

    #[tokio::test]
    async fn figures_are_for_who_has_the_key() {
        let page = page(Some(KEY));
        let request = page.get("/metrics").header("authorization", format!("Bearer {KEY}"));
        let answer = request.send().await;
        answer.assert_status_is_ok();
        answer.assert_header(header::CONTENT_TYPE, CONTENT_TYPE);
        answer.assert_text("figures\n# EOF\n").await;
        for wrong in ["Bearer x", "Bearer ", "Basic x"] {
            let answer = page.get("/metrics").header("authorization", wrong).send().await;
            answer.assert_status(StatusCode::UNAUTHORIZED);
            answer.assert_header(header::WWW_AUTHENTICATE, CHALLENGE);
        }
        let answer = page.get("/metrics").send().await;
        answer.assert_status(StatusCode::UNAUTHORIZED);
    }

    #[tokio::test]
    async fn there_is_nothing_else_and_nothing_to_change() {
        let page = page(None);
        page.get("/metrics").send().await.assert_status_is_ok();
        page.get("/").send().await.assert_status(StatusCode::NOT_FOUND);
        let answer = page.post("/metrics").send().await;
        answer.assert_status(StatusCode::METHOD_NOT_ALLOWED);
        answer.assert_header(header::ALLOW, "GET");
    }
}
