//! What the description of an API says of how much a caller may ask.

use poem_openapi::{ExtraHeader, OpenApiService};
use serde_json::Value;

const POLICY: &str = "RateLimit-Policy";
const POLICY_SAYS: &str = "How much one key may ask: `\"key\";q=20000;w=10` are 20,000 requests in 10 s.";
const LEFT: &str = "RateLimit";
const LEFT_SAYS: &str =
    "What is left of that: `\"key\";r=19999;t=1` are 19,999 requests, and in 1 s all of them are there again.";

/// A service whose callers may ask so much and no more: the description of each answer that tells a caller has the headers.
#[must_use]
pub fn with_rate_limits<T, W>(service: OpenApiService<T, W>) -> OpenApiService<T, W> {
    service
        .extra_response_header::<Option<String>, _>(ExtraHeader::new(POLICY).description(POLICY_SAYS))
        .extra_response_header::<Option<String>, _>(ExtraHeader::new(LEFT).description(LEFT_SAYS))
}

/// The generator puts the headers into every answer. Here they stay in those to callers with a key that are no fault, and where a caller is put
/// off. Other refusals may have them too: it is not said of each, which would be most of the description.
pub(crate) fn only_where_it_counts(document: &mut Value) {
    let paths = document.get_mut("paths").and_then(Value::as_object_mut);
    for operation in paths
        .into_iter()
        .flat_map(|paths| paths.values_mut())
        .filter_map(Value::as_object_mut)
        .flat_map(|item| item.values_mut())
    {
        let has_key = operation.get("security").is_some();
        let answers = operation.get_mut("responses").and_then(Value::as_object_mut);
        for (status, answer) in answers.into_iter().flatten() {
            if !has_key || !counts(status) {
                forget(answer);
            }
        }
    }
}

fn counts(status: &str) -> bool {
    status.starts_with(['2', '3']) || status == "429"
}

fn forget(answer: &mut Value) {
    let Some(headers) = answer.get_mut("headers").and_then(Value::as_object_mut) else {
        return;
    };
    headers.retain(|name, _| ![POLICY, LEFT].iter().any(|told| name.eq_ignore_ascii_case(told)));
    if headers.is_empty()
        && let Some(members) = answer.as_object_mut()
    {
        members.remove("headers");
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn good_answers_to_callers_with_a_key_have_the_headers_and_so_has_who_is_put_off() {
        let answers = || {
            json!({
                "200": { "headers": { "RATELIMIT-POLICY": {}, "RATELIMIT": {}, "LINK": {} } },
                "404": { "headers": { "RATELIMIT-POLICY": {}, "RATELIMIT": {} } },
                "429": { "headers": { "RATELIMIT": {}, "RETRY-AFTER": {} } },
                "503": { "headers": { "RATELIMIT": {}, "RETRY-AFTER": {} } },
            })
        };
        let mut document = json!({ "paths": { "/a": {
            "get": { "security": [{ "ApiKey": [] }], "responses": answers() },
            "post": { "responses": answers() },
        } } });
        only_where_it_counts(&mut document);
        for (method, status, expected) in [
            (
                "get",
                "200",
                json!({ "RATELIMIT-POLICY": {}, "RATELIMIT": {}, "LINK": {} }),
            ),
            ("get", "404", Value::Null),
            ("get", "429", json!({ "RATELIMIT": {}, "RETRY-AFTER": {} })),
            ("get", "503", json!({ "RETRY-AFTER": {} })),
            ("post", "200", json!({ "LINK": {} })),
            ("post", "429", json!({ "RETRY-AFTER": {} })),
        ] {
            let told = &document["paths"]["/a"][method]["responses"][status]["headers"];
            assert_eq!(*told, expected, "{method} {status}");
        }
    }
}
