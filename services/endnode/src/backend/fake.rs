//! A backend in memory.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chrono::{SubsecRound as _, Utc};
use tokio::{sync::watch, time::sleep};
use vpnmanager_nats::ids::CommonName;

use super::{
    error::BackendError,
    health::{BackendHealth, BackendState},
    look::Look,
    serving::Serving,
    session::{CutSessions, Parting, Session, SessionKey},
    vpn_backend::VpnBackend,
};
use crate::{allow_list::Reconciled, groups::Places};

/// A VPN server that exists only in memory, for fast tests. Clones share one state.
#[derive(Debug, Clone, Default)]
pub struct FakeBackend {
    state: Arc<Mutex<State>>,
    logins: watch::Sender<u64>,
    /// Who has a fixed address; `None`: nobody.
    places: Option<Places>,
}

#[derive(Debug)]
struct State {
    allowed: BTreeSet<CommonName>,
    sessions: Vec<Session>,
    next_cid: u64,
    reachable: bool,
    hangs: bool,
    answers_after: Duration,
    looks: u32,
    serving: Serving,
    restarts: u32,
    /// Who was told to part, and how.
    partings: Vec<(CommonName, Parting)>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            allowed: BTreeSet::new(),
            sessions: Vec::new(),
            next_cid: 0,
            reachable: true,
            hangs: false,
            answers_after: Duration::ZERO,
            looks: 0,
            serving: Serving::Undecided,
            restarts: 0,
            partings: Vec::new(),
        }
    }
}

impl FakeBackend {
    /// A server that gives fixed addresses to those who have one of these places.
    pub fn with_places(places: Places) -> Self {
        Self {
            places: Some(places),
            ..Self::default()
        }
    }

    /// A client tries to log in. True when it was let in.
    pub fn connect(&self, name: &CommonName) -> bool {
        let address = self.address_of(name);
        let mut state = self.lock();
        if !state.allowed.contains(name) {
            return false;
        }
        state.sessions.retain(|session| session.common_name != name.as_str());
        let session = Session {
            virtual_address: address,
            is_established: true,
            ..state.dialled(name)
        };
        state.sessions.push(session);
        self.logins.send_modify(|logins| *logins += 1);
        true
    }

    /// A client tries to log in and is refused. It stands among the sessions until it is cut, as OpenVPN keeps it for 5 s.
    pub fn refuse(&self, name: &CommonName) {
        let mut state = self.lock();
        let session = Session {
            bytes_in: 3500,
            bytes_out: 3600,
            ..state.dialled(name)
        };
        state.sessions.push(session);
    }

    /// A connected client sends so many bytes, and gets as many.
    pub fn transfer(&self, name: &CommonName, bytes: u64) {
        for session in &mut self.lock().sessions {
            if session.common_name == name.as_str() {
                session.bytes_in += bytes;
                session.bytes_out += bytes;
            }
        }
    }

    /// The server dies and starts: its sessions are gone, and it counts from 0 again.
    pub fn begin_anew(&self) {
        self.lock().begin_anew();
    }

    /// How often it was to be restarted.
    pub fn restarts(&self) -> u32 {
        self.lock().restarts
    }

    /// Makes the server answer or not answer from now on, as when its process dies. Sessions stay.
    pub fn set_reachable(&self, reachable: bool) {
        self.lock().reachable = reachable;
    }

    /// Makes the server take this long, from now on, to tell of its sessions.
    pub fn slow_down(&self, answers_after: Duration) {
        self.lock().answers_after = answers_after;
    }

    /// How often it was asked for its sessions.
    pub fn looks(&self) -> u32 {
        self.lock().looks
    }

    /// Makes the server end no session from now on, and answer nobody who wants one ended.
    pub fn hang(&self) {
        self.lock().hangs = true;
    }

    /// Whose sessions the agent wanted ended by name, and how, the oldest first.
    pub fn partings(&self) -> Vec<(CommonName, Parting)> {
        self.lock().partings.clone()
    }

    /// What the agent last said about serving.
    pub fn serving(&self) -> Serving {
        self.lock().serving
    }

    fn address_of(&self, name: &CommonName) -> String {
        let place = self.places.as_ref().and_then(|places| {
            let place = places.place_of(name)?;
            Some(places.layout().address(place.host).to_string())
        });
        place.unwrap_or_else(|| "10.8.0.2".to_owned())
    }

