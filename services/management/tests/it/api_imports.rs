//! Imports, and certificates of old servers, over HTTP.

use std::io::Write as _;

use flate2::{Compression, write::GzEncoder};
use poem::http::{Method, StatusCode};
use poem::test::TestResponse;
use serde_json::{Value, json};
use tar::{Builder, EntryType, Header};

use crate::ops::imports::import_one;
use crate::stack::{Stack, WithKey as _, get, json_of, problem_of, send};

const CSV: &str = "username\nalice\nbob\nno name\n";

async fn upload(stack: &Stack, query: &str, content_type: &str, body: Vec<u8>) -> TestResponse {
    let client = stack.client();
    let request = client.post(format!("/api/imports{query}")).admin();
    request.content_type(content_type).body(body).send().await
}

async fn imported(stack: &Stack, query: &str) -> Value {
    json_of(upload(stack, query, "text/csv", CSV.into()).await, StatusCode::OK).await
}

/// A compressed archive with one entry of that name and kind.
fn archive(name: &str, kind: EntryType, content: &[u8]) -> Vec<u8> {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(0o600);
    header.set_size(content.len() as u64);
    // As nobody who means well writes it: the library refuses such names.
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_cksum();
    let mut builder = Builder::new(Vec::new());
    builder.append(&header, content).expect("appended");
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder
        .write_all(&builder.into_inner().expect("an archive"))
        .expect("compressed");
    encoder.finish().expect("compressed")
}

#[tokio::test]
async fn a_list_is_tried_imported_and_found_among_the_imports() {
    let stack = Stack::start().await;
    stack.enrol("node-1").await;

    let trial = imported(&stack, "?node=node-1&dry_run=true&refused_names=replace").await;
    assert_eq!(
        (&trial["counts"]["created"], &trial["id"]),
        (&json!(3), &Value::Null),
        "{trial}"
    );
    assert_eq!(get(&stack, "/api/users").await["items"], json!([]));

    let done = imported(&stack, "?node=node-1&source=old.csv").await;
    assert_eq!(
        (&done["counts"]["created"], &done["counts"]["skipped"]),
        (&json!(2), &json!(1)),
        "{done}"
    );
    let skipped = done["entries"].as_array().expect("entries").iter();
    let skipped: Vec<&Value> = skipped.filter(|entry| entry["outcome"] == "skipped").collect();
    assert_eq!((skipped.len(), &skipped[0]["name"]), (1, &json!("no name")), "{done}");
    assert_eq!(get(&stack, "/api/users/alice").await["server_id"], "node-1");

    let listed = get(&stack, "/api/imports").await;
    let [import] = listed["items"].as_array().expect("items").as_slice() else {
        panic!("{listed}");
    };
    assert_eq!(
        (&import["source"], &import["imported_by"]),
        (&json!("old.csv"), &json!("key:admin"))
    );
    let id = import["id"].as_str().expect("an id");
    let whole = get(&stack, &format!("/api/imports/{id}")).await;
    assert_eq!(
        (&whole["report"]["id"], &whole["report"]["counts"]),
        (&import["id"], &done["counts"])
    );

    let again = imported(&stack, "?node=node-1").await;
    assert_eq!(
        (&again["counts"]["unchanged"], &again["id"]),
        (&json!(2), &Value::Null),
        "{again}"
    );
}

