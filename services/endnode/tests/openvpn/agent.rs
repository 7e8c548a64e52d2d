//! A running agent: a backend and the tasks behind it.

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use vpnmanager_endnode::{
    backend::{BackendHealth, BackendState, CutSessions, Parting, VpnBackend},
    openvpn::{OpenVpnBackend, OpenVpnTask},
};
use vpnmanager_nats::ids::CommonName;
use vpnmanager_runtime::reconcile::Wake;
use vpnmanager_testbed::wait;

pub(crate) struct Agent {
    pub(crate) backend: OpenVpnBackend,
    cancel: CancellationToken,
    tasks: JoinSet<()>,
}

impl Agent {
    pub(crate) fn start(started: (OpenVpnBackend, OpenVpnTask)) -> Self {
        Self::start_with(started, |task, cancel| task.run(cancel))
    }

    /// The same, while the allow-list is being made right.
    pub(crate) fn start_before(started: (OpenVpnBackend, OpenVpnTask), is_right: Wake) -> Self {
        Self::start_with(started, |task, cancel| async move {
            task.run_after(is_right.woken(), cancel).await;
        })
    }

    fn start_with<Run: Future<Output = ()> + Send + 'static>(
        (backend, task): (OpenVpnBackend, OpenVpnTask),
        run: impl FnOnce(OpenVpnTask, CancellationToken) -> Run,
    ) -> Self {
        let cancel = CancellationToken::new();
        let mut tasks = JoinSet::new();
        tasks.spawn(run(task, cancel.clone()));
        Self { backend, cancel, tasks }
    }

    pub(crate) async fn allow(&self, name: &CommonName) {
        self.backend.allow(std::slice::from_ref(name)).await.expect("allow");
    }

    pub(crate) async fn deny(&self, name: &CommonName) -> CutSessions {
        let names = std::slice::from_ref(name);
        self.backend.deny(names).await.expect("deny");
        self.backend.disconnect(names, Parting::Halt).await.expect("disconnect")
    }

    /// Waits until the backend is in this state, and returns all it says.
    pub(crate) async fn is(&self, state: BackendState) -> BackendHealth {
        let look = async || {
            let health = self.backend.health().await;
            if health.state == state {
                Ok(health)
            } else {
                Err(format!("{health:?}"))
            }
        };
        wait::until_ok(wait::SOON, format_args!("OpenVPN to be {state:?}"), look)
            .await
            .expect("a state")
    }

    /// Waits until exactly these credentials have sessions.
    pub(crate) async fn has_sessions(&self, names: &[&CommonName]) {
        let mut expected: Vec<&str> = names.iter().map(|name| name.as_str()).collect();
        expected.sort_unstable();
        let look = async || {
            let sessions = self.backend.sessions().await.map_err(|error| format!("{error:?}"))?;
            let mut seen: Vec<&str> = sessions.iter().map(|session| session.common_name.as_str()).collect();
            seen.sort_unstable();
            if seen == expected {
                Ok(())
            } else {
                Err(format!("{seen:?}"))
            }
        };
        wait::until_ok(wait::SOON, format_args!("sessions of {expected:?}"), look)
            .await
            .expect("sessions");
    }

    /// Ends the agent as kill -9 would: it says goodbye to nobody.
    pub(crate) async fn dies(mut self) {
        self.tasks.shutdown().await;
    }

    /// Ends the agent gracefully.
    pub(crate) async fn stops(mut self) {
        self.cancel.cancel();
        while self.tasks.join_next().await.is_some() {}
    }
}
