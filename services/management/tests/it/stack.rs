//! A management of one's own: database, bus, folders, tasks. Gone with the test.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
    time::Duration,
};

use chrono::{DateTime, Utc};
use poem::http::{Method, StatusCode};
use poem::test::{TestClient, TestRequestBuilder, TestResponse};
use poem::{Endpoint, EndpointExt as _, Response, endpoint::BoxEndpoint};
use sea_orm::ActiveValue::Set;
use sea_orm::EntityTrait as _;
use serde_json::{Value, json};
use tempfile::TempDir;
use vpnmanager_entities::api_key::{self, Role};
use vpnmanager_management::{
    api,
    app::App,
    cli::Command,
    config::{Config, SERVICE},
    start,
};
use vpnmanager_nats::security::bus_files::init::BusInit;
use vpnmanager_openapi::auth::hash_key;
use vpnmanager_openapi::contract::enrolment::Registration;
use vpnmanager_openapi::server::Bound;
use vpnmanager_runtime::tasks::Tasks;
use vpnmanager_testbed::{nats::Nats, wait};

use crate::database::fresh_database;

/// The key from `API_KEY`.
pub(crate) const ADMIN_KEY: &str = "4e1f0a9c7b2d8365f04b1d6ec8a39752";

/// A running management.
pub(crate) struct Stack {
    pub(crate) app: App,
    pub(crate) tasks: Tasks,
    pub(crate) config: Config,
    pub(crate) nats: Nats,
    /// Made once: the description of the API costs more than most requests.
    application: OnceLock<Arc<BoxEndpoint<'static, Response>>>,
    _folder: TempDir,
}

impl Stack {
    /// Starts one on a database and a bus of its own.
    pub(crate) async fn start() -> Self {
        Box::pin(Self::start_with(&[])).await
    }

    /// The same with other settings.
    pub(crate) async fn start_with(settings: &[(&str, &str)]) -> Self {
        Self::start_on(&fresh_database().await, settings).await
    }

    /// Starts one on that database and a bus of its own.
    pub(crate) async fn start_on(database: &str, settings: &[(&str, &str)]) -> Self {
        Self::try_start_on(database, settings).await.expect("management starts")
    }

    /// The same, or why management does not start.
    pub(crate) async fn try_start_on(database: &str, settings: &[(&str, &str)]) -> anyhow::Result<Self> {
        vpnmanager_runtime::tls::install_crypto_provider();
        let folder = tempfile::tempdir().expect("a folder");
        let (nats, bus_dir) = start_nats().await;
        let pki_dir = folder.path().join("pki");
        let url = nats.tls_url();
        let own = [
            ("SERVER_ID", "management-test"),
            ("API_KEY", ADMIN_KEY),
            ("LISTEN", "127.0.0.1:0"),
            ("SHUTDOWN_TIMEOUT", "5s"),
            ("DATABASE_URL", database),
            ("NATS_URL", &url),
            ("BUS_DIR", path(&bus_dir)),
            ("PKI_DIR", path(&pki_dir)),
        ];
        let config = configure(&[&own, settings].concat());
        let tasks = Tasks::new();
        let app = start::start(config.clone(), &tasks)
            .await
            .inspect_err(|_| tasks.stop())?;
        Ok(Self {
            app,
            tasks,
            config,
            nats,
            application: OnceLock::new(),
            _folder: folder,
        })
    }

