//! A profile's text, taken apart.

/// The text between `<name>` and `</name>`.
pub(crate) fn block<'a>(profile: &'a str, name: &str) -> &'a str {
    let inner = profile
        .split_once(&format!("<{name}>"))
        .and_then(|(_, rest)| rest.split_once(&format!("</{name}>")));
    inner.unwrap_or_else(|| panic!("no <{name}> in:\n{profile}")).0.trim()
}

/// The `remote` lines in order.
pub(crate) fn remotes(profile: &str) -> Vec<&str> {
    profile.lines().filter(|line| line.starts_with("remote ")).collect()
}

/// The address of each remote in order.
pub(crate) fn hosts(profile: &str) -> Vec<&str> {
    remotes(profile)
        .iter()
        .filter_map(|line| line.split_whitespace().nth(1))
        .collect()
}

/// The same profile with only one of its servers.
pub(crate) fn with_only(profile: &str, remote: &str) -> String {
    let kept = |line: &&str| !line.starts_with("remote ") || *line == remote;
    profile.lines().filter(kept).map(|line| format!("{line}\n")).collect()
}

/// Panics unless everything that a client needs is in it.
pub(crate) fn assert_complete(profile: &str, servers: usize) {
    assert!(block(profile, "ca").contains("BEGIN CERTIFICATE"));
    assert!(block(profile, "cert").contains("BEGIN CERTIFICATE"));
    assert!(block(profile, "key").contains("PRIVATE KEY"));
    assert!(block(profile, "tls-crypt-v2").contains("OpenVPN tls-crypt-v2 client key"));
    assert_eq!(remotes(profile).len(), servers, "{profile}");
}
