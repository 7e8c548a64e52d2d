//! The generated description, sorted.

use poem_openapi::{OpenApi, OpenApiService, Webhook};
use serde_json::{Value, json};

use super::lint::lint;
use super::refine::refine;
use super::yaml;

/// The description of a service's HTTP interface (OpenAPI 3.0).
#[derive(Debug, Clone, PartialEq)]
pub struct Spec {
    document: Value,
}

impl Spec {
    /// The description of a service.
    ///
    /// # Panics
    /// Never: the generator writes JSON.
    #[must_use]
    pub fn of<T: OpenApi, W: Webhook>(service: &OpenApiService<T, W>) -> Self {
        let document = serde_json::from_str(&service.spec()).expect("poem-openapi writes JSON");
        Self {
            document: sorted(refine(document)),
        }
    }

    /// The document as a value.
    #[must_use]
    pub fn document(&self) -> &Value {
        &self.document
    }

    /// The same for callers who put this path before those of the operations.
    #[must_use]
    pub fn below(&self, prefix: &str) -> Self {
        let mut document = self.document.clone();
        if let Some(members) = document.as_object_mut() {
            members.insert("servers".to_owned(), json!([{ "url": prefix }]));
        }
        Self { document }
    }

    /// Pretty JSON with a newline at its end, the same for the same interface.
    #[must_use]
    pub fn json(&self) -> String {
        format!("{:#}\n", self.document)
    }

    /// The same as YAML.
    #[must_use]
    pub fn yaml(&self) -> String {
        yaml::to_yaml(&self.document)
    }

    /// What the description lacks; see [`lint()`].
    #[must_use]
    pub fn lint(&self) -> Vec<String> {
        lint(&self.document)
    }
}

/// Members in alphabetical order at every level, so that the same interface always gives the same text.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let mut members: Vec<(String, Value)> = members.into_iter().collect();
            members.sort_by(|left, right| left.0.cmp(&right.0));
            Value::Object(
                members
                    .into_iter()
                    .map(|(name, member)| (name, sorted(member)))
                    .collect(),
            )
        }
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        plain @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => plain,
    }
}
