//! The old listener that the configuration names.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, ensure};
use chrono::Utc;
use ipnet::IpNet;
use tokio::sync::watch;
use tracing::{error, info, warn};
use vpnmanager_openvpn_conf::is_same_place;
use vpnmanager_runtime::{error_chain::chain, secret_file};

use crate::{
    account::{Account, own_user},
    allow_list::{AllowList, AllowListError, Told, check_reachable},
    config::{Config, OldServerMode, OpenvpnMode},
    old_server::{
        ExternalCheck, ExternalPlaces, NodeSide, OldClients, OldConf, OldListener, OldParts, Ours, RevokedFolder,
        block_files, obstacles, render,
    },
    openvpn::{
        OldOpenVpn, OldRun, OpenVpnBackend, OpenVpnTask,
        process::{Launch, ServerFiles, end_first},
        room::Room,
        server_conf::{ConfPath, kernel_has_ipv6},
    },
    state_dir::StateDir,
};

/// Behind the name of the node in that of its management socket.
const SUFFIX: &str = ".old";

/// The old listener, and the task that has to run behind it. `None` where the configuration names none: then nobody gets in by an old certificate
/// any more. What of it cannot serve is told by its health, and keeps nothing else from running.
pub(crate) async fn choose_old_listener(
    config: &Config,
    dir: &StateDir,
    logins: watch::Sender<u64>,
) -> anyhow::Result<Option<(OldListener, OpenVpnTask)>> {
    let openvpn = &config.openvpn;
    let Some(file) = &openvpn.old_server_conf else {
        end_old(config, dir).await;
        return Ok(None);
    };
    let file = std::path::absolute(file)?;
    ensure!(
        !file.starts_with(dir.old()),
        "openvpn.old_server_conf (OLD_SERVER_CONF) lies in {}, where the agent writes what it runs: put the old server.conf elsewhere",
        dir.old().display()
    );
    let conf = OldConf::read(&file);
    let (allow_dir, revoked_dir) = (dir.allow_old(), dir.revoked_old());
    let told = Told::default();
    let list = AllowList::open_telling(&allow_dir, told.clone())?;
    let revoked = RevokedFolder::open(revoked_dir.clone(), conf.own_refusals())
        .with_context(|| format!("preparing {} failed", revoked_dir.display()))?;
    // Before anybody gets in.
    let unread = revoked.follow().err();
    let socket = config.control_socket(SUFFIX)?;
    let (run, check) = match openvpn.old_server {
        OldServerMode::Managed => (Some(run(config, dir, (&conf, unread))?), None),
        OldServerMode::External => {
            if let Some(reason) = unread {
                error!(reason = %reason, "What the old server refuses itself could not be taken over: only what management says is refused");
            }
            // One that the agent ran before would be in the way of the operator's.
            if !end_own(dir, &openvpn.binary).await {
                error!(
                    "The OpenVPN of the old listener that the agent ran before could not be ended: end it, and start your own"
                );
            }
            let places = ExternalPlaces {
                allow_dir: allow_dir.clone(),
                revoked_dir,
                control_socket: socket.clone(),
            };
            let check = ExternalCheck::new(conf.file().to_owned(), places).beside(node_side(config));
            (None, Some(check))
        }
    };
    let old = OldOpenVpn {
        listener: conf.listener(),
        socket,
        run,
    };
    let (backend, task) = OpenVpnBackend::old(list.clone(), old, logins);
    let left_out = match openvpn.old_server {
        OldServerMode::Managed => conf.left_out(),
        OldServerMode::External => Vec::new(),
    };
    if !left_out.is_empty() {
        warn!(
            options = left_out.join(", "),
            "Options of the old server.conf are left out: what they did is to be done elsewhere"
        );
    }
    let parts = OldParts {
        listener: conf.listener(),
        backend,
        list,
        told,
        clients: clients_of(&conf, openvpn.old_client_dir.as_deref(), &allow_dir),
        revoked,
        check,
        left_out,
    };
    Ok(Some((OldListener::new(parts)?, task)))
}

