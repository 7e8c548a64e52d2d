//! The agent's configuration: flag, environment, `endnode-config.json`, default, in that order.

use std::{
    io,
    num::{NonZeroU16, NonZeroU32},
    ops::RangeInclusive,
    path::PathBuf,
    time::Duration,
};

use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use vpnmanager_nats::{
    commands::{Host, Protocol},
    ids::NodeId,
    listeners::Listener,
    reach::Reach,
};
use vpnmanager_openapi::server::{
    self, HttpConfig,
    tls::{self, TlsConfig},
};
use vpnmanager_runtime::{
    config::{Cli, EXPECTED_KEY, Service, Setting, weakness},
    metrics::{self, MetricsConfig},
    process::Stop,
    telemetry::{self, LogConfig},
};

use crate::{
    disk::ByteSize,
    listening::{Listening, ListeningOn},
    openvpn::vpn_network::VpnNetwork,
    slices::{NoSlices, first_slice},
};

mod openvpn;

pub use self::openvpn::{OldServerMode, OpenvpnConfig, OpenvpnMode};

/// The command line and configuration of the agent.
pub const SERVICE: Service = Service {
    name: "vpnmanager-endnode",
    version: env!("CARGO_PKG_VERSION"),
    about: "The agent beside the OpenVPN of one node: lets in whom management says, and keeps doing so when management is away",
    file_name: "endnode-config.json",
    settings: &[
        SETTINGS,
        server::SETTINGS,
        tls::SETTINGS,
        openvpn::SETTINGS,
        telemetry::SETTINGS,
        metrics::SETTINGS,
        UNUSED,
    ],
};

const SETTINGS: &[Setting] = &[
    Setting::new(
        "server_id",
        "SERVER_ID",
        "Name of this node",
        "1 to 63 characters: a letter or digit, then letters, digits, _ or -",
    )
    .sample("endnode-1"),
    Setting::new(
        "management_url",
        "MANAGEMENT_URL",
        "Where management answers; needed to enrol",
        "an http:// or https:// URL",
    )
    .sample("https://management-server:8080"),
    Setting::new(
        "management_ca",
        "MANAGEMENT_CA",
        "The only CAs whose certificate of management is believed; without it the one that the join token names, or those that the machine knows",
        "a file in PEM",
    ),
    Setting::new(
        "api_key",
        "API_KEY",
        "Key of the local API, and to enrol with where there is no join token",
        EXPECTED_KEY,
    )
    .secret()
    .sample_key(),
    Setting::new(
        "join_token",
        "JOIN_TOKEN",
        "One-time token to enrol with",
        "a token that management gave",
    )
    .secret(),
    Setting::new(
        "state_dir",
        "STATE_DIR",
        "Identity, journal, allow-list, profiles",
        "an absolute path",
    )
    .default("/var/lib/vpnmanager/endnode"),
    Setting::new(
        "disk_reserve",
        "DISK_RESERVE",
        "Less room on the disk of STATE_DIR degrades the node",
        "a size such as 256MiB",
    )
    .default("256MiB"),
    Setting::new(
        "listen",
        "LISTEN",
        "Addresses of the local API",
        "a comma list of host:port",
    )
    .default("127.0.0.1:8081")
    .list(),
    Setting::new(
        "api_socket",
        "API_SOCKET",
        "A unix socket of the local API, at which root needs no key",
        "a path of at most 106 bytes",
    ),
    Setting::new(
        "public_host",
        "PUBLIC_HOST",
        "What clients dial; without it the address that management saw, if others can dial that",
        "a DNS name or an IP address that clients can dial",
    ),
    Setting::new(
        "public_port",
        "PUBLIC_PORT",
        "Where clients connect",
        "a port, 1 to 65535",
    )
    .default(USUAL_PORT),
    Setting::new("protocol", "PROTOCOL", "The tunnel's transport", "udp or tcp").default(USUAL_PROTOCOL),
    Setting::new(
        "listeners",
        "LISTENERS",
        "Where clients connect, in the place of PUBLIC_PORT, PROTOCOL and OPENVPN_PORT: a node may have several listeners, each with an OpenVPN \
         of its own",
        "a comma list of 1 to 4 such as udp:1194,tcp:443, or tcp:443:8443 where OpenVPN listens on 8443",
    )
    .list(),
    Setting::new("pool", "POOL", "The pool of nodes that this one is in", "any name").default("default"),
    Setting::new(
        "heartbeat_interval",
        "HEARTBEAT_INTERVAL",
        "Time between two heartbeats",
        "a duration from 100ms to 1m, such as 5s",
    )
    .default("5s"),
    Setting::new(
        "shutdown_timeout",
        "SHUTDOWN_TIMEOUT",
        "Time to finish or hand back what is in hand",
        "a duration from 1s to 10m, such as 10s",
    )
    .default("10s"),
];