    /// A client of the whole HTTP interface.
    pub(crate) fn client(&self) -> TestClient<impl Endpoint<Output = Response> + 'static> {
        let application = self
            .application
            .get_or_init(|| Arc::new(api::application(self.app.clone(), self.tasks.token()).boxed()));
        TestClient::new(application.clone())
    }

    /// Enrols a node that nobody runs.
    pub(crate) async fn enrol(&self, server_id: &str) {
        self.register(&registration(server_id)).await;
    }

    /// The same into that pool.
    pub(crate) async fn enrol_in(&self, server_id: &str, pool: &str) {
        self.register(&registration(server_id).with("pool", pool)).await;
    }

    /// Enrols a node as it asks for it.
    pub(crate) async fn register(&self, node: &Registering) {
        let answer = post(self, "/api/endnodes/register", &node.body()).await;
        answer.assert_status(StatusCode::CREATED);
    }

    /// Makes a join token.
    pub(crate) async fn join_token(&self, wish: Value) -> String {
        let answer = post(self, "/api/join-tokens", &wish).await;
        answer.assert_header("cache-control", "no-store");
        let made = json_of(answer, StatusCode::CREATED).await;
        made["token"].as_str().expect("a token").to_owned()
    }

    /// Records another key.
    pub(crate) async fn add_key(&self, key: &str, role: Role) {
        let row = api_key::ActiveModel {
            name: Set(format!("{role:?}-{key}")),
            hash: Set(hash_key(key).to_vec()),
            role: Set(role),
            ..Default::default()
        };
        api_key::Entity::insert(row)
            .exec_without_returning(&self.app.db)
            .await
            .expect("recorded");
    }

    /// Serves the whole HTTP interface on a real socket and gives its address.
    pub(crate) async fn serve(&self) -> SocketAddr {
        let bound = Bound::new(&self.config.listen).await.expect("a free port");
        let bound = bound.behind(self.config.trusted_proxies.clone());
        let address = bound.addresses()[0];
        let (service, stop) = (
            api::application(self.app.clone(), self.tasks.token()),
            self.tasks.token(),
        );
        let serving = bound.serve(service, stop.cancelled_owned(), Duration::from_millis(100));
        self.tasks.spawn("http", async move { Ok(serving.await?) });
        address
    }

    /// How many refusals of each address the audit trail has, once it has so many in all. The actor is nobody known. Management records them
    /// by itself too, at any moment, so those of one address may stand in two entries, of which one may not be committed yet.
    pub(crate) async fn refusals(&self, all: u32) -> BTreeMap<String, u32> {
        let recorded = wait::until_some(wait::SOON, format!("{all} refusals in the trail"), async || {
            let recorded = self.app.gatekeeper.record(&self.app.db, "management-test").await;
            recorded.expect("recorded");
            let refusals = refusals_in(&get(self, "/api/audit?action=access_refused").await);
            (refusals.values().sum::<u32>() >= all).then_some(refusals)
        });
        recorded.await.expect("recorded")
    }

    /// Creates a user and gives the answer's body.
    pub(crate) async fn create_user(&self, username: &str) -> Value {
        let response = post(self, "/api/users", &json!({ "username": username })).await;
        json_of(response, StatusCode::CREATED).await
    }

    /// Ends the background tasks, so that only the test does what they would do.
    pub(crate) async fn end_tasks(&self) {
        self.tasks.stop();
        self.tasks.wait(wait::SOON).await.expect("ended");
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        self.tasks.stop();
    }
}

/// A request with the admin key.
pub(crate) trait WithKey: Sized {
    fn key(self, key: &str) -> Self;

    fn admin(self) -> Self {
        self.key(ADMIN_KEY)
    }
}

impl<E> WithKey for TestRequestBuilder<'_, E> {
    fn key(self, key: &str) -> Self {
        self.header("x-api-key", key)
    }
}

/// What is found there by the admin key.
pub(crate) async fn get(stack: &Stack, path: &str) -> Value {
    json_of(stack.client().get(path).admin().send().await, StatusCode::OK).await
}

/// Sends this with the admin key.
pub(crate) async fn post(stack: &Stack, path: &str, body: &Value) -> TestResponse {
    send(stack, Method::POST, path, body).await
}

/// The same by any method.
pub(crate) async fn send(stack: &Stack, method: Method, path: &str, body: &Value) -> TestResponse {
    let client = stack.client();
    client.request(method, path).admin().body_json(body).send().await
}

/// A registration of that node with keys of its own.
pub(crate) fn registration(server_id: &str) -> Registering {
    Registering {
        key: nkeys::KeyPair::new_user(),
        fields: json!({ "server_id": server_id, "csr": csr(), "host": "127.0.0.1" }),
    }
}

/// A registration that is signed when it is sent.
pub(crate) struct Registering {
    pub(crate) key: nkeys::KeyPair,
    fields: Value,
}

impl Registering {
    /// The same with this field.
    pub(crate) fn with(mut self, field: &str, value: impl Into<Value>) -> Self {
        self.fields[field] = value.into();
        self
    }

    /// The same with this token, or none.
    pub(crate) fn token(self, token: Option<&str>) -> Self {
        match token {
            Some(token) => self.with("join_token", token),
            None => self,
        }
    }

    /// The same from the holder of this key.
    pub(crate) fn by(mut self, key: nkeys::KeyPair) -> Self {
        self.key = key;
        self
    }

