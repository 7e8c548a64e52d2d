//! Management as a node sees it: an HTTP door for enrolment, and the other end of the bus.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant},
};

use async_nats::{Client, ConnectOptions, Message, jetstream::consumer::PullConsumer};
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
    groups::Groups,
    heartbeats::Heartbeat,
    ids::{CommonName, NodeId, UserKey},
    intents::{Intent, IntentAnswer},
    network::PoolNetwork,
    publish::{Publication, publish_all},
    security::{
        bus_files::{init::BusInit, open::BusFiles},
        node_credentials::issue_node_jwt,
    },
    sessions::SessionRecord,
    sign::{ServerRefusal, ServerResult, SignAnswer, SignRequest, SignResult, SignedCertificate},
    subjects,
    sync::{SyncAnswer, SyncReply, SyncRequest},
    topology::{Topology, TopologyOptions},
};
use vpnmanager_openapi::contract::enrolment::Registration;
use vpnmanager_openapi::server::tls::ServedCertificate;
use vpnmanager_runtime::tasks::Tasks;
use vpnmanager_testbed::{nats::Nats, wait};

use crate::authority::{Authority, tls_crypt_v2_key};

pub(crate) const DEADLINE: Duration = Duration::from_secs(20);
const LOOK: Duration = Duration::from_millis(10);

/// What management saw, and what it is told to do.
#[derive(Default)]
pub(crate) struct Script {
    pub(crate) registrations: Vec<(Option<String>, Value)>,
    /// Answers to registrations before the good one.
    pub(crate) refusals: VecDeque<(StatusCode, String)>,
    pub(crate) signing_is_down: bool,
    /// Credentials that cannot be signed at this moment.
    pub(crate) unavailable: HashSet<CommonName>,
    /// Certificates are signed and recorded, and the answer is lost.
    pub(crate) signatures_get_lost: bool,
    pub(crate) asked_to_sign: Vec<CommonName>,
    /// How long the certificate of a server that enrols was valid, and will be, in days; `None`: practically for ever.
    pub(crate) server_days: Option<(i64, i64)>,
    /// What management does when it is asked for another one.
    pub(crate) renewing: Renewing,
    /// How often it was asked.
    pub(crate) renewals_asked: u32,
    /// The authorities that it says are trusted; `None`: it says nothing of them.
    pub(crate) authorities: Option<String>,
    pub(crate) certificates: HashMap<CommonName, (String, SignedCertificate)>,
    pub(crate) resync: bool,
    /// At the next resync, the first command is delivered to nobody who settles it.
    pub(crate) first_gets_lost: bool,
    /// At the next resync, this command comes before everything begins anew. What comes again is lost, and acks that were under way settle it.
    pub(crate) overtaken: Option<Command>,
    /// What a resync says of commands that are recorded as applied.
    pub(crate) recorded_upto: Option<u64>,
    /// Handshakes get no answer.
    pub(crate) silent: bool,
    /// The next answer promises a snapshot, and the consumer that should bring it vanishes.
    pub(crate) lose_consumer: bool,
    pub(crate) refuse: Option<String>,
    /// What handshakes say of the pool's network; `None`: nothing, as management of an older release.
    pub(crate) network: Option<PoolNetwork>,
    /// The same of the groups of the fleet.
    pub(crate) groups: Option<Groups>,
    pub(crate) syncs: Vec<SyncRequest>,
    pub(crate) acks: Vec<Ack>,
    pub(crate) events: Vec<Event>,
    pub(crate) sessions: Vec<SessionRecord>,
    pub(crate) heartbeats: Vec<Heartbeat>,
    pub(crate) intents: Vec<Intent>,
    /// `None`: management does not answer intents.
    pub(crate) intent_answer: Option<IntentAnswer>,
}

