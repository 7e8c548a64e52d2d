//! `doctor` from an operator's desk: whether management can be reached, is who it should be, takes the key, and what it says of its nodes.

use std::time::{Duration, SystemTime};

use chrono::{DateTime, Utc};
use reqwest::{Client, Response, StatusCode, header::DATE, redirect::Policy};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use tokio::net::TcpStream;
use vpnmanager_runtime::doctor::{
    Check, Examination, Examined, Finding, Report, Seen, Trouble, Verdict,
    certificates::validity,
    clock::{ahead_of_date, difference},
    handshake::{Begins, HandshakeError, Server, life_of_certificate},
    host_names::{self, Named, host_and_port},
};
use vpnmanager_runtime::error_chain::{chain, innermost};
use vpnmanager_runtime::loopback::past_proxies;
use vpnmanager_runtime::tls;

use crate::api::{is_of_unknown_ca, with_way_out};

const NAMES: Check = Check::new("names", "The name of management leads to a machine").within(Duration::from_secs(10));
const REACH: Check = Check::new("reach", "Management takes connections")
    .after(&["names"])
    .within(Duration::from_secs(10));
const CERTIFICATE: Check = Check::new(
    "certificate",
    "Management shows a certificate of its CA that has not ended",
)
.after(&["reach"])
.within(Duration::from_secs(10));
const SERVICE: Check = Check::new("service", "Management is well")
    .after(&["reach"])
    .within(Duration::from_secs(10));
const VERSION: Check = Check::new("version", "Management is of the release of this program").after(&["service"]);
const CLOCK: Check = Check::new("clock", "The clock agrees with that of management").after(&["service"]);
const KEY: Check = Check::new("key", "The API key is taken")
    .after(&["service"])
    .within(Duration::from_secs(10));
const NODES: Check = Check::new("nodes", "Every node serves")
    .after(&["key"])
    .within(Duration::from_secs(30));

const PATIENCE: Duration = Duration::from_secs(8);
/// How long a proxy may take, where there is no other way.
const PATIENCE_WITH_PROXY: Duration = Duration::from_secs(4);
/// How long one connection may take to be made.
const CONNECT_WITHIN: Duration = Duration::from_secs(4);
/// Links to profiles and signed questions are refused long after that.
const MOST: Duration = Duration::from_secs(60);
/// Nodes that one answer lists.
const PAGE: usize = 100;

/// How management is reached.
#[derive(Debug, Clone)]
pub(crate) struct Way {
    /// Where it is, with or without a slash at its end.
    pub(crate) url: String,
    /// The key; `None`: there is none.
    pub(crate) key: Option<SecretString>,
    /// The CA of its certificate, PEM; `None`: those that this machine trusts.
    pub(crate) authorities: Option<String>,
}

/// Looks at everything.
pub(crate) async fn run(way: &Way) -> Report {
    tls::install_crypto_provider();
    let examined = Examined {
        program: "vpnmanager",
        version: env!("CARGO_PKG_VERSION"),
    };
    Report::new(examined, examine(way).await)
}

async fn examine(way: &Way) -> Vec<Finding> {
    let mut all = Examination::new();
    all.look(&NAMES, Some(way), names).await;
    let client = all.look(&REACH, Some(way), reach).await;
    let client = client.as_ref();
    all.look(&CERTIFICATE, Some(way), certificate).await;
    let told = all
        .look(&SERVICE, client, async |client| service(way, client).await)
        .await;
    let told = told.as_ref();
    all.look(&VERSION, told, async |told| version(&told.version)).await;
    all.look(&CLOCK, told, async |told| clock(told.ahead_ms)).await;
    let key = all.look(&KEY, client, async |client| key(way, client).await).await;
    all.look(&NODES, client.zip(key), async |(client, ())| nodes(way, client).await)
        .await;
    all.findings()
}

/// Host and port, with the port of the scheme where the URL has none.
fn place_of(url: &str) -> Option<(String, u16)> {
    if let Some(place) = host_and_port(url) {
        return Some(place);
    }
    let (scheme, rest) = url.split_once("://")?;
    let host = rest
        .split('/')
        .next()
        .unwrap_or(rest)
        .trim_start_matches('[')
        .trim_end_matches(']');
    let port = match scheme {
        "https" => 443,
        _ => 80,
    };
    (!host.is_empty()).then(|| (host.to_owned(), port))
}

fn names_of(way: &Way) -> Vec<Named> {
    let named = |(host, _)| Named {
        setting: "MANAGEMENT_URL",
        host,
    };
    place_of(&way.url).map(named).into_iter().collect()
}

