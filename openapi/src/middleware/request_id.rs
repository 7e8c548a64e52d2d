//! `x-request-id`: the caller's if it is a valid token, otherwise a new one; it is in every answer and in the logs.

use std::fmt::{self, Display};

use poem::http::{HeaderMap, HeaderValue};
use poem::{FromRequest, Request, RequestBody};

/// The header's name.
pub(super) const HEADER: &str = "x-request-id";

/// The longest id accepted from a caller.
const LONGEST: usize = 64;

/// The id of a request; an operation takes it as a parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(String);

impl RequestId {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let given = headers.get(HEADER).and_then(|value| value.to_str().ok());
        match given.filter(|id| is_sane(id)) {
            Some(id) => Self(id.to_owned()),
            None => Self::random(),
        }
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn header_value(&self) -> HeaderValue {
        HeaderValue::from_str(&self.0).unwrap_or_else(|_impossible| HeaderValue::from_static("invalid"))
    }

    fn random() -> Self {
        Self(format!("{:032x}", fastrand::u128(..)))
    }
}

impl Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'a> FromRequest<'a> for RequestId {
    async fn from_request(request: &'a Request, _body: &mut RequestBody) -> poem::Result<Self> {
        Ok(request
            .data::<Self>()
            .cloned()
            .unwrap_or_else(|| Self::of(request.headers())))
    }
}

fn is_sane(id: &str) -> bool {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
    (1..=LONGEST).contains(&id.len()) && id.bytes().all(token)
}
