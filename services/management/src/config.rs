//! The configuration of management: one table of settings, one struct for each concern.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use vpnmanager_nats::ids::NodeId;
use vpnmanager_openapi::server::tls::{self, TlsConfig};
use vpnmanager_openapi::server::{self, HttpConfig, TrustedProxies};
use vpnmanager_profile::fleet_name::FleetName;
use vpnmanager_runtime::config::{Cli, ConfigError, EXPECTED_KEY, Service, Setting, weakness};
use vpnmanager_runtime::metrics::{self, MetricsConfig};
use vpnmanager_runtime::process::Stop;
use vpnmanager_runtime::telemetry::{self, LogConfig};

mod audit;
mod backup;
mod bounds;
mod budget;
mod callers;
mod database;
mod events;
mod health;
mod history;
mod https;
mod public_url;
mod webhooks;

pub use audit::AuditConfig;
pub use backup::BackupConfig;
pub use budget::BudgetConfig;
pub use callers::CallersConfig;
pub use database::{DatabaseConfig, SslMode};
pub use events::EventsConfig;
pub use health::HealthConfig;
pub use history::HistoryConfig;
pub use public_url::{NoPublicUrl, PublicUrl};
pub use webhooks::{PrivateAddresses, WebhooksConfig};

use bounds::{DAY, DURATION, HOUR, LONGEST, SECOND};

use crate::domain::key_text::is_mistyped;
use crate::ops::users::create::PlacementRules;

/// The program and its settings.
pub const SERVICE: Service = Service {
    name: "vpnmanager-management",
    version: env!("CARGO_PKG_VERSION"),
    about: "Holds what should be true about users and nodes, and sends it to the nodes",
    file_name: "management-config.json",
    settings: &[
        SETTINGS,
        server::SETTINGS,
        tls::SETTINGS,
        public_url::SETTINGS,
        callers::SETTINGS,
        database::SETTINGS,
        FLEET_SETTINGS,
        health::SETTINGS,
        history::SETTINGS,
        budget::SETTINGS,
        audit::SETTINGS,
        events::SETTINGS,
        webhooks::SETTINGS,
        backup::SETTINGS,
        telemetry::SETTINGS,
        metrics::SETTINGS,
    ],
};

const SETTINGS: &[Setting] = &[
    Setting::new(
        "server_id",
        "SERVER_ID",
        "Name of this replica in the audit trail",
        SERVER_ID,
    )
    .default("management-server"),
    Setting::new("api_key", "API_KEY", "The first admin key of the API", EXPECTED_KEY)
        .secret()
        .sample_key(),
    Setting::new("listen", "LISTEN", "Addresses of the API", "a comma list of host:port")
        .default("0.0.0.0:8080")
        .list(),
    Setting::new(
        "trusted_proxies",
        "TRUSTED_PROXIES",
        "Proxies in front of management, whose X-Forwarded-For is believed",
        "a comma list of addresses such as 192.0.2.7 and prefixes such as 10.0.0.0/8",
    )
    .list(),
    Setting::new(
        "public_url",
        "PUBLIC_URL",
        "Where users reach the pages of links to profiles",
        "a URL such as https://vpn.example.com, without a query",
    ),
    Setting::new(
        "fleet_name",
        "FLEET_NAME",
        "What OpenVPN Connect shows for a profile",
        FleetName::EXPECTED,
    ),
    Setting::new(
        "packages_dir",
        "PACKAGES_DIR",
        "The folder of the packages of the agent that /install.sh has new nodes install",
        "a folder",
    )
    .default("/var/lib/vpnmanager/packages"),
    Setting::new(
        "shutdown_timeout",
        "SHUTDOWN_TIMEOUT",
        "Time to finish what is in progress",
        DURATION,
    )
    .default("10s"),
];