    /// Whether a credential is let in only once the firewall holds the rules of its group.
    fn is_held_back(&self, name: &CommonName) -> bool {
        let waits = |places: &Places| places.place_of(name).is_some() && !places.is_enforced();
        self.places.as_ref().is_some_and(waits)
    }

    /// Whether a session is to begin again: with another address, or elsewhere until the firewall holds the rules of its group.
    fn is_moved(&self, session: &Session, allowed: &BTreeSet<CommonName>) -> bool {
        let Ok(name) = session.common_name.parse::<CommonName>() else {
            return false;
        };
        match allowed.contains(&name) {
            true => !self.fits(session),
            false => self.is_held_back(&name),
        }
    }

    fn fits(&self, session: &Session) -> bool {
        let (Some(places), Ok(name)) = (&self.places, session.common_name.parse()) else {
            return true;
        };
        places.fits(&name, &session.virtual_address, &session.virtual_address6)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn begin_anew(&mut self) {
        self.sessions.clear();
        self.next_cid = 0;
    }

    /// A client that has shown its certificate.
    fn dialled(&mut self, name: &CommonName) -> Session {
        let cid = self.next_cid;
        self.next_cid += 1;
        Session {
            common_name: name.to_string(),
            cid,
            real_address: "192.0.2.1:50000".to_owned(),
            since: Utc::now().trunc_subsecs(6),
            ..Session::default()
        }
    }

    fn cut(&mut self, is_victim: impl Fn(&Self, &Session) -> bool) -> CutSessions {
        if !self.reachable {
            return CutSessions::pending();
        }
        let (victims, kept): (Vec<_>, Vec<_>) = std::mem::take(&mut self.sessions)
            .into_iter()
            .partition(|session| is_victim(self, session));
        self.sessions = kept;
        CutSessions::done(victims.len())
    }
}

fn is_one_of(names: &[CommonName], session: &Session) -> bool {
    names.iter().any(|name| name.as_str() == session.common_name)
}

impl VpnBackend for FakeBackend {
    async fn allow(&self, names: &[CommonName]) -> Result<Vec<CommonName>, BackendError> {
        let all = names.iter().cloned();
        let (held_back, let_in): (Vec<_>, Vec<_>) = all.partition(|name| self.is_held_back(name));
        let mut state = self.lock();
        state.allowed.retain(|name| !held_back.contains(name));
        state.allowed.extend(let_in);
        Ok(held_back)
    }

    async fn deny(&self, names: &[CommonName]) -> Result<(), BackendError> {
        let mut state = self.lock();
        for name in names {
            state.allowed.remove(name);
        }
        Ok(())
    }

    async fn hold_back_unheld(&self) -> Result<(), BackendError> {
        self.lock().allowed.retain(|name| !self.is_held_back(name));
        Ok(())
    }

    async fn disconnect(&self, names: &[CommonName], parting: Parting) -> Result<CutSessions, BackendError> {
        if self.lock().hangs && !names.is_empty() {
            std::future::pending::<()>().await;
        }
        let partings = names.iter().map(|name| (name.clone(), parting));
        self.lock().partings.extend(partings);
        Ok(self.lock().cut(|_, session| is_one_of(names, session)))
    }

    async fn end(&self, session: SessionKey) -> Result<Option<String>, BackendError> {
        let mut state = self.lock();
        let place = state.sessions.iter().position(|held| held.key() == session);
        Ok(place.map(|place| state.sessions.remove(place).common_name))
    }

    async fn compare(&self, wanted: BTreeSet<CommonName>) -> Result<BTreeSet<CommonName>, BackendError> {
        let allowed = self.lock().allowed.clone();
        let differing = allowed.symmetric_difference(&wanted);
        let differing = differing.filter(|name| allowed.contains(*name) || !self.is_held_back(name));
        Ok(differing.cloned().collect())
    }

