//! Accounts: whether the one that OpenVPN runs as can read the allow-list, and whether the agent's may open the socket.

use std::path::Path;

use vpnmanager_openvpn_conf::Directives;

use super::finding::{Finding, error, warning};
use crate::{
    account::{Account, AccountError, Database, number_of},
    allow_list::{AllowListError, check_reachable},
};

/// `user` and `group` of the manual: privileges that OpenVPN drops to once it has started. Without `user` it stays root, which may
/// search any folder; without `group` it keeps the group of root.
pub(super) fn check_reach(conf: &Directives, allow_dir: &Path, findings: &mut Vec<Finding>) {
    let Some(user) = conf.argument("user") else { return };
    let group = conf.argument("group").unwrap_or("root");
    match Account::look_up(user, group).map(|account| check_reachable(allow_dir, &account)) {
        Ok(Err(closed @ AllowListError::Unreachable { .. })) => findings.push(error(closed.to_string())),
        // A lost folder is made again by the next repair.
        Ok(Ok(()) | Err(_)) => {}
        Err(unknown) => findings.push(unseen("user` or `group", &unknown)),
    }
}

/// `management-client-user` and `management-client-group` of the manual: "Only allow the management interface to accept connections
/// from" this user, or this group.
pub(super) fn check_socket_owner(conf: &Directives, findings: &mut Vec<Finding>) {
    let own = [
        (
            "management-client-user",
            Database::Users,
            rustix::process::geteuid().as_raw(),
        ),
        (
            "management-client-group",
            Database::Groups,
            rustix::process::getegid().as_raw(),
        ),
    ];
    for (option, database, own) in own {
        let Some(name) = conf.argument(option) else { continue };
        match number_of(database, name) {
            Ok(number) if number == own => {}
            Ok(_) => findings.push(error(format!(
                "remove `{option} {name}`, or name the agent's: the agent runs as number {own}, and OpenVPN turns it away from its socket"
            ))),
            Err(unknown) => findings.push(unseen(option, &unknown)),
        }
    }
}

/// OpenVPN may run in another container, which has accounts of its own.
fn unseen(option: &str, unknown: &AccountError) -> Finding {
    warning(format!("whether `{option}` fits cannot be seen: {unknown}"))
}
