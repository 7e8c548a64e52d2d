//! What became of lists of users.

use serde_json::Value;

use crate::output::{Shape, column};

/// A row of a CSV file that was not done.
pub(crate) const ROW_FAILURE: Shape = Shape {
    name: "/username",
    columns: &[
        column("LINE", "/line"),
        column("USER", "/username"),
        column("FIELD", "/error/field"),
        column("WHY", "/error/detail"),
    ],
};

/// `created 3, unchanged 2`: what is not zero, in the order of the answer.
pub(crate) fn counts(answer: &Value) -> String {
    let members = answer.as_object().into_iter().flatten();
    let counts = members.filter_map(|(name, value)| Some((name.replace('_', " "), value.as_u64()?)));
    let told: Vec<String> = counts
        .filter(|(_, count)| *count > 0)
        .map(|(name, count)| format!("{name} {count}"))
        .collect();
    match told.is_empty() {
        true => "nothing to do".to_owned(),
        false => told.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_not_zero_is_counted() {
        let answer = json!({ "created": 3, "failed": 0, "unchanged": 2, "old_certificates": 1, "failures": [] });
        assert_eq!(counts(&answer), "created 3, old certificates 1, unchanged 2");
        assert_eq!(counts(&json!({ "created": 0 })), "nothing to do");
    }
}
