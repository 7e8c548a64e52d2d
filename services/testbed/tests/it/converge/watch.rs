//! Watches the commands that the stream takes.

use std::{collections::HashMap, sync::Arc};

use async_nats::jetstream::consumer::{AckPolicy, PullConsumer, pull};
use futures_util::StreamExt;
use serde_json::Value;
use tokio::{sync::Mutex, task::JoinSet};

use crate::main_job::site::Site;

/// What the stream took.
#[derive(Default)]
struct Seen {
    commands: usize,
    backwards: Vec<String>,
}

/// Watches every command that the stream takes.
pub(crate) struct Watch {
    seen: Arc<Mutex<Seen>>,
    _task: JoinSet<()>,
}

impl Watch {
    pub(crate) async fn start(site: &Site) -> Self {
        let stream = site.bus().await.get_stream("VPN_COMMANDS").await.unwrap();
        let config = pull::Config {
            ack_policy: AckPolicy::None,
            ..pull::Config::default()
        };
        let consumer: PullConsumer = stream.create_consumer(config).await.unwrap();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let mut task = JoinSet::new();
        task.spawn(follow(consumer.messages().await.unwrap(), Arc::clone(&seen)));
        Self { seen, _task: task }
    }

    /// How many it took so far.
    pub(crate) async fn commands(&self) -> usize {
        self.seen.lock().await.commands
    }

    /// Panics if an older revision of a user came after a newer one.
    pub(crate) async fn nothing_ran_backwards(&self) {
        assert_eq!(self.seen.lock().await.backwards, Vec::<String>::new());
    }
}

async fn follow(mut messages: pull::Stream, seen: Arc<Mutex<Seen>>) {
    let mut newest: HashMap<String, i64> = HashMap::new();
    while let Some(Ok(message)) = messages.next().await {
        let subject = message.subject.to_string();
        // By these management sees that the stream stores what it is sent.
        if subject.starts_with("vpn.cmd._.") {
            continue;
        }
        let command: Value = serde_json::from_slice(&message.payload).unwrap();
        let mut seen = seen.lock().await;
        seen.commands += 1;
        let Some(revision) = command["revision"].as_i64() else {
            seen.backwards.push(format!("{subject}: no revision in {command}"));
            continue;
        };
        let newest = newest.entry(subject.clone()).or_default();
        if revision < *newest {
            seen.backwards.push(format!("{subject}: {revision} after {newest}"));
        }
        *newest = revision.max(*newest);
    }
}
