//! The committed copy of a description must be the generated one.

use std::path::Path;

use serde_json::Value;

use super::document::Spec;

/// The variable that makes the test write the file.
const UPDATE: &str = "UPDATE_OPENAPI";

/// For a test: compares a committed file with the generated description, and writes it when `UPDATE_OPENAPI=1`.
///
/// # Panics
/// When the file differs, cannot be read, or cannot be written.
#[expect(
    clippy::disallowed_methods,
    reason = "a switch of a test, not configuration of a service"
)]
pub fn assert_committed(path: &Path, generated: &Spec) {
    if std::env::var(UPDATE).as_deref() == Ok("1") {
        std::fs::write(path, generated.json())
            .unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()));
        return;
    }
    let advice = format!("run the tests once with {UPDATE}=1 and commit the result");
    let text = std::fs::read_to_string(path)
        .unwrap_or_else(|error| panic!("cannot read {}: {error}; {advice}", path.display()));
    let committed: Value =
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{} is not JSON: {error}; {advice}", path.display()));
    if let Some(place) = first_difference("", &committed, generated.document()) {
        panic!(
            "{} is not what the code describes, first at {place}; {advice}",
            path.display()
        );
    }
}

/// The JSON pointer of the first place where two documents differ.
fn first_difference(place: &str, left: &Value, right: &Value) -> Option<String> {
    match (left, right) {
        (Value::Object(left), Value::Object(right)) => {
            let names = left.keys().chain(right.keys().filter(|name| !left.contains_key(*name)));
            names.into_iter().find_map(|name| {
                let place = format!("{place}/{}", name.replace('~', "~0").replace('/', "~1"));
                match (left.get(name), right.get(name)) {
                    (Some(left), Some(right)) => first_difference(&place, left, right),
                    _ => Some(place),
                }
            })
        }
        (Value::Array(left), Value::Array(right)) if left.len() == right.len() => left
            .iter()
            .zip(right)
            .enumerate()
            .find_map(|(index, (left, right))| first_difference(&format!("{place}/{index}"), left, right)),
        _ => (left != right).then(|| place.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_first_difference_is_named() {
        let left = json!({"paths": {"/a": {"get": [1, 2]}}});
        assert_eq!(first_difference("", &left, &left), None);
        assert_eq!(
            first_difference("", &left, &json!({"paths": {"/a": {"get": [1, 3]}}})).unwrap(),
            "/paths/~1a/get/1"
        );
        assert_eq!(
            first_difference("", &left, &json!({"paths": {}})).unwrap(),
            "/paths/~1a"
        );
    }
}
