//! Somebody who guesses keys.

use poem::http::StatusCode;

use super::status;
use crate::stack::{Stack, get};

async fn alarms(stack: &Stack) -> Vec<String> {
    let recorded = stack.app.gatekeeper.record(&stack.app.db, "management-test").await;
    recorded.expect("recorded");
    let page = get(stack, "/api/audit?action=wrong_keys").await;
    let items = page["items"].as_array().expect("items").iter();
    items
        .map(|entry| entry["details"].as_str().expect("words").to_owned())
        .collect()
}

#[tokio::test]
async fn many_wrong_keys_of_a_minute_are_one_alarm() {
    let stack = Stack::start().await;
    assert_eq!(alarms(&stack).await, Vec::<String>::new());
    (0..30).for_each(|_| stack.app.gatekeeper.wrong_key(None));
    let told = alarms(&stack).await;
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].starts_with("30 unknown keys"), "{told:?}");
    assert_eq!(alarms(&stack).await.len(), 1, "it is told once");
}

#[tokio::test]
async fn a_typing_error_alarms_nobody() {
    let stack = Stack::start().await;
    assert_eq!(status(&stack, "vpnm_mistyped").await, StatusCode::UNAUTHORIZED);
    assert_eq!(alarms(&stack).await, Vec::<String>::new());
}
