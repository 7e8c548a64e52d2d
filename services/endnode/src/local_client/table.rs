//! Users as lines for people.

use serde_json::Value;

/// What a line has of a user: the heading, and the member of the answer.
const COLUMNS: [(&str, &str); 5] = [
    ("USER", "username"),
    ("STATE", "state"),
    ("ROLE", "role"),
    ("EXPIRES", "expires_at"),
    ("DETAIL", "detail"),
];

/// A line for each user below the headings, each column as wide as its widest value.
pub(super) fn table(users: &[Value]) -> String {
    let headings = COLUMNS.map(|(heading, _)| heading.to_owned());
    let rows = users.iter().map(|user| COLUMNS.map(|(_, member)| cell(&user[member])));
    let rows: Vec<[String; 5]> = std::iter::once(headings).chain(rows).collect();
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for (column, value) in row.iter().enumerate() {
            let widest = rows
                .iter()
                .map(|row| row[column].chars().count())
                .max()
                .unwrap_or_default();
            line.push_str(&format!("{value:<widest$}  "));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Nothing of others steers the terminal.
fn cell(value: &Value) -> String {
    let text = value.as_str().unwrap_or_default();
    text.replace(|character: char| character.is_control(), "?")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn columns_are_aligned_and_nothing_of_others_steers_the_terminal() {
        let users = [
            json!({ "username": "alice", "state": "applied", "role": "home" }),
            json!({ "username": "bo", "state": "refused", "detail": "no\u{1b}[2J\nroom" }),
        ];
        assert_eq!(
            table(&users),
            "USER   STATE    ROLE  EXPIRES  DETAIL\n\
             alice  applied  home\n\
             bo     refused                 no?[2J?room\n"
        );
    }
}
