//! What the agent needs to run OpenVPN itself.

use std::{
    io,
    path::{Path, PathBuf},
};

use vpnmanager_nats::listeners::Listener;

use super::{
    process::{Launch, ServerFiles, end_former},
    server_conf::ServerConf,
};
use crate::{account::Account, groups::Definitions, listening::ListenerNumber};

/// What a managed OpenVPN needs, or several of a node.
#[derive(Debug, Clone)]
pub struct ManagedOpenVpn {
    /// The program.
    pub binary: PathBuf,
    /// The folder of `server.conf`, the log and the process id; 0700.
    pub dir: PathBuf,
    /// One for each listener of the node, in their order; at least one.
    pub servers: Vec<ManagedServer>,
    /// The account of [`ServerConf::user`].
    pub account: Account,
    /// What management tells of groups, and whether the firewall holds users of `default` to it: before that OpenVPN is not started.
    pub definitions: Definitions,
}

/// One of them.
#[derive(Debug, Clone)]
pub struct ManagedServer {
    /// What clients dial.
    pub listener: Listener,
    /// What its `server.conf` says.
    pub conf: ServerConf,
}

impl ManagedOpenVpn {
    /// Ends those that an earlier configuration left in the folder and that are none of these, or listen elsewhere than they should, or beside
    /// others have other addresses. Returns when they have ended, with the listeners of those that may run all the same; call it before the
    /// allow-list is opened, so that nobody is refused by one whose list is gone.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub async fn end_former(&self) -> io::Result<Vec<Listener>> {
        let wanted: Vec<Launch> = self.launches().collect();
        end_former(&self.dir, &wanted).await
    }

    /// How each is started.
    pub(super) fn launches(&self) -> impl Iterator<Item = Launch> {
        self.servers.iter().enumerate().map(move |(number, server)| {
            let beside = ListenerNumber(number).beside(server.listener);
            let socket = server.conf.control_socket.as_path();
            Launch {
                binary: self.binary.clone(),
                files: ServerFiles::of(&self.dir, beside),
                conf: server.conf.render(),
                uid: self.account.uid(),
                run_dir: socket.parent().unwrap_or(Path::new("/")).to_owned(),
            }
        })
    }
}
