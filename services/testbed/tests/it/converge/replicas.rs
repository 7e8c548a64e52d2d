//! Two managements on one database and one bus, both asked at once.

use std::{collections::HashMap, sync::Arc, time::Instant};

use async_nats::jetstream::consumer::{AckPolicy, PullConsumer, pull};
use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio::sync::Mutex;
use vpnmanager_testbed::{
    api::Api,
    stack::{Part, StackOptions},
};

use super::records::{Records, bus};
use crate::main_job::site::{SOON, Site};

const WRITERS: usize = 4;
const EACH: usize = 15;

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

/// Watches every command that the stream takes; returns what ran backwards, and how many it saw.
async fn watch(site: &Site) -> Arc<Mutex<(usize, Vec<String>)>> {
    let stream = bus(site).await.get_stream("VPN_COMMANDS").await.unwrap();
    let config = pull::Config {
        ack_policy: AckPolicy::None,
        ..pull::Config::default()
    };
    let consumer: PullConsumer = stream.create_consumer(config).await.unwrap();
    let seen = Arc::new(Mutex::new((0, Vec::new())));
    let shared = Arc::clone(&seen);
    let mut messages = consumer.messages().await.unwrap();
    tokio::spawn(async move {
        let mut newest: HashMap<String, i64> = HashMap::new();
        while let Some(Ok(message)) = messages.next().await {
            let command: Value = serde_json::from_slice(&message.payload).unwrap_or_default();
            let revision = command["revision"].as_i64().unwrap_or(-1);
            let newest = newest.entry(message.subject.to_string()).or_default();
            let mut seen = shared.lock().await;
            seen.0 += 1;
            if revision < *newest {
                seen.1.push(format!("{}: {revision} after {newest}", message.subject));
            }
            *newest = revision.max(*newest);
        }
    });
    seen
}

#[tokio::test]
async fn a_replica_killed_under_load_loses_no_answered_create() {
    let mut site = Site::start(StackOptions {
        managements: 2,
        tunnels: Some(false),
        ..StackOptions::default()
    })
    .await;
    let (one, two) = (site.stack.api(), site.stack.replica_api(2).unwrap());
    let records = Records::open(&site).await;
    let seen = watch(&site).await;
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let (mine, other) = if writer % 2 == 0 { (&one, &two) } else { (&two, &one) };
            tokio::spawn(write(mine.clone(), other.clone(), writer))
        })
        .collect();

    // In the middle of the writing: some commands have been published, not all.
    let under_way = async || seen.lock().await.0 > WRITERS * EACH / 3;
    vpnmanager_testbed::wait::until(SOON, "commands to be under way", under_way)
        .await
        .unwrap();
    site.stack.kill_part(Part::Replica(2)).await.unwrap();
    let mut promised = Vec::new();
    for writer in writers {
        promised.extend(writer.await.unwrap());
    }
    let began = Instant::now();
    records.agree(&site).await;

    eprintln!(
        "measured: {} creates were promised; all was applied {} ms after the last, {} commands seen",
        promised.len(),
        began.elapsed().as_millis(),
        seen.lock().await.0
    );
    assert!(promised.len() >= WRITERS / 2 * EACH, "{}", promised.len());
    for name in &promised {
        let known = one.user(name).await.unwrap().expect(200).unwrap();
        assert_eq!(known.body["synced"], true, "{}", known.text);
    }
    assert_eq!(seen.lock().await.1, Vec::<String>::new(), "published backwards");
    // What comes back is of use at once.
    site.stack.start_part(Part::Replica(2)).await.unwrap();
    let created = two.create_user("later", Some(SOON)).await.unwrap().expect(201).unwrap();
    assert_eq!(created.body["synced"], true, "{}", created.text);
}
