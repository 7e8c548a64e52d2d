//! Ending sessions over one connection.

use std::{collections::BTreeSet, time::Duration};

use tokio::time::sleep;
use tracing::{debug, warn};
use vpnmanager_nats::ids::CommonName;

use super::{connection::Connection, error::ControlError};
use crate::backend::{CutSessions, Parting, Session, SessionKey};

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
    say_farewell(connection, strangers, parting).await?;
    for session in strangers {
        // A name that is not ours may hold blanks, which `kill` would take for the end of the name.
        if session.common_name.parse::<CommonName>().is_ok() {
            connection.kill(&session.common_name).await?;
        }
    }
    Ok(CutSessions::done(strangers.len()))
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
