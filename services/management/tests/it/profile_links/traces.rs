//! What a link leaves behind: entries in the audit trail, and its token nowhere.

use poem::http::StatusCode;
use serde_json::json;
use tracing::Level;

use super::{audited, home_of_alice, look, make, take, text_of};
use crate::database::number;
use crate::logs::Logs;

#[tokio::test]
async fn the_trail_says_who_made_a_link_and_each_time_that_it_was_used() {
    let home = home_of_alice().await;
    let made = make(&home.stack, json!({ "uses": 2 })).await;
    let response = take(&home.stack, &made.path).await;
    let request_id = response.0.headers()["x-request-id"].to_str().expect("text").to_owned();
    text_of(response, StatusCode::OK).await;

    let created = audited(&home.stack, "profile_link_created").await;
    assert_eq!(created.len(), 1, "{created:?}");
    assert_eq!(
        (
            &created[0]["actor"],
            &created[0]["username"],
            &created[0]["after"]["id"]
        ),
        (&json!("key:admin"), &json!("alice"), &json!(made.id))
    );
    let link = json!(format!("link:{}", made.id));
    for action in ["profile_link_used", "user_profile_read"] {
        let entries = audited(&home.stack, action).await;
        assert_eq!(entries.len(), 1, "{entries:?}");
        assert_eq!(
            (&entries[0]["actor"], &entries[0]["username"], &entries[0]["request_id"]),
            (&link, &json!("alice"), &json!(request_id)),
            "{action}"
        );
    }
    let used = &audited(&home.stack, "profile_link_used").await[0];
    assert_eq!(
        (&used["before"]["uses_left"], &used["after"]["uses_left"]),
        (&json!(2), &json!(1))
    );
}

#[tokio::test]
async fn the_token_is_in_no_log_no_row_and_no_entry() {
    let home = home_of_alice().await;
    let logs = Logs::start_at(Level::TRACE);
    let made = make(&home.stack, json!({ "uses": 2 })).await;
    look(&home.stack, &made.path).await.assert_status_is_ok();
    look(&home.stack, &format!("{}/profile", made.path))
        .await
        .assert_status_is_ok();
    text_of(take(&home.stack, &made.path).await, StatusCode::OK).await;
    text_of(take(&home.stack, &made.path).await, StatusCode::GONE).await;

    let logged = logs.text();
    assert!(logged.contains("/p/..."), "requests are logged at debug");
    assert!(!logged.contains(made.token()), "the token is in the log");
    let token = made.token();
    for table in ["profile_links", "audit_log"] {
        let found = format!("SELECT count(*) FROM {table} r WHERE position('{token}' IN r::text) > 0");
        assert_eq!(number(&home.stack.app.db, &found).await, 0, "{table}");
    }
    let hashed = format!("SELECT count(*) FROM profile_links WHERE hash = sha256(convert_to('{token}', 'UTF8'))");
    assert_eq!(number(&home.stack.app.db, &hashed).await, 1);
}
