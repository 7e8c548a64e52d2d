//! An answer as bytes, and which answers are kept.

use poem::http::{HeaderName, HeaderValue, StatusCode};
use poem::{Body, Response};
use serde::{Deserialize, Serialize};

/// The longest answer that is kept, in bytes.
pub(crate) const LARGEST: usize = 1024 * 1024;

/// Says that an answer is given again.
const REPLAYED: &str = "idempotent-replayed";

/// All of an answer but its body.
#[derive(Debug, Serialize, Deserialize)]
struct Head {
    status: u16,
    headers: Vec<(String, String)>,
}

/// Whether an answer would be the same if the request were worked on again. It would not, where the caller may have been let in meanwhile, or was
/// only put off; and an error of ours says nothing of what was done.
pub(crate) fn is_final(status: StatusCode) -> bool {
    let is_put_off = matches!(
        status,
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS
    );
    (status.is_success() || status.is_client_error()) && !is_put_off
}

/// The answer as bytes. What a browser must not do, and the id of the request, come to each answer anew.
pub(crate) fn encode(response: &Response, body: &[u8]) -> Vec<u8> {
    let headers = response.headers().iter().filter_map(|(name, value)| {
        let value = value.to_str().ok()?;
        Some((name.as_str().to_owned(), value.to_owned()))
    });
    let head = Head {
        status: response.status().as_u16(),
        headers: headers.collect(),
    };
    // No JSON text has a line feed in it.
    let mut bytes = serde_json::to_vec(&head).unwrap_or_default();
    bytes.push(b'\n');
    bytes.extend_from_slice(body);
    bytes
}

/// The answer of [`encode`], marked as one that is repeated; `None`: a release that is newer than this one wrote it.
pub(crate) fn decode(bytes: &[u8]) -> Option<Response> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let head: Head = serde_json::from_slice(&bytes[..end]).ok()?;
    let mut response = Response::builder()
        .status(StatusCode::from_u16(head.status).ok()?)
        .body(Body::from_vec(bytes[end + 1..].to_vec()));
    for (name, value) in head.headers {
        let name: HeaderName = name.parse().ok()?;
        response.headers_mut().append(name, HeaderValue::from_str(&value).ok()?);
    }
    response
        .headers_mut()
        .insert(REPLAYED, HeaderValue::from_static("true"));
    Some(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_answer_comes_back_as_it_was() {
        let response = Response::builder()
            .status(StatusCode::CREATED)
            .header("location", "/api/users/alice")
            .header("link", "<a>")
            .header("link", "<b>")
            .content_type("application/json")
            .body(());
        let again = decode(&encode(&response, b"{\"a\":\n1}")).unwrap();
        assert_eq!(again.status(), StatusCode::CREATED);
        assert_eq!(again.header("location"), Some("/api/users/alice"));
        assert_eq!(again.headers().get_all("link").iter().count(), 2);
        assert_eq!(again.content_type(), Some("application/json"));
        assert_eq!(again.header("idempotent-replayed"), Some("true"));
        assert_eq!(again.into_body().into_string().await.unwrap(), "{\"a\":\n1}");
        assert!(decode(b"nonsense").is_none());
    }

    #[test]
    fn answers_that_say_nothing_of_the_next_one_are_not_kept() {
        for (status, kept) in [
            (200, true),
            (201, true),
            (204, true),
            (400, true),
            (404, true),
            (409, true),
            (304, false),
            (401, false),
            (403, false),
            (408, false),
            (429, false),
            (500, false),
            (503, false),
        ] {
            assert_eq!(is_final(StatusCode::from_u16(status).unwrap()), kept, "{status}");
        }
    }
}
