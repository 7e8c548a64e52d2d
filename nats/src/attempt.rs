//! One attempt to connect, beside the client that is there: it learns why that one cannot.

use std::time::Duration;

use async_nats::{ConnectError, ConnectOptions};

use crate::connect::BusAddress;

/// Opens a connection and closes it. Each address is tried once, until one lets it in.
///
/// # Errors
/// Why the last one that was tried did not. `patience` bounds each connection, but not the name service.
pub async fn attempt(options: ConnectOptions, address: &BusAddress, patience: Duration) -> Result<(), ConnectError> {
    let mut options = options
        .connection_timeout(patience)
        // Counts addresses, not rounds.
        .max_reconnects(address.urls.len());
    if address.uses_tls() {
        options = options.require_tls(true);
    }
    if let Some(ca) = &address.ca_file {
        options = options.add_root_certificates(ca.clone());
    }
    let probe = options.connect(address.urls.clone()).await?;
    // That it was opened is all we wanted to know.
    let _closing = probe.drain().await;
    Ok(())
}