const FLEET_SETTINGS: &[Setting] = &[
    Setting::new("bus.url", "NATS_URL", "Where the bus is", BUS_URLS)
        .default("tls://127.0.0.1:4222")
        .list(),
    Setting::new("bus.dir", "BUS_DIR", "The folder that bus-init filled", "a folder")
        .default("/var/lib/vpnmanager/bus"),
    Setting::new(
        "bus.public_urls",
        "BUS_PUBLIC_URLS",
        "Where nodes reach the bus; as bus.url when not given",
        BUS_URLS,
    )
    .list(),
    Setting::new(
        "bus.copies",
        "BUS_COPIES",
        "How many servers of the bus keep each stream",
        "1, or 3 or 5 on a cluster of at least as many servers",
    )
    .default("1"),
    Setting::new(
        "pki.dir",
        "PKI_DIR",
        "The folder of the certificate authority, made at the first start",
        "a folder",
    )
    .default("/var/lib/vpnmanager/pki"),
    Setting::new(
        "pki.client_validity",
        "PKI_CLIENT_VALIDITY",
        "How long client certificates are valid",
        "a duration such as 10years",
    )
    .default("10years"),
    Setting::new(
        "pki.node_validity",
        "PKI_NODE_VALIDITY",
        "How long certificates of nodes are valid",
        "a duration such as 10years",
    )
    .default("10years"),
    Setting::new(
        "placement.replicas",
        "PLACEMENT_REPLICAS",
        "Nodes for each user, its home included",
        "a number from 1 on",
    )
    .default("3"),
    Setting::new(
        "node.max_users",
        "NODE_MAX_USERS",
        "The most users that one node may have created by its local API",
        "a number from 0 on",
    )
    .default("1000"),
    Setting::new(
        "drain.pace",
        "DRAIN_PACE",
        "Clients that a drained node moves in one second",
        "a number from 1 on",
    )
    .default("20"),
];

const SERVER_ID: &str = "1 to 63 letters, digits, '_' or '-', the first a letter or digit";
const BUS_URLS: &str = "a comma list of tls://host:port (or nats://host:port on one machine)";

/// The whole configuration. docs/configuration.md lists the variables and their defaults.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct Config {
    /// SERVER_ID.
    pub server_id: String,
    /// API_KEY, or the file named by API_KEY_FILE.
    #[serde(serialize_with = "vpnmanager_runtime::config::masked")]
    pub api_key: SecretString,
    /// LISTEN.
    pub listen: Vec<String>,
    /// TRUSTED_PROXIES: nobody by default.
    #[serde(default)]
    pub trusted_proxies: TrustedProxies,
    /// PUBLIC_URL: without it there are no links to profiles.
    pub public_url: Option<PublicUrl>,
    /// PUBLIC_URLS: the first is also what `public_url` is where that is not given.
    pub public_urls: Option<Vec<PublicUrl>>,
    /// HTTPS.
    pub tls: TlsConfig,
    /// TLS_ON_LOOPBACK.
    pub tls_on_loopback: bool,
    /// FLEET_NAME: without it clients show for a profile where it leads to.
    pub fleet_name: Option<FleetName>,
    /// PACKAGES_DIR: without packages in it there is no `/install.sh`.
    pub packages_dir: PathBuf,
    /// Connections of the HTTP API.
    pub http: HttpConfig,
    /// How much callers of the HTTP API may ask at once.
    pub callers: CallersConfig,
    /// SHUTDOWN_TIMEOUT: a second to a day.
    #[serde(with = "humantime_serde")]
    pub shutdown_timeout: Duration,
    /// PostgreSQL.
    pub database: DatabaseConfig,
    /// NATS.
    pub bus: BusConfig,
    /// The certificate authority.
    pub pki: PkiConfig,
    /// Where users are placed.
    pub placement: PlacementConfig,
    /// What a node may do.
    pub node: NodeConfig,
    /// When a node counts as gone.
    pub health: HealthConfig,
    /// How long sessions and traffic are kept.
    pub history: HistoryConfig,
    /// How nodes are drained.
    pub drain: DrainConfig,
    /// What one node may send.
    pub budget: BudgetConfig,
    /// The audit trail.
    pub audit: AuditConfig,
    /// Streams of events.
    pub events: EventsConfig,
    /// Where webhooks may send.
    pub webhooks: WebhooksConfig,
    /// Logs.
    pub log: LogConfig,
    /// Figures for monitoring: nowhere by default.
    #[serde(default)]
    pub metrics: MetricsConfig,
}

/// The bus.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct BusConfig {
    /// NATS_URL.
    pub url: Vec<String>,
    /// BUS_DIR.
    pub dir: PathBuf,
    /// BUS_PUBLIC_URLS.
    pub public_urls: Option<Vec<String>>,
    /// BUS_COPIES: 1, 3 or 5. An even number would survive no more losses than the odd one below it.
    pub copies: usize,
}

