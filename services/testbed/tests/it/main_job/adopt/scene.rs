//! Two servers of before on their machines, the machine of management, and whoever types the commands of the page.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use vpnmanager_testbed::{
    binaries,
    client::ClientOptions,
    net::{Namespace, require_tunnels},
    process::Identity,
    stack::{Part, StackOptions},
    wait,
};

use super::old_server::{Kind, OldServer, TlsKey};
use crate::main_job::site::{Site, nodes::agent_when};

/// What both sides log of a handshake that came to nothing.
const HANDSHAKE_FAILED: &str = "TLS Error: TLS handshake failed";
/// As the page quotes it.
const WAITS_FOR_OLD: &str = "it is started once your own OpenVPN, which answers at its management socket, has ended";
/// The nodes of the page.
pub(super) const NODES: [u8; 2] = [1, 2];
/// The units that it names.
const OLD_UNIT: &str = "openvpn@server";
const AGENT_UNIT: &str = "vpnmanager-endnode";
/// The usual places, which it names.
const STATE_DIR: &str = "/var/lib/vpnmanager/endnode";
const RUN_DIR: &str = "/run/vpnmanager";
/// As an install script draws it, and as easy-rsa's example has it.
const KINDS: [Kind; 2] = [
    Kind {
        name: "server_AbCdEfGh12345678",
        network: "10.8.0.0",
        tls_key: TlsKey::Crypt,
    },
    Kind {
        name: "server",
        network: "10.9.0.0",
        tls_key: TlsKey::Auth,
    },
];

