//! The body within its limit, and no NUL in path, query or body.

use bytes::Bytes;
use poem::Request;
use poem::error::ReadBodyError;
use poem::http::header;
use serde_json::Value;

use crate::problem::ApiError;

const NO_NUL: &str = "must not contain NUL";

/// Reads the body (if any) within the limit, puts it back into the request, and gives a second handle to it.
pub(super) async fn read(request: &mut Request, limit: usize) -> Result<Bytes, ApiError> {
    let too_large = || ApiError::payload_too_large(format!("the body must not be larger than {limit} bytes"));
    if announced(request).is_some_and(|length| length > limit) {
        return Err(too_large());
    }
    let body = request.take_body();
    if body.is_empty() {
        return Ok(Bytes::new());
    }
    let bytes = body.into_bytes_limit(limit).await.map_err(|error| match error {
        ReadBodyError::PayloadTooLarge => too_large(),
        ReadBodyError::BodyHasBeenTaken | ReadBodyError::Utf8(_) | ReadBodyError::Io(_) => {
            ApiError::bad_request("the body ended before it was complete")
        }
    })?;
    refuse_nul_in_body(&bytes)?;
    request.set_body(bytes.clone());
    Ok(bytes)
}

/// How many bytes of body the head of a request announces.
pub(super) fn announced(request: &Request) -> Option<usize> {
    let length = request.headers().get(header::CONTENT_LENGTH)?;
    let length = length.to_str().ok()?.parse::<u64>().ok()?;
    Some(usize::try_from(length).unwrap_or(usize::MAX))
}

/// `%00` is the only way to write a NUL in a URL.
pub(super) fn refuse_nul_in_uri(request: &Request) -> Result<(), ApiError> {
    if request.uri().path().contains("%00") {
        return Err(ApiError::invalid("path", NO_NUL));
    }
    let query = request.uri().query().unwrap_or_default();
    match query.split('&').find(|pair| pair.contains("%00")) {
        Some(pair) => Err(ApiError::invalid(parameter_name(pair), NO_NUL)),
        None => Ok(()),
    }
}

/// The parameter's name when it can be shown.
fn parameter_name(pair: &str) -> &str {
    let name = pair.split('=').next().unwrap_or_default();
    if name.is_empty() || name.contains('%') {
        "query"
    } else {
        name
    }
}

/// A raw NUL is not valid JSON. Its escape is valid, but our databases cannot store it.
fn refuse_nul_in_body(body: &[u8]) -> Result<(), ApiError> {
    const ESCAPE: &[u8] = b"\\u0000";
    if !body.windows(ESCAPE.len()).any(|window| window == ESCAPE) {
        return Ok(());
    }
    let Ok(value) = serde_json::from_slice::<Value>(body) else {
        return Ok(());
    };
    match place_of_nul("", &value) {
        Some(place) => Err(ApiError::invalid(place, NO_NUL)),
        None => Ok(()),
    }
}

fn place_of_nul(place: &str, value: &Value) -> Option<String> {
    let below = |name: &str| {
        if place.is_empty() {
            name.to_owned()
        } else {
            format!("{place}.{name}")
        }
    };
    match value {
        Value::String(text) => text.contains('\0').then(|| {
            if place.is_empty() {
                "body".to_owned()
            } else {
                place.to_owned()
            }
        }),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .find_map(|(index, item)| place_of_nul(&below(&index.to_string()), item)),
        Value::Object(members) => members.iter().find_map(|(name, member)| {
            if name.contains('\0') {
                return Some(below("(a member's name)"));
            }
            place_of_nul(&below(name), member)
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}
