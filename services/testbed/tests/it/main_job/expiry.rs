//! The node itself ends what has expired, to the second, whoever else is there.

use std::time::SystemTime;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use vpnmanager_testbed::{
    stack::Part,
    wait::{self, PROMISED_SECOND},
};

use super::site::{SILENCE, Site, Visitor, assert_synced};

/// A user whose time is over after `lifetime`, connected, with profile and end.
async fn guest(site: &Site, lifetime: TimeDelta) -> (Visitor, String, DateTime<Utc>) {
    let api = site.stack.api();
    let end = Utc::now() + lifetime;
    let body = json!({ "username": "guest", "expires_at": end.to_rfc3339() });
    let created = api
        .create_user_as(&body, Some(wait::SOON))
        .await
        .unwrap()
        .expect(201)
        .unwrap();
    assert_synced(&created);
    let text = api.profile("guest").await.unwrap();
    (site.visit(&text).await, text, end)
}

async fn ends_at(guest: &Visitor, end: DateTime<Utc>, case: &str) {
    let end = SystemTime::from(end);
    let left = end.duration_since(SystemTime::now()).unwrap_or_default();
    guest.pings.falls_silent(end, SILENCE, left + wait::SOON).await.unwrap();
    let last = guest.pings.stats().last_reply.unwrap();
    let off = match last.duration_since(end) {
        Ok(late) => {
            eprintln!(
                "measured: {case}: last ping answered {} ms after the end",
                late.as_millis()
            );
            late
        }
        Err(early) => {
            let early = early.duration();
            eprintln!(
                "measured: {case}: last ping answered {} ms before the end",
                early.as_millis()
            );
            early
        }
    };
    assert!(off <= PROMISED_SECOND, "{case}: the session ended {off:?} off its time");
}

#[tokio::test]
async fn an_expired_user_is_cut_at_its_time_and_comes_back_when_its_time_is_prolonged() {
    let Some(site) = Site::with_tunnels("expiry").await else {
        return;
    };
    let witness = site.witness().await;
    let (guest, text, end) = guest(&site, TimeDelta::seconds(6)).await;

    ends_at(&guest, end, "expiry").await;
    site.refuses(&text).await;

    let api = site.stack.api();
    let later = (Utc::now() + TimeDelta::hours(1)).to_rfc3339();
    let prolonged = api
        .change_user("guest", &json!({ "expires_at": later }), Some(wait::SOON))
        .await;
    assert_synced(&prolonged.unwrap().expect(200).unwrap());
    site.lets_in(&text).await;
    witness.lost_nothing().await;
}

#[tokio::test]
async fn expiry_needs_neither_management_nor_the_bus() {
    let Some(mut site) = Site::with_tunnels("expiry alone").await else {
        return;
    };
    let witness = site.witness().await;
    let (guest, text, end) = guest(&site, TimeDelta::seconds(8)).await;
    for part in [Part::Management, Part::Nats, Part::Postgres] {
        site.stack.kill_part(part).await.unwrap();
    }
    assert!(Utc::now() < end, "too slow a machine: the guest's time was over before");

    ends_at(&guest, end, "expiry with management, bus and database gone").await;

    site.refuses(&text).await;
    witness.lost_nothing().await;
}

#[tokio::test]
async fn expiry_is_kept_by_an_agent_that_was_killed_before() {
    let Some(mut site) = Site::with_tunnels("expiry after a kill").await else {
        return;
    };
    let witness = site.witness().await;
    let (guest, text, end) = guest(&site, TimeDelta::seconds(10)).await;
    site.stack.kill_part(Part::Management).await.unwrap();
    for number in [1, 2] {
        site.stack.kill_part(Part::Node(number)).await.unwrap();
        site.stack.start_part(Part::Node(number)).await.unwrap();
    }
    assert!(Utc::now() < end, "too slow a machine: the guest's time was over before");

    ends_at(&guest, end, "expiry with restarted agents and no management").await;

    site.refuses(&text).await;
    witness.lost_nothing().await;
}

#[tokio::test]
async fn who_expired_while_the_agent_was_dead_is_cut_as_it_starts() {
    let Some(mut site) = Site::with_tunnels("expiry while dead").await else {
        return;
    };
    let (guest, text, end) = guest(&site, TimeDelta::seconds(5)).await;
    for part in [Part::Management, Part::Node(1), Part::Node(2)] {
        site.stack.kill_part(part).await.unwrap();
    }
    let over = async || Utc::now() > end + TimeDelta::seconds(1);
    wait::until(wait::SOON, "the guest's time to be over", over)
        .await
        .unwrap();

    let started = SystemTime::now();
    for number in [1, 2] {
        site.stack.start_part(Part::Node(number)).await.unwrap();
    }

    guest.is_cut(started, "the start of the agents").await;
    site.refuses(&text).await;
}
