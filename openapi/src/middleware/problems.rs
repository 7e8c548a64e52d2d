//! Every error of the framework as a problem.

use poem::error::{MethodNotAllowedError, NotFoundError};
use poem::http::{HeaderValue, StatusCode, header};
use poem::{Body, Error, Response};
use poem_openapi::error::{ContentTypeError, ParseParamError, ParsePathError, ParseRequestPayloadError};
use poem_openapi::types::ToJSON as _;

use super::browsers;
use super::diagnosis::{self, Refused};
use crate::problem::{ApiError, CONTENT_TYPE, FieldError, Problem, log_failure};

/// The answer that holds a problem.
pub(crate) fn respond(problem: &Problem) -> Response {
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = Response::builder()
        .status(status)
        .body(Body::from_string(problem.to_json_string()));
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
    response
}

/// The answer that holds the problem of an error.
pub(super) fn refusal(error: ApiError) -> Response {
    Error::from(error).into_response()
}

/// The answer to a request that is not fit to be read: the connection is closed after it.
pub(crate) fn refuse(problem: &Problem) -> Response {
    let mut response = respond(problem);
    browsers::restrict(response.headers_mut());
    response
        .headers_mut()
        .insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

/// An error answer with plain text or an empty body becomes a problem without detail; an answer of an operation stays as it is.
pub(super) fn of_response(response: Response) -> Response {
    let status = response.status();
    let is_error = status.is_client_error() || status.is_server_error();
    let is_text = response
        .content_type()
        .is_none_or(|content_type| content_type.starts_with("text/plain"));
    if !(is_error && is_text) {
        return response;
    }
    let mut problem = respond(&Problem::bare(status));
    for (name, value) in response.headers() {
        if name != header::CONTENT_TYPE && name != header::CONTENT_LENGTH {
            problem.headers_mut().append(name, value.clone());
        }
    }
    problem
}

/// The problem of an error.
pub(super) fn of_error(error: Error, refused: &Refused<'_>) -> Response {
    if error.is_from_response() {
        return of_response(error.into_response());
    }
    respond(&problem_of(&error, refused))
}

fn problem_of(error: &Error, refused: &Refused<'_>) -> Problem {
    let status = error.status();
    if let Some(error) = error.downcast_ref::<ParseParamError>() {
        return of_parameter(error.name, &error.reason);
    }
    if let Some(error) = error.downcast_ref::<ParsePathError>() {
        return of_parameter(refused.path_parameter(error.name), &error.reason);
    }
    if let Some(error) = error.downcast_ref::<ParseRequestPayloadError>() {
        let errors = refused.body_errors(&error.reason);
        return if errors.is_empty() {
            Problem::of(status, diagnosis::in_our_words(&error.reason))
        } else {
            Problem::of_fields(status, errors)
        };
    }
    if let Some(error) = error.downcast_ref::<ContentTypeError>() {
        return Problem::of(
            status,
            match error {
                ContentTypeError::NotSupported { content_type } => {
                    format!("the content type {content_type} is not accepted here")
                }
                ContentTypeError::ExpectContentType => "the request has a body and no content-type".to_owned(),
            },
        );
    }
    if error.is::<NotFoundError>() {
        return Problem::of(status, "there is nothing at this path");
    }
    if error.is::<MethodNotAllowedError>() {
        return Problem::of(status, "this path does not have this method; Allow lists those it has");
    }
    if status == StatusCode::UNAUTHORIZED {
        return Problem::of(status, "a key is needed, as X-API-Key or as a bearer token");
    }
    if status.is_server_error() {
        log_failure(error);
        return Problem::bare(status);
    }
    Problem::of(status, error.to_string())
}

fn of_parameter(name: &str, reason: &str) -> Problem {
    let detail = diagnosis::in_our_words(reason);
    Problem::of_fields(
        StatusCode::BAD_REQUEST,
        vec![FieldError {
            field: name.to_owned(),
            detail,
        }],
    )
}
