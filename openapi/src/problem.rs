//! The one error body: `application/problem+json` (RFC 9457).

use std::error::Error;
use std::time::Duration;

use poem::http::StatusCode;
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, Object};
use serde::{Deserialize, Serialize};

use vpnmanager_runtime::error_chain::chain;
use vpnmanager_runtime::log_limit::LogLimit;

/// The content type of every error answer.
pub const CONTENT_TYPE: &str = "application/problem+json";

/// The challenge of every 401.
pub const CHALLENGE: &str = "Bearer realm=\"vpnmanager\"";

/// The longest detail that is sent, in characters; a caller's own input may be quoted in it.
const LONGEST_DETAIL: usize = 400;

/// An error, as RFC 9457 describes it. Clients of ours read it with serde.
#[derive(Debug, Clone, PartialEq, Eq, Object, Serialize, Deserialize)]
#[oai(skip_serializing_if_is_none, example)]
pub struct Problem {
    /// What kind of problem this is; `about:blank` when the status says it all.
    #[oai(rename = "type")]
    #[serde(rename = "type", default)]
    pub kind: String,
    /// The status in words.
    #[serde(default)]
    pub title: String,
    /// The HTTP status.
    #[serde(default)]
    pub status: u16,
    /// What happened, for people. Never holds anything internal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The request that this happened to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// The fields of the request that are wrong, if that is the problem.
    #[oai(skip_serializing_if_is_empty, default)]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
}

/// One wrong field of a request.
#[derive(Debug, Clone, PartialEq, Eq, Object, Serialize, Deserialize)]
pub struct FieldError {
    /// A member of the body, a parameter of query or path, or a header, by its name; nested ones with dots.
    pub field: String,
    /// What is wrong with it.
    pub detail: String,
}

impl poem_openapi::types::Example for Problem {
    fn example() -> Self {
        Self::of(StatusCode::BAD_REQUEST, "username: must not be empty").with_field("username", "must not be empty")
    }
}

impl Problem {
    /// The problem of a status, with what happened.
    #[must_use]
    pub fn of(status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            detail: Some(shortened(detail.into())),
            ..Self::bare(status)
        }
    }

    /// What the description shows for a refusal with this status.
    pub(crate) fn example_of(status: StatusCode) -> Self {
        let detail = match status {
            StatusCode::UNAUTHORIZED => "a key is needed, as X-API-Key or as a bearer token",
            StatusCode::FORBIDDEN => "this key may not do this",
            StatusCode::NOT_FOUND => "there is no user of this name",
            StatusCode::CONFLICT => {
                return Self::of_fields(
                    status,
                    vec![FieldError {
                        field: "username".to_owned(),
                        detail: "a user of that name exists".to_owned(),
                    }],
                );
            }
            StatusCode::PAYLOAD_TOO_LARGE => "the body must not be larger than 32768 bytes",
            StatusCode::UNSUPPORTED_MEDIA_TYPE => "the content type text/plain is not accepted here",
            StatusCode::UNPROCESSABLE_ENTITY => {
                return Self::of_fields(
                    status,
                    vec![FieldError {
                        field: "Idempotency-Key".to_owned(),
                        detail: "was used for another request".to_owned(),
                    }],
                );
            }
            StatusCode::TOO_MANY_REQUESTS => "too many requests from this address",
            StatusCode::SERVICE_UNAVAILABLE => "the database is away",
            _ => return Self::bare(status),
        };
        Self::of(status, detail)
    }

    /// The problem of a status, with nothing to add.
    #[must_use]
    pub fn bare(status: StatusCode) -> Self {
        Self {
            kind: "about:blank".to_owned(),
            title: status.canonical_reason().unwrap_or("Error").to_owned(),
            status: status.as_u16(),
            detail: None,
            instance: None,
            errors: Vec::new(),
        }
    }

    /// Adds a wrong field.
    #[must_use]
    pub fn with_field(mut self, field: impl Into<String>, detail: impl Into<String>) -> Self {
        self.errors.push(FieldError {
            field: field.into(),
            detail: shortened(detail.into()),
        });
        self
    }

    /// The problem of wrong fields; the detail repeats the first for those who read only that.
    #[must_use]
    pub fn of_fields(status: StatusCode, errors: Vec<FieldError>) -> Self {
        let detail = errors
            .first()
            .map(|first| shortened(format!("{}: {}", first.field, first.detail)));
        Self {
            detail,
            errors,
            ..Self::bare(status)
        }
    }
}

