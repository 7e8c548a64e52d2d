//! Requests with something that the description does not know, one or two for each operation.

use serde_json::{Value, json};

use super::Spec;
use super::lint::{operations, resolve};

/// The name in each trial that no operation knows.
pub const UNKNOWN: &str = "no_such_name";

/// A request that a service must refuse with 400.
#[derive(Debug, Clone, PartialEq)]
pub struct Trial {
    /// The HTTP method, in capitals.
    pub method: String,
    /// The path with its query.
    pub path: String,
    /// The JSON body.
    pub body: Option<Value>,
    /// The field that the refusal names.
    pub field: &'static str,
}

/// For a test: every operation once with a query parameter that it does not have, and, unless its body is something else than JSON, once
/// with a member that it does not have. So no operation can be forgotten.
#[must_use]
pub fn trials(spec: &Spec) -> Vec<Trial> {
    let document = spec.document();
    let of_operation = |(path, method, operation): (&str, &str, &Value)| {
        let path: Vec<&str> = path
            .split('/')
            .map(|segment| if segment.starts_with('{') { "x" } else { segment })
            .collect();
        let trial = |query: &str, body: Option<Value>, field| Trial {
            method: method.to_uppercase(),
            path: format!("{}{query}", path.join("/")),
            body,
            field,
        };
        let content = operation.pointer("/requestBody/content").and_then(Value::as_object);
        let schema = content.and_then(|content| {
            let json = content.iter().find(|(content_type, _)| content_type.contains("json"));
            json?.1.get("schema")
        });
        let example = schema.map(|schema| resolve(document, schema)["example"].clone());
        let query = trial(&format!("?{UNKNOWN}=1"), example.clone(), UNKNOWN);
        let body = match (example, method) {
            (Some(mut example), _) => {
                example[UNKNOWN] = json!(1);
                Some(trial("", Some(example), UNKNOWN))
            }
            (None, "get" | "head") => None,
            // Its body has no members.
            (None, _) if content.is_some() => None,
            (None, _) => Some(trial("", Some(json!({ UNKNOWN: 1 })), "body")),
        };
        [Some(query), body].into_iter().flatten()
    };
    operations(document).flat_map(of_operation).collect()
}