/// A node has no database: these are accepted in older files and ignored.
const UNUSED: &[Setting] = &[
    Setting::new("database.host", "DB_HOST", "Not used by a node", "nothing").ignored(),
    Setting::new("database.port", "DB_PORT", "Not used by a node", "nothing").ignored(),
    Setting::new("database.user", "DB_USER", "Not used by a node", "nothing").ignored(),
    Setting::new("database.password", "DB_PASSWORD", "Not used by a node", "nothing").ignored(),
    Setting::new("database.dbname", "DB_NAME", "Not used by a node", "nothing").ignored(),
    Setting::new("database.sslmode", "DB_SSLMODE", "Not used by a node", "nothing").ignored(),
];

/// What `heartbeat_interval` may be.
const HEARTBEATS: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(60);
/// The default of `public_port`.
const USUAL_PORT: &str = "1194";
/// The default of `protocol`.
const USUAL_PROTOCOL: &str = "udp";
/// What `openvpn.max_clients` may be.
const CLIENTS: RangeInclusive<u32> = 1..=1_000_000;
/// What `shutdown_timeout` may be.
const SHUTDOWNS: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(600);

/// The agent's configuration.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct Config {
    /// SERVER_ID, required.
    pub server_id: NodeId,
    /// MANAGEMENT_URL, required until the node has enrolled.
    pub management_url: Option<String>,
    /// MANAGEMENT_CA.
    pub management_ca: Option<PathBuf>,
    /// API_KEY; without it the local API's key is made at the first start (`api.key` in the state folder).
    #[serde(serialize_with = "vpnmanager_runtime::config::masked")]
    pub api_key: Option<SecretString>,
    /// JOIN_TOKEN.
    #[serde(serialize_with = "vpnmanager_runtime::config::masked")]
    pub join_token: Option<SecretString>,
    /// STATE_DIR, /var/lib/vpnmanager/endnode.
    pub state_dir: PathBuf,
    /// DISK_RESERVE, 256MiB.
    pub disk_reserve: ByteSize,
    /// LISTEN, 127.0.0.1:8081.
    pub listen: Vec<String>,
    /// API_SOCKET: without it there is none.
    pub api_socket: Option<PathBuf>,
    /// The section `tls`: HTTPS of the local API.
    pub tls: TlsConfig,
    /// The section `http`: connections of the local API.
    pub http: HttpConfig,
    /// PUBLIC_HOST.
    pub public_host: Option<Host>,
    /// PUBLIC_PORT, 1194.
    pub public_port: NonZeroU16,
    /// PROTOCOL, udp.
    pub protocol: Protocol,
    /// LISTENERS; without it there is one, of PROTOCOL, PUBLIC_PORT and OPENVPN_PORT.
    pub listeners: Option<ListeningOn>,
    /// POOL, default.
    pub pool: String,
    /// HEARTBEAT_INTERVAL, 5s; 100ms to 1m.
    #[serde(with = "humantime_serde")]
    pub heartbeat_interval: Duration,
    /// SHUTDOWN_TIMEOUT, 10s; 1s to 10m.
    #[serde(with = "humantime_serde")]
    pub shutdown_timeout: Duration,
    /// The section `openvpn`.
    pub openvpn: OpenvpnConfig,
    /// The section `log`.
    pub log: LogConfig,
    /// The section `metrics`: nowhere by default.
    #[serde(default)]
    pub metrics: MetricsConfig,
}