/// The certificate authority.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct PkiConfig {
    /// PKI_DIR.
    pub dir: PathBuf,
    /// PKI_CLIENT_VALIDITY: an hour to 1000 years.
    #[serde(with = "humantime_serde")]
    pub client_validity: Duration,
    /// PKI_NODE_VALIDITY: an hour to 1000 years.
    #[serde(with = "humantime_serde")]
    pub node_validity: Duration,
}

/// Where users are placed.
#[derive(Debug, Clone, Copy, Deserialize, Serialize)]
pub struct PlacementConfig {
    /// PLACEMENT_REPLICAS: nodes for each user, its home included; at least 1.
    pub replicas: usize,
}

/// What a node may do.
#[derive(Debug, Clone, Copy, Deserialize, Serialize)]
pub struct NodeConfig {
    /// NODE_MAX_USERS: living users that one node may have created by its local API; 0: none.
    pub max_users: u32,
}

/// How nodes are drained.
#[derive(Debug, Clone, Copy, Deserialize, Serialize)]
pub struct DrainConfig {
    /// DRAIN_PACE: clients that a node moves in one second; at least 1.
    pub pace: u32,
}

impl BusConfig {
    /// The URLs that nodes are given.
    pub fn urls_for_nodes(&self) -> &[String] {
        self.public_urls
            .as_deref()
            .filter(|urls| !urls.is_empty())
            .unwrap_or(&self.url)
    }
}

impl Config {
    /// How this replica places users.
    pub fn placement_rules(&self) -> PlacementRules {
        PlacementRules {
            nodes_per_user: self.placement.replicas,
            recorder: self.server_id.clone(),
        }
    }

    /// Reads the configuration from flags, environment, file and defaults, and checks it. [`Stop`] says what to print: what is wrong, or
    /// the answer to `--print-config`.
    pub fn load<S>(cli: &Cli<S>) -> Result<Self, Stop> {
        let config: Self = cli.load()?;
        config.check(cli)?;
        Ok(config)
    }

    fn check<S>(&self, cli: &Cli<S>) -> Result<(), ConfigError> {
        let wrong = |key: &str, reason: &str| Err(cli.reject(key, reason));
        if self.server_id.parse::<NodeId>().is_err() {
            return wrong("server_id", "it is not a server id");
        }
        if let Some(reason) = weakness(self.api_key.expose_secret()) {
            return wrong("api_key", &reason);
        }
        if is_mistyped(self.api_key.expose_secret()) {
            return wrong(
                "api_key",
                "it begins with vpnm_ as the keys that management makes, and is none",
            );
        }
        if self.listen.is_empty() || !self.listen.iter().all(|address| is_host_and_port(address)) {
            return wrong("listen", "an address is not host:port");
        }
        self.http.check(cli)?;
        self.database.check(cli)?;
        for (key, urls) in [
            ("bus.url", self.bus.url.as_slice()),
            ("bus.public_urls", self.bus.urls_for_nodes()),
        ] {
            if urls.is_empty() || !urls.iter().all(|url| is_bus_url(url)) {
                return wrong(key, "an address is not a URL of a bus");
            }
        }
        if ![1, 3, 5].contains(&self.bus.copies) {
            return wrong("bus.copies", "it is not 1, 3 or 5");
        }
        if self.placement.replicas == 0 {
            return wrong("placement.replicas", "no user would have a node");
        }
        for (key, time, range, otherwise) in [
            (
                "shutdown_timeout",
                self.shutdown_timeout,
                SECOND..=DAY,
                "what is in progress at the end would be cut off, or hold up the end",
            ),
            (
                "pki.client_validity",
                self.pki.client_validity,
                HOUR..=LONGEST,
                "no certificate would be valid for as long as a user needs it",
            ),
            (
                "pki.node_validity",
                self.pki.node_validity,
                HOUR..=LONGEST,
                "OpenVPN could not be restarted in time to take the next one",
            ),
        ] {
            bounds::check(cli, key, time, range, otherwise)?;
        }
        self.health.check(cli)?;
        self.history.check(cli)?;
        self.audit.check(cli)?;
        self.metrics.check(cli)?;
        if self.drain.pace == 0 {
            return wrong("drain.pace", "no client would ever be moved");
        }
        self.budget.check(cli)
    }
}

fn is_host_and_port(address: &str) -> bool {
    let parts = address.rsplit_once(':');
    parts.is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
}

fn is_bus_url(url: &str) -> bool {
    let rest = url.strip_prefix("tls://").or_else(|| url.strip_prefix("nats://"));
    rest.is_some_and(|rest| !rest.is_empty() && !rest.contains(['/', '@', ' ']))
}
