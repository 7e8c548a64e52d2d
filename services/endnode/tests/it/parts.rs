//! A node's parts without a process: journal, applier, and a VPN server in memory.

use chrono::{DateTime, Utc};
use tokio::sync::watch;
use vpnmanager_endnode::{
    allow_list::{AllowList, Told},
    apply::{Applier, Projected},
    backend::FakeBackend,
    coordination::readiness::Readiness,
    groups::{Definitions, Holding, Layout, Places, Unheld},
    journal::Journal,
    node::Node,
    old_server::{OldClients, OldListener, OldParts, OwnRefusals, RevokedFolder},
    openvpn::{OldOpenVpn, OpenVpnBackend},
    state_dir::StateDir,
    tasks::groups::{self, Members},
    vpn::Vpn,
};
use vpnmanager_nats::{
    commands::{Command, Issue, Protocol, PutUser, Remote, RemoveUser, Role},
    ids::{CommonName, NodeId, Revision, UserKey},
    username::Username,
};
use vpnmanager_runtime::{reconcile::Wake, tasks::Tasks};

pub(crate) struct Parts {
    pub(crate) tasks: Tasks,
    pub(crate) node: Node,
    pub(crate) dir: StateDir,
    pub(crate) journal: Journal,
    pub(crate) vpn: FakeBackend,
    pub(crate) applier: Applier,
    pub(crate) holding: Holding,
    _folder: tempfile::TempDir,
}

impl Parts {
    /// A node that runs its VPN server.
    pub(crate) fn new() -> Self {
        Self::in_network("10.8.0.0/16")
    }

    /// The same with this OPENVPN_NETWORK.
    pub(crate) fn in_network(network: &str) -> Self {
        let places = places_in(network);
        Self::assemble(FakeBackend::with_places(places.clone()), Holding::ByAddress(places))
    }

    /// A node beside a server that somebody else runs, which is told this of groups.
    pub(crate) fn beside_a_server(definitions: Definitions) -> Self {
        let holding = Holding::NotAtAll(Unheld::new(definitions));
        Self::assemble(FakeBackend::default(), holding)
    }

    /// The same as [`Self::new`] with an old listener, at whose management socket nobody answers.
    pub(crate) fn with_an_old_listener() -> Self {
        let places = places_in("10.8.0.0/16");
        let (vpn, holding) = (FakeBackend::with_places(places.clone()), Holding::ByAddress(places));
        Self::assemble_with(vpn, holding, |dir| Some(old_listener(dir)))
    }

    fn assemble(vpn: FakeBackend, holding: Holding) -> Self {
        Self::assemble_with(vpn, holding, |_dir| None)
    }

    fn assemble_with(vpn: FakeBackend, holding: Holding, old: impl FnOnce(&StateDir) -> Option<OldListener>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let dir = StateDir::new(folder.path().join("state"));
        dir.prepare().unwrap();
        let tasks = Tasks::new();
        let journal = Journal::open(&dir.journal(), &tasks).unwrap();
        let node = Node::new(node_id());
        let whole = Vpn::from(vpn.clone());
        let projected = Projected {
            vpn: match old(&dir) {
                Some(old) => whole.with_old(old),
                None => whole,
            },
            holding: holding.clone(),
            profiles: dir.profiles(),
        };
        let applier = Applier::new(node.clone(), journal.clone(), projected);
        Self {
            tasks,
            node,
            dir,
            journal,
            vpn,
            applier,
            holding,
            _folder: folder,
        }
    }

    pub(crate) fn places(&self) -> &Places {
        self.holding.places().unwrap()
    }

    /// A firewall that holds the rules of whatever groups have members, beside a server that gives fixed addresses to nobody else.
    pub(crate) fn has_a_firewall(&self) {
        let places = self.places().clone();
        places.set_divided(&[true]);
        let (mut blocks, stop) = (places.watch(), self.tasks.token());
        self.tasks.spawn("firewall", async move {
            places.set_enforced(true);
            while let Some(Ok(())) = stop.run_until_cancelled(blocks.changed()).await {
                places.set_enforced(true);
            }
            Ok(())
        });
    }

    /// What the task that looks after members works with, where the journal once held everything.
    pub(crate) fn members(&self, definitions: &Definitions) -> Members {
        Members {
            holding: self.holding.clone(),
            definitions: definitions.clone(),
            applier: self.applier.clone(),
            vpn: Vpn::from(self.vpn.clone()),
            readiness: Readiness::new(true, None),
            allow_list: Wake::new(),
        }
    }