/// How the agent runs it. What keeps it from serving is an obstacle to its start, and no error: an OpenVPN of before may run, and its clients must
/// be cut all the same.
fn run(config: &Config, dir: &StateDir, (conf, unread): (&OldConf, Option<String>)) -> anyhow::Result<OldRun> {
    let openvpn = &config.openvpn;
    let account = Account::look_up(&openvpn.user, &openvpn.group)
        .context("openvpn.user or openvpn.group (OPENVPN_USER, OPENVPN_GROUP) cannot be used")?;
    let socket = config.control_socket(SUFFIX)?;
    let ours = Ours {
        ipv6: kernel_has_ipv6(),
        allow_dir: ConfPath::new(&dir.allow_old())?,
        revoked_dir: ConfPath::new(&dir.revoked_old())?,
        control_socket: ConfPath::socket(&socket)?,
        control_user: own_user()?,
        user: account.name().clone(),
        group: account.group().clone(),
        blocks: dir.old(),
    };
    let mut found = obstacles(conf, &node_side(config), Utc::now());
    found.extend(unread);
    // Where OpenVPN cannot look into these it lets in nobody, or everybody.
    for folder in [dir.allow_old(), dir.revoked_old()] {
        found.extend(
            check_reachable(&folder, &account)
                .err()
                .map(|closed| closed.to_string()),
        );
    }
    let text = prepared(conf, &ours).unwrap_or_else(|reason| {
        found.push(reason);
        String::new()
    });
    let launch = Launch {
        binary: openvpn.binary.clone(),
        files: ServerFiles::of(&dir.old(), None),
        conf: text,
        uid: account.uid(),
        run_dir: socket.parent().unwrap_or(Path::new("/")).to_owned(),
    };
    for obstacle in &found {
        error!(reason = %obstacle, "The old listener is not started");
    }
    let addresses = conf.networks().iter().find_map(|network| match network {
        IpNet::V4(network) => u32::MAX.checked_shr(u32::from(network.prefix_len())),
        IpNet::V6(_) => None,
    });
    let places = conf.max_clients();
    Ok(OldRun {
        launch,
        account,
        room: Room {
            capacity: addresses.map_or(places, |addresses| addresses.saturating_sub(2).min(places)),
            places,
        },
        obstacle: (!found.is_empty()).then(|| found.join("; ")),
    })
}

/// What its configuration says; its secrets are written. The error says in words why it cannot be started.
fn prepared(conf: &OldConf, ours: &Ours) -> Result<String, String> {
    let unwritten = |error: secret_file::SecretFileError| chain(&error).to_string();
    secret_file::create_dir(&ours.blocks).map_err(unwritten)?;
    let rendered = render(conf, ours).map_err(|error| chain(&error).to_string())?;
    forget_blocks(&ours.blocks, &rendered.files);
    for (path, text) in &rendered.files {
        secret_file::write(path, text).map_err(unwritten)?;
    }
    Ok(rendered.text)
}

/// Removes the secrets of an earlier configuration from this folder, but these.
fn forget_blocks(dir: &Path, kept: &[(PathBuf, String)]) {
    let forgotten = block_files(dir).filter(|path| kept.iter().all(|(kept, _)| kept != path));
    for path in forgotten {
        match fs::remove_file(&path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                warn!(error = %error, file = %path.display(), "A secret of an earlier old listener could not be removed");
            }
        }
    }
}

/// What the node has besides. Where the agent runs no OpenVPN of its own nothing is in the way.
fn node_side(config: &Config) -> NodeSide {
    match config.openvpn.mode {
        OpenvpnMode::Managed => {}
        OpenvpnMode::External | OpenvpnMode::None => return NodeSide::default(),
    }
    let network6 = config.openvpn.network6.map(String::from);
    let networks = [Some(config.openvpn.network.clone()), network6].into_iter().flatten();
    let listening = config.listening();
    let at = listening.iter().map(|one| (one.listener.protocol, one.port.get()));
    NodeSide {
        networks: networks.filter_map(|text| text.parse().ok()).collect(),
        listening: at.collect(),
    }
}

/// Where the old server has what it says to single clients. A folder that is the agent's own does not count: it is made from that.
fn clients_of(conf: &OldConf, told: Option<&Path>, ours: &Path) -> OldClients {
    match (told, conf.client_dir()) {
        (Some(dir), _) => OldClients::new(Some(dir.to_owned()), false),
        (None, Some((dir, is_exclusive))) if !is_same_place(&dir, ours) => OldClients::new(Some(dir), is_exclusive),
        (None, Some(_) | None) => OldClients::default(),
    }
}

