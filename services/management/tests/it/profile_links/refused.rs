//! Links that hand out nothing.

use std::collections::BTreeMap;

use poem::http::StatusCode;
use serde_json::json;

use super::{audited, home_of_alice, look, make, open, page_of, resume, suspend, take, text_of};
use crate::database::run;
use crate::stack::{Stack, WithKey as _, json_of};

#[tokio::test]
async fn expired_and_revoked_links_say_what_to_do() {
    let home = home_of_alice().await;
    let expired = make(&home.stack, json!({})).await;
    let end = format!("UPDATE profile_links SET expires_at = now() WHERE id = {}", expired.id);
    run(&home.stack.app.db, &end).await;
    let revoked = make(&home.stack, json!({})).await;
    let path = format!("/api/users/alice/links/{}", revoked.id);
    let client = home.stack.client();
    client
        .delete(path)
        .admin()
        .send()
        .await
        .assert_status(StatusCode::NO_CONTENT);

    for (made, why) in [(&expired, "time of this link is over"), (&revoked, "was taken back")] {
        for response in [look(&home.stack, &made.path).await, take(&home.stack, &made.path).await] {
            let page = page_of(response, StatusCode::GONE).await;
            assert!(page.contains(why) && page.contains("for a new link"), "{page}");
        }
    }
    assert!(audited(&home.stack, "profile_link_used").await.is_empty());
}

#[tokio::test]
async fn a_link_of_a_user_without_access_waits_for_it() {
    let home = home_of_alice().await;
    let made = make(&home.stack, json!({})).await;
    suspend(&home.stack).await;
    for response in [look(&home.stack, &made.path).await, take(&home.stack, &made.path).await] {
        let page = page_of(response, StatusCode::FORBIDDEN).await;
        assert!(page.contains("suspended or has ended"), "{page}");
    }
    resume(&home.stack).await;
    text_of(take(&home.stack, &made.path).await, StatusCode::OK).await;

    let left = make(&home.stack, json!({})).await;
    let client = home.stack.client();
    let removed = client.delete("/api/users/alice").admin().send().await;
    json_of(removed, StatusCode::OK).await;
    // Her row goes with the last ack, and her links with it.
    let status = take(&home.stack, &left.path).await.0.status();
    assert!(
        [StatusCode::FORBIDDEN, StatusCode::NOT_FOUND].contains(&status),
        "{status}"
    );
}

/// Otherwise whoever has a leaked link would get the new profile too.
#[tokio::test]
async fn who_revokes_the_profiles_of_a_user_ends_the_links_to_them() {
    let home = home_of_alice().await;
    let made = make(&home.stack, json!({ "uses": 10 })).await;
    let client = home.stack.client();
    let reissue = async |old: &str| {
        let request = client.post("/api/users/alice/reissue").admin();
        let response = request.body_json(&json!({ "old_profiles": old })).send().await;
        json_of(response, StatusCode::OK).await;
    };
    reissue("keep").await;
    assert_eq!(open(&home.stack).await.len(), 1);
    reissue("revoke").await;
    page_of(take(&home.stack, &made.path).await, StatusCode::GONE).await;
    assert_eq!(audited(&home.stack, "profile_link_revoked").await.len(), 1);
}

#[tokio::test]
async fn guesses_are_counted_and_put_off() {
    let stack = Stack::start_with(&[("CALLERS_KEYLESS_REQUESTS", "4")]).await;
    let unknown = format!("/p/vpnlink-{}", "a".repeat(52));
    let script = "/p/%3Cscript%3Ealert(1)%3C%2Fscript%3E";
    for path in [unknown.as_str(), script, "/p/vpnjoin-aaaa"] {
        let page = page_of(look(&stack, path).await, StatusCode::NOT_FOUND).await;
        assert!(
            page.contains("There is no such link") && !page.contains("<script"),
            "{page}"
        );
    }
    page_of(take(&stack, &unknown).await, StatusCode::NOT_FOUND).await;
    let put_off = look(&stack, &unknown).await;
    let seconds = put_off.0.headers()["retry-after"].to_str().expect("text").to_owned();
    assert!(
        (1..=10).contains(&seconds.parse::<u64>().expect("a number")),
        "{seconds}"
    );
    page_of(put_off, StatusCode::TOO_MANY_REQUESTS).await;

    assert_eq!(stack.refusals(4).await, BTreeMap::from([(String::new(), 4)]));
}
