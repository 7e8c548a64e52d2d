//! How what old servers say is repeated to people.

use vpnmanager_adopt::found::{FoundClient, Place};
use vpnmanager_nats::bounded::shortened;

/// The longest name that is repeated, in characters.
const LONGEST_NAME: usize = 100;

/// A name of the source, in quotes.
pub(super) fn shown_name(name: &str) -> String {
    format!("{:?}", shortened(name, LONGEST_NAME))
}

/// What the old server gives this client alone, and the fleet does not.
pub(super) fn kept_at_old_listener(client: &FoundClient) -> Option<String> {
    let address = client.address.map(|address| format!("the address {address}"));
    let networks = (!client.networks.is_empty()).then(|| {
        let networks: Vec<String> = client.networks.iter().map(ToString::to_string).collect();
        format!("the networks {} behind the client", networks.join(", "))
    });
    let pushed = (!client.pushed.is_empty()).then(|| format!("{} pushed lines", client.pushed.len()));
    let kept: Vec<String> = [address, networks, pushed].into_iter().flatten().collect();
    (!kept.is_empty()).then(|| format!("with the old profile alone: {}", kept.join(", ")))
}

/// Where something stands.
pub(super) fn shown_place(place: &Place) -> String {
    let (file, line) = (shortened(&place.file, LONGEST_NAME), place.line);
    Place { file, line }.to_string()
}
