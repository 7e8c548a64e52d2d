//! Management as a node sees it: an HTTP door for enrolment, and the other end of the bus.

mod script;
mod syncs;

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use async_nats::{Client, ConnectOptions, Message};
use chrono::Utc;
use futures_util::StreamExt as _;
use poem::{EndpointExt as _, IntoResponse as _, Response, Route, http::StatusCode, web::Json};
use serde_json::{Value, json};
use vpnmanager_nats::{
    acks::Ack,
    commands::Command,
    delivery::{Delivery, Report},
    envelope::Envelope,
    events::Event,
    heartbeats::Heartbeat,
    ids::{CommonName, NodeId, UserKey},
    intents::{Intent, IntentAnswer},
    publish::{Publication, publish_all},
    security::{
        bus_files::{init::BusInit, open::BusFiles},
        node_credentials::issue_node_jwt,
    },
    sign::{ServerRefusal, ServerResult, SignAnswer, SignRequest, SignResult},
    subjects,
    topology::{Topology, TopologyOptions},
};
use vpnmanager_openapi::contract::enrolment::Registration;
use vpnmanager_openapi::server::tls::ServedCertificate;
use vpnmanager_runtime::tasks::Tasks;
use vpnmanager_testbed::{nats::Nats, wait};

pub(crate) use script::{Renewing, Script};

use crate::authority::{Authority, tls_crypt_v2_key};

pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

#[derive(Clone)]
pub(crate) struct FakeManagement {
    pub(crate) bus: Arc<Mutex<Option<Nats>>>,
    pub(crate) files: BusFiles,
    pub(crate) client: Client,
    pub(crate) topology: Topology,
    pub(crate) address: SocketAddr,
    pub(crate) tls_url: String,
    scheme: &'static str,
    pub(crate) authority: Arc<Authority>,
    script: Arc<Mutex<Script>>,
    tasks: Tasks,
}

impl FakeManagement {
    pub(crate) async fn start() -> Self {
        Self::start_with(Authority::new(), None).await
    }

    /// With HTTPS, by a certificate of its CA for 127.0.0.1.
    pub(crate) async fn start_secured() -> Self {
        let authority = Authority::new();
        let served = ServedCertificate::new(authority.https("127.0.0.1"));
        Self::start_with(authority, Some(served)).await
    }

    async fn start_with(authority: Authority, served: Option<ServedCertificate>) -> Self {
        let mut dir = PathBuf::new();
        let server = Nats::start(|site| {
            dir = site.dir.join("bus");
            let bus = BusInit {
                dir: dir.clone(),
                listen: site.listen,
                monitor: site.monitor,
                store_dir: site.store.clone(),
                hosts: Vec::new(),
                allow_plaintext: false,
                max_store: BusInit::DEFAULT_MAX_STORE,
            };
            bus.run().unwrap();
            "include \"bus/nats-server.conf\"\n".to_owned()
        })
        .await
        .unwrap();
        let files = BusFiles::new(dir);
        let client = ConnectOptions::with_credentials_file(files.management_creds_path())
            .await
            .unwrap()
            .add_root_certificates(files.ca_path())
            .require_tls(true)
            .connect(server.tls_url())
            .await
            .unwrap();
        let topology = Topology::ensure(&client, TopologyOptions::default()).await.unwrap();
        let tasks = Tasks::new();
        let bound = vpnmanager_openapi::server::Bound::new(&["127.0.0.1:0".to_owned()])
            .await
            .unwrap();
        let scheme = if served.is_some() { "https" } else { "http" };
        let bound = match &served {
            Some(served) => bound.secured(served),
            None => bound,
        };
        let management = Self {
            tls_url: server.tls_url(),
            bus: Arc::new(Mutex::new(Some(server))),
            address: bound.addresses()[0],
            files,
            client,
            topology,
            scheme,
            authority: Arc::new(authority),
            script: Arc::default(),
            tasks: tasks.clone(),
        };
        let door = management.clone();
        let app = Route::new().at(
            "/api/endnodes/register",
            poem::post(poem::endpoint::make(move |request: poem::Request| {
                let door = door.clone();
                async move {
                    let key = request.header("X-API-Key").map(str::to_owned);
                    let body: Value = request.into_body().into_json().await.unwrap();
                    Ok::<_, poem::Error>(door.register(key, &body).await)
                }
            })),
        );
        let stop = tasks.token();
        let app = app.map_to_response();
        tasks.spawn_job("door", async move {
            Ok(bound.serve(app, stop.cancelled_owned(), DEADLINE).await?)
        });
        management.answer(subjects::ALL_SYNCS, Self::on_sync).await;
        management.answer(subjects::ALL_SIGNS, Self::on_sign).await;
        management.answer(subjects::ALL_INTENTS, Self::on_intent).await;
        management.answer(subjects::ALL_HEARTBEATS, Self::on_heartbeat).await;
        management
    }

