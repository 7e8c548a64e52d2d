//! One node with a real OpenVPN, its agent's backend, and clients of it.

use std::{
    fs,
    net::Ipv4Addr,
    num::NonZeroU32,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use secrecy::SecretString;
use vpnmanager_endnode::{
    account::{Account, own_user},
    allow_list::AllowList,
    backend::{BackendState, Serving, VpnBackend},
    groups::{Definitions, Draft, Places},
    listening::{ListenerNumber, suffix_of},
    openvpn::{
        ManagedOpenVpn, ManagedServer, OpenVpnBackend,
        keepalive::Keepalive,
        lint::Expected,
        server_conf::{ConfPath, ServerConf},
    },
    slices::first_slice,
};
use vpnmanager_nats::{
    commands::{Protocol, Remote},
    ids::CommonName,
    listeners::{Listener, Listeners},
};
use vpnmanager_profile::{
    profile::{Extras, Profile, ProfileParts},
    tls_crypt_v2::TlsCryptV2ServerKey,
};
use vpnmanager_runtime::secret_file;
use vpnmanager_testbed::{
    client::{ClientOptions, OpenvpnClient},
    net::{Namespace, Network, require_tunnels},
    scratch::{Medium, Scratch},
    wait,
};

use crate::{agent::Agent, pki::Pki};

/// What a client logs when the server tells it to halt. It then goes on for a second to say goodbye.
pub(crate) const TOLD_TO_STOP: &str = "Halt command was pushed by server";
pub(crate) const INSIDE: Ipv4Addr = Ipv4Addr::new(10, 8, 0, 1);
pub(crate) const PORT: u16 = 1194;
const NETWORK: &str = "10.8.0.0/16";
const SERVER_NAME: &str = "node-1.test-fleet";

/// A node, its network and its certificate authority. Everything goes when it is dropped.
pub(crate) struct Fleet {
    pub(crate) allow_list: AllowList,
    /// Who has a fixed address.
    pub(crate) places: Places,
    /// What management tells of groups.
    pub(crate) definitions: Definitions,
    pub(crate) managed: ManagedOpenVpn,
    network: Network,
    node: Namespace,
    pki: Pki,
    tls_crypt_v2: TlsCryptV2ServerKey,
    scratch: Scratch,
}

/// A user's client that was let in, with the machine that it runs on.
pub(crate) struct Connected {
    pub(crate) name: CommonName,
    pub(crate) machine: Namespace,
    pub(crate) client: OpenvpnClient,
}

impl Fleet {
    /// A node whose OpenVPN is up, with its agent. `None` where this machine has no tunnels; the test then says so.
    pub(crate) async fn serving(protocol: Protocol) -> Option<(Self, Agent)> {
        let fleet = Self::build(protocol).await?;
        let agent = fleet.start().await;
        Some((fleet, agent))
    }

    /// Starts the agent and its OpenVPN.
    pub(crate) async fn start(&self) -> Agent {
        let agent = self.agent();
        agent.backend.set_serving(Serving::Yes).await;
        agent.is(BackendState::Up).await;
        agent
    }

    /// A node on which nothing runs yet. `None` where this machine has no tunnels; the test then says so.
    pub(crate) async fn build(protocol: Protocol) -> Option<Self> {
        Self::build_in(protocol, None).await
    }

    /// The same with these IPv6 addresses in the tunnel.
    pub(crate) async fn build_in(protocol: Protocol, network6: Option<&str>) -> Option<Self> {
        Self::build_with(&format!("{protocol}:{PORT}"), network6).await
    }

    /// The same with these listeners.
    pub(crate) async fn build_with(listeners: &str, network6: Option<&str>) -> Option<Self> {
        let listeners: Listeners = listeners.parse().expect("listeners");
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
        let network6 = network6.map(|network| network.parse().expect("a network"));
        let layout = first_slice(NETWORK.parse().expect("a network"), network6, listeners.len()).expect("slices");
        let places = Places::new(layout).with_listeners(listeners.len());
        places.set_divided(&vec![true; listeners.len()]);
        let servers: Vec<ManagedServer> = listeners
            .iter()
            .enumerate()
            .map(|(number, listener)| ManagedServer {
                listener,
                conf: ServerConf {
                    network: layout.beside(ListenerNumber(number)).network(),
                    network6: layout.beside(ListenerNumber(number)).network6(),
                    ..conf((dir.as_path(), scratch.dir()), &listeners, number)
                },
            })
            .collect();
        let allow_dirs = servers.iter().map(|server| server.conf.allow_dir.as_path().to_owned());
        let allow_list = AllowList::open_pushing(allow_dirs.collect(), places.clone()).expect("an allow-list");
        let definitions = Definitions::default();
        let managed = ManagedOpenVpn {
            binary: openvpn_inside(&node, scratch.dir()),
            servers,
            account: Account::look_up("nobody", "nogroup").expect("nobody"),
            dir,
            definitions: definitions.clone(),
        };
        Some(Self {
            allow_list,
            places,
            definitions,
            managed,
            network,
            node,
            pki,
            tls_crypt_v2,
            scratch,
        })
    }

    /// An agent as it starts: it does not know yet whether to serve.
    pub(crate) fn agent(&self) -> Agent {
        let started = OpenVpnBackend::managed(self.allow_list.clone(), self.managed.clone());
        Agent::start(started.expect("a backend"))
    }

    /// Puts a credential into a group: it has a fixed address from now on, as if the firewall held the rules of all groups.
    pub(crate) fn joins(&self, name: &CommonName, group: &str) {
        let mut draft = Draft::of(&self.places);
        draft.place(name, &group.parse().expect("a name"));
        draft.commit();
        self.places.set_enforced(true);
    }

    /// Takes it out again.
    pub(crate) fn leaves(&self, name: &CommonName) {
        let mut draft = Draft::of(&self.places);
        draft.free(name);
        draft.commit();
    }

    /// Lets a user in, whose client connects from a machine of its own.
    pub(crate) async fn connect(&self, agent: &Agent, username: &str) -> Connected {
        self.connect_through(agent, username, 0).await
    }

    /// The same for a user in this group.
    pub(crate) async fn connect_in(&self, agent: &Agent, username: &str, group: &str) -> Connected {
        let (name, profile) = self.credential(username);
        self.joins(&name, group);
        self.connect_with(agent, username, (name, &profile)).await
    }

    /// The same as [`Self::connect`] through the listener with this number.
    pub(crate) async fn connect_through(&self, agent: &Agent, username: &str, listener: usize) -> Connected {
        let (name, profiles) = self.credential_of_each(username);
        self.connect_with(agent, username, (name, &profiles[listener])).await
    }

    /// The same with this credential and one of its profiles.
    async fn connect_with(&self, agent: &Agent, username: &str, (name, profile): (CommonName, &Profile)) -> Connected {
        agent.allow(&name).await;
        let machine = self.machine().await;
        let client = self.client(&machine, profile, username);
        client.connected(wait::SOON).await.expect("connected");
        Connected { name, machine, client }
    }

    /// A fresh credential of this user and its profile.
    pub(crate) fn credential(&self, username: &str) -> (CommonName, Profile) {
        self.credential_for(username, &self.node.address.to_string())
    }

    /// The same with a profile that names this address of the node.
    pub(crate) fn credential_for(&self, username: &str, host: &str) -> (CommonName, Profile) {
        let (name, mut profiles) = self.credential_of(username, host, &Extras::default());
        (name, profiles.remove(0))
    }

    /// The same with a profile that says this besides.
    pub(crate) fn credential_with(&self, username: &str, host: &str, extras: &Extras<'_>) -> (CommonName, Profile) {
        let (name, mut profiles) = self.credential_of(username, host, extras);
        (name, profiles.remove(0))
    }

    /// A fresh credential of this user and a profile for each listener.
    pub(crate) fn credential_of_each(&self, username: &str) -> (CommonName, Vec<Profile>) {
        self.credential_of(username, &self.node.address.to_string(), &Extras::default())
    }

    fn credential_of(&self, username: &str, host: &str, extras: &Extras<'_>) -> (CommonName, Vec<Profile>) {
        self.credential_by((&self.pki, &self.pki.ca), username, (host, extras))
    }

    /// A fresh credential of this user that another authority signed, and a profile that trusts these.
    pub(crate) fn credential_of_authority(&self, pki: &Pki, trusted: &str, username: &str) -> (CommonName, Profile) {
        let host = self.node.address.to_string();
        let (name, mut profiles) = self.credential_by((pki, trusted), username, (&host, &Extras::default()));
        (name, profiles.remove(0))
    }

    fn credential_by(
        &self,
        (pki, trusted): (&Pki, &str),
        username: &str,
        (host, extras): (&str, &Extras<'_>),
    ) -> (CommonName, Vec<Profile>) {
        let name = CommonName::for_user(&username.parse().expect("a valid username"));
        let credential = pki.user(&name);
        let key = SecretString::from(credential.key);
        let profile = |server: &ManagedServer| {
            let remote = Remote {
                host: host.parse().expect("a host"),
                port: server.listener.port.get(),
                protocol: server.listener.protocol,
            };
            let parts = ProfileParts {
                remotes: &[remote],
                server_name_prefix: "node-",
                ca: trusted,
                certificate: &credential.certificate,
                key: &key,
                tls_crypt_v2: &self.tls_crypt_v2.new_client_key(name.as_str()).expect("a client key"),
            };
            Profile::render_with(&parts, extras).expect("a profile")
        };
        let profiles = self.managed.servers.iter().map(profile).collect();
        (name, profiles)
    }

    /// The authority of the fleet.
    pub(crate) fn pki(&self) -> &Pki {
        &self.pki
    }

    /// Gives the node another certificate for its key, with another name, as the agent does that renews it. Returns the certificate.
    pub(crate) fn renew(&self, name: &str) -> String {
        self.renew_by(&self.pki, name)
    }

    /// Gives the node other authorities to trust, as the agent does.
    pub(crate) fn trust(&self, authorities: &str) {
        secret_file::write(self.conf().ca.as_path(), authorities).expect("write");
    }

    /// The same as [`Self::renew`], signed by another authority.
    pub(crate) fn renew_by(&self, pki: &Pki, name: &str) -> String {
        let key = fs::read_to_string(self.conf().key.as_path()).expect("read");
        let certificate = pki.server_again(name, &key);
        secret_file::write(self.conf().cert.as_path(), &certificate).expect("write");
        certificate
    }

    /// A new machine for a client.
    pub(crate) async fn machine(&self) -> Namespace {
        self.network.add_client(None).await.expect("a namespace")
    }

    pub(crate) fn client(&self, machine: &Namespace, profile: &Profile, name: &str) -> OpenvpnClient {
        let options = ClientOptions::default();
        OpenvpnClient::start(machine, profile.expose(), (self.dir(), name), &options).expect("a client")
    }

    /// What the configuration of an OpenVPN of the operator should say.
    pub(crate) fn expected(&self) -> Expected {
        let conf = self.conf();
        Expected {
            allow_dir: self.allow_list.dir().to_owned(),
            control_socket: conf.control_socket.as_path().to_owned(),
            port: conf.port,
            protocol: conf.protocol,
            ipv6: false,
            ca: conf.ca.as_path().to_owned(),
            certificate: conf.cert.as_path().to_owned(),
            key: conf.key.as_path().to_owned(),
            tls_crypt_v2: conf.tls_crypt_v2.as_path().to_owned(),
            network: None,
            // Those of the machine of the tests are not the node's: what cannot be read is not spoken of.
            sysctls: self.dir().join("sys"),
        }
    }

    /// What the `server.conf` of the first listener says.
    pub(crate) fn conf(&self) -> &ServerConf {
        &self.managed.servers[0].conf
    }

    /// The same, to be changed.
    pub(crate) fn conf_mut(&mut self) -> &mut ServerConf {
        &mut self.managed.servers[0].conf
    }

    /// What clients dial: the first one.
    pub(crate) fn listener(&self) -> Listener {
        self.managed.servers[0].listener
    }

    pub(crate) fn dir(&self) -> &Path {
        self.scratch.dir()
    }

    pub(crate) fn node(&self) -> &Namespace {
        &self.node
    }

    /// A machine besides the node and its clients.
    pub(crate) async fn other_machine(&self, name: &str, host: u8) -> Namespace {
        self.network.add(name, host).await.expect("a namespace")
    }

    /// Stops the agent and takes everything down.
    pub(crate) async fn end(self, agent: Agent) {
        agent.stops().await;
        self.network.delete().await;
        self.scratch.remove();
    }
}

/// The configuration of one of these listeners in this folder of OpenVPN and this one of the node.
fn conf((dir, root): (&Path, &Path), listeners: &Listeners, number: usize) -> ServerConf {
    let listener = listeners.iter().nth(number).expect("a listener");
    let suffix = suffix_of(ListenerNumber(number).beside(listener));
    let path = |name: &str| ConfPath::new(&dir.join(name)).expect("a path");
    ServerConf {
        port: listener.port.get(),
        protocol: listener.protocol,
        listeners: listeners.clone(),
        ipv6: true,
        network: NETWORK.parse().expect("a network"),
        network6: None,
        max_clients: NonZeroU32::new(100).expect("not zero"),
        spare_places: 0,
        keepalive: Keepalive::default(),
        ca: path("ca.crt"),
        cert: path("node.crt"),
        key: path("node.key"),
        tls_crypt_v2: path("tls-crypt-v2.key"),
        allow_dir: ConfPath::new(&root.join(format!("allow{suffix}"))).expect("a path"),
        control_socket: ConfPath::socket(&root.join(format!("run/node-1{suffix}.sock"))).expect("a path"),
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
