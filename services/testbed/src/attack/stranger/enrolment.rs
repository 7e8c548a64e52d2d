//! Enrolments, rightly signed: with tokens that do not exist, with such that were used, and for nodes that are there.

use std::{cell::RefCell, collections::BTreeMap};

use anyhow::Context as _;
use aws_lc_rs::{
    digest::{SHA256, digest},
    rand::SystemRandom,
};
use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use futures_util::{FutureExt as _, future::LocalBoxFuture};
use nkeys::KeyPair;
use rcgen::CertificateParams;
use serde_json::{Value, json};

use crate::attack::{
    flood::Offered,
    scene::{HONEST, STOLEN, Scene, another_key},
    size::Size,
    stranger::{ask_many, client},
};

/// A host of no node, and that of all nodes here.
const EVIL: &str = "evil.example";
const USUAL: &str = "127.0.0.1";
/// A node that is not there.
const STRANGER: &str = "stranger";

/// How a request must be refused: the status, and words of the answer. Another refusal says that it was not judged by what it is about.
type Refusal = (u16, &'static str);
const NOT_VALID: Refusal = (401, "the join token is not valid");
const USED: Refusal = (401, "the join token was used already");
const TAKEN: Refusal = (409, "a server of that id is enrolled");

/// 2,000 enrolments with tokens that were never made.
pub(in crate::attack) fn bad_tokens(scene: &Scene, size: Size) -> LocalBoxFuture<'_, anyhow::Result<Offered>> {
    async move {
        let wish = Wish::of(STRANGER, KeyPair::new_user())?;
        send(scene, (size.count(2_000, 200), 32), |_| Attempt {
            body: wish.signed(Some(&random_token())),
            api_key: None,
            refusal: NOT_VALID,
        })
        .await
    }
    .boxed_local()
}

/// Tokens that were used, with another key, certificate request, host or name; and what enrols new nodes only, for nodes that are there.
pub(in crate::attack) fn replays(scene: &Scene, size: Size) -> LocalBoxFuture<'_, anyhow::Result<Offered>> {
    async move {
        let unbound = scene
            .stack
            .api()
            .post("/api/join-tokens", &json!({}))
            .await?
            .expect(201)?;
        let unbound = unbound.body["token"].as_str().context("no token")?.to_owned();
        let node_key = another_key(scene, "node").await?;
        let (used, of_thief) = (used_token(scene, HONEST)?, used_token(scene, STOLEN)?);
        let own = || KeyPair::from_seed(&scene.thief.key.seed()?);
        let mut attempts = Vec::new();
        for host in [EVIL, USUAL] {
            let mut with_token = |node, key, token: &str, refusal| {
                let wish = Wish::of(node, key)?.at(host);
                attempts.push((wish, Some(token.to_owned()), None, refusal));
                anyhow::Ok(())
            };
            with_token(HONEST, KeyPair::new_user(), &used, USED)?;
            with_token(STRANGER, KeyPair::new_user(), &used, NOT_VALID)?;
            // The thief has the key, and wants another certificate.
            with_token(STOLEN, own()?, &of_thief, USED)?;
            with_token(HONEST, own()?, &of_thief, NOT_VALID)?;
            for node in [HONEST, STOLEN] {
                with_token(node, KeyPair::new_user(), &unbound, TAKEN)?;
            }
            with_token(STOLEN, own()?, &unbound, TAKEN)?;
            for (node, key) in [(HONEST, KeyPair::new_user()), (STOLEN, own()?)] {
                attempts.push((Wish::of(node, key)?.at(host), None, Some(node_key.clone()), TAKEN));
            }
        }
        send(scene, (size.count(360, 36), 8), |number| {
            let at = usize::try_from(number).unwrap_or_default() % attempts.len();
            let (wish, token, api_key, refusal) = &attempts[at];
            Attempt {
                body: wish.signed(token.as_deref()),
                api_key: api_key.clone(),
                refusal: *refusal,
            }
        })
        .await
    }
    .boxed_local()
}

/// One request, and how it must be refused.
struct Attempt {
    body: anyhow::Result<Value>,
    api_key: Option<String>,
    refusal: Refusal,
}