    /// The certificate of the authority, PEM.
    pub(crate) fn authority(&self) -> &str {
        &self.authority.pem
    }

    pub(crate) fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    pub(crate) fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap()
    }

    /// Sends commands and returns the sequence of the last.
    pub(crate) async fn send(&self, commands: Vec<Command>) -> u64 {
        let mut sequence = 0;
        for command in commands {
            let subject = subjects::command(command.node(), command.user_key());
            let known = self.topology.commands().get_last_raw_message_by_subject(&subject).await;
            let publication = Publication {
                command: Envelope::new(command),
                expected_sequence: known.map_or(0, |known| known.sequence),
            };
            for published in publish_all(&self.topology, &[publication]).await {
                match published.unwrap() {
                    vpnmanager_nats::publish::Published::Stored { sequence: stored } => sequence = stored,
                    vpnmanager_nats::publish::Published::Overtaken { .. } => panic!("nobody else publishes here"),
                }
            }
        }
        sequence
    }

    /// The credential has a certificate already, for the key of this request.
    pub(crate) fn record_certificate(&self, name: &CommonName, csr: String) {
        let signed = self.authority.sign_user(name, &csr);
        self.script().certificates.insert(name.clone(), (csr, signed));
    }

    /// Waits for the ack of this user's newest command.
    pub(crate) async fn ack_of(&self, user: UserKey, revision: i64) -> Ack {
        let find = async || {
            let acks = &self.script().acks;
            acks.iter()
                .rev()
                .find(|ack| ack.user_key == user && ack.revision.0 == revision)
                .cloned()
        };
        wait::until_some(DEADLINE, format!("the ack of revision {revision}"), find)
            .await
            .unwrap()
    }

    pub(crate) async fn event(&self, is_it: impl Fn(&Event) -> bool) -> Event {
        let find = async || self.script().events.iter().find(|event| is_it(event)).cloned();
        wait::until_some(DEADLINE, "the event", find).await.unwrap()
    }

    async fn register(&self, key: Option<String>, body: &Value) -> Response {
        self.script().registrations.push((key, body.clone()));
        let sent: Registration = serde_json::from_value(body.clone()).unwrap();
        let claim = sent.claim(sent.at.0.expect("a time").to_utc()).expect("a key");
        assert!(
            claim.is_signed(&sent.signature.0.expect("a signature").decode()),
            "{body}"
        );
        let refusal = self.script().refusals.pop_front();
        if let Some((status, detail)) = refusal {
            let problem = json!({ "type": "about:blank", "title": "No", "status": status.as_u16(), "detail": detail });
            return Json(problem).with_status(status).into_response();
        }
        let node: NodeId = body["server_id"].as_str().unwrap().parse().unwrap();
        let public_key = body["bus_public_key"].as_str().unwrap().parse().unwrap();
        self.topology.ensure_node(&node).await.unwrap();
        self.collect_reports(&node).await;
        let authority = self.files.node_authority().unwrap();
        let jwt = issue_node_jwt(&node, &public_key, Utc::now(), &authority).unwrap();
        let (name, csr) = (format!("node.test.{node}"), body["csr"].as_str().unwrap());
        let days = self.script().server_days;
        let certificate = match days {
            Some(days) => self.authority.sign_for_days(&name, csr, days),
            None => self.authority.sign(&name, csr),
        };
        let answer = json!({
            "server_id": node,
            "bus": { "urls": [self.tls_url], "jwt": jwt, "ca": self.files.ca_pem().unwrap() },
            "pki": {
                "ca": self.authority.pem,
                "certificate": certificate,
                "tls_crypt_v2_key": tls_crypt_v2_key(),
                "server_name_prefix": "node.test.",
            },
        });
        Json(answer).with_status(StatusCode::CREATED).into_response()
    }

    async fn on_sign(self, message: Message) -> Option<bytes::Bytes> {
        let request: Envelope<SignRequest> = Envelope::decode(&message.payload).unwrap();
        let mut script = self.script();
        let down = script.signing_is_down;
        let mut results = Vec::new();
        for wanted in request.body.requests {
            script.asked_to_sign.push(wanted.common_name.clone());
            if down || script.unavailable.contains(&wanted.common_name) {
                results.push(SignResult::Unavailable {
                    common_name: wanted.common_name,
                });
                continue;
            }
            let name = wanted.common_name.clone();
            let known = script.certificates.get(&name);
            let result = match known {
                Some((csr, signed)) if *csr == wanted.csr => SignResult::Signed(signed.clone()),
                Some(_) => SignResult::Refused {
                    common_name: name,
                    reason: vpnmanager_nats::sign::SignRefusal::AlreadyIssued,
                },
                None => {
                    let signed = self.authority.sign_user(&name, &wanted.csr);
                    script.certificates.insert(name, (wanted.csr, signed.clone()));
                    SignResult::Signed(signed)
                }
            };
            results.push(result);
        }
        if script.signatures_get_lost {
            return None;
        }
        let server = request.body.server.and_then(|wanted| {
            script.renewals_asked += 1;
            let name = format!("node.test.{}", request.body.node);
            let authorities = script.authorities.clone();
            let signed = |authority: &Authority| ServerResult::Signed {
                certificate: authority.sign_for_days(&name, &wanted.csr, (1, 30)),
                authorities,
            };
            match script.renewing {
                Renewing::Unknown => None,
                Renewing::Signs => Some(signed(&self.authority)),
                Renewing::SignsForeign => Some(signed(&Authority::new())),
                Renewing::Refuses => Some(ServerResult::Refused {
                    reason: ServerRefusal::OtherKey,
                }),
            }
        });
        reply(SignAnswer { results, server })
    }

    async fn on_intent(self, message: Message) -> Option<bytes::Bytes> {
        let intent: Envelope<Intent> = Envelope::decode(&message.payload).unwrap();
        let mut script = self.script();
        script.intents.push(intent.body);
        let answer = script.intent_answer.clone().unwrap_or(IntentAnswer::Unavailable);
        reply(answer)
    }

    async fn on_heartbeat(self, message: Message) -> Option<bytes::Bytes> {
        let heartbeat: Envelope<Heartbeat> = Envelope::decode(&message.payload).unwrap();
        self.script().heartbeats.push(heartbeat.body);
        None
    }

    async fn answer<F>(&self, subject: &'static str, handle: fn(Self, Message) -> F)
    where
        F: Future<Output = Option<bytes::Bytes>> + Send + 'static,
    {
        let mut messages = self.client.subscribe(subject).await.unwrap();
        let management = self.clone();
        self.tasks.spawn_job(subject, async move {
            while let Some(message) = messages.next().await {
                let to = message.reply.clone();
                if let (Some(answer), Some(to)) = (handle(management.clone(), message).await, to) {
                    management.client.publish(to, answer).await?;
                }
            }
            Ok(())
        });
    }

    /// Keeps the acks, events and sessions of a node.
    async fn collect_reports(&self, node: &NodeId) {
        let consumer = self.topology.ensure_reports(node).await.unwrap();
        let management = self.clone();
        self.tasks.spawn_job("reports", async move {
            let mut messages = consumer.messages().await?;
            while let Some(message) = messages.next().await {
                // A restarted server interrupts the flow once.
                let Ok(message) = message else { continue };
                let delivery = Delivery::from(message);
                match delivery.report()? {
                    Report::Ack(ack) => management.script().acks.push(ack.body),
                    Report::Event(event) => management.script().events.push(event.body),
                    Report::Sessions(report) => management.script().sessions.extend(report.body.records),
                }
                delivery.done().await?;
            }
            Ok(())
        });
    }
}

fn reply<T: vpnmanager_nats::payload::Payload>(body: T) -> Option<bytes::Bytes> {
    Some(Envelope::new(body).encode())
}