    async fn mend(
        &self,
        names: &BTreeSet<CommonName>,
        wanted: &BTreeSet<CommonName>,
    ) -> Result<Reconciled, BackendError> {
        let mut state = self.lock();
        let mut changes = Reconciled::default();
        for name in names {
            match (wanted.contains(name), state.allowed.contains(name)) {
                (true, false) => changes.added.push(name.clone()),
                (false, true) => changes.removed.push(name.clone()),
                (true, true) | (false, false) => {}
            }
        }
        state.allowed.extend(changes.added.iter().cloned());
        for name in &changes.removed {
            state.allowed.remove(name);
        }
        Ok(changes)
    }

    async fn enforce(&self) -> Result<CutSessions, BackendError> {
        let is_allowed =
            |state: &State, session: &Session| state.allowed.iter().any(|name| name.as_str() == session.common_name);
        let mut state = self.lock();
        if !state.reachable {
            return Ok(CutSessions::pending());
        }
        let sessions = state.sessions.iter();
        let moved = sessions.filter(|session| self.is_moved(session, &state.allowed));
        let moved: BTreeSet<SessionKey> = moved.map(Session::key).collect();
        state.sessions.retain(|session| !moved.contains(&session.key()));
        let cut = state.cut(|state, session| !is_allowed(state, session));
        Ok(CutSessions { moved, ..cut })
    }

    async fn look(&self) -> Result<Look, BackendError> {
        let answers_after = {
            let mut state = self.lock();
            state.looks = state.looks.saturating_add(1);
            state.answers_after
        };
        if !answers_after.is_zero() {
            sleep(answers_after).await;
        }
        let state = self.lock();
        if state.reachable {
            Ok(state.sessions.clone().into())
        } else {
            Err(BackendError::Server("the server does not answer".into()))
        }
    }

    fn logins(&self) -> watch::Receiver<u64> {
        self.logins.subscribe()
    }

    async fn health(&self) -> BackendHealth {
        let state = self.lock();
        let sessions = u32::try_from(state.sessions.len()).unwrap_or(u32::MAX);
        let reached = if state.reachable {
            BackendState::Up
        } else {
            BackendState::Down
        };
        BackendHealth {
            sessions,
            capacity: 1000,
            ..BackendHealth::bare(reached, "")
        }
    }

    async fn set_serving(&self, serving: Serving) {
        self.lock().serving = serving;
    }

    fn would_restart(&self) -> Result<(), BackendError> {
        Ok(())
    }

    async fn restart(&self) -> Result<(), BackendError> {
        let mut state = self.lock();
        state.restarts += 1;
        state.begin_anew();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> CommonName {
        text.parse().expect("a valid common name")
    }

    #[tokio::test]
    async fn a_denied_credential_loses_its_session_and_is_refused() {
        let backend = FakeBackend::default();
        backend.allow(&[name("alice.x")]).await.expect("allow");
        assert!(backend.connect(&name("alice.x")));
        backend.deny(&[name("alice.x")]).await.expect("deny");
        let cut = backend
            .disconnect(&[name("alice.x")], Parting::Halt)
            .await
            .expect("cut");
        assert_eq!(cut, CutSessions::done(1));
        assert!(!backend.connect(&name("alice.x")));
    }

    #[tokio::test]
    async fn a_restart_ends_all_sessions_and_changes_nobodys_access() {
        let backend = FakeBackend::default();
        let alice = name("alice.x");
        backend.allow(std::slice::from_ref(&alice)).await.expect("allow");
        assert!(backend.connect(&alice));
        backend.would_restart().expect("it would");
        assert_eq!((backend.restarts(), backend.health().await.sessions), (0, 1));
        backend.restart().await.expect("restarted");
        assert_eq!((backend.restarts(), backend.health().await.sessions), (1, 0));
        assert!(backend.connect(&alice));
        assert!(!backend.connect(&name("bob.x")));
    }

    #[tokio::test]
    async fn a_cut_that_found_no_server_is_pending_until_enforced() {
        let backend = FakeBackend::default();
        backend.allow(&[name("alice.x")]).await.expect("allow");
        backend.connect(&name("alice.x"));
        backend.set_reachable(false);
        backend.deny(&[name("alice.x")]).await.expect("deny");
        let cut = backend
            .disconnect(&[name("alice.x")], Parting::Halt)
            .await
            .expect("asked");
        assert_eq!(cut, CutSessions::pending());
        backend.set_reachable(true);
        assert_eq!(backend.enforce().await.expect("enforce").count, 1);
    }
}