/// Ends the OpenVPN of the old listener that the agent ran, and removes its files, its secrets among them. True when none runs any more.
async fn end_own(dir: &StateDir, binary: &Path) -> bool {
    let has_ended = end_first(&dir.old(), binary).await;
    if has_ended {
        forget_blocks(&dir.old(), &[]);
    }
    has_ended
}

/// An earlier configuration may have named an old server. Nobody would keep its list from now on: it refuses everybody first, and then its OpenVPN
/// ends, if the agent runs it.
async fn end_old(config: &Config, dir: &StateDir) {
    let allow_dir = dir.allow_old();
    if allow_dir.exists() {
        match refuse_all(&allow_dir) {
            Ok(0) => {}
            Ok(refused) => info!(
                refused,
                "Old certificates are not accepted any more: OLD_SERVER_CONF is not set. Where you run the old server yourself, stop it: who is connected \
                 stays until the next key exchange"
            ),
            Err(error) => {
                error!(error = %chain(&error), folder = %allow_dir.display(), "Old certificates could not be refused: remove what is in this folder");
            }
        }
    }
    if !end_own(dir, &config.openvpn.binary).await {
        error!("The OpenVPN of the old listener could not be ended; it refuses everybody at the next key exchange");
        return;
    }
    // An operator's own OpenVPN, if there is one, refuses everybody without it too.
    for folder in [allow_dir, dir.revoked_old()] {
        if folder.exists()
            && let Err(error) = fs::remove_dir_all(&folder)
        {
            warn!(error = %error, folder = %folder.display(), "A folder of the old listener could not be removed");
        }
    }
}

fn refuse_all(allow_dir: &Path) -> Result<usize, AllowListError> {
    let list = AllowList::open_telling(allow_dir, Told::default())?;
    let names: Vec<_> = list.list()?.names.into_iter().collect();
    list.deny_all(&names)?;
    Ok(names.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn without_an_old_server_nobody_stays_on_the_list_of_before() {
        let folder = tempfile::tempdir().expect("a folder");
        let dir = StateDir::new(folder.path());
        let told = Told::default();
        let list = AllowList::open_telling(dir.allow_old(), told.clone()).expect("a list");
        let alice = "alice".parse().expect("a name");
        told.set("alice".parse().expect("a name"), "# hers\n".to_owned());
        list.allow(&alice).expect("let in");

        assert_eq!(refuse_all(&dir.allow_old()).expect("refused"), 1);

        assert!(!list.contains(&alice).expect("looked"));
        let (key, other) = (dir.old().join("key.pem"), dir.old().join("mine.txt"));
        fs::create_dir(dir.old()).expect("made");
        for file in [&key, &other] {
            fs::write(file, "").expect("written");
        }
        assert!(end_own(&dir, Path::new("openvpn")).await, "there is none");
        assert!(!key.exists() && other.exists(), "no secret is left");
    }

    #[test]
    fn the_folder_of_single_clients_is_the_old_servers_and_never_the_agents_own() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        let conf = |text: &str| {
            fs::write(at("server.conf"), text).expect("written");
            OldConf::read(&at("server.conf"))
        };
        fs::create_dir(at("ccd")).expect("made");
        let (ours, bob) = (at("allow.old"), "bob".parse().expect("a name"));
        fs::create_dir(&ours).expect("made");
        std::os::unix::fs::symlink(&ours, at("link")).expect("linked");
        for (text, told, is_let_in) in [
            ("client-config-dir ccd\n".to_owned(), None, true),
            ("client-config-dir ccd\nccd-exclusive\n".to_owned(), None, false),
            (
                format!("client-config-dir {}\nccd-exclusive\n", ours.display()),
                None,
                true,
            ),
            (
                format!("client-config-dir {}\nccd-exclusive\n", ours.display()),
                Some(at("ccd")),
                true,
            ),
            ("client-config-dir link\nccd-exclusive\n".to_owned(), None, true),
            ("port 1194\n".to_owned(), None, true),
        ] {
            let clients = clients_of(&conf(&text), told.as_deref(), &ours);
            assert_eq!(clients.lets_in(&bob), is_let_in, "{text}");
        }
    }
}