impl Config {
    /// Reads the configuration from flags, environment, file and defaults, and checks it.
    ///
    /// # Errors
    /// [`Stop`] says what to print: what is wrong, or the answer to `--print-config`.
    pub fn load<S>(cli: &Cli<S>) -> Result<Self, Stop> {
        let config: Self = cli.load()?;
        let weak = config.api_key.as_ref().and_then(|key| weakness(key.expose_secret()));
        if let Some(reason) = weak {
            return Err(cli.reject("api_key", reason).into());
        }
        let network = match config.openvpn.network.parse::<VpnNetwork>() {
            Ok(network) => network,
            Err(error) => return Err(cli.reject("openvpn.network", error.to_string()).into()),
        };
        config.check_listeners(cli, network)?;
        config.metrics.check(cli)?;
        config.tls.check(cli, &config.listen, false, "")?;
        config.tls.check_figures(cli, config.metrics.addresses(), false)?;
        if !CLIENTS.contains(&config.openvpn.max_clients.get()) {
            let reason =
                "it must be 1 to 1000000: OpenVPN does not start with 16777215 or more, and no machine serves so many";
            return Err(cli.reject("openvpn.max_clients", reason).into());
        }
        if config.openvpn.has_old_beside_external() {
            let reason = "with the mode external there is no old listener: your own server goes on with its certificates as long as you keep it. \
                          Use the mode managed, or none";
            return Err(cli.reject("openvpn.old_server_conf", reason).into());
        }
        if !HEARTBEATS.contains(&config.heartbeat_interval) {
            let reason = "it must be 100ms to 1m: more of them are a flood, and after fewer management takes the node for silent";
            return Err(cli.reject("heartbeat_interval", reason).into());
        }
        if !SHUTDOWNS.contains(&config.shutdown_timeout) {
            let reason = "it must be 1s to 10m: in less nothing can be finished, and whoever stops the agent waits for no longer";
            return Err(cli.reject("shutdown_timeout", reason).into());
        }
        // Management would refuse it too. Here it costs no token.
        if let Some(host) = config
            .public_host
            .as_ref()
            .filter(|host| host.reach() == Reach::Nowhere)
        {
            let reason = format!("{host} is no address that a client can dial");
            return Err(cli.reject("public_host", reason).into());
        }
        Ok(config)
    }

    /// Where clients dial, and where OpenVPN listens for them.
    pub fn listening(&self) -> ListeningOn {
        let one = || Listening {
            listener: Listener {
                protocol: self.protocol,
                port: self.public_port,
            },
            port: self.openvpn.port.unwrap_or(self.public_port),
        };
        self.listeners.clone().unwrap_or_else(|| one().into())
    }

    /// The management socket of the OpenVPN whose files have this suffix.
    ///
    /// # Errors
    /// The current folder cannot be had, where OPENVPN_RUN_DIR is relative.
    pub fn control_socket(&self, suffix: &str) -> io::Result<PathBuf> {
        let run_dir = std::path::absolute(&self.openvpn.run_dir)?;
        Ok(run_dir.join(format!("{}{suffix}.sock", self.server_id)))
    }

    /// The most clients at once: as many as OPENVPN_MAX_CLIENTS says on each listener.
    pub fn capacity(&self) -> NonZeroU32 {
        let listeners = u32::try_from(self.listening().count()).unwrap_or(u32::MAX);
        let listeners = NonZeroU32::new(listeners).unwrap_or(NonZeroU32::MIN);
        self.openvpn.max_clients.saturating_mul(listeners)
    }

    /// The first of the settings that `listeners` takes the place of that is not as it is when nobody gives it. A default is no contradiction: the
    /// sample file and what `--print-config` shows have it.
    fn said_of_one(&self) -> Option<&'static str> {
        let settings = [
            ("public_port", self.public_port.to_string() != USUAL_PORT),
            ("protocol", self.protocol.as_str() != USUAL_PROTOCOL),
            ("openvpn.port", self.openvpn.port.is_some()),
        ];
        settings.into_iter().find_map(|(key, is_given)| is_given.then_some(key))
    }

    /// Whether the listeners can be had: what else is said of them, by whom OpenVPN is run, and whether each finds addresses for its clients.
    fn check_listeners<S>(&self, cli: &Cli<S>, network: VpnNetwork) -> Result<(), Stop> {
        let Some(listening) = &self.listeners else {
            return Ok(());
        };
        if let Some(key) = self.said_of_one()
            && let Some(origin) = cli.origin(key)?
        {
            let reason =
                format!("{key} is given too (from {origin}) and would have no effect: leave one of the two out");
            return Err(cli.reject("listeners", reason).into());
        }
        let count = listening.count();
        match self.openvpn.mode {
            OpenvpnMode::External if count > 1 => {
                let reason = format!(
                    "there are {count}, and in the mode external an agent looks after one server: run an agent for each, with a SERVER_ID and a \
                     STATE_DIR of its own"
                );
                Err(cli.reject("listeners", reason).into())
            }
            OpenvpnMode::External | OpenvpnMode::None => Ok(()),
            OpenvpnMode::Managed => match first_slice(network, self.openvpn.network6, count) {
                Ok(_) => Ok(()),
                Err(error @ NoSlices::V4 { .. }) => Err(cli.reject("openvpn.network", error.to_string()).into()),
                Err(error @ NoSlices::V6 { .. }) => Err(cli.reject("openvpn.network6", error.to_string()).into()),
            },
        }
    }
}

#[cfg(test)]
mod tests;
