//! Management's API: sends a request, and makes a failure of what is no good answer.

use std::error::Error as _;
use std::future::Future;
use std::ops::Deref;
use std::time::Duration;

use futures_util::TryStreamExt as _;
use progenitor_client::{ByteStream, Error, ResponseValue};
use reqwest::header::{HeaderMap, HeaderValue, LOCATION};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Response, StatusCode};
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use serde_json::Value;
use vpnmanager_runtime::loopback::past_proxies;

use crate::client::Client;
use crate::connection::{Connection, is_web};
use crate::failure::{Failure, Kind};
use crate::output::tidy;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// What management says where it has no such route at all.
const NO_ROUTE: &str = "there is nothing at this path";

/// What an operation of the generated client gives.
pub(crate) type Sent<T> = Result<ResponseValue<T>, Error<()>>;

/// Management, with the operations of the generated client.
#[derive(Debug)]
pub(crate) struct Api {
    client: Client,
    url: String,
    pub(crate) http: reqwest::Client,
}

/// As RFC 9457 has it. All of it may be absent: a proxy on the way answers something else.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Problem {
    title: Option<String>,
    detail: Option<String>,
    errors: Vec<FieldError>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct FieldError {
    field: String,
    detail: String,
}

impl Api {
    /// A client for that management. Nothing is sent.
    pub(crate) fn new(connection: &Connection) -> Result<Self, Failure> {
        if !is_web(&connection.url) {
            return Err(Failure::usage(format!(
                "{:?} is no URL such as https://management.example.org:8080",
                connection.url
            )));
        }
        let mut headers = HeaderMap::new();
        if let Some(key) = &connection.key {
            let mut key = HeaderValue::from_str(key.expose_secret())
                .map_err(|_| Failure::usage("the API key has characters that no key has"))?;
            key.set_sensitive(true);
            headers.insert("x-api-key", key);
        }
        let builder = reqwest::Client::builder()
            .user_agent(concat!("vpnmanager/", env!("CARGO_PKG_VERSION")))
            .default_headers(headers)
            // A redirect would carry the key to where somebody else says.
            .redirect(Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(connection.timeout);
        let builder = match &connection.authorities {
            Some(pem) => {
                let unusable =
                    |error: reqwest::Error| Failure::usage(format!("the CA of management cannot be used: {error}"));
                builder.tls_certs_only(Certificate::from_pem_bundle(pem.as_bytes()).map_err(unusable)?)
            }
            // Reading the hundred that a machine trusts takes longer than most requests.
            None if connection.url.starts_with("http://") => builder.tls_certs_only([]),
            None => builder,
        };
        let http = past_proxies(builder, &connection.url)
            .build()
            .map_err(|error| Failure::failed(format!("cannot make an HTTP client: {}", causes(&error))))?;
        Ok(Self {
            client: Client::new_with_client(&connection.url, http.clone()),
            url: connection.url.clone(),
            http,
        })
    }

    /// Where it is.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Waits for the answer of an operation.
    pub(crate) async fn answer<T>(&self, sent: impl Future<Output = Sent<T>>) -> Result<T, Failure> {
        match sent.await {
            Ok(answer) => Ok(answer.into_inner()),
            Err(error) => Err(self.failure(error).await),
        }
    }

    /// The same for one that answers with a text.
    pub(crate) async fn text(&self, sent: impl Future<Output = Sent<ByteStream>>) -> Result<String, Failure> {
        let stream = self.answer(sent).await?.into_inner();
        let parts: Vec<_> = stream.try_collect().await.map_err(|error| self.unreachable(&error))?;
        String::from_utf8(parts.concat()).map_err(|_| Failure::failed("management's answer is no text"))
    }

    /// The answer to a request that was made by hand.
    pub(crate) async fn by_hand(&self, request: reqwest::RequestBuilder) -> Result<Value, Failure> {
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        if !response.status().is_success() {
            return Err(self.refusal(response).await);
        }
        response
            .json()
            .await
            .map_err(|error| Failure::failed(format!("management's answer is no JSON: {}", causes(&error))))
    }

    async fn failure(&self, error: Error<()>) -> Failure {
        if let Error::UnexpectedResponse(response) = error {
            return self.refusal(response).await;
        }
        if let Error::CommunicationError(cause) | Error::ResponseBodyError(cause) = &error {
            return self.unreachable(cause);
        }
        if let Error::InvalidRequest(text) = error {
            return Failure::usage(text);
        }
        Failure::failed(format!(
            "{} did not answer as management does: is this its URL?",
            self.url
        ))
    }

    /// Says that no answer came, or not all of it.
    pub(crate) fn unreachable(&self, error: &reqwest::Error) -> Failure {
        let why = match error.is_timeout() {
            true => "it does not answer in time".to_owned(),
            false => with_way_out(causes(error)),
        };
        Failure::new(
            Kind::Unreachable,
            format!("cannot reach management at {}: {why}", self.url),
        )
    }

    /// What management says in place of an answer, in its own words.
    async fn refusal(&self, response: Response) -> Failure {
        let status = response.status();
        if let Some(elsewhere) = elsewhere(&response) {
            return Failure::failed(format!(
                "{} sends on to {elsewhere}, where no key is sent unasked: is that management's URL?",
                self.url
            ));
        }
        let body = response.bytes().await.unwrap_or_default();
        let problem: Problem = serde_json::from_slice(&body).unwrap_or_default();
        if lacks_route(status, &problem) {
            return self.too_old_or_elsewhere().await;
        }
        Failure::new(Kind::of_status(status.as_u16()), problem.text(status))
    }

    async fn too_old_or_elsewhere(&self) -> Failure {
        let health = self.client.get_health().send().await.ok();
        let version = health.and_then(|health| health.get("version").and_then(Value::as_str).map(str::to_owned));
        let text = match version {
            Some(version) => format!(
                "management at {} is {} and does not know what this command asks for; vpnmanager is {}",
                self.url,
                tidy(&version),
                env!("CARGO_PKG_VERSION")
            ),
            None => format!("there is no management at {}", self.url),
        };
        Failure::failed(text)
    }
}

/// Where a redirect leads.
fn elsewhere(response: &Response) -> Option<String> {
    let location = response.headers().get(LOCATION)?.to_str().ok()?;
    response.status().is_redirection().then(|| tidy(location))
}

/// Whether a management of this URL has no such operation. What is about a thing that is not there has other words.
fn lacks_route(status: StatusCode, problem: &Problem) -> bool {
    let detail = problem.detail.as_deref();
    status == StatusCode::METHOD_NOT_ALLOWED
        || (status == StatusCode::NOT_FOUND && detail.is_none_or(|detail| detail == NO_ROUTE))
}

impl Deref for Api {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Problem {
    fn text(&self, status: StatusCode) -> String {
        let said = self.detail.as_ref().or(self.title.as_ref());
        let mut text = match said {
            Some(said) => tidy(said),
            None => format!("management answers {status}"),
        };
        let fields = self
            .errors
            .iter()
            .map(|error| format!("{}: {}", tidy(&error.field), tidy(&error.detail)));
        // Management says what is wrong with the first field in the detail, too.
        let others: Vec<String> = fields.filter(|field| *field != text).collect();
        for other in others {
            text.push_str(&format!("\n  {other}"));
        }
        text
    }
}

/// The innermost cause says it in words: `Connection refused`.
fn causes(error: &reqwest::Error) -> String {
    match error.source() {
        Some(source) => vpnmanager_runtime::error_chain::innermost(source),
        None => error.to_string(),
    }
}

/// What to do where the certificate is of a CA that nobody named, as that which management makes itself is.
pub(crate) fn with_way_out(cause: String) -> String {
    match is_of_unknown_ca(&cause) {
        true => format!("{cause}: name the CA of management's certificate with --management-ca or MANAGEMENT_CA"),
        false => cause,
    }
}

/// Whether a connection failed because the certificate is of a CA that is not trusted.
pub(crate) fn is_of_unknown_ca(cause: &str) -> bool {
    cause.contains("UnknownIssuer")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_of_an_unknown_ca_comes_with_the_flag_that_names_it() {
        let told = with_way_out("invalid peer certificate: UnknownIssuer".to_owned());
        assert!(told.contains("--management-ca"), "{told}");
        assert_eq!(with_way_out("Connection refused".to_owned()), "Connection refused");
    }

    #[test]
    fn a_route_that_is_not_there_is_told_from_a_user_who_is_not() {
        let problem = |detail: &str| Problem {
            detail: Some(detail.to_owned()),
            ..Problem::default()
        };
        assert!(lacks_route(StatusCode::NOT_FOUND, &problem(NO_ROUTE)));
        assert!(lacks_route(StatusCode::NOT_FOUND, &Problem::default()));
        assert!(lacks_route(
            StatusCode::METHOD_NOT_ALLOWED,
            &problem("this path does not have this method")
        ));
        assert!(!lacks_route(StatusCode::NOT_FOUND, &problem("there is no such user")));
        assert!(!lacks_route(StatusCode::CONFLICT, &Problem::default()));
    }

    #[test]
    fn no_problem_steers_the_terminal_or_adds_lines() {
        let text = r#"{"detail": "no\u001b[2J\nerror: fine", "errors": [{"field": "a\r", "detail": "b\u009b"}]}"#;
        let problem: Problem = serde_json::from_str(text).unwrap();
        assert_eq!(problem.text(StatusCode::BAD_REQUEST), "no?[2J?error: fine\n  a?: b?");
    }

    #[test]
    fn a_problem_is_one_line_and_one_for_each_field() {
        let text = r#"{"type": "about:blank", "title": "Bad Request", "status": 400, "detail": "the request is wrong",
            "errors": [{"field": "username", "detail": "must not be empty"}], "hint": "of a newer management"}"#;
        let problem: Problem = serde_json::from_str(text).unwrap();
        assert_eq!(
            problem.text(StatusCode::BAD_REQUEST),
            "the request is wrong\n  username: must not be empty"
        );
        let text = r#"{"detail": "username: is required", "errors": [{"field": "username", "detail": "is required"},
            {"field": "user", "detail": "is not known here"}]}"#;
        let problem: Problem = serde_json::from_str(text).unwrap();
        assert_eq!(
            problem.text(StatusCode::BAD_REQUEST),
            "username: is required\n  user: is not known here"
        );
        assert_eq!(
            Problem::default().text(StatusCode::BAD_GATEWAY),
            "management answers 502 Bad Gateway"
        );
    }
}
