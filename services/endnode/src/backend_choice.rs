//! The VPN backend that the configuration names.

use std::net::Ipv6Addr;

use anyhow::Context as _;
use vpnmanager_nats::commands::Host;

use crate::{
    account::{Account, own_user},
    allow_list::AllowList,
    backend::FilesOnlyBackend,
    config::{Config, OpenvpnMode},
    network::Site,
    openvpn::{
        ExternalOpenVpn, ManagedOpenVpn, OpenVpnBackend, OpenVpnTask,
        lint::Expected,
        server_conf::{ConfPath, ServerConf, kernel_has_ipv6},
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
}

/// The backend that the configuration names.
pub(crate) fn choose_backend(config: &Config, dir: &StateDir) -> anyhow::Result<Chosen> {
    let run_dir = std::path::absolute(&config.openvpn.run_dir)?;
    let socket = run_dir.join(format!("{}.sock", config.server_id));
    match config.openvpn.mode {
        OpenvpnMode::None => {
            let allow_list = AllowList::open(dir.allow())?;
            Ok(Chosen {
                vpn: Vpn::FilesOnly(FilesOnlyBackend::new(allow_list)),
                server: None,
                site: None,
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
            let (backend, task) = OpenVpnBackend::external(allow_list, external);
            Ok(Chosen {
                vpn: Vpn::OpenVpn(backend),
                server: Some(task),
                site: None,
            })
        }
        OpenvpnMode::Managed => {
            let allow_list = AllowList::open_pushing(dir.allow())?;
            let account = Account::look_up(&config.openvpn.user, &config.openvpn.group)
                .context("openvpn.user or openvpn.group (OPENVPN_USER, OPENVPN_GROUP) cannot be used")?;
            let conf = ServerConf {
                port: config.openvpn_port().get(),
                protocol: config.protocol,
                ipv6: kernel_has_ipv6(),
                network: config
                    .openvpn
                    .network
                    .parse()
                    .context("openvpn.network (OPENVPN_NETWORK) cannot be used")?,
                network6: config.openvpn.network6,
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
            };
            let pushed = allow_list.pushed().cloned();
            let (backend, task) = OpenVpnBackend::managed(allow_list, managed)?;
            let site = backend.tunnel().zip(pushed).map(|(tunnel, pushed)| Site {
                tunnel,
                pushed,
                egress: config.openvpn.egress_interface.clone(),
            });
            Ok(Chosen {
                vpn: Vpn::OpenVpn(backend),
                server: Some(task),
                site,
            })
        }
    }
}

fn is_ipv6(host: &Host) -> bool {
    host.as_str().parse::<Ipv6Addr>().is_ok()
}
