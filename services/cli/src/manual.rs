//! Manual pages and completions, as packages have them.

use std::fs;
use std::io;
use std::path::Path;

use crate::local::{SHELLS_OF_PACKAGES, registration};

/// Writes them into a folder that is laid out as `/usr/share` is: a page for each command.
pub(crate) fn write(command: clap::Command, folder: &Path) -> io::Result<()> {
    let pages = folder.join("man/man1");
    fs::create_dir_all(&pages)?;
    clap_mangen::generate_to(command, &pages)?;
    for shell in SHELLS_OF_PACKAGES {
        let (place, name) = match shell {
            "zsh" => ("zsh/vendor-completions", "_vpnmanager"),
            "fish" => ("fish/vendor_completions.d", "vpnmanager.fish"),
            _ => ("bash-completion/completions", "vpnmanager"),
        };
        let place = folder.join(place);
        fs::create_dir_all(&place)?;
        fs::write(place.join(name), registration(shell)?)?;
    }
    Ok(())
}
