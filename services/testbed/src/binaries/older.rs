//! An OpenVPN that is older than the one of this machine, as users and nodes may still have it.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use super::find::{Missing, is_program, target_dir};
use crate::require::require;

/// For tests: `Some` if it is there; otherwise prints to standard error that `test` is skipped.
///
/// # Panics
/// If it is not although `VPNMANAGER_REQUIRE_OPENVPN25` is 1.
#[must_use]
pub fn require_openvpn_2_5(test: &str) -> Option<PathBuf> {
    require(test, "VPNMANAGER_REQUIRE_OPENVPN25", openvpn_2_5())
}

/// OpenVPN 2.5 of Debian 11 with its own libraries, in `target/tools`: a script that becomes OpenVPN, so that its process is the one that is started.
fn openvpn_2_5() -> Result<PathBuf, Missing> {
    let target = target_dir().unwrap_or_else(|| PathBuf::from("target"));
    of_2_5(target.join("tools/openvpn2.5/bin/openvpn"))
}

/// The program, if it says that it is of 2.5.
fn of_2_5(program: PathBuf) -> Result<PathBuf, Missing> {
    let missing = |looked| Missing {
        program: "OpenVPN 2.5".to_owned(),
        looked,
        remedy: "`services/testbed/prerequisites.sh --tools openvpn2.5` unpacks it",
    };
    if !is_program(&program) {
        return Err(missing(format!("at {}", program.display())));
    }
    let said = said_of_itself(&program);
    match said.starts_with("OpenVPN 2.5.") {
        true => Ok(program),
        false => Err(missing(format!("at {}, which says: {said}", program.display()))),
    }
}

/// The first line of what it says of its version, or why it says nothing.
fn said_of_itself(program: &Path) -> String {
    let output = match Command::new(program).arg("--version").output() {
        Ok(output) => output,
        Err(error) => return error.to_string(),
    };
    // Who lacks a library says so on standard error alone.
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    said.lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_and_what_is_another_program_are_missing() {
        for program in ["/nonexistent/openvpn", "/bin/echo"] {
            let missing = of_2_5(program.into()).expect_err(program).to_string();
            assert!(
                missing.starts_with("OpenVPN 2.5 not found: looked at ") && missing.contains(program),
                "{missing}"
            );
        }
    }
}