/// A problem as a body; boxed, so that a `Result` stays small.
type Body = Json<Box<Problem>>;

/// The error of every operation. Each status has a constructor; the middleware adds those that come from the framework.
#[derive(Debug, ApiResponse)]
pub enum ApiError {
    /// Something in the request is wrong; `errors` names the fields.
    #[oai(status = 400, content_type = "application/problem+json")]
    BadRequest(Body),
    /// No key, or one that is not known.
    #[oai(status = 401, content_type = "application/problem+json")]
    Unauthorized(
        Body,
        /// How to present a key.
        #[oai(header = "WWW-Authenticate")]
        String,
    ),
    /// The key is known and may not do this; or what should prove who asks does not, and `errors` names it.
    #[oai(status = 403, content_type = "application/problem+json")]
    Forbidden(Body),
    /// There is no such thing.
    #[oai(status = 404, content_type = "application/problem+json")]
    NotFound(Body),
    /// It contradicts what is already there, or the clock.
    #[oai(status = 409, content_type = "application/problem+json")]
    Conflict(Body),
    /// The body is larger than is accepted.
    #[oai(status = 413, content_type = "application/problem+json")]
    PayloadTooLarge(Body),
    /// The body is not of a type that is accepted.
    #[oai(status = 415, content_type = "application/problem+json")]
    UnsupportedMediaType(Body),
    /// The `Idempotency-Key` was used for another request; `errors` names the header.
    #[oai(status = 422, content_type = "application/problem+json")]
    Unprocessable(Body),
    /// The caller, or its address, asks more than is answered; try again later.
    #[oai(status = 429, content_type = "application/problem+json")]
    TooManyRequests(
        Body,
        /// Seconds after which to try again.
        #[oai(header = "Retry-After")]
        u32,
    ),
    /// An error of ours, logged with the request's id.
    #[oai(status = 500, content_type = "application/problem+json")]
    Internal(Body),
    /// A server of the fleet answered with something that is not taken. Trying again changes nothing.
    #[oai(status = 502, content_type = "application/problem+json")]
    BadGateway(Body),
    /// Something that is needed is away for the moment; try again.
    #[oai(status = 503, content_type = "application/problem+json")]
    Unavailable(
        Body,
        /// Seconds after which to try again.
        #[oai(header = "Retry-After")]
        u32,
    ),
}

impl ApiError {
    /// 400: one field is wrong.
    #[must_use]
    pub fn invalid(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::invalid_fields(vec![FieldError {
            field: field.into(),
            detail: shortened(detail.into()),
        }])
    }

    /// 400: several fields are wrong.
    #[must_use]
    pub fn invalid_fields(errors: Vec<FieldError>) -> Self {
        Self::BadRequest(body_of(Problem::of_fields(StatusCode::BAD_REQUEST, errors)))
    }

    /// 409: several fields have the right form and contradict each other, or what is there.
    #[must_use]
    pub fn conflicting_fields(errors: Vec<FieldError>) -> Self {
        Self::Conflict(body_of(Problem::of_fields(StatusCode::CONFLICT, errors)))
    }

