//! The pages that hand out nothing, and say what to do.

use poem::Response;
use poem::http::{HeaderValue, StatusCode, header};
use vpnmanager_openapi::problem::ApiError;

use super::frame::page;

const ASK: &str = "<p>Ask whoever gave it to you for a new link.</p>\n";

/// No link has the token, or it is none.
pub(super) fn unknown() -> Response {
    let content = format!("<p>There is no such link. Perhaps it was not copied as a whole.</p>\n{ASK}");
    page(StatusCode::NOT_FOUND, "There is no such link", &content)
}

/// The link was good once. `why` is a sentence of ours.
pub(super) fn ended(why: &str) -> Response {
    let content = format!("<p>{why} It hands out nothing any more.</p>\n{ASK}");
    page(StatusCode::GONE, "This link has ended", &content)
}

/// The user of the link has no access.
pub(super) fn closed() -> Response {
    let content = "<p>The access that this link is for is suspended or has ended, so it hands out nothing.</p>\n\
        <p>Ask whoever gave it to you.</p>\n";
    page(StatusCode::FORBIDDEN, "No access", content)
}

/// The method is none of those of the path.
pub(super) fn of_method(allowed: &'static str) -> Response {
    let content = "<p>A link to a profile is opened in a browser.</p>\n";
    let mut response = page(StatusCode::METHOD_NOT_ALLOWED, "This does not work here", content);
    response
        .headers_mut()
        .insert(header::ALLOW, HeaderValue::from_static(allowed));
    response
}

/// What an operation would answer as a problem. Its words are for operators, so only the status is told.
pub(super) fn of_problem(error: &ApiError) -> Response {
    let status = StatusCode::from_u16(error.problem().status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let (heading, content) = match status {
        StatusCode::TOO_MANY_REQUESTS => (
            "Too many requests",
            "<p>Too much was asked from your address. Wait a few seconds, and try again.</p>\n",
        ),
        StatusCode::CONFLICT | StatusCode::NOT_FOUND => (
            "There is no profile yet",
            "<p>The profile is not made yet, or has to be made anew. The link was not used up.</p>\n\
             <p>Try again in a few minutes. If it stays so, ask whoever gave you the link.</p>\n",
        ),
        _ => (
            "Try again",
            "<p>The profile cannot be handed out at the moment. The link was not used up.</p>\n\
             <p>Try again in a minute. If it stays so, ask whoever gave you the link.</p>\n",
        ),
    };
    let mut response = page(status, heading, content);
    if let ApiError::TooManyRequests(_, seconds) | ApiError::Unavailable(_, seconds) = error {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, HeaderValue::from(*seconds));
    }
    response
}