/// Sends attempts, and tells each that is not refused as it must be; and what changed although all were.
async fn send(
    scene: &Scene,
    (count, at_once): (u64, usize),
    attempt: impl Fn(u64) -> Attempt,
) -> anyhow::Result<Offered> {
    let http = client()?;
    let url = format!("{}/api/endnodes/register", scene.stack.state().management_url());
    let before = nodes(scene).await?;
    let wrong: RefCell<BTreeMap<String, u64>> = RefCell::default();
    let mut offered = ask_many(count, at_once, |number| {
        let Attempt { body, api_key, refusal } = attempt(number);
        let (http, url, wrong) = (&http, &url, &wrong);
        async move {
            let answer = async {
                let mut request = http.post(url).json(&body?);
                if let Some(key) = api_key {
                    request = request.header("X-API-Key", key);
                }
                let answer = request.send().await?;
                anyhow::Ok((answer.status().as_u16(), answer.text().await?))
            };
            let (status, told) = match answer.await {
                Ok((status, text)) if (status, text.contains(refusal.1)) == (refusal.0, true) => return Some(status),
                Ok((status, text)) => (Some(status), format!("{status}: {text}")),
                Err(error) => (None, format!("{error:#}")),
            };
            let told = format!("in place of {}, {:?}: {told}", refusal.0, refusal.1);
            *wrong.borrow_mut().entry(told).or_default() += 1;
            status
        }
    })
    .await;
    let told = wrong.into_inner().into_iter().take(3);
    let told = told.map(|(what, times)| format!("{times} enrolments were answered, {what}"));
    offered.wrong.extend(told);
    if nodes(scene).await? != before {
        offered
            .wrong
            .push("the nodes of the fleet are others than before".to_owned());
    }
    Ok(offered)
}

/// The nodes, and where clients reach them.
async fn nodes(scene: &Scene) -> anyhow::Result<Vec<[String; 3]>> {
    let listed = scene.stack.api().endnodes().await?.expect(200)?;
    let shown = |node: &Value| ["server_id", "host", "port"].map(|field| node[field].to_string());
    Ok(listed.items().iter().map(shown).collect())
}

/// The token with which a node enrolled.
fn used_token(scene: &Scene, node: &str) -> anyhow::Result<String> {
    let file = scene.stack.state().dir.join("work").join(format!("{node}.token"));
    let token = std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    Ok(token.trim().to_owned())
}

/// What somebody wants to enrol as.
struct Wish {
    node: &'static str,
    key: KeyPair,
    csr: String,
    host: &'static str,
}

impl Wish {
    /// With a certificate request for a key of one's own.
    fn of(node: &'static str, key: KeyPair) -> anyhow::Result<Self> {
        let request = CertificateParams::default().serialize_request(&rcgen::KeyPair::generate()?)?;
        Ok(Self {
            node,
            key,
            csr: request.pem()?,
            host: EVIL,
        })
    }

    /// The same at this host.
    fn at(self, host: &'static str) -> Self {
        Self { host, ..self }
    }

    /// The body, signed as the description of the API says.
    fn signed(&self, token: Option<&str>) -> anyhow::Result<Value> {
        let hash = |text: &str| HEXLOWER.encode(digest(&SHA256, text.as_bytes()).as_ref());
        let at = chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
        let key = self.key.public_key();
        let text = [
            "vpnmanager enrolment",
            self.node,
            &key,
            &hash(&self.csr),
            self.host,
            "1194",
            "udp",
            "default",
            "-",
            &token.map_or_else(|| "-".to_owned(), hash),
            &at,
        ];
        let text: String = text.iter().map(|line| format!("{line}\n")).collect();
        let mut body = json!({
            "server_id": self.node, "bus_public_key": key, "csr": self.csr, "host": self.host, "port": 1194,
            "protocol": "udp", "pool": "default", "at": at,
            "signature": BASE64URL_NOPAD.encode(&self.key.sign(text.as_bytes())?),
        });
        if let Some(token) = token {
            body["join_token"] = token.into();
        }
        Ok(body)
    }
}

/// A token of the right form.
fn random_token() -> String {
    let bytes = aws_lc_rs::rand::generate::<[u8; 32]>(&SystemRandom::new()).map(|random| random.expose());
    let digits = data_encoding::BASE32_NOPAD.encode(&bytes.unwrap_or_default());
    format!("vpnjoin-{}", digits.to_ascii_lowercase())
}