    /// Starts that task, and waits until it listens: before, nothing is there for it.
    pub(crate) async fn follows(&self, members: Members) {
        self.tasks.spawn("groups", groups::run(members, self.tasks.token()));
        tokio::task::yield_now().await;
    }

    /// The agent starts again on the same journal, with this OPENVPN_NETWORK. Its server has forgotten nobody.
    pub(crate) async fn starts_again(&self, network: &str) -> (Applier, Places) {
        let places = places_in(network);
        let holding = Holding::ByAddress(places.clone());
        holding.load(&self.journal).await.unwrap();
        let projected = Projected {
            vpn: Vpn::from(self.vpn.clone()),
            holding,
            profiles: self.dir.profiles(),
        };
        (Applier::new(self.node.clone(), self.journal.clone(), projected), places)
    }

    pub(crate) async fn apply(&self, command: Command) -> vpnmanager_endnode::apply::Handled {
        self.applier.apply(vec![command], 0).await.unwrap().remove(0)
    }
}

/// An old listener over the files of this folder. Its OpenVPN is never there.
pub(crate) fn old_listener(dir: &StateDir) -> OldListener {
    let told = Told::default();
    let list = AllowList::open_telling(dir.allow_old(), told.clone()).unwrap();
    let listener = "udp:1194".parse().unwrap();
    let old = OldOpenVpn {
        listener,
        socket: dir.root().join("none.sock"),
        run: None,
    };
    let (backend, _task) = OpenVpnBackend::old(list.clone(), old, watch::Sender::default());
    let parts = OldParts {
        listener,
        backend,
        list,
        told,
        clients: OldClients::default(),
        revoked: RevokedFolder::open(dir.revoked_old(), OwnRefusals::Nowhere).unwrap(),
        check: None,
        left_out: Vec::new(),
    };
    OldListener::new(parts).unwrap()
}

pub(crate) fn places_in(network: &str) -> Places {
    Places::new(Layout::new(network.parse().unwrap(), None))
}

pub(crate) fn node_id() -> NodeId {
    "n1".parse().unwrap()
}

/// A user for commands.
#[derive(Clone)]
pub(crate) struct User {
    pub(crate) node: NodeId,
    pub(crate) key: UserKey,
    pub(crate) username: Username,
    pub(crate) credential: CommonName,
}

impl User {
    pub(crate) fn new(username: &str) -> Self {
        let username: Username = username.parse().unwrap();
        Self {
            node: node_id(),
            key: UserKey::new(),
            credential: CommonName::for_user(&username),
            username,
        }
    }

    /// For one more device.
    pub(crate) fn another_credential(&self) -> CommonName {
        CommonName::for_user(&self.username)
    }

    pub(crate) fn put(&self, revision: i64) -> PutUser {
        PutUser {
            credentials: vec![self.credential.clone()],
            ..PutUser::new(self.node.clone(), self.key, self.username.clone(), Revision(revision))
        }
    }

    /// Let in, as a standby, as a member of this group.
    pub(crate) fn in_group(&self, revision: i64, group: &str) -> Command {
        Command::PutUser(PutUser {
            group: Some(group.parse().unwrap()),
            ..self.put(revision)
        })
    }

    /// Let in, as a standby.
    pub(crate) fn standby(&self, revision: i64) -> Command {
        Command::PutUser(self.put(revision))
    }

    /// Let in, with a profile to make.
    pub(crate) fn home(&self, revision: i64) -> Command {
        self.home_for(revision, &[])
    }

    /// The same for further devices of the user too.
    pub(crate) fn home_for(&self, revision: i64, further: &[CommonName]) -> Command {
        let remote = Remote {
            host: "198.18.0.11".parse().unwrap(),
            port: 1194,
            protocol: Protocol::Udp,
        };
        let issue = Issue {
            common_name: self.credential.clone(),
            further: further.to_vec(),
            remotes: vec![remote],
        };
        let credentials = issue.common_names().cloned().collect();
        Command::PutUser(PutUser {
            role: Role::Home,
            credentials,
            issue: Some(issue),
            ..self.put(revision)
        })
    }

    pub(crate) fn suspended(&self, revision: i64) -> Command {
        Command::PutUser(PutUser {
            active: false,
            ..self.put(revision)
        })
    }

    pub(crate) fn expiring(&self, revision: i64, at: DateTime<Utc>) -> Command {
        Command::PutUser(PutUser {
            expires_at: Some(at),
            ..self.put(revision)
        })
    }

    pub(crate) fn removed(&self, revision: i64) -> Command {
        Command::RemoveUser(RemoveUser {
            node: self.node.clone(),
            user_key: self.key,
            username: self.username.clone(),
            revision: Revision(revision),
        })
    }
}