    /// 400: the request as a whole is wrong.
    #[must_use]
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::BadRequest(body_of(Problem::of(StatusCode::BAD_REQUEST, detail)))
    }

    /// 401.
    #[must_use]
    pub fn unauthorized(detail: impl Into<String>) -> Self {
        Self::Unauthorized(
            body_of(Problem::of(StatusCode::UNAUTHORIZED, detail)),
            CHALLENGE.to_owned(),
        )
    }

    /// 403.
    #[must_use]
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::Forbidden(body_of(Problem::of(StatusCode::FORBIDDEN, detail)))
    }

    /// 403: this field proves nothing, though it has the form that it should have.
    #[must_use]
    pub fn unproven(field: impl Into<String>, detail: impl Into<String>) -> Self {
        let error = FieldError {
            field: field.into(),
            detail: shortened(detail.into()),
        };
        Self::Forbidden(body_of(Problem::of_fields(StatusCode::FORBIDDEN, vec![error])))
    }

    /// 404, such as `not_found("there is no user \"x\"")`.
    #[must_use]
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::NotFound(body_of(Problem::of(StatusCode::NOT_FOUND, detail)))
    }

    /// 409: this field's value has the right form, but is taken, or does not fit what is there or the time.
    #[must_use]
    pub fn conflict(field: impl Into<String>, detail: impl Into<String>) -> Self {
        let error = FieldError {
            field: field.into(),
            detail: shortened(detail.into()),
        };
        Self::Conflict(body_of(Problem::of_fields(StatusCode::CONFLICT, vec![error])))
    }

    /// 409: what is there forbids it, no field is to blame.
    #[must_use]
    pub fn conflicting_state(detail: impl Into<String>) -> Self {
        Self::Conflict(body_of(Problem::of(StatusCode::CONFLICT, detail)))
    }

    /// 413.
    #[must_use]
    pub fn payload_too_large(detail: impl Into<String>) -> Self {
        Self::PayloadTooLarge(body_of(Problem::of(StatusCode::PAYLOAD_TOO_LARGE, detail)))
    }

    /// 415.
    #[must_use]
    pub fn unsupported_media_type(detail: impl Into<String>) -> Self {
        Self::UnsupportedMediaType(body_of(Problem::of(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail)))
    }

    /// 422: this header does not fit the rest of the request.
    #[must_use]
    pub fn unprocessable(field: impl Into<String>, detail: impl Into<String>) -> Self {
        let error = FieldError {
            field: field.into(),
            detail: shortened(detail.into()),
        };
        Self::Unprocessable(body_of(Problem::of_fields(
            StatusCode::UNPROCESSABLE_ENTITY,
            vec![error],
        )))
    }

    /// 429: try again after this many seconds, rounded up, at least 1.
    #[must_use]
    pub fn too_many_requests(detail: impl Into<String>, retry_after: Duration) -> Self {
        let seconds = u32::try_from(retry_after.as_millis().div_ceil(1000)).unwrap_or(u32::MAX);
        Self::TooManyRequests(
            body_of(Problem::of(StatusCode::TOO_MANY_REQUESTS, detail)),
            seconds.max(1),
        )
    }

    /// 500: the error and its sources go to the log and nowhere else. Takes any error, `anyhow`'s too:
    /// `.map_err(ApiError::internal)`.
    #[must_use]
    pub fn internal(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        log_failure(error.into().as_ref());
        Self::Internal(body_of(Problem::bare(StatusCode::INTERNAL_SERVER_ERROR)))
    }

    /// 502: who was asked for it sent something unfit.
    #[must_use]
    pub fn bad_gateway(detail: impl Into<String>) -> Self {
        Self::BadGateway(body_of(Problem::of(StatusCode::BAD_GATEWAY, detail)))
    }

    /// 503: try again in a second.
    #[must_use]
    pub fn unavailable(detail: impl Into<String>) -> Self {
        Self::Unavailable(body_of(Problem::of(StatusCode::SERVICE_UNAVAILABLE, detail)), 1)
    }

    /// The problem inside.
    #[must_use]
    pub fn problem(&self) -> &Problem {
        match self {
            Self::BadRequest(problem)
            | Self::Unauthorized(problem, _)
            | Self::Forbidden(problem)
            | Self::NotFound(problem)
            | Self::Conflict(problem)
            | Self::PayloadTooLarge(problem)
            | Self::UnsupportedMediaType(problem)
            | Self::Unprocessable(problem)
            | Self::TooManyRequests(problem, _)
            | Self::Internal(problem)
            | Self::BadGateway(problem)
            | Self::Unavailable(problem, _) => problem,
        }
    }
}

/// Logs why a request failed. Somebody outside may have found a way to cause it again and again.
pub(crate) fn log_failure(error: &(dyn Error + 'static)) {
    static FAILED: LogLimit = LogLimit::lines("a request failed", 20);
    if let Some(times) = FAILED.admit() {
        tracing::error!(error = %chain(error), times, "Request failed");
    }
}

fn body_of(problem: Problem) -> Body {
    Json(Box::new(problem))
}

fn shortened(text: String) -> String {
    match text.char_indices().nth(LONGEST_DETAIL) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use poem_openapi::types::{Example as _, ToJSON as _};

    use super::*;

    #[test]
    fn a_problem_reads_back_as_it_was_written() {
        let problem = Problem::example();
        assert_eq!(
            serde_json::from_str::<Problem>(&problem.to_json_string()).unwrap(),
            problem
        );
    }

    #[test]
    fn a_long_detail_is_cut_between_characters() {
        let problem = Problem::of(StatusCode::BAD_REQUEST, "é".repeat(1000));
        assert_eq!(problem.detail.unwrap().chars().count(), LONGEST_DETAIL + 1);
    }
}
