//! The VPN backend that the configuration names.

use std::{io, net::Ipv6Addr, path::PathBuf};

use anyhow::{Context as _, ensure};
use vpnmanager_nats::{commands::Host, listeners::Listener};

use crate::{
    account::{Account, own_user},
    allow_list::AllowList,
    backend::FilesOnlyBackend,
    config::{Config, OpenvpnMode},
    coordination::network_progress::NetworkProgress,
    groups::{Definitions, Holding, Layout, Places, Unheld},
    listening::{ListenerNumber, suffix_of},
    network::{Site, Tools},
    openvpn::{
        ExternalOpenVpn, ManagedOpenVpn, ManagedServer, OpenVpnBackend, OpenVpnTask,
        lint::Expected,
        process::end_further,
        server_conf::{ConfPath, SPARE_PLACES, ServerConf, kernel_has_ipv6},
        vpn_network::VpnNetwork,
    },
    slices::first_slice,
    state_dir::StateDir,
    vpn::Vpn,
};

/// What is said where it cannot be seen which OpenVPNs the agent ran before.
const UNREAD: &str = "which OpenVPNs are left of other listeners could not be seen";

/// What was chosen.
pub(crate) struct Chosen {
    /// The backend.
    pub(crate) vpn: Vpn,
    /// The task that has to run behind it.
    pub(crate) server: Option<OpenVpnTask>,
    /// What the pool's network meets, where the agent runs OpenVPN.
    pub(crate) site: Option<Site>,
    /// How members of groups are held to their rules.
    pub(crate) holding: Holding,
    /// Who may log in.
    pub(crate) allow_list: AllowList,
}

/// The backend that the configuration names. What management tells of groups is in `definitions`, and what it tells of the network of the pool
/// in `network`. Ends what an earlier configuration of the node's listeners left running.
pub(crate) async fn choose_backend(
    config: &Config,
    dir: &StateDir,
    definitions: &Definitions,
    network: &NetworkProgress,
) -> anyhow::Result<Chosen> {
    match config.openvpn.mode {
        OpenvpnMode::None => {
            let allow_list = empty_files(config, dir).await?;
            Ok(Chosen {
                vpn: FilesOnlyBackend::new(allow_list.clone()).into(),
                server: None,
                site: None,
                holding: not_at_all(definitions),
                allow_list,
            })
        }
        OpenvpnMode::External => external(config, dir, definitions, network).await,
        OpenvpnMode::Managed => managed(config, dir, definitions).await,
    }
}

fn not_at_all(definitions: &Definitions) -> Holding {
    Holding::NotAtAll(Unheld::new(definitions.clone()))
}

/// The allow-list where the agent runs no OpenVPN. There is one folder: what the agent ran for listeners behind the first, before its mode was
/// changed, ends before its folder goes.
async fn empty_files(config: &Config, dir: &StateDir) -> anyhow::Result<AllowList> {
    let openvpn = &config.openvpn;
    let may_run = end_further(&dir.openvpn(), &openvpn.binary, openvpn.conf_file.as_deref()).await;
    let may_run = may_run.context(UNREAD)?;
    let allow_list = AllowList::open(dir.allow())?;
    check_all_are_gone(dir, &may_run)?;
    Ok(allow_list)
}

/// Of these listeners, which the node has no more, an OpenVPN may run: it must find no folder in which somebody stays allowed for ever. Where the
/// folder is gone it lets in nobody.
fn check_all_are_gone(dir: &StateDir, may_run: &[Listener]) -> anyhow::Result<()> {
    for listener in may_run {
        let folder = dir.allow_of(Some(*listener));
        ensure!(
            !folder.exists(),
            "whether an OpenVPN of the listener {listener}, which this node has no more, runs could not be seen, and its allow-list folder {} could \
             not be removed: whoever is in it would be let in for ever. See that it has ended, and remove the folder",
            folder.display()
        );
    }
    Ok(())
}

/// What the configuration of a server that the operator runs must say, and for which listener.
pub(crate) fn expected(config: &Config, dir: &StateDir) -> anyhow::Result<(Listener, Expected)> {
    let first = config.listening().iter().next().context("there is no listener")?;
    let expected = Expected {
        allow_dir: dir.allow(),
        control_socket: socket_of(config, None)?,
        port: first.port.get(),
        protocol: first.listener.protocol,
        ipv6: config.public_host.as_ref().is_some_and(is_ipv6),
        ca: dir.ca(),
        certificate: dir.certificate(),
        key: dir.key(),
        tls_crypt_v2: dir.tls_crypt_v2(),
        network: None,
        sysctls: Tools::default().sysctls,
    };
    Ok((first.listener, expected))
}

async fn external(
    config: &Config,
    dir: &StateDir,
    definitions: &Definitions,
    network: &NetworkProgress,
) -> anyhow::Result<Chosen> {
    let allow_list = empty_files(config, dir).await?;
    let (listener, expected) = expected(config, dir)?;
    let external = ExternalOpenVpn {
        listener,
        expected,
        conf_file: config.openvpn.conf_file.clone(),
        told: network.watch(),
    };
    let (backend, task) = OpenVpnBackend::external(allow_list.clone(), external);
    Ok(Chosen {
        vpn: backend.into(),
        server: Some(task),
        site: None,
        holding: not_at_all(definitions),
        allow_list,
    })
}

