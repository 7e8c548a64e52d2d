//! The file of a profile: `<dir>/<common name>.ovpn`, for its owner only.

use std::path::{Path, PathBuf};

use vpnmanager_nats::ids::CommonName;
use vpnmanager_profile::profile::Profile;
use vpnmanager_runtime::secret_file::{self, SecretFileError};

/// Where a credential's profile lies.
pub fn profile_path(dir: &Path, name: &CommonName) -> PathBuf {
    dir.join(format!("{name}.ovpn"))
}

/// Stores a profile, 0600, and returns its path. It appears complete or not at all.
pub fn store(profile: &Profile, dir: &Path, name: &CommonName) -> Result<PathBuf, SecretFileError> {
    let path = profile_path(dir, name);
    secret_file::write_unsynced(&path, profile.expose())?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn a_stored_profile_is_private() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let profile = Profile::from(secrecy::SecretString::from("client\n"));
        let path = store(&profile, dir.path(), &"alice.x".parse().expect("valid")).expect("store");
        assert_eq!(path, dir.path().join("alice.x.ovpn"));
        assert_eq!(std::fs::metadata(&path).expect("metadata").mode() & 0o777, 0o600);
    }
}
