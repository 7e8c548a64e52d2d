//! An answer of an HTTP API.

use reqwest::header::HeaderMap;
use serde_json::Value;

/// An answer of management's API or of a node's.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Method and path of the request, for messages.
    pub request: String,
    /// HTTP status.
    pub status: u16,
    /// Headers.
    pub headers: HeaderMap,
    /// The body as JSON; null if it is empty or no JSON.
    pub body: Value,
    /// The body as text.
    pub text: String,
}

/// A request that failed, or got an unexpected answer.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// No answer.
    #[error("{request}: no answer")]
    NoAnswer {
        /// Method and path.
        request: String,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// An answer with an unexpected status.
    #[error("{request}: answered {status}: {text}")]
    Unexpected {
        /// Method and path.
        request: String,
        /// HTTP status.
        status: u16,
        /// Body.
        text: String,
    },
}

impl Answer {
    /// The answer itself when its status is 2xx.
    ///
    /// # Errors
    /// [`ApiError::Unexpected`].
    pub fn success(self) -> Result<Self, ApiError> {
        if (200..300).contains(&self.status) {
            Ok(self)
        } else {
            Err(self.unexpected())
        }
    }

    /// The answer itself when it has this status.
    ///
    /// # Errors
    /// [`ApiError::Unexpected`].
    pub fn expect(self, status: u16) -> Result<Self, ApiError> {
        if self.status == status {
            Ok(self)
        } else {
            Err(self.unexpected())
        }
    }

    /// The entries of a list answer.
    #[must_use]
    pub fn items(&self) -> &[Value] {
        self.body["items"].as_array().map_or(&[], Vec::as_slice)
    }

    fn unexpected(self) -> ApiError {
        ApiError::Unexpected {
            request: self.request,
            status: self.status,
            text: self.text,
        }
    }
}