/// A machine that reaches others through a proxy alone may know no names.
async fn names(way: &Way) -> Seen {
    let seen = host_names::look(names_of(way)).await;
    match seen.has_failed() && answers(way).await {
        true => Seen::fine("a proxy knows the name", ()),
        false => seen,
    }
}

/// Whether management answers anything to the client that all commands have, which goes through the proxy of the environment.
async fn answers(way: &Way) -> bool {
    let Ok(client) = client_of(way) else { return false };
    let asked = client.get(format!("{}/health", base(way))).timeout(PATIENCE_WITH_PROXY);
    let answered = async { asked.send().await?.json::<Value>().await };
    // What a proxy says in its own name is a page.
    answered.await.is_ok_and(|body| body.is_object())
}

async fn reach(way: &Way) -> Seen<Client> {
    let Some((host, port)) = place_of(&way.url) else {
        return Seen::failed(Trouble::new(
            format!("{:?} is no URL", way.url),
            "expected one such as https://management.example.org:8080",
            "vpnmanager login --help",
        ));
    };
    let connected = tokio::time::timeout(CONNECT_WITHIN, TcpStream::connect((host.as_str(), port))).await;
    let refused = match connected {
        Ok(Ok(_)) => None,
        Ok(Err(error)) => Some(innermost(&error)),
        Err(_elapsed) => Some(format!("no answer within {CONNECT_WITHIN:?}")),
    };
    let mut found = format!("{host}:{port} takes connections");
    if let Some(cause) = refused {
        if !answers(way).await {
            return Seen::failed(Trouble::new(
                format!("{host}:{port} takes no connection"),
                cause,
                format!("curl -v {}/health", base(way)),
            ));
        }
        found = format!("{host}:{port} is reached through a proxy");
    }
    match client_of(way) {
        Ok(client) => Seen::fine(found, client),
        Err(error) => Seen::failed(Trouble::new(
            "the CA of management cannot be used",
            chain(&error).to_string(),
            "vpnmanager login --help",
        )),
    }
}

fn client_of(way: &Way) -> Result<Client, reqwest::Error> {
    // A redirect would carry the key to where somebody else says.
    let builder = Client::builder().timeout(PATIENCE).redirect(Policy::none());
    let builder = past_proxies(builder, &way.url);
    match &way.authorities {
        Some(pem) => builder
            .tls_certs_only(reqwest::Certificate::from_pem_bundle(pem.as_bytes())?)
            .build(),
        None => builder.build(),
    }
}

async fn certificate(way: &Way) -> Seen {
    let Some(pem) = way.authorities.as_ref().filter(|_| way.url.starts_with("https://")) else {
        return Seen::skipped("management is reached without TLS, or with the CAs that this machine trusts");
    };
    let Some((host, port)) = place_of(&way.url) else {
        return Seen::skipped("MANAGEMENT_URL is no URL");
    };
    let server = Server {
        host,
        port,
        authorities: pem.as_bytes().to_vec(),
        begins: Begins::Client,
    };
    let mend = "ssh root@MANAGEMENT vpnmanager-management doctor";
    match life_of_certificate(server).await {
        Ok(life) => validity(life, SystemTime::now(), mend).into(),
        // It was reached before.
        Err(HandshakeError::Connection(_)) => {
            Seen::skipped("this machine reaches management through a proxy alone, which does not show its certificate")
        }
        Err(error) => Seen::failed(Trouble::new(
            "management shows no certificate of its CA",
            chain(&error).to_string(),
            mend,
        )),
    }
}

/// What management said of itself.
#[derive(Debug)]
struct Told {
    version: String,
    ahead_ms: Option<i64>,
}

