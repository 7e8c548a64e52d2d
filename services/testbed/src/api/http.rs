//! Sends requests to one service with one key.

use std::time::Duration;

use reqwest::Method;
use serde_json::Value;

use super::{Answer, ApiError};

/// The timeout of a request; longer than any `?wait=` that tests use.
const PATIENCE: Duration = Duration::from_secs(60);

/// A connection that was not used for this long is not used again: the services close one on which no first request comes within ten seconds,
/// and on a busy machine a test would hear of that only when it has sent one.
const IDLE: Duration = Duration::from_secs(5);

thread_local! {
    /// Making one takes a while, and a test has a thread of its own.
    static HTTP: reqwest::Client = reqwest::Client::builder()
        .pool_idle_timeout(IDLE)
        .build()
        .expect("nothing of it can be wrong");
}

/// One service, one key.
#[derive(Debug, Clone)]
pub struct Api {
    base: String,
    key: Option<String>,
    http: reqwest::Client,
}

impl Api {
    /// The service at `base` (`http://host:port`), with a key or without.
    #[must_use]
    pub fn new(base: impl Into<String>, key: Option<&str>) -> Self {
        Self::with_client(base, key, HTTP.with(Clone::clone))
    }

    /// The same with a client of the caller's, for example one with another address.
    #[must_use]
    pub fn with_client(base: impl Into<String>, key: Option<&str>, http: reqwest::Client) -> Self {
        Self {
            base: base.into(),
            key: key.map(str::to_owned),
            http,
        }
    }

    /// The same service with another key, or none.
    #[must_use]
    pub fn with_key(&self, key: Option<&str>) -> Self {
        Self {
            key: key.map(str::to_owned),
            ..self.clone()
        }
    }

    /// `http://host:port`.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.base
    }

    /// GET.
    ///
    /// # Errors
    /// [`ApiError::NoAnswer`]; any status is an answer.
    pub async fn get(&self, path: &str) -> Result<Answer, ApiError> {
        self.request(Method::GET, path, None).await
    }

    /// POST with a JSON body.
    ///
    /// # Errors
    /// [`ApiError::NoAnswer`]; any status is an answer.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Answer, ApiError> {
        self.request(Method::POST, path, Some(body)).await
    }

    /// PATCH with a JSON body.
    ///
    /// # Errors
    /// [`ApiError::NoAnswer`]; any status is an answer.
    pub async fn patch(&self, path: &str, body: &Value) -> Result<Answer, ApiError> {
        self.request(Method::PATCH, path, Some(body)).await
    }

    /// DELETE.
    ///
    /// # Errors
    /// [`ApiError::NoAnswer`]; any status is an answer.
    pub async fn delete(&self, path: &str) -> Result<Answer, ApiError> {
        self.request(Method::DELETE, path, None).await
    }

    /// Any request.
    ///
    /// # Errors
    /// [`ApiError::NoAnswer`]; any status is an answer.
    pub async fn request(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Answer, ApiError> {
        let request = format!("{method} {}{path}", self.base);
        let no_answer = |source| ApiError::NoAnswer {
            request: request.clone(),
            source,
        };
        let mut builder = self
            .http
            .request(method, format!("{}{path}", self.base))
            .timeout(PATIENCE);
        if let Some(key) = &self.key {
            builder = builder.header("X-API-Key", key);
        }
        if let Some(body) = body {
            builder = builder.json(body);
        }
        let response = builder.send().await.map_err(no_answer)?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.map_err(no_answer)?;
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        Ok(Answer {
            request,
            status,
            headers,
            body,
            text,
        })
    }
}