/// What management does when a node asks for the certificate of its server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Renewing {
    /// It does not know the question, as an earlier release.
    #[default]
    Unknown,
    /// It signs one for 30 days.
    Signs,
    /// It signs one of another authority.
    SignsForeign,
    /// It refuses.
    Refuses,
}

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

    async fn on_sync(self, message: Message) -> Option<bytes::Bytes> {
        let request: Envelope<SyncRequest> = Envelope::decode(&message.payload).unwrap();
        let node = request.body.node.clone();
        let lost = request.body.last_sequence == 0 && !self.script().acks.is_empty();
        let unsettled = request.body.unsettled;
        self.topology.ensure_node(&node).await.unwrap();
        self.topology.give_lost_again(&node, unsettled).await.unwrap();
        self.script().syncs.push(request.body);
        if self.script().silent {
            return None;
        }
        let refuse = self.script().refuse.clone();
        if let Some(reason) = refuse {
            return self.tell(SyncAnswer::Refused { reason });
        }
        let overtaken = self.script().overtaken.take();
        let was_overtaken = overtaken.is_some();
        if let Some(command) = overtaken {
            self.overtake(&node, command).await;
        }
        let upto_sequence = self.topology.newest_command(&node).await.unwrap();
        if std::mem::take(&mut self.script().lose_consumer) {
            let stream = Some(self.topology.commands_store().await.unwrap());
            self.topology.commands().delete_consumer(node.as_str()).await.unwrap();
            return self.tell(SyncAnswer::Ok {
                upto_sequence: upto_sequence + 1,
                stream,
            });
        }
        let resync = std::mem::take(&mut self.script().resync);
        if resync || lost {
            if std::mem::take(&mut self.script().first_gets_lost) {
                self.lose_first(&node).await;
            } else if !was_overtaken {
                self.topology.rewind_node_consumer(&node).await.unwrap();
            }
            // The script is asked again for the rest of the answer.
            let recorded_upto = self.script().recorded_upto;
            return self.tell(SyncAnswer::Resync {
                stream: Some(self.topology.commands_store().await.unwrap()),
                upto_sequence,
                reason: "the test wants it".to_owned(),
                recorded_upto,
            });
        }
        let stream = Some(self.topology.commands_store().await.unwrap());
        self.tell(SyncAnswer::Ok { upto_sequence, stream })
    }

    fn tell(&self, answer: SyncAnswer) -> Option<bytes::Bytes> {
        let script = self.script();
        reply(SyncReply {
            network: script.network.clone(),
            groups: script.groups.clone(),
            ..SyncReply::from(answer)
        })
    }

    /// The node takes this command and acks it. Then everything is delivered from the beginning, elsewhere, and settled.
    async fn overtake(&self, node: &NodeId, command: Command) {
        let (user, before) = (command.user_key(), Instant::now());
        let subject = subjects::command(node, user);
        let publish = self
            .topology
            .context()
            .publish(subject, Envelope::new(command).encode());
        publish.await.unwrap().await.unwrap();
        while !self.script().acks.iter().any(|ack| ack.user_key == user) {
            assert!(before.elapsed() < DEADLINE, "no ack");
            tokio::time::sleep(LOOK).await;
        }
        // The node does not pull from another consumer at once.
        self.topology.commands().delete_consumer(node.as_str()).await.unwrap();
        self.topology.ensure_node(node).await.unwrap();
        let consumer: PullConsumer = self.topology.commands().get_consumer(node.as_str()).await.unwrap();
        loop {
            let mut lost = consumer.fetch().max_messages(1000).messages().await.unwrap();
            while let Some(message) = lost.next().await {
                message.unwrap().ack().await.unwrap();
            }
            let seen: PullConsumer = self.topology.commands().get_consumer(node.as_str()).await.unwrap();
            if (seen.cached_info().num_pending, seen.cached_info().num_ack_pending) == (0, 0) {
                return;
            }
            assert!(before.elapsed() < DEADLINE, "not settled");
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Everything is delivered from the beginning, the first command elsewhere.
    async fn lose_first(&self, node: &NodeId) {
        let commands = self.topology.commands();
        commands.delete_consumer(node.as_str()).await.unwrap();
        self.topology.ensure_node(node).await.unwrap();
        let consumer: PullConsumer = commands.get_consumer(node.as_str()).await.unwrap();
        let mut lost = consumer.fetch().max_messages(1).messages().await.unwrap();
        lost.next().await.unwrap().unwrap();
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
