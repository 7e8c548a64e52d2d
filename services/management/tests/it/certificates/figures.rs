//! What figures tell of the ends of certificates.

use chrono::{DateTime, Utc};
use vpnmanager_management::{metrics::figures::Figures, ops::figures::read_certificates::read_certificates};

use super::{certified, started};
use crate::database::run;
use crate::ops::enrol;

fn days_left(end: Option<DateTime<Utc>>) -> i64 {
    (end.expect("an end") - Utc::now()).num_days()
}

#[tokio::test]
async fn the_first_of_https_counts_that_is_in_use_and_devices_are_counted_by_their_days() {
    let stack = started().await;
    enrol(&stack, "node-1").await;
    for name in ["alice", "bob", "carol"] {
        certified(&stack, "node-1", name).await;
    }
    // A replica that is gone says nothing of its certificate any more, and nobody uses one that was revoked.
    run(
        &stack.app.db,
        "UPDATE credentials SET not_after = now() + interval '5 days';
         UPDATE credentials SET not_after = now() + interval '20 days' WHERE common_name LIKE 'bob.%';
         UPDATE credentials SET revoked_at = now() WHERE common_name LIKE 'carol.%';
         INSERT INTO certificates (kind, holder, fingerprint, public_key_sha256, certificate, not_before, not_after, seen_at) VALUES
             ('https', 'one', '1', '', '', now(), now() + interval '41 days', now()),
             ('https', 'other', '2', '', '', now(), now() + interval '50 days', now()),
             ('https', 'gone', '3', '', '', now(), now() + interval '9 days', now() - interval '2 days')",
    )
    .await;

    let ends = read_certificates(&stack.app.db).await.expect("read");

    assert_eq!(days_left(ends.https), 40);
    assert!(days_left(ends.bus_server) > 365, "{ends:?}");
    let clients = (ends.clients_1, ends.clients_7, ends.clients_14, ends.clients_30);
    assert_eq!(clients, (0, 1, 1, 2));

    let figures = Figures::new();
    figures.certificates.read(&ends, Utc::now());
    let text = figures.exposed.text();
    for series in [
        "vpnmanager_certificate_days_left{certificate=\"https\"} 40.",
        "vpnmanager_client_certificates_ending{within_days=\"7\"} 1",
        "vpnmanager_client_certificates_ending{within_days=\"30\"} 2",
    ] {
        assert!(text.contains(series), "{series}: {text}");
    }
}
