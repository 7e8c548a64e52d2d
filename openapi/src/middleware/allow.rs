//! Which operations a path has, whether each needs a key, and which body: looked up in the description by path template.

use std::collections::BTreeMap;

use poem::http::{HeaderValue, Method};
use serde_json::Value;

use super::query::QueryNames;
use crate::spec::operations;

/// The methods of paths outside the description: the documents.
const READ_ONLY: &str = "GET, HEAD";

/// The path templates of a description.
#[derive(Debug, Clone)]
pub(super) struct Allowed {
    templates: Vec<Template>,
}

#[derive(Debug, Clone)]
struct Template {
    path: String,
    methods: Vec<String>,
    operations: BTreeMap<String, Operation>,
}

/// What must be known of an operation before its request is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Operation {
    pub(super) id: String,
    pub(super) key: KeyRule,
    pub(super) has_body: bool,
    pub(super) query: QueryNames,
}

/// Whether an operation needs a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyRule {
    /// It never looks at one.
    None,
    /// It looks at one that is presented.
    Optional,
    /// It does nothing without one.
    Needed,
}

impl Operation {
    fn of(operation: &Value) -> Self {
        let security = operation.get("security").and_then(Value::as_array);
        let is_open = |choice: &Value| choice.as_object().is_none_or(serde_json::Map::is_empty);
        let key = match security {
            None => KeyRule::None,
            Some(choices) if choices.iter().any(is_open) => KeyRule::Optional,
            Some(_) => KeyRule::Needed,
        };
        let id = operation.get("operationId").and_then(Value::as_str);
        Self {
            id: id.unwrap_or_default().to_owned(),
            key,
            has_body: operation.get("requestBody").is_some(),
            query: QueryNames::of(operation),
        }
    }
}

impl Allowed {
    pub(super) fn of(document: &Value) -> Self {
        let mut by_path: BTreeMap<&str, BTreeMap<String, Operation>> = BTreeMap::new();
        for (path, method, operation) in operations(document) {
            let of_path = by_path.entry(path).or_default();
            of_path.insert(method.to_uppercase(), Operation::of(operation));
        }
        let mut templates: Vec<Template> = by_path
            .into_iter()
            .map(|(path, operations)| {
                let mut methods: Vec<String> = operations.keys().cloned().collect();
                // The router answers HEAD wherever there is a GET.
                if methods.iter().any(|method| method == "GET") && !methods.iter().any(|method| method == "HEAD") {
                    methods.push("HEAD".to_owned());
                }
                methods.sort();
                Template {
                    path: path.to_owned(),
                    methods,
                    operations,
                }
            })
            .collect();
        // A fixed segment wins over a parameter, as in the router.
        templates.sort_by_key(|template| template.path.matches('{').count());
        Self { templates }
    }

    /// The value of `Allow` for a path.
    pub(super) fn header_value(&self, path: &str) -> HeaderValue {
        let methods = self.find(path).map(|template| template.methods.join(", "));
        methods
            .and_then(|methods| HeaderValue::from_str(&methods).ok())
            .unwrap_or_else(|| HeaderValue::from_static(READ_ONLY))
    }

    /// The operation that a request is for; `None` where the router finds none, and for the documents.
    pub(super) fn operation(&self, method: &Method, path: &str) -> Option<&Operation> {
        // The router answers HEAD as GET.
        let method = if method == Method::HEAD { "GET" } else { method.as_str() };
        self.find(path)?.operations.get(method)
    }

    /// The schema of the JSON body of an operation.
    pub(super) fn body_schema<'d>(&self, document: &'d Value, method: &Method, path: &str) -> Option<&'d Value> {
        let template = self.find(path)?;
        let operation = document
            .get("paths")?
            .get(&template.path)?
            .get(method.as_str().to_lowercase())?;
        let content = operation.pointer("/requestBody/content")?.as_object()?;
        content
            .iter()
            .find(|(content_type, _)| content_type.contains("json"))?
            .1
            .get("schema")
    }

    /// The name in the description of a path parameter that the router calls `param0`, `param1`, ...
    pub(super) fn parameter_name(&self, path: &str, routed: &str) -> Option<&str> {
        let index: usize = routed.strip_prefix("param")?.parse().ok()?;
        let segments = self.find(path)?.path.split('/');
        segments
            .filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
            .nth(index)
    }

    fn find(&self, path: &str) -> Option<&Template> {
        self.templates.iter().find(|template| matches(&template.path, path))
    }
}

fn matches(template: &str, path: &str) -> bool {
    let mut segments = path.split('/');
    let fits = template.split('/').all(|expected| {
        let is_parameter = expected.starts_with('{') && expected.ends_with('}');
        segments.next().is_some_and(|segment| {
            if is_parameter {
                !segment.is_empty()
            } else {
                segment == expected
            }
        })
    });
    fits && segments.next().is_none()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_path_is_matched_to_its_template_fixed_segments_first() {
        let allowed = Allowed::of(&json!({"paths": {
            "/users/{name}": {"get": {}, "delete": {}},
            "/users/import": {"post": {}},
        }}));
        for (path, expected) in [
            ("/users/alice", "DELETE, GET, HEAD"),
            ("/users/import", "POST"),
            ("/users/", "GET, HEAD"),
            ("/users/a/b", "GET, HEAD"),
        ] {
            assert_eq!(allowed.header_value(path), expected, "{path}");
        }
    }
}
