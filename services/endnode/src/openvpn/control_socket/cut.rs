//! Ending sessions over one connection.

use std::{collections::BTreeSet, time::Duration};

use tokio::time::sleep;
use tracing::{debug, info, warn};
use vpnmanager_nats::ids::CommonName;
use vpnmanager_runtime::log_limit::LogLimit;

use super::{connection::Connection, error::ControlError};
use crate::{
    backend::{CutSessions, Parting, Session, SessionKey},
    openvpn::vpn_network::VpnNetwork,
};

static CROWDED: LogLimit = LogLimit::lines("clients got no address", 1);

/// OpenVPN sends a client its last message when its event loop next finds nothing else to do. On a busy machine the order
/// to drop the session could come first, and leave an honest client waiting for its ping timeout.
const FAREWELL: Duration = Duration::from_millis(25);

/// First every client is told how to part, then those that should stop are dropped: an honest client ends by itself, one that
/// ignores the message is cut off. `kill` goes out for every name, also where no session was seen: a handshake may end in between.
/// A client that is only moved is not dropped: OpenVPN repeats the message until it is heard, and ends the session after 5 s.
pub(super) async fn cut(
    connection: &mut Connection,
    names: &[CommonName],
    parting: Parting,
) -> Result<CutSessions, ControlError> {
    let wanted: BTreeSet<&str> = names.iter().map(CommonName::as_str).collect();
    let mut sessions = connection.sessions().await?;
    sessions.retain(|session| wanted.contains(session.common_name.as_str()));
    match parting {
        Parting::Halt | Parting::Reconnect => say_farewell(connection, &sessions, parting).await?,
        Parting::NextRemote => {
            for session in &sessions {
                connection.tell(session.cid, parting).await?;
            }
            return Ok(CutSessions::done(sessions.len()));
        }
    }
    let mut unseen = 0;
    for name in wanted {
        let killed = connection.kill(name).await?;
        let was_seen = sessions.iter().any(|session| session.common_name == name);
        unseen += usize::from(killed && !was_seen);
    }
    debug!(sessions.seen = sessions.len(), sessions.unseen = unseen, "Cut sessions");
    Ok(CutSessions::done(sessions.len() + unseen))
}

/// Ends one session, and gives its common name; `None` if it has ended. Only all sessions of a common name can be dropped at once: where
/// there are others, which `duplicate-cn` allows, the client is told, and OpenVPN drops it after 5 s.
pub(super) async fn end(connection: &mut Connection, key: SessionKey) -> Result<Option<String>, ControlError> {
    let sessions = connection.sessions().await?;
    let Some(session) = sessions.iter().find(|session| session.key() == key) else {
        return Ok(None);
    };
    let common_name = session.common_name.clone();
    let of_it = sessions.iter().filter(|other| other.common_name == common_name);
    if of_it.count() > 1 {
        return Ok(connection.tell(key.cid, Parting::Halt).await?.then_some(common_name));
    }
    say_farewell(connection, std::slice::from_ref(session), Parting::Halt).await?;
    // A name that is not ours may hold blanks, which `kill` would take for the end of the name.
    if common_name.parse::<CommonName>().is_ok() {
        connection.kill(&common_name).await?;
    }
    Ok(Some(common_name))
}

/// Ends these sessions for good, whatever certificate they came with. `parting` is what their clients are told first.
pub(super) async fn cut_strangers(
    connection: &mut Connection,
    strangers: &[Session],
    parting: Parting,
) -> Result<CutSessions, ControlError> {
    for session in strangers {
        warn!(credential.common_name = %session.common_name, session.cid, "Cutting a session that is not allowed");
    }
    drop_all(connection, strangers, parting).await?;
    Ok(CutSessions::done(strangers.len()))
}

/// Ends the sessions of clients that are to come back, and get the address that their credential has now.
pub(super) async fn cut_moved(
    connection: &mut Connection,
    moved: &[Session],
    parting: Parting,
) -> Result<(), ControlError> {
    for session in moved {
        info!(
            credential.common_name = %session.common_name,
            session.cid,
            session.address = %session.virtual_address,
            "Ending a session whose credential has another address"
        );
    }
    drop_all(connection, moved, parting).await
}

/// Ends the sessions of clients that may log in again only once the firewall holds the rules of their groups. This node would refuse them until
/// then, and a client that is refused gives up: so they are sent to the next one.
pub(super) async fn cut_held_back(connection: &mut Connection, held_back: &[Session]) -> Result<(), ControlError> {
    for session in held_back {
        info!(
            credential.common_name = %session.common_name,
            session.cid,
            "Ending a session whose credential is refused until the firewall holds the rules of its group"
        );
    }
    drop_all(connection, held_back, Parting::NextRemote).await
}

/// Ends the sessions of clients that OpenVPN had no address for in this network: the next server of their profiles may have one.
pub(super) async fn cut_crowded_out(
    connection: &mut Connection,
    crowded_out: &[Session],
    network: Option<VpnNetwork>,
) -> Result<(), ControlError> {
    if !crowded_out.is_empty()
        && let Some(times) = CROWDED.admit()
    {
        warn!(
            sessions = crowded_out.len(),
            listener.network = network.map(display),
            times,
            "Clients got no address, because the lower half of the network of their listener is used up: they are sent to their next server"
        );
    }
    drop_all(connection, crowded_out, Parting::NextRemote).await
}

async fn drop_all(connection: &mut Connection, sessions: &[Session], parting: Parting) -> Result<(), ControlError> {
    say_farewell(connection, sessions, parting).await?;
    for session in sessions {
        // A name that is not ours may hold blanks, which `kill` would take for the end of the name.
        if session.common_name.parse::<CommonName>().is_ok() {
            connection.kill(&session.common_name).await?;
        }
    }
    Ok(())
}

/// Tells clients how to part, and gives OpenVPN the time to send it.
async fn say_farewell(connection: &mut Connection, sessions: &[Session], parting: Parting) -> Result<(), ControlError> {
    for session in sessions {
        connection.tell(session.cid, parting).await?;
    }
    if !sessions.is_empty() {
        sleep(FAREWELL).await;
    }
    Ok(())
}
