//! The header in the description of an API.

use poem_openapi::{ExtraHeader, OpenApiService};
use serde_json::Value;

use super::key::{IdempotencyKey, NAME};

const DESCRIPTION: &str = "A name for this request, such as a UUID, so that it is done once however often it is sent: within 24 hours \
     the same key with the same request gets the first answer again, with `Idempotent-Replayed: true`. With another request it is 422; while \
     the first one is being worked on, 409 with `Retry-After`. Without an API key it has no effect.";

/// A service that takes `Idempotency-Key`: the description of each POST that may be sent with a key has the header.
#[must_use]
pub fn with_idempotency_key<T, W>(service: OpenApiService<T, W>) -> OpenApiService<T, W> {
    service.extra_request_header::<Option<IdempotencyKey>, _>(ExtraHeader::new(NAME).description(DESCRIPTION))
}

/// The generator puts the header into every operation, in capitals. Here it stays in each POST for callers with a key.
pub(crate) fn only_where_it_counts(document: &mut Value) {
    let paths = document.get_mut("paths").and_then(Value::as_object_mut);
    for (method, operation) in paths
        .into_iter()
        .flat_map(|paths| paths.values_mut())
        .filter_map(Value::as_object_mut)
        .flat_map(|item| item.iter_mut())
    {
        let counts = method == "post" && operation.get("security").is_some();
        let Some(parameters) = operation.get_mut("parameters").and_then(Value::as_array_mut) else {
            continue;
        };
        parameters.retain_mut(|parameter| {
            let is_it = parameter["in"] == "header"
                && parameter["name"]
                    .as_str()
                    .is_some_and(|name| name.eq_ignore_ascii_case(NAME));
            if is_it {
                parameter["name"] = Value::from(NAME);
            }
            !is_it || counts
        });
        if parameters.is_empty()
            && let Some(members) = operation.as_object_mut()
        {
            members.remove("parameters");
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_post_for_callers_with_a_key_has_the_header_and_nothing_else_has() {
        let parameters = || json!([{"in": "header", "name": "IDEMPOTENCY-KEY"}, {"in": "query", "name": "wait"}]);
        let alone = json!([{"in": "header", "name": "IDEMPOTENCY-KEY"}]);
        let mut document = json!({"paths": {"/a": {
            "post": {"security": [{"ApiKey": []}], "parameters": parameters()},
            "get": {"security": [{"ApiKey": []}], "parameters": parameters()},
            "delete": {"security": [{"ApiKey": []}], "parameters": alone},
        }, "/b": {"post": {"parameters": parameters()}}}});
        only_where_it_counts(&mut document);
        let paths = &document["paths"];
        assert_eq!(paths["/a"]["post"]["parameters"][0]["name"], NAME);
        for rest in [&paths["/a"]["get"], &paths["/b"]["post"]] {
            assert_eq!(rest["parameters"], json!([{"in": "query", "name": "wait"}]));
        }
        assert_eq!(paths["/a"]["delete"].get("parameters"), None);
    }
}
