//! Enrolments with tokens that do not exist, and with one that was used.

use aws_lc_rs::rand::SystemRandom;
use futures_util::{FutureExt as _, future::LocalBoxFuture};
use rcgen::{CertificateParams, DnType, KeyPair};
use serde_json::{Value, json};

use crate::attack::{
    flood::Offered,
    scene::Scene,
    size::Size,
    stranger::{ask_many, client},
};

/// 2,000 enrolments with tokens that were never made.
pub(in crate::attack) fn bad_tokens(scene: &Scene, size: Size) -> LocalBoxFuture<'_, anyhow::Result<Offered>> {
    async move {
        let http = client()?;
        let url = format!("{}/api/endnodes/register", scene.stack.state().management_url());
        let body = registration("stranger", &bus_key(), &random_token())?;
        let mut offered = ask_many(size.count(2_000, 200), 32, |_| {
            let mut body = body.clone();
            body["join_token"] = random_token().into();
            let request = http.post(&url).json(&body);
            async move { request.send().await.ok().map(|answer| answer.status().as_u16()) }
        })
        .await;
        if offered.refused < offered.count {
            offered
                .wrong
                .push("a token that was never made enrolled a node".to_owned());
        }
        Ok(offered)
    }
    .boxed_local()
}

/// A used token with the public key of its node, which is no secret, another certificate request and another host.
pub(in crate::attack) fn replays(scene: &Scene, size: Size) -> LocalBoxFuture<'_, anyhow::Result<Offered>> {
    async move {
        let http = client()?;
        let url = format!("{}/api/endnodes/register", scene.stack.state().management_url());
        let dir = scene.stack.state().dir.join("work").join("node-1.token");
        let token = std::fs::read_to_string(dir)?.trim().to_owned();
        let identity: Value =
            serde_json::from_slice(&std::fs::read(scene.stack.node(1)?.dir().join("identity.json"))?)?;
        let key = identity["bus_public_key"].as_str().unwrap_or_default();
        let mut body = registration("node-1", key, &token)?;
        body["host"] = "evil.example".into();
        let mut offered = ask_many(size.count(200, 20), 8, |_| {
            let request = http.post(&url).json(&body);
            async move { request.send().await.ok().map(|answer| answer.status().as_u16()) }
        })
        .await;
        if offered.refused < offered.count {
            let taken = offered.count - offered.refused;
            offered.wrong.push(format!(
                "{taken} enrolments with a used token got a certificate for evil.example"
            ));
        }
        Ok(offered)
    }
    .boxed_local()
}

fn registration(node: &str, bus_key: &str, token: &str) -> anyhow::Result<Value> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, node);
    let csr = params.serialize_request(&key)?.pem()?;
    Ok(json!({ "server_id": node, "bus_public_key": bus_key, "join_token": token, "csr": csr, "host": "evil.example" }))
}

fn bus_key() -> String {
    nkeys::KeyPair::new_user().public_key()
}

/// A token of the right form.
fn random_token() -> String {
    let bytes = aws_lc_rs::rand::generate::<[u8; 32]>(&SystemRandom::new()).map(|random| random.expose());
    let digits = data_encoding::BASE32_NOPAD.encode(&bytes.unwrap_or_default());
    format!("vpnjoin-{}", digits.to_ascii_lowercase())
}
