//! The bus, with the node's own credential.

use std::time::Duration;

use async_nats::ConnectErrorKind;
use vpnmanager_runtime::{
    doctor::{Check, Seen, Trouble},
    error_chain::{chain, innermost},
};

use crate::{enrolled::Enrolled, tasks::bus_watch::try_present};

pub(super) const BUS: Check = Check::new("bus", "The bus lets this node in")
    .after(&["identity"])
    .within(Duration::from_secs(40));

/// Opens a connection beside that of the agent.
pub(super) async fn look(enrolled: &Enrolled) -> Seen {
    let place = enrolled.identity.bus_place().shown();
    let Err(error) = try_present(enrolled).await else {
        return Seen::fine(format!("the bus at {place} lets this node in"), ());
    };
    let is_refused = matches!(
        error.kind(),
        Some(ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation)
    );
    if is_refused {
        let node = &enrolled.identity.server_id;
        return Seen::failed(Trouble::new(
            format!(
                "the bus at {place} refuses the credential of this node: {}",
                innermost(&error)
            ),
            "the node sent more than its budget and is cut off for a while, or its key was revoked, or it is the bus of another fleet",
            format!("vpnmanager nodes show {node}"),
        ));
    }
    Seen::failed(Trouble::new(
        format!("the bus at {place} takes no connection"),
        chain(&error).to_string(),
        "journalctl -u vpnmanager-endnode -n 50",
    ))
}
