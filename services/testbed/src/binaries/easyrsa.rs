//! easy-rsa, which most distributions put beside the usual folders of programs.

use std::path::PathBuf;

use super::find::{INSTALL, Missing, is_program, on_path};

/// Where Debian and Ubuntu have it.
const PLACE: &str = "/usr/share/easy-rsa/easyrsa";

/// easy-rsa's program.
///
/// # Errors
/// [`Missing`] when it is not installed.
pub fn easyrsa() -> Result<PathBuf, Missing> {
    let usual = Some(PathBuf::from(PLACE)).filter(|path| is_program(path));
    on_path("easyrsa").next().or(usual).ok_or_else(|| Missing {
        program: "easyrsa".to_owned(),
        looked: format!("on PATH and at {PLACE}"),
        remedy: INSTALL,
    })
}
