//! One node with a real OpenVPN, its agent's backend, and clients of it.

use std::{
    fs,
    net::Ipv4Addr,
    num::NonZeroU32,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use vpnmanager_endnode::{
    account::{Account, own_user},
    allow_list::AllowList,
    backend::{BackendHealth, BackendState, Serving, VpnBackend},
    openvpn::{
        ManagedOpenVpn, OpenVpnBackend,
        server_conf::{ConfPath, ServerConf},
        tls_crypt_v2::TlsCryptV2ServerKey,
    },
    profile::{Profile, ProfileParts},
};
use vpnmanager_nats::{
    commands::{Protocol, Remote},
    ids::CommonName,
};
use vpnmanager_testbed::{
    client::{ClientOptions, OpenvpnClient},
    net::{Namespace, Network, require_tunnels},
    scratch::{Medium, Scratch},
    wait,
};

use crate::pki::Pki;

pub(crate) const SOON: Duration = Duration::from_secs(20);
/// What a client logs when the server tells it to halt. It then goes on for a second to say goodbye.
pub(crate) const TOLD_TO_STOP: &str = "Halt command was pushed by server";
pub(crate) const INSIDE: Ipv4Addr = Ipv4Addr::new(10, 8, 0, 1);
pub(crate) const PORT: u16 = 1194;
const SERVER_NAME: &str = "node-1.test-fleet";

/// A node, its network and its certificate authority. Everything goes when it is dropped.
pub(crate) struct Fleet {
    pub(crate) allow_list: AllowList,
    pub(crate) managed: ManagedOpenVpn,
    network: Network,
    node: Namespace,
    pki: Pki,
    tls_crypt_v2: TlsCryptV2ServerKey,
    scratch: Scratch,
}

/// A running agent: the backend and the tasks behind it.
pub(crate) struct Agent {
    pub(crate) backend: OpenVpnBackend,
    cancel: CancellationToken,
    tasks: JoinSet<()>,
}

impl Fleet {
    /// None where this machine has no tunnels, which is said aloud.
    pub(crate) async fn build(protocol: Protocol) -> Option<Self> {
        require_tunnels(std::thread::current().name().unwrap_or("a test of the OpenVPN backend"))?;
        let scratch = Scratch::guarded(Medium::Memory).expect("a scratch folder");
        let id = scratch
            .dir()
            .file_name()
            .expect("a name")
            .to_string_lossy()
            .replace("vpnmanager-", "ov");
        let network = Network::create(&id).await.expect("a network");
        scratch.run_at_end(&network.cleanup_line());
        let node = network.add("node", 11).await.expect("a namespace");
        let pki = Pki::new();
        let dir = scratch.sub("openvpn", 0o700).expect("a folder");
        let tls_crypt_v2 = write_secrets(&dir, &pki);
        let allow_list = AllowList::open(scratch.dir().join("allow")).expect("an allow-list");
        let managed = ManagedOpenVpn {
            binary: openvpn_inside(&node, scratch.dir()),
            conf: conf(&dir, &scratch.dir().join("run/node-1.sock"), &allow_list, protocol),
            account: Account::look_up("nobody", "nogroup").expect("nobody"),
            dir,
        };
        Some(Self {
            allow_list,
            managed,
            network,
            node,
            pki,
            tls_crypt_v2,
            scratch,
        })
    }

    /// An agent whose OpenVPN is up.
    pub(crate) async fn serving_agent(&self) -> Agent {
        let agent = self.agent();
        agent.backend.set_serving(Serving::Yes).await;
        agent.is(BackendState::Up).await;
        agent
    }

    /// An agent as it starts: it does not know yet whether to serve.
    pub(crate) fn agent(&self) -> Agent {
        let started = OpenVpnBackend::managed(self.allow_list.clone(), self.managed.clone());
        let (backend, task) = started.expect("a backend");
        let cancel = CancellationToken::new();
        let mut tasks = JoinSet::new();
        tasks.spawn(task.run(cancel.clone()));
        Agent { backend, cancel, tasks }
    }

    /// A fresh credential of this user and its profile.
    pub(crate) fn credential(&self, username: &str) -> (CommonName, Profile) {
        let name = CommonName::for_user(&username.parse().expect("a valid username"));
        let credential = self.pki.user(&name);
        let remote = Remote {
            host: self.node.address.to_string().parse().expect("a host"),
            port: PORT,
            protocol: self.managed.conf.protocol,
        };
        let profile = Profile::render(&ProfileParts {
            remotes: &[remote],
            server_name_prefix: "node-",
            ca: &self.pki.ca,
            certificate: &credential.certificate,
            key: &credential.key.into(),
            tls_crypt_v2: &self.tls_crypt_v2.new_client_key(name.as_str()).expect("a client key"),
        });
        (name, profile.expect("a profile"))
    }

    /// A new machine for a client.
    pub(crate) async fn machine(&self) -> Namespace {
        self.network.add_client(None).await.expect("a namespace")
    }

    pub(crate) fn client(&self, machine: &Namespace, profile: &Profile, name: &str) -> OpenvpnClient {
        let options = ClientOptions::default();
        OpenvpnClient::start(machine, profile.expose(), (self.dir(), name), &options).expect("a client")
    }

    pub(crate) fn dir(&self) -> &Path {
        self.scratch.dir()
    }

    pub(crate) fn node(&self) -> &Namespace {
        &self.node
    }

    pub(crate) async fn end(self) {
        self.network.delete().await;
        self.scratch.remove();
    }
}

impl Agent {
    /// Waits until the backend says so, and returns all it says.
    pub(crate) async fn is(&self, state: BackendState) -> BackendHealth {
        let look = async || {
            let health = self.backend.health().await;
            if health.state == state {
                Ok(health)
            } else {
                Err(format!("{health:?}"))
            }
        };
        wait::until_ok(SOON, format_args!("OpenVPN to be {state:?}"), look)
            .await
            .expect("a state")
    }

    /// Waits until exactly these credentials have sessions.
    pub(crate) async fn has_sessions(&self, names: &[&CommonName]) {
        let mut expected: Vec<&str> = names.iter().map(|name| name.as_str()).collect();
        expected.sort_unstable();
        let look = async || {
            let sessions = self.backend.sessions().await.map_err(|error| format!("{error:?}"))?;
            let mut seen: Vec<&str> = sessions.iter().map(|session| session.common_name.as_str()).collect();
            seen.sort_unstable();
            if seen == expected {
                Ok(())
            } else {
                Err(format!("{seen:?}"))
            }
        };
        wait::until_ok(SOON, format_args!("sessions of {expected:?}"), look)
            .await
            .expect("sessions");
    }

    /// Ends the agent as kill -9 would: nothing is said to anybody.
    pub(crate) async fn dies(mut self) {
        self.tasks.shutdown().await;
    }

    /// Ends the agent gracefully.
    pub(crate) async fn stops(mut self) {
        self.cancel.cancel();
        while self.tasks.join_next().await.is_some() {}
    }
}

fn conf(dir: &Path, socket: &Path, allow_list: &AllowList, protocol: Protocol) -> ServerConf {
    let path = |name: &str| ConfPath::new(&dir.join(name)).expect("a path");
    ServerConf {
        port: PORT,
        protocol,
        network: "10.8.0.0/16".parse().expect("a network"),
        max_clients: NonZeroU32::new(100).expect("not zero"),
        ca: path("ca.crt"),
        cert: path("node.crt"),
        key: path("node.key"),
        tls_crypt_v2: path("tls-crypt-v2.key"),
        allow_dir: ConfPath::new(allow_list.dir()).expect("a path"),
        control_socket: ConfPath::socket(socket).expect("a path"),
        control_user: own_user().expect("our account"),
        user: "nobody".parse().expect("a name"),
        group: "nogroup".parse().expect("a name"),
    }
}

fn write_secrets(dir: &Path, pki: &Pki) -> TlsCryptV2ServerKey {
    let node = pki.server(SERVER_NAME);
    for (name, text) in [
        ("ca.crt", &pki.ca),
        ("node.crt", &node.certificate),
        ("node.key", &node.key),
    ] {
        let path = dir.join(name);
        fs::write(&path, text).expect("write");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("chmod");
    }
    let key = dir.join("tls-crypt-v2.key");
    let made = Command::new("openvpn")
        .args(["--genkey", "tls-crypt-v2-server"])
        .arg(&key)
        .status();
    assert!(made.expect("openvpn").success());
    TlsCryptV2ServerKey::from_pem(&fs::read_to_string(&key).expect("read")).expect("a server key")
}

/// OpenVPN as the agent of that machine would start it.
fn openvpn_inside(node: &Namespace, dir: &Path) -> PathBuf {
    let path = dir.join("openvpn-inside");
    fs::write(
        &path,
        format!("#!/bin/sh\nexec ip netns exec {} openvpn \"$@\"\n", node.name),
    )
    .expect("write");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("chmod");
    path
}
