//! The configuration of nats-server.

use std::path::Path;

use super::{accounts::Accounts, init_error::BusInitError, init_request::BusInit, names};

/// The longest line of the protocol, in bytes: subjects, reply subjects, and all that a client says of itself when it connects.
pub(super) const MAX_CONTROL_LINE: usize = 2048;

/// The server listens with TLS 1.3, takes account tokens from its own store, and keeps streams on disk.
/// One fsync a second is enough: PostgreSQL is the truth and the bus is repaired from it.
pub(super) fn render(
    asked: &BusInit,
    dir: &Path,
    store_dir: &Path,
    accounts: &Accounts,
) -> Result<String, BusInitError> {
    let BusInit {
        listen,
        monitor,
        max_store,
        ..
    } = asked;
    let certificate = quoted(&dir.join(names::SERVER_CERTIFICATE))?;
    let key = quoted(&dir.join(names::SERVER_KEY))?;
    let streams = quoted(&store_dir.join("jetstream"))?;
    let tokens = quoted(&store_dir.join("jwt"))?;
    let plaintext = if asked.allow_plaintext {
        "allow_non_tls: true\n"
    } else {
        ""
    };
    let Accounts {
        operator_jwt,
        system,
        vpn,
        nodes,
        ..
    } = accounts;
    let preload: String = [system, vpn, nodes]
        .iter()
        .map(|account| format!("  {}: {}\n", account.key, account.jwt))
        .collect();
    Ok(format!(
        "# Rendered by `vpnmanager-management bus-init`, which renders it again: change its arguments, not this file.\n\
         listen: \"{listen}\"\n\
         server_name: \"vpnmanager-bus\"\n\
         http: \"{monitor}\"\n\
         max_payload: 1MB\n\
         # A node chooses the reply subject of its requests and the name of its connections, and the server keeps both for a while.\n\
         # This bounds them. Our longest line is CONNECT, with a token: 1,300 bytes.\n\
         max_control_line: {MAX_CONTROL_LINE}\n\
         # Management asks every 5 s what connections have sent, also those that are closed. Each is kept with its name and token.\n\
         max_closed_clients: 1000\n\
         # Strangers make it log. With --log FILE these are kept, 64 MB each; on stderr whoever keeps that must limit it.\n\
         logfile_size_limit: 64MB\n\
         logfile_max_num: 5\n\
         # Whoever hangs for 6 s is dropped: a management that does not move gets no more requests that another could answer.\n\
         ping_interval: \"2s\"\n\
         ping_max: 2\n\
         jetstream {{ store_dir: {streams}, max_mem: 256M, max_file: {max_store}, sync_interval: \"1s\" }}\n\
         tls {{ cert_file: {certificate}, key_file: {key}, min_version: \"1.3\" }}\n\
         {plaintext}\
         operator: {operator_jwt}\n\
         system_account: {}\n\
         resolver {{ type: full, dir: {tokens}, allow_delete: false, interval: \"2m\" }}\n\
         resolver_preload {{\n{preload}}}\n",
        system.key
    ))
}

/// A string of the server's configuration, which escapes as JSON does.
fn quoted(path: &Path) -> Result<String, BusInitError> {
    let text = path
        .to_str()
        .ok_or_else(|| BusInitError::Path { path: path.to_owned() })?;
    Ok(serde_json::Value::from(text).to_string())
}
