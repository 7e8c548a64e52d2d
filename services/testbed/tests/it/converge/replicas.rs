//! Two managements on one database and one bus, both asked at once.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use rustix::process::Signal;
use serde_json::json;
use tokio::task::JoinSet;
use vpnmanager_testbed::{
    api::Api,
    stack::{Part, StackOptions},
    wait,
};

use super::{
    records::{Records, audited},
    watch::Watch,
};
use crate::main_job::site::Site;

const WRITERS: usize = 4;
const EACH: usize = 15;
const CLAIMED: usize = 40;
/// What a dead replica had claimed or was given is another's after 5 s at most; the rest is work.
const TAKEN_OVER: Duration = wait::under_load(Duration::from_secs(10));
/// What a dead replica had claimed and not published: its lease of 3 s; reports that it was given: 5 s. The rest is work.
const LEASE_AND_WORK: Duration = wait::under_load(Duration::from_secs(8));
/// The bus drops a replica that hangs after 6 s; what nodes had asked of it by then they ask again after 5 s each time.
const WITHOUT_THE_PAUSED: Duration = wait::under_load(Duration::from_secs(20));

/// Creates users, suspends and resumes each, and returns who was promised.
async fn write(api: Api, other: Api, writer: usize) -> Vec<String> {
    let mut promised = Vec::new();
    for number in 0..EACH {
        let name = format!("user-{writer}-{number}");
        let created = api.create_user(&name, None).await;
        if created.is_ok_and(|answer| answer.status == 201) {
            promised.push(name.clone());
        }
        // Both publish for one user: whoever is late must not win.
        let (suspend, resume) = (json!({ "active": false }), json!({ "active": true }));
        let (one, two) = tokio::join!(
            api.change_user(&name, &suspend, None),
            other.change_user(&name, &resume, None)
        );
        // A replica that is being killed answers nothing, and nothing was promised.
        drop((one, two));
    }
    promised
}

async fn two_managements() -> Site {
    Site::start(StackOptions {
        managements: 2,
        tunnels: Some(false),
        ..StackOptions::default()
    })
    .await
}

#[tokio::test]
async fn one_name_asked_of_both_replicas_is_created_once() {
    let site = two_managements().await;
    let (one, two) = (site.stack.api(), site.stack.replica_api(2).unwrap());
    let records = Records::open(&site).await;
    let watch = Watch::start(&site).await;
    for number in 0..EACH {
        let name = format!("user-{number}");
        let (first, second) = tokio::join!(
            one.create_user(&name, Some(wait::SOON)),
            two.create_user(&name, Some(wait::SOON))
        );
        let mut answers = [first.unwrap().status, second.unwrap().status];
        answers.sort_unstable();
        assert_eq!(answers, [201, 409], "{name}");
        let (suspend, resume) = (json!({ "active": false }), json!({ "active": true }));
        let (first, second) = tokio::join!(
            one.change_user(&name, &suspend, None),
            two.change_user(&name, &resume, None)
        );
        first.unwrap().success().unwrap();
        second.unwrap().success().unwrap();
    }
    records.agree(&site).await;
    assert_eq!(records.serials().await.len(), EACH);
    assert_eq!(audited(&site, "user_created").await.len(), EACH);
    watch.nothing_ran_backwards().await;
}