/// The OpenVPNs that the agent runs, as the configuration says.
pub(crate) struct Planned {
    /// One for each listener, in their order.
    pub(crate) servers: Vec<ManagedServer>,
    /// The folders of their allow-lists, in the same order.
    pub(crate) allow_dirs: Vec<PathBuf>,
    account: Account,
    layout: Layout,
}

/// What the agent would run. Nothing is started or written.
pub(crate) fn plan(config: &Config, dir: &StateDir) -> anyhow::Result<Planned> {
    let account = Account::look_up(&config.openvpn.user, &config.openvpn.group)
        .context("openvpn.user or openvpn.group (OPENVPN_USER, OPENVPN_GROUP) cannot be used")?;
    let listening = config.listening();
    let network = config
        .openvpn
        .network
        .parse::<VpnNetwork>()
        .context("openvpn.network (OPENVPN_NETWORK) cannot be used")?;
    let layout = first_slice(network, config.openvpn.network6, listening.count())
        .context("openvpn.network or openvpn.network6 (OPENVPN_NETWORK, OPENVPN_NETWORK6) cannot be used")?;
    let mut servers = Vec::new();
    let mut allow_dirs = Vec::new();
    for (number, one) in listening.iter().enumerate() {
        let number = ListenerNumber(number);
        let beside = number.beside(one.listener);
        let allow_dir = dir.allow_of(beside);
        let slice = layout.beside(number);
        let conf = ServerConf {
            port: one.port.get(),
            protocol: one.listener.protocol,
            listeners: listening.listeners().clone(),
            ipv6: kernel_has_ipv6(),
            network: slice.network(),
            network6: slice.network6(),
            max_clients: config.openvpn.max_clients,
            spare_places: SPARE_PLACES,
            keepalive: config.openvpn.keepalive,
            ca: ConfPath::new(&dir.ca())?,
            cert: ConfPath::new(&dir.certificate())?,
            key: ConfPath::new(&dir.key())?,
            tls_crypt_v2: ConfPath::new(&dir.tls_crypt_v2())?,
            allow_dir: ConfPath::new(&allow_dir)?,
            control_socket: ConfPath::socket(&socket_of(config, beside)?)?,
            control_user: own_user()?,
            user: account.name().clone(),
            group: account.group().clone(),
        };
        servers.push(ManagedServer {
            listener: one.listener,
            conf,
        });
        allow_dirs.push(allow_dir);
    }
    Ok(Planned {
        servers,
        allow_dirs,
        account,
        layout,
    })
}

async fn managed(config: &Config, dir: &StateDir, definitions: &Definitions) -> anyhow::Result<Chosen> {
    let Planned {
        servers,
        allow_dirs,
        account,
        layout,
    } = plan(config, dir)?;
    let managed = ManagedOpenVpn {
        binary: config.openvpn.binary.clone(),
        dir: dir.openvpn(),
        servers,
        account,
        definitions: definitions.clone(),
    };
    // Before the folders of their lists go: who logs in meanwhile would be refused and give up.
    let may_run = managed.end_former().await.context(UNREAD)?;
    let places = Places::new(layout).with_listeners(allow_dirs.len());
    let allow_list = AllowList::open_pushing(allow_dirs, places.clone())?;
    check_all_are_gone(dir, &may_run)?;
    let pushed = allow_list.pushed().cloned().zip(allow_list.pushed_groups().cloned());
    let (backend, task) = OpenVpnBackend::managed(allow_list.clone(), managed)?;
    let site = backend
        .tunnels()
        .zip(pushed)
        .map(|(tunnels, (pushed, pushed_groups))| Site {
            tunnels,
            pushed,
            pushed_groups,
            places: places.clone(),
            definitions: definitions.clone(),
            mtus: dir.mtu(),
            egress: config.openvpn.egress_interface.clone(),
        });
    Ok(Chosen {
        vpn: backend.into(),
        server: Some(task),
        site,
        holding: Holding::ByAddress(places),
        allow_list,
    })
}

/// The management socket of the first listener, or of one `beside` it.
fn socket_of(config: &Config, beside: Option<Listener>) -> io::Result<PathBuf> {
    config.control_socket(&suffix_of(beside))
}

fn is_ipv6(host: &Host) -> bool {
    host.as_str().parse::<Ipv6Addr>().is_ok()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn only_a_folder_that_an_openvpn_may_still_read_keeps_the_agent_from_starting() {
        let folder = tempfile::tempdir().expect("a folder");
        let dir = StateDir::new(folder.path());
        let [one, other] = ["tcp:443", "udp:53"].map(|listener| listener.parse::<Listener>().expect("a listener"));
        let left = folder.path().join("allow.tcp443");
        fs::create_dir(&left).expect("made");

        check_all_are_gone(&dir, &[]).expect("it has ended");
        check_all_are_gone(&dir, &[other]).expect("it lets in nobody");
        let error = check_all_are_gone(&dir, &[other, one])
            .expect_err("it may run")
            .to_string();

        assert!(
            error.contains("tcp:443") && error.contains(&left.display().to_string()),
            "{error}"
        );
    }
}
