//! Query parameters: each known to the operation, and given once.

use std::collections::BTreeSet;

use poem::Request;
use serde_json::Value;

use super::names::{shown, unknown};
use crate::problem::{ApiError, FieldError};

/// The query parameters of an operation. None of ours takes a list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct QueryNames(Vec<String>);

impl QueryNames {
    pub(super) fn of(operation: &Value) -> Self {
        let parameters = operation.get("parameters").and_then(Value::as_array);
        let of_query = parameters
            .into_iter()
            .flatten()
            .filter(|parameter| parameter.get("in").and_then(Value::as_str) == Some("query"));
        let names = of_query.filter_map(|parameter| parameter.get("name")?.as_str());
        Self(names.map(str::to_owned).collect())
    }

    /// Refuses a parameter that the operation does not have, and one that is given twice: neither could be acted on.
    pub(super) fn check(&self, request: &Request) -> Result<(), ApiError> {
        // Decoded as the framework does it, so that no spelling of a name is taken for another.
        let given: Vec<(String, String)> = request
            .params()
            .map_err(|_unreadable| ApiError::bad_request("the query is not a list of name=value"))?;
        let known: Vec<&str> = self.0.iter().map(String::as_str).collect();
        let mut seen = BTreeSet::new();
        for (name, _) in &given {
            let detail = if !known.contains(&name.as_str()) {
                unknown(name, &known)
            } else if !seen.insert(name) {
                "is given more than once".to_owned()
            } else {
                continue;
            };
            return Err(ApiError::invalid_fields(vec![FieldError {
                field: shown(name),
                detail,
            }]));
        }
        Ok(())
    }
}
