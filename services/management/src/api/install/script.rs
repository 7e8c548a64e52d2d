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
        assert!(rendered(None).contains("management_url=''"));
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
