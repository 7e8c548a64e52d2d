//! What came back.

use reqwest::header::HeaderMap;
use serde_json::Value;

/// An answer of either API.
#[derive(Debug, Clone)]
pub struct Answer {
    /// What was asked, for messages: method and path.
    pub request: String,
    /// HTTP status.
    pub status: u16,
    /// Headers.
    pub headers: HeaderMap,
    /// The body as JSON; null when it is empty or something else.
    pub body: Value,
    /// The body as text.
    pub text: String,
}

/// A request failed, or was answered otherwise than expected.
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
    /// An answer, and not the expected one.
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
