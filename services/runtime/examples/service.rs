//! The smallest service, which the tests of this crate start as a process.

use std::process::ExitCode;
use std::time::Duration;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use tracing::info;
use vpnmanager_runtime::config::{Service, Setting};
use vpnmanager_runtime::process::{self, Stop};
use vpnmanager_runtime::service_manager;
use vpnmanager_runtime::tasks::Tasks;
use vpnmanager_runtime::telemetry::{self, LogConfig};

const SETTINGS: &[Setting] = &[
    Setting::new("api_key", "API_KEY", "First admin key", "any text")
        .secret()
        .sample("change-me"),
    Setting::new("mood", "MOOD", "How its task behaves", "patient or suicidal").default("patient"),
];

const SERVICE: Service = Service {
    name: "service",
    version: env!("CARGO_PKG_VERSION"),
    about: "The smallest service",
    file_name: "service-config.json",
    settings: &[SETTINGS, telemetry::SETTINGS],
};

#[derive(Deserialize, Serialize)]
struct Config {
    #[serde(serialize_with = "vpnmanager_runtime::config::masked")]
    api_key: SecretString,
    mood: Mood,
    log: LogConfig,
}

#[derive(Clone, Copy, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum Mood {
    Patient,
    Suicidal,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Run the service (the default)
    Serve,
    /// Print a sample configuration file
    ConfigSample,
}

fn main() -> ExitCode {
    process::run(|| {
        let cli = SERVICE.parse::<Command>()?;
        match &cli.command {
            Some(Command::ConfigSample) => Err(Stop::Done(SERVICE.sample())),
            None | Some(Command::Serve) => serve(&cli.load()?),
        }
    })
}

fn serve(config: &Config) -> Result<(), Stop> {
    vpnmanager_runtime::tls::install_crypto_provider();
    let _log = telemetry::init(&config.log, "example")?;
    process::block_on(run(config.mood))??;
    Ok(())
}

async fn run(mood: Mood) -> anyhow::Result<()> {
    let tasks = Tasks::new();
    tasks.stop_on_signals()?;
    tasks.spawn_worker("watchdog", service_manager::show_life(tasks.draining()));
    let stop = tasks.token();
    tasks.spawn("mood", async move {
        info!("Ready");
        service_manager::ready("Ready");
        match mood {
            Mood::Patient => stop.cancelled().await,
            Mood::Suicidal => panic!("enough"),
        }
        Ok(())
    });
    tasks.wait(Duration::from_secs(5)).await?;
    Ok(())
}
