//! The VPN backend that the configuration names.

use std::net::Ipv6Addr;

use anyhow::Context as _;
use vpnmanager_nats::commands::Host;

use crate::{
    account::{Account, own_user},
    allow_list::AllowList,
    backend::FilesOnlyBackend,
    config::{Config, OpenvpnMode},
    groups::{Definitions, Holding, Layout, Places, Unheld},
    network::Site,
    openvpn::{
        ExternalOpenVpn, ManagedOpenVpn, OpenVpnBackend, OpenVpnTask,
        lint::Expected,
        server_conf::{ConfPath, ServerConf, kernel_has_ipv6},
        vpn_network::VpnNetwork,
    },
    state_dir::StateDir,
    vpn::Vpn,
};

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

/// The backend that the configuration names. What management tells of groups is in `definitions`.
pub(crate) fn choose_backend(config: &Config, dir: &StateDir, definitions: &Definitions) -> anyhow::Result<Chosen> {
    let run_dir = std::path::absolute(&config.openvpn.run_dir)?;
    let socket = run_dir.join(format!("{}.sock", config.server_id));
    let not_at_all = || Holding::NotAtAll(Unheld::new(definitions.clone()));
    match config.openvpn.mode {
        OpenvpnMode::None => {
            let allow_list = AllowList::open(dir.allow())?;
            Ok(Chosen {
                vpn: Vpn::FilesOnly(FilesOnlyBackend::new(allow_list.clone())),
                server: None,
                site: None,
                holding: not_at_all(),
                allow_list,
            })
        }
        OpenvpnMode::External => {
            let allow_list = AllowList::open(dir.allow())?;
            let expected = Expected {
                allow_dir: dir.allow(),
                control_socket: socket,
                port: config.openvpn_port().get(),
                protocol: config.protocol,
                ipv6: config.public_host.as_ref().is_some_and(is_ipv6),
                ca: dir.ca(),
                certificate: dir.certificate(),
                key: dir.key(),
                tls_crypt_v2: dir.tls_crypt_v2(),
            };
            let external = ExternalOpenVpn {
                expected,
                conf_file: config.openvpn.conf_file.clone(),
            };
            let (backend, task) = OpenVpnBackend::external(allow_list.clone(), external);
            Ok(Chosen {
                vpn: Vpn::OpenVpn(backend),
                server: Some(task),
                site: None,
                holding: not_at_all(),
                allow_list,
            })
        }
        OpenvpnMode::Managed => {
            let network = config
                .openvpn
                .network
                .parse::<VpnNetwork>()
                .context("openvpn.network (OPENVPN_NETWORK) cannot be used")?;
            let network6 = config.openvpn.network6;
            let places = Places::new(Layout::new(network, network6));
            let allow_list = AllowList::open_pushing(dir.allow(), places.clone())?;
            let account = Account::look_up(&config.openvpn.user, &config.openvpn.group)
                .context("openvpn.user or openvpn.group (OPENVPN_USER, OPENVPN_GROUP) cannot be used")?;
            let conf = ServerConf {
                port: config.openvpn_port().get(),
                protocol: config.protocol,
                ipv6: kernel_has_ipv6(),
                network,
                network6,
                max_clients: config.openvpn.max_clients,
                ca: ConfPath::new(&dir.ca())?,
                cert: ConfPath::new(&dir.certificate())?,
                key: ConfPath::new(&dir.key())?,
                tls_crypt_v2: ConfPath::new(&dir.tls_crypt_v2())?,
                allow_dir: ConfPath::new(&dir.allow())?,
                control_socket: ConfPath::socket(&socket)?,
                control_user: own_user()?,
                user: account.name().clone(),
                group: account.group().clone(),
            };
            let managed = ManagedOpenVpn {
                binary: config.openvpn.binary.clone(),
                dir: dir.openvpn(),
                conf,
                account,
                definitions: definitions.clone(),
            };
            let pushed = allow_list.pushed().cloned().zip(allow_list.pushed_groups().cloned());
            let (backend, task) = OpenVpnBackend::managed(allow_list.clone(), managed)?;
            let site = backend
                .tunnel()
                .zip(pushed)
                .map(|(tunnel, (pushed, pushed_groups))| Site {
                    tunnel,
                    pushed,
                    pushed_groups,
                    places: places.clone(),
                    definitions: definitions.clone(),
                    egress: config.openvpn.egress_interface.clone(),
                });
            Ok(Chosen {
                vpn: Vpn::OpenVpn(backend),
                server: Some(task),
                site,
                holding: Holding::ByAddress(places),
                allow_list,
            })
        }
    }
}

fn is_ipv6(host: &Host) -> bool {
    host.as_str().parse::<Ipv6Addr>().is_ok()
}