#[tokio::test]
async fn a_replica_killed_under_load_loses_no_answered_create() {
    let mut site = two_managements().await;
    let (one, two) = (site.stack.api(), site.stack.replica_api(2).unwrap());
    let records = Records::open(&site).await;
    let watch = Watch::start(&site).await;
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let (mine, other) = if writer % 2 == 0 { (&one, &two) } else { (&two, &one) };
        writers.spawn(write(mine.clone(), other.clone(), writer));
    }

    // In the middle of the writing: some commands have been published, not all.
    let under_way = async || watch.commands().await > WRITERS * EACH / 3;
    wait::until(wait::SOON, "commands to be under way", under_way)
        .await
        .unwrap();
    site.stack.kill_part(Part::Replica(2)).await.unwrap();
    let promised: Vec<String> = writers.join_all().await.into_iter().flatten().collect();
    let began = Instant::now();
    records.agree(&site).await;

    let took = began.elapsed();
    eprintln!(
        "measured: {} creates were promised; all was applied {} ms after the last, {} commands seen",
        promised.len(),
        took.as_millis(),
        watch.commands().await
    );
    assert!(
        took < TAKEN_OVER,
        "what the dead replica had in its hands waited for {took:?}"
    );
    assert!(promised.len() >= WRITERS / 2 * EACH, "{}", promised.len());
    for name in &promised {
        let known = one.user(name).await.unwrap().expect(200).unwrap();
        assert_eq!(known.body["synced"], true, "{}", known.text);
    }
    watch.nothing_ran_backwards().await;
    // What comes back is of use at once.
    site.stack.start_part(Part::Replica(2)).await.unwrap();
    let created = two
        .create_user("later", Some(wait::SOON))
        .await
        .unwrap()
        .expect(201)
        .unwrap();
    assert_eq!(created.body["synced"], true, "{}", created.text);
}

/// Ends replica-2 with `signal` when it, and nobody else, has claimed what is to be published; returns how long all of it took
/// from there to be applied.
async fn outlives_its_claims(site: &Site, records: &Records, signal: Signal) -> Duration {
    let process = |part| site.stack.process(part).unwrap();
    let (other, replica, bus) = (
        process(Part::Management),
        process(Part::Replica(2)),
        process(Part::Nats),
    );
    let two = site.stack.replica_api(2).unwrap();
    other.signal(Signal::STOP);
    bus.signal(Signal::STOP);
    let creates = (0..CLAIMED).map(async |number| {
        let created = two.create_user(&format!("claimed-{number}"), None).await.unwrap();
        created.expect(201).unwrap();
    });
    join_all(creates).await;
    let claimed = async || records.count("placements WHERE lease_until > now()").await > 0;
    let claimed = wait::until(wait::SOON, "the replica to claim them", claimed).await;

    replica.signal(signal);
    let began = Instant::now();
    for stopped in [other, bus] {
        stopped.signal(Signal::CONT);
    }
    claimed.unwrap();
    records.agree(site).await;
    began.elapsed()
}

#[tokio::test]
async fn what_a_killed_replica_had_claimed_waits_for_its_lease_and_no_longer() {
    let site = two_managements().await;
    let records = Records::open(&site).await;

    let took = outlives_its_claims(&site, &records, Signal::KILL).await;

    eprintln!(
        "measured: all was applied {} ms after kill -9 of the replica that had claimed it",
        took.as_millis()
    );
    assert!(took < LEASE_AND_WORK, "{took:?}");
    assert_eq!(site.all_synced(wait::SOON).await, CLAIMED);
    assert_eq!(records.serials().await.len(), CLAIMED);
}

#[tokio::test]
async fn a_paused_replica_is_dropped_by_the_bus_and_the_other_goes_on() {
    let site = two_managements().await;
    let records = Records::open(&site).await;
    let watch = Watch::start(&site).await;

    let took = outlives_its_claims(&site, &records, Signal::STOP).await;

    eprintln!(
        "measured: all was applied {} ms after the replica that had claimed it was paused",
        took.as_millis()
    );
    // What it does when it wakes up is too late, and changes nothing.
    site.stack.process(Part::Replica(2)).unwrap().signal(Signal::CONT);
    let two = site.stack.replica_api(2).unwrap();
    two.create_user("later", Some(wait::SOON))
        .await
        .unwrap()
        .expect(201)
        .unwrap();
    records.agree(&site).await;
    watch.nothing_ran_backwards().await;
    assert_eq!(records.serials().await.len(), CLAIMED + 1);
    assert!(took < WITHOUT_THE_PAUSED, "{took:?}");
}