#[tokio::test]
async fn imports_are_listed_in_pages_the_newest_first() {
    let stack = Stack::start().await;
    stack.enrol("node-1").await;
    for name in ["alice", "bob", "carol"] {
        let csv = format!("username\n{name}\n");
        let answer = upload(&stack, &format!("?node=node-1&source={name}"), "text/csv", csv.into()).await;
        answer.assert_status(StatusCode::OK);
    }
    let (mut sources, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = get(&stack, &format!("/api/imports?limit=2{cursor}")).await;
        let items = page["items"].as_array().expect("items").iter();
        sources.extend(items.map(|item| item["source"].as_str().expect("a name").to_owned()));
        let Some(next) = page["next_cursor"].as_str() else {
            break;
        };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(sources, ["carol", "bob", "alice"]);
}

#[tokio::test]
async fn what_cannot_be_imported_is_refused_and_nothing_is_done() {
    let stack = Stack::start().await;
    stack.enrol("node-1").await;
    let query = "?node=node-1";
    let gzip = "application/gzip";
    for (content_type, body) in [
        (gzip, b"no archive".to_vec()),
        (gzip, archive("../../evil", EntryType::Regular, b"V")),
        (gzip, archive("/etc/evil", EntryType::Regular, b"V")),
        (gzip, archive("device", EntryType::Char, b"")),
        // Two thousand times as large as what is sent.
        (gzip, archive("long name", EntryType::GNULongName, &vec![b'a'; 2 << 20])),
        ("application/x-tar", b"no archive".to_vec()),
        ("application/vnd.sqlite3", b"no database".to_vec()),
        ("text/csv", b"nothing,that,is,known\n1,2,3,4\n".to_vec()),
    ] {
        let answer = upload(&stack, query, content_type, body).await;
        let (problem, fields) = problem_of(answer, StatusCode::BAD_REQUEST).await;
        assert_eq!(fields, ["body"], "{content_type}: {problem}");
    }
    let answer = upload(&stack, query, "application/json", b"{}".to_vec()).await;
    problem_of(answer, StatusCode::UNSUPPORTED_MEDIA_TYPE).await;
    let (_, fields) = problem_of(
        upload(&stack, "?node=node-9", "text/csv", CSV.into()).await,
        StatusCode::CONFLICT,
    )
    .await;
    assert_eq!(fields, ["node"]);
    let (_, fields) = problem_of(
        upload(&stack, "?node=node-1&group=nobody", "text/csv", CSV.into()).await,
        StatusCode::CONFLICT,
    )
    .await;
    assert_eq!(fields, ["group"]);
    let (_, fields) = problem_of(
        upload(&stack, "?node=node-1&same_name=merge", "text/csv", CSV.into()).await,
        StatusCode::BAD_REQUEST,
    )
    .await;
    assert_eq!(fields, ["same_name"]);
    let (_, fields) = problem_of(
        upload(
            &stack,
            "?node=node-1&old_until=2020-01-01T00:00:00Z",
            "text/csv",
            CSV.into(),
        )
        .await,
        StatusCode::CONFLICT,
    )
    .await;
    assert_eq!(fields, ["old_until"]);
    assert_eq!(get(&stack, "/api/users").await["items"], json!([]));
    for id in ["019a5f0c-6e1f-7f7c-8c6c-9f0e2b1a7d3c", "no-id"] {
        let answer = stack.client().get(format!("/api/imports/{id}")).admin().send().await;
        let expected = match id {
            "no-id" => StatusCode::BAD_REQUEST,
            _ => StatusCode::NOT_FOUND,
        };
        answer.assert_status(expected);
    }
}

#[tokio::test]
async fn old_certificates_are_listed_given_an_end_and_revoked() {
    let stack = Stack::start().await;
    stack.enrol("node-1").await;
    import_one(&stack, "node-1", "alice").await;
    let of_alice = "/api/users/alice/old-certificates";
    let one = format!("{of_alice}/node-1/alice");

    let listed = get(&stack, of_alice).await;
    let [old] = listed["items"].as_array().expect("items").as_slice() else {
        panic!("{listed}");
    };
    assert_eq!(
        (&old["serial"], &old["expires_at"]),
        (&json!("1"), &Value::Null),
        "{old}"
    );

    let end = json!({ "expires_at": "2999-01-01T00:00:00Z" });
    let changed = json_of(send(&stack, Method::PATCH, &one, &end).await, StatusCode::OK).await;
    assert_eq!(changed["expires_at"], "2999-01-01T00:00:00Z");
    let unsaid = json_of(send(&stack, Method::PATCH, &one, &json!({})).await, StatusCode::OK).await;
    assert_eq!(unsaid["expires_at"], "2999-01-01T00:00:00Z");
    let endless = json!({ "expires_at": null });
    let changed = json_of(send(&stack, Method::PATCH, &one, &endless).await, StatusCode::OK).await;
    assert_eq!(changed["expires_at"], Value::Null);

    let elsewhere = format!("{of_alice}/node-2/alice");
    for path in [elsewhere.as_str(), "/api/users/bob/old-certificates/node-1/alice"] {
        let answer = stack.client().delete(path).admin().send().await;
        problem_of(answer, StatusCode::NOT_FOUND).await;
    }
    let user = json_of(stack.client().delete(&one).admin().send().await, StatusCode::OK).await;
    assert_eq!(user["username"], "alice");
    assert_eq!(get(&stack, of_alice).await["items"], json!([]));
    problem_of(stack.client().delete(&one).admin().send().await, StatusCode::NOT_FOUND).await;
}
