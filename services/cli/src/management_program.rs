//! The program of management, for what an API cannot do.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use crate::failure::Failure;

const PROGRAM: &str = "vpnmanager-management";

/// Becomes that program with this command. It returns only where that cannot be; `elsewhere` says what to do where the program is not there.
pub(crate) fn become_it(
    command: &str,
    arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
    elsewhere: &str,
) -> Failure {
    let error = Command::new(PROGRAM).arg(command).args(arguments).exec();
    if error.kind() != ErrorKind::NotFound {
        return Failure::failed(format!("cannot run {PROGRAM}: {error}"));
    }
    Failure::failed(format!("{PROGRAM} is not on this machine: {elsewhere}"))
}