async fn service(way: &Way, client: &Client) -> Seen<Told> {
    let mend = "ssh root@MANAGEMENT vpnmanager-management doctor";
    let asked = Utc::now();
    let answer = match client.get(format!("{}/health", base(way))).send().await {
        Ok(answer) => answer,
        Err(error) => {
            let why = chain(&error).to_string();
            let mend = match is_of_unknown_ca(&why) {
                true => format!("vpnmanager login {} --management-ca ca.pem", base(way)),
                false => mend.to_owned(),
            };
            return Seen::failed(Trouble::new("management does not answer", with_way_out(why), mend));
        }
    };
    let (status, ahead_ms) = (answer.status(), ahead_of(&answer, asked));
    let body: Value = answer.json().await.unwrap_or_default();
    let text = |member: &str| body[member].as_str().unwrap_or_default().to_owned();
    if status != StatusCode::OK {
        return Seen::failed(Trouble::new(
            format!("management cannot work ({status})"),
            text("detail"),
            mend,
        ));
    }
    let told = Told {
        version: text("version"),
        ahead_ms,
    };
    let problems: Vec<&str> = body["problems"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    match problems.is_empty() {
        true => Seen::fine(format!("{} is well", text("server_id")), told),
        false => Seen::warning(
            Trouble::new("management works, and not as it should", problems.join("; "), mend),
            told,
        ),
    }
}

fn ahead_of(answer: &Response, asked: DateTime<Utc>) -> Option<i64> {
    let date = answer.headers().get(DATE)?.to_str().ok()?;
    ahead_of_date(date, asked, Utc::now())
}

fn version(found: &str) -> Seen {
    let own = env!("CARGO_PKG_VERSION");
    if found == own {
        return Seen::fine(format!("management {found}"), ());
    }
    let trouble = Trouble::new(
        format!("management is {found}, and this program {own}"),
        "one of the two may not know what the other one can do",
        "apt-get install --only-upgrade vpnmanager",
    );
    Seen::warning(trouble, ())
}

fn clock(ahead_ms: Option<i64>) -> Seen {
    match ahead_ms {
        Some(ahead) => difference("management", ahead, MOST).into(),
        None => Seen::skipped("management does not say what time it is"),
    }
}

/// Asks for something that every key may read, and for something that only an administrator may.
async fn key(way: &Way, client: &Client) -> Seen {
    let Some(key) = &way.key else {
        return Seen::skipped_until("there is no API key", format!("vpnmanager login {}", base(way)));
    };
    let ask = async |path: &str| {
        let asked = client.get(format!("{}{path}", base(way)));
        let answer = asked.header("X-API-Key", key.expose_secret()).send().await;
        answer.map(|answer| answer.status())
    };
    let reads = match ask("/api/endnodes?limit=1").await {
        Ok(status) => status,
        Err(error) => return unanswered(&error),
    };
    if !reads.is_success() {
        return Seen::failed(Trouble::new(
            format!("management does not take the key ({reads})"),
            "it was revoked or has expired, or it is that of another fleet",
            format!("vpnmanager login {}", base(way)),
        ));
    }
    match ask("/api/join-tokens").await {
        Ok(status) if status.is_success() => Seen::fine("the key is taken, and may do everything", ()),
        Ok(_) => Seen::fine("the key is taken, and is not that of an administrator", ()),
        Err(error) => unanswered(&error),
    }
}

async fn nodes(way: &Way, client: &Client) -> Seen {
    let key = way.key.as_ref().map(|key| key.expose_secret()).unwrap_or_default();
    let (mut verdicts, mut cursor) = (Vec::new(), None::<String>);
    loop {
        // A cursor has letters, digits, `-` and `_`.
        let behind = cursor.map(|cursor| format!("&cursor={cursor}")).unwrap_or_default();
        let url = format!("{}/api/endnodes?limit={PAGE}{behind}", base(way));
        let asked = client.get(url).header("X-API-Key", key);
        let answered = async { asked.send().await?.error_for_status()?.json::<Value>().await };
        let page = match answered.await {
            Ok(page) => page,
            Err(error) => return unanswered(&error),
        };
        let items = page["items"].as_array().into_iter().flatten();
        verdicts.extend(items.map(|node| (text_of(node, "server_id"), verdict_of(node))));
        cursor = page["next_cursor"].as_str().map(str::to_owned);
        if cursor.is_none() {
            break;
        }
    }
    if verdicts.is_empty() {
        let trouble = Trouble::new(
            "no node has enrolled",
            "nobody can connect before one has",
            "vpnmanager join-tokens create",
        );
        return Seen::warning(trouble, ());
    }
    Seen::each(verdicts)
}

fn verdict_of(node: &Value) -> Verdict {
    let (state, reason) = (text_of(node, "state"), node["state_reason"].as_str());
    let id = text_of(node, "server_id");
    let trouble = || {
        Trouble::new(
            state.clone(),
            reason.unwrap_or("it has not been heard yet"),
            format!("vpnmanager nodes show {id}"),
        )
    };
    // Whoever drains a node may take it away.
    let is_drained = node["draining"] == true;
    match (state.as_str(), reason) {
        ("healthy", None) => Verdict::Fine(state),
        ("healthy" | "enrolled" | "stale", _) => Verdict::Warning(trouble()),
        _ if is_drained => Verdict::Warning(trouble()),
        _ => Verdict::Failed(trouble()),
    }
}

fn text_of(node: &Value, member: &str) -> String {
    node[member].as_str().unwrap_or_default().to_owned()
}

fn unanswered(error: &reqwest::Error) -> Seen {
    Seen::failed(Trouble::new(
        "management does not answer the question",
        chain(error).to_string(),
        "ssh root@MANAGEMENT vpnmanager-management doctor",
    ))
}

fn base(way: &Way) -> &str {
    way.url.trim_end_matches('/')
}

#[cfg(test)]
mod tests;
