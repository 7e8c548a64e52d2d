//! A user that no worker changes and that logs in again and again: whatever fails, an allowed user can log in.

use std::{path::PathBuf, time::Duration};

use tokio_util::sync::CancellationToken;
use vpnmanager_testbed::{
    client::{ClientOptions, OpenvpnClient},
    net::Network,
    stack::Stack,
    wait,
};

use super::{
    credential::By,
    device::Device,
    model::{Answer, Person},
    operation::Operation,
    timeline::Timeline,
};

pub(super) const NAME: &str = "commuter";
const PREPARE: Duration = Duration::from_secs(30);
/// How long a login may take: longer than any fault of a server, plus the time in which a client tries all servers.
const PATIENCE: Duration = Duration::from_secs(60);
const REST: Duration = Duration::from_secs(2);

/// A user whose profile was read before the first fault.
#[derive(Debug)]
pub(super) struct Commuter {
    network: Network,
    dir: PathBuf,
    profile: String,
    timeline: Timeline,
}

/// The results.
#[derive(Debug, Default)]
pub(super) struct Commuted {
    pub(super) logins: usize,
    pub(super) violations: Vec<String>,
}

impl Commuter {
    /// Creates the user and reads the profile.
    pub(super) async fn hire(stack: &Stack, timeline: &Timeline) -> anyhow::Result<(Self, Person)> {
        let api = stack.api();
        let created = api.create_user(NAME, Some(PREPARE)).await?.expect(201)?;
        anyhow::ensure!(created.body["synced"] == true, "not synced: {}", created.text);
        // A node that has just joined may be sent everything once more, and be asked for the profile meanwhile.
        let made = async || api.profile(NAME).await;
        let profile = wait::until_ok(PREPARE, "the profile", made).await?;
        let mut person = Person::new(NAME.to_owned());
        let create = Operation::CREATE;
        person.note(&create, &Answer::Done).map_err(anyhow::Error::msg)?;
        person.learn(Device::Default, By::Profile(profile.clone()));
        let dir = stack.state().dir.join("commuter");
        std::fs::create_dir(&dir)?;
        let commuter = Self {
            network: stack.network()?.clone(),
            dir,
            profile,
            timeline: timeline.clone(),
        };
        Ok((commuter, person))
    }

    /// Logs in and out until told to stop.
    pub(super) async fn run(&self, stop: CancellationToken) -> Commuted {
        let mut commuted = Commuted::default();
        while !stop.is_cancelled() {
            let login = tokio::select! {
                login = self.log_in(commuted.logins) => login,
                () = stop.cancelled() => break,
            };
            match login {
                Ok(took) => {
                    let took = took.as_secs_f64();
                    self.timeline.note(format!("{NAME} logged in after {took:.1} s"));
                }
                Err(error) => commuted.violations.push(format!("{NAME} cannot log in: {error:#}")),
            }
            commuted.logins += 1;
            tokio::select! {
                () = tokio::time::sleep(REST) => {}
                () = stop.cancelled() => {}
            }
        }
        commuted
    }

    async fn log_in(&self, number: usize) -> anyhow::Result<Duration> {
        let namespace = self.network.add_client(None).await?;
        let (name, options) = (format!("login-{number}"), ClientOptions::default());
        let client = OpenvpnClient::start(&namespace, &self.profile, (&self.dir, &name), &options)?;
        let connected = client.connected(PATIENCE).await;
        // The server may be away, so do not wait until the client has told it.
        client.kill().await;
        namespace.delete().await;
        Ok(connected?)
    }
}