    /// The same fields and key once more.
    pub(crate) fn again(&self) -> Self {
        Self {
            key: copy_of(&self.key),
            fields: self.fields.clone(),
        }
    }

    /// The signed body.
    pub(crate) fn body(&self) -> Value {
        self.body_at(Utc::now())
    }

    /// The body as it is signed by a clock that shows this time. What cannot be parsed has a signature of the right form.
    pub(crate) fn body_at(&self, at: DateTime<Utc>) -> Value {
        let mut body = self.fields.clone();
        body["bus_public_key"] = json!(self.key.public_key());
        let Ok(unsigned) = serde_json::from_value::<Registration>(body.clone()) else {
            body["at"] = json!(at);
            body["signature"] = json!("c2lnbmVk");
            return body;
        };
        let claim = unsigned.claim(at).expect("a key");
        let signature = claim.sign(&self.key).expect("signed");
        serde_json::to_value(unsigned.signed(&claim, &signature)).expect("JSON")
    }
}

/// The same key once more: it cannot be cloned.
pub(crate) fn copy_of(key: &nkeys::KeyPair) -> nkeys::KeyPair {
    nkeys::KeyPair::from_seed(&key.seed().expect("a seed")).expect("a key")
}

/// A certificate request with a fresh P-256 key.
pub(crate) fn csr() -> String {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).expect("a key");
    let request = rcgen::CertificateParams::default()
        .serialize_request(&key)
        .expect("a request");
    request.pem().expect("PEM")
}

/// The body of an answer of that status.
pub(crate) async fn json_of(response: TestResponse, status: StatusCode) -> Value {
    let found = response.0.status();
    let body = response.0.into_body().into_string().await.expect("a text");
    assert_eq!(found, status, "{body}");
    serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error}: {body}"))
}

/// The problem of an answer of that status, with the names of its fields.
pub(crate) async fn problem_of(response: TestResponse, status: StatusCode) -> (Value, Vec<String>) {
    assert_eq!(
        response.0.content_type(),
        Some("application/problem+json"),
        "{}",
        response.0.status()
    );
    let body = json_of(response, status).await;
    assert_eq!(body["status"], status.as_u16());
    let errors = body["errors"].as_array().into_iter().flatten();
    let fields = errors
        .map(|error| error["field"].as_str().expect("a name").to_owned())
        .collect();
    (body, fields)
}

/// The configuration from these variables and the defaults.
fn configure(variables: &[(&str, &str)]) -> Config {
    let env = variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let nowhere = Path::new("/nonexistent");
    let cli = SERVICE.parse_from::<Command>(["vpnmanager-management"], env, nowhere);
    Config::load(&cli.expect("a command line")).expect("a valid configuration")
}

fn path(path: &Path) -> &str {
    path.to_str().expect("a path of characters")
}

/// A server on a new bus, and the folder of that bus.
pub(crate) async fn start_nats() -> (Nats, PathBuf) {
    let mut bus_dir = PathBuf::new();
    let server = Nats::start(|site| {
        bus_dir.clone_from(&site.dir);
        let init = BusInit {
            dir: site.dir.clone(),
            listen: site.listen,
            monitor: site.monitor,
            store_dir: site.store.clone(),
            hosts: Vec::new(),
            allow_plaintext: false,
            max_store: BusInit::DEFAULT_MAX_STORE,
        };
        init.run().expect("a bus");
        // Relative to the file that includes it, which lies in the same folder.
        "include \"nats-server.conf\"\n".to_owned()
    });
    let server = server.await.expect("nats-server");
    (server, bus_dir)
}

fn refusals_in(page: &Value) -> BTreeMap<String, u32> {
    let mut refusals = BTreeMap::new();
    for entry in page["items"].as_array().expect("items") {
        assert_eq!(entry["actor"], "unknown", "{entry}");
        let details = entry["details"].as_str().expect("words");
        let (words, times) = details.rsplit_once(": ").expect("a count");
        assert!(words.ends_with("since the last such entry"), "{details}");
        assert!(
            !details.contains("wrong-") && !details.contains("vpnlink-"),
            "{details}"
        );
        let address = entry["ip_address"].as_str().unwrap_or_default();
        *refusals.entry(address.to_owned()).or_default() += times.parse::<u32>().expect("a number");
    }
    refusals
}