/// What the shell of the operator has on the machine of management: `api` of docs/operating.md, and servers that ssh reaches.
const AT_MANAGEMENT: &str = r#"
PATH="$PROGRAMS:$PATH"
api() { curl -sS -H "X-API-Key: $API_KEY" -H 'Content-Type: application/json' "$@"; }
ssh() (
    node=${1#root@} node=${node%.example.org}
    cd "$HOMES/$node"
    exec ip netns exec "$MACHINES-$node" bash -euo pipefail -c "$2"
)
"#;

/// All of it.
pub(super) struct Scene {
    pub(super) site: Site,
    /// In the order of the nodes.
    old: [OldServer; 2],
    machines: [Namespace; 2],
    /// What each agent is told at its next start, besides what all are told.
    settings: [Vec<(String, String)>; 2],
    /// The folders in which commands are typed.
    homes: PathBuf,
}

impl Scene {
    /// Where this machine can: a management without nodes, and the two servers, which run. The agents will have these settings.
    pub(super) async fn set(test: &str, settings: Vec<(String, String)>) -> Option<Self> {
        require_tunnels(test)?;
        let site = Site::start(StackOptions {
            nodes: 0,
            node_env: settings,
            ..StackOptions::default()
        })
        .await;
        let dir = &site.stack.state().dir;
        let homes = dir.join("homes");
        for home in ["management", "node-1", "node-2"] {
            fs::create_dir_all(homes.join(home)).unwrap();
        }
        let machines = [
            site.stack.add_machine(NODES[0]).await.unwrap(),
            site.stack.add_machine(NODES[1]).await.unwrap(),
        ];
        let [first, second] = &machines;
        let old = [
            OldServer::make(first.clone(), &dir.join("old-1"), KINDS[0]).await,
            OldServer::make(second.clone(), &dir.join("old-2"), KINDS[1]).await,
        ];
        Some(Self {
            site,
            old,
            machines,
            settings: [Vec::new(), Vec::new()],
            homes,
        })
    }

    /// The server of before of this node.
    pub(super) fn old(&mut self, node: u8) -> &mut OldServer {
        &mut self.old[place(node)]
    }

    /// Starts the agent of this node for the first time, beside the server of before.
    pub(super) async fn enrol(&mut self, node: u8) {
        let machine = self.machines[place(node)].clone();
        self.site.stack.add_node_on(machine, node).await.unwrap();
    }

    /// Has the agent of this node told these at its next start too; an empty one is one that was taken away.
    pub(super) fn tell_agent(&mut self, node: u8, settings: Vec<(String, String)>) {
        self.settings[place(node)].extend(settings);
    }

    /// Types these commands on the machine of management, and gives what they print.
    pub(super) fn at_management(&self, commands: &str) -> String {
        let mut shell = Command::new("bash");
        let script = format!("{AT_MANAGEMENT}{commands}");
        shell.args(["-euo", "pipefail", "-c", &script]);
        self.typed(shell, "management", commands)
    }

    /// Types these commands on the machine of this node, with the places of this stack for the usual ones. What they ask of units is done.
    pub(super) async fn at_node(&mut self, node: u8, commands: &str) -> String {
        let (mut script, mut said) = (String::new(), String::new());
        for line in self.as_here(node, commands).lines() {
            if let Some(order) = line.strip_prefix("systemctl ") {
                said += &self.typed_at(node, &std::mem::take(&mut script));
                self.obey(node, order).await;
            } else {
                script = format!("{script}{line}\n");
            }
        }
        said + &self.typed_at(node, &script)
    }

    /// Panics unless the server of before of this node, whoever runs it, refuses this profile: by its certificate, or in words.
    pub(super) async fn keeps_out(&self, node: u8, who: &str, profile: &str) {
        let before = self.said_by_old(node).len();
        let client = self.site.stack.start_client(profile, &ClientOptions::default()).await;
        let client = client.unwrap();
        let address = client.namespace.address.to_string();
        let is_refused = async || {
            let said = self.said_by_old(node);
            let news = said.get(before..).unwrap_or_default();
            let mut of_client = news.lines().filter(|line| line.contains(&address));
            // A server that says the same again and again leaves it out (`mute`): then the client has waited in vain.
            client.client.was_refused()
                || client.client.log().contains(HANDSHAKE_FAILED)
                || of_client.any(|line| line.contains(HANDSHAKE_FAILED))
        };
        wait::until(wait::SOON, format_args!("{who} to be refused"), is_refused)
            .await
            .unwrap();
        assert_eq!(client.client.connections(), 0, "{who} got in");
        client.close().await;
    }

    /// Waits until the agent of this node has nothing to say against itself.
    pub(super) async fn is_well(&self, node: u8) {
        let api = self.site.stack.node(node).unwrap().api();
        agent_when(&api, format_args!("node-{node} to be well"), |health| {
            health["status"] == "ok"
        })
        .await;
    }

    /// Waits until the agent of this node says that it starts its OpenVPN once that of the operator has ended.
    pub(super) async fn agent_waits_for_old(&self, node: u8) {
        let api = self.site.stack.node(node).unwrap().api();
        agent_when(&api, format_args!("node-{node} to wait for the old server"), |health| {
            health.to_string().contains(WAITS_FOR_OLD)
        })
        .await;
    }

    /// The OpenVPN that the agent of this node runs for old certificates.
    pub(super) fn old_of_agent(&self, node: u8) -> Option<Identity> {
        let dir = self.site.stack.node(node).unwrap().dir();
        Identity::from_pid_file(&dir.join("old/openvpn.pid")).ok()
    }

    /// A file that commands on the machine of management have left.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.homes.join("management").join(name)
    }

    /// What the operator's OpenVPN has logged, and behind it what the agent's has.
    fn said_by_old(&self, node: u8) -> String {
        let of_operator = self.old[place(node)].log().text();
        let of_agent = self.site.stack.state().node_dir(node).join("old/openvpn.log");
        of_operator + &fs::read_to_string(of_agent).unwrap_or_default()
    }

    /// The page names the first node, and the usual folders.
    fn as_here(&self, node: u8, commands: &str) -> String {
        let state = self.site.stack.state();
        let run_dir = state.dir.join("s").join(node.to_string());
        commands
            .replace("node-1", &format!("node-{node}"))
            .replace(STATE_DIR, shown(&state.node_dir(node)))
            .replace(RUN_DIR, shown(&run_dir))
    }

    fn typed_at(&self, node: u8, commands: &str) -> String {
        let mut shell = Command::new("ip");
        shell.args(["netns", "exec", &self.machines[place(node)].name]);
        shell.args(["bash", "-euo", "pipefail", "-c", commands]);
        self.typed(shell, &format!("node-{node}"), commands)
    }

    fn typed(&self, mut shell: Command, home: &str, commands: &str) -> String {
        let state = self.site.stack.state();
        let programs = binaries::management().unwrap();
        let machines = self.machines[0].name.strip_suffix("-node-1").unwrap();
        let output = shell
            .current_dir(self.homes.join(home))
            .env("MANAGEMENT_URL", self.management_url())
            .env("API_KEY", &state.api_key)
            .env("DATABASE_URL", state.database_url())
            .env("SERVER_ID", "management-server")
            .env("PROGRAMS", programs.parent().unwrap())
            .env("HOMES", &self.homes)
            .env("MACHINES", machines)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{commands}{said}{errors}");
        said
    }

    /// As the machines of the nodes reach it too.
    fn management_url(&self) -> String {
        let state = self.site.stack.state();
        format!("http://{}:{}", state.gateway(), state.management_port)
    }

    async fn obey(&mut self, node: u8, order: &str) {
        let words: Vec<&str> = order.split_whitespace().collect();
        let (verb, unit) = (words[0], *words.last().unwrap());
        match (verb, unit) {
            ("start" | "enable", OLD_UNIT) => self.old(node).start().await,
            ("stop" | "disable", OLD_UNIT) => self.old(node).stop().await,
            ("restart", OLD_UNIT) => {
                self.old(node).stop().await;
                self.old(node).start().await;
            }
            ("restart", AGENT_UNIT) => {
                self.site.stack.stop_part(Part::Node(node)).await.unwrap();
                self.start_agent(node);
            }
            _ => panic!("nobody knows how to {order}"),
        }
    }

    fn start_agent(&mut self, node: u8) {
        let told = &self.settings[place(node)];
        let env: Vec<(&str, &str)> = told
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        self.site.stack.launch_part_with(Part::Node(node), &env).unwrap();
    }
}

fn place(node: u8) -> usize {
    usize::from(node) - 1
}

fn shown(path: &Path) -> &str {
    path.to_str().unwrap()
}
