//! Lists of users as CSV.

use poem::http::StatusCode;
use serde_json::json;

use super::{counts, failures, get, import, send_csv, usernames};
use crate::stack::{Stack, WithKey as _, problem_of};

#[tokio::test]
async fn a_file_of_a_spreadsheet_is_taken() {
    let stack = Stack::start().await;
    stack.enrol("node-1").await;
    stack.create_user("carol").await;
    let text = "\u{feff}expires_at,\"username\",active,action,server_id\r\n\
                2999-01-01T00:00:00Z,\"alice@example.org\",TRUE,create,node-1\r\n\
                ,bob,FALSE,,\r\n\
                \r\n\
                ,carol,,remove,\r\n\
                never,bob,true,change,\r\n";

    let answer = import(&stack, text).await;

    assert_eq!(counts(&answer), [2, 1, 1, 0, 0], "{answer}");
    assert_eq!(answer["failures"], json!([]));
    let alice = get(&stack, "/api/users/alice@example.org").await;
    assert_eq!(
        (&alice["expires_at"], &alice["active"]),
        (&json!("2999-01-01T00:00:00Z"), &json!(true))
    );
    let bob = get(&stack, "/api/users/bob").await;
    assert_eq!((&bob["active"], &bob["revision"]), (&json!(true), &json!(2)));
    assert_eq!(usernames(&stack).await.len(), 2);
}

#[tokio::test]
async fn bad_rows_are_named_by_their_lines_and_the_rest_is_done() {
    let stack = Stack::start().await;
    stack.enrol("node-1").await;
    let mut text = "username,expires_at\r\n".to_owned();
    for number in 0..500 {
        text += &match number {
            100 => "-a,\r\n".to_owned(),
            200 => "late,2020-01-01T00:00:00Z\r\n".to_owned(),
            300 => "\"two\r\nlines\",\r\n".to_owned(),
            400 => "short\r\n".to_owned(),
            _ => format!("user-{number},\r\n"),
        };
    }

    let answer = import(&stack, &text).await;

    assert_eq!(counts(&answer), [496, 0, 0, 0, 4]);
    assert_eq!(
        failures(&answer),
        [
            (102, 400, Some("username")),
            (202, 409, Some("expires_at")),
            (302, 400, Some("username")),
            // The row before it has two lines.
            (403, 400, None),
        ]
    );
    assert_eq!(answer["failures"][1]["username"], "late");

    let again = import(&stack, &text).await;
    assert_eq!(counts(&again), [0, 0, 0, 496, 4]);
}

#[tokio::test]
async fn a_line_that_removes_a_user_is_the_only_one_about_that_user() {
    let stack = Stack::start().await;
    stack.enrol("node-1").await;
    stack.create_user("alice").await;
    let answer = import(&stack, "action,username\nremove,alice\ncreate,bob\ncreate,alice\n").await;
    assert_eq!(counts(&answer), [1, 0, 0, 0, 2], "{answer}");
    let failures = answer["failures"].as_array().expect("failures");
    let lines: Vec<_> = failures
        .iter()
        .map(|failure| (&failure["line"], &failure["status"]))
        .collect();
    assert_eq!(lines, [(&json!(2), &json!(409)), (&json!(4), &json!(409))]);
    let mut names = usernames(&stack).await;
    names.sort();
    assert_eq!(names, ["alice", "bob"]);
}

#[tokio::test]
async fn a_file_that_cannot_be_understood_is_refused_and_nothing_is_done() {
    let stack = Stack::start().await;
    stack.enrol("node-1").await;
    for (text, field, detail) in [
        ("", "body", ""),
        ("username\r\n", "body", "no row"),
        ("active\r\ntrue\r\n", "username", "is missing"),
        (
            "username,expire_at\r\nalice,\r\n",
            "expire_at",
            "did you mean `expires_at`?",
        ),
        ("username;active\r\nalice;true\r\n", "username;active", "with commas"),
    ] {
        let (problem, fields) = problem_of(send_csv(&stack, text).await, StatusCode::BAD_REQUEST).await;
        assert_eq!(fields, [field], "{problem}");
        let said = problem["errors"][0]["detail"].as_str().expect("a detail");
        assert!(said.contains(detail), "{said}");
    }
    let client = stack.client();
    let request = client.post("/api/users.csv").admin().body_json(&json!({ "items": [] }));
    problem_of(request.send().await, StatusCode::UNSUPPORTED_MEDIA_TYPE).await;
    assert!(usernames(&stack).await.is_empty());
}
