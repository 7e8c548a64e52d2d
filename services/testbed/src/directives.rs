//! The directives for clients that a pool may have in its profiles, as an operator writes them. Tests put all of them into one profile.

/// One of each kind, but for those of DNS, of which a profile has one.
const BESIDE_DNS: [&str; 10] = [
    "auth-nocache",
    "connect-retry 2 30",
    "disable-dco",
    "float",
    "mssfix 1400",
    "mute 20",
    "rcvbuf 393216",
    "sndbuf 393216",
    "server-poll-timeout 5",
    "verb 4",
];

/// Clients on Windows ask through the tunnel alone.
pub const BLOCK_OUTSIDE_DNS: &str = "block-outside-dns";
/// Clients keep their own DNS.
pub const KEEP_DNS: &str = "pull-filter ignore dns";
/// Those of DNS.
pub const OF_DNS: [&str; 2] = [BLOCK_OUTSIDE_DNS, KEEP_DNS];

/// All that a profile can have at once, with this one of DNS.
#[must_use]
pub fn all_with(of_dns: &'static str) -> Vec<&'static str> {
    BESIDE_DNS.into_iter().chain([of_dns]).collect()
}
