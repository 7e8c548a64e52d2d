//! The text of `/install.sh`.

use std::fmt::Write as _;

use crate::config::PublicUrl;
use crate::domain::agent_package::RELEASE;
use crate::ops::packages::offer::Offered;

const TEMPLATE: &str = include_str!("install.sh");

/// The script for these packages. What is put into it needs no quoting in a shell beyond the quotes that the script has: a release, names that
/// were parsed, digests, and a URL of plain characters.
pub(super) fn render(offered: &[Offered], public_url: Option<&PublicUrl>) -> String {
    let mut cases = String::new();
    for Offered { package, sha256 } in offered {
        let architecture = package.architecture.name();
        // Writing to a String cannot fail.
        let _infallible = writeln!(cases, "    {architecture}) package={package} sha256={sha256} ;;");
    }
    let url = public_url.map(|url| url.with("")).unwrap_or_default();
    TEMPLATE
        .replace("@RELEASE@", RELEASE)
        .replace("@MANAGEMENT_URL@", &url)
        .replace("    # @PACKAGES@\n", &cases)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::process::Command;

    use super::*;
    use crate::domain::agent_package::{AgentPackage, Architecture};

    fn rendered(url: Option<&str>) -> String {
        let url = url.map(|url| PublicUrl::try_from(url.to_owned()).unwrap());
        let package = AgentPackage {
            architecture: Architecture::Arm64,
            revision: 3,
        };
        let sha256 = "ab".repeat(32);
        render(&[Offered { package, sha256 }], url.as_ref())
    }

    #[test]
    fn the_script_has_the_package_its_digest_and_where_it_is_and_no_hole() {
        let script = rendered(Some("https://vpn.example"));
        let sha256 = "ab".repeat(32);
        let line = format!("    arm64) package=vpnmanager-endnode_{RELEASE}-3_arm64.deb sha256={sha256} ;;\n");
        assert!(script.contains(&line), "{script}");
        assert!(script.contains("management_url='https://vpn.example'"), "{script}");
        for hole in ["@RELEASE@", "@MANAGEMENT_URL@", "@PACKAGES@"] {
            assert!(TEMPLATE.contains(hole) && !script.contains(hole), "{script}");
        }
        assert!(rendered(None).contains("|| management_url=''\n"));
    }

    /// `endnode.env` after the script has set up a machine on which there is this one, and this `endnode-config.json`.
    fn variables_after(variables: &str, file: &str, arguments: &[&str]) -> String {
        let machine = tempfile::tempdir().unwrap();
        let path = machine.path().join("endnode.env");
        fs::write(&path, variables).unwrap();
        fs::write(machine.path().join("endnode-config.json"), file).unwrap();
        let folder = machine.path().to_str().unwrap();
        let script = rendered(Some("https://vpn.example"))
            .replace("/etc/vpnmanager", folder)
            .replace("/var/lib/vpnmanager/endnode", folder)
            .replace("\nmain \"$@\"\n", "\nread_arguments \"$@\"\nconfigure\n");
        let mut shell = Command::new("sh");
        shell.args(["-c", &script, "install.sh"]).args(arguments);
        let ran = shell.output().unwrap();
        assert!(ran.status.success(), "{ran:?}");
        let token = fs::read_to_string(machine.path().join("join-token")).unwrap();
        assert_eq!(token, "vpnjoin-x\n");
        fs::read_to_string(path).unwrap()
    }

    #[test]
    fn settings_of_an_operator_stay_but_for_those_that_are_given() {
        let before =
            "# mine\nOPENVPN_NETWORK=10.64.0.0/16\nSERVER_ID=node-1\nPUBLIC_HOST=old.example\nLISTENERS=udp:1195";
        let after = variables_after(before, "{}", &["vpnjoin-x", "--public-host", "new.example"]);
        assert_eq!(
            after,
            "# mine\nOPENVPN_NETWORK=10.64.0.0/16\nSERVER_ID=node-1\nLISTENERS=udp:1195\n\
             MANAGEMENT_URL=https://vpn.example\nPUBLIC_HOST=new.example\n"
        );
        // What stands in the other file is not said twice.
        let file = r#"{ "server_id": "node-1", "management_url": "http://10.0.0.1:8080", "public_host": null }"#;
        let after = variables_after("LOG_LEVEL=debug\n", file, &["vpnjoin-x"]);
        assert_eq!(after, "LOG_LEVEL=debug\n");
    }

    /// A connection that breaks must not leave half a command.
    #[test]
    fn nothing_runs_before_the_last_line_is_there() {
        let script = rendered(None);
        let code = script.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        let mut depth_zero = Vec::new();
        let mut inside = false;
        for line in code {
            match line {
                "}" => inside = false,
                _ if inside => {}
                _ if line.ends_with("() {") => inside = true,
                _ => depth_zero.push(line),
            }
        }
        assert_eq!(depth_zero, ["set -eu", "main \"$@\""]);
    }
}
