//! The service itself, as it answers.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::Value;
use vpnmanager_runtime::{
    doctor::{Check, Seen, Trouble, host_names::dialled},
    error_chain::innermost,
};

use crate::{config::Config, https};

pub(super) const SERVICE: Check = Check::new("service", "Management runs here and is well").after(&["configuration"]);

const PATIENCE: Duration = Duration::from_secs(4);

/// What `/health` says at an address of LISTEN.
///
/// # Errors
/// Nobody answers there, for this reason.
pub(super) async fn health(config: &Config, listen: &str) -> Result<(StatusCode, Value), String> {
    let scheme = match https::certificate_file(config) {
        Some(_) => "https",
        None => "http",
    };
    let url = format!("{scheme}://{}/health", dialled(listen));
    let asked = async {
        // It is asked on its own machine, and told no secret; its certificate is for the names that others dial.
        let client = reqwest::Client::builder().tls_danger_accept_invalid_certs(true);
        let client = client.timeout(PATIENCE).no_proxy().build()?;
        let answer = client.get(url).send().await?;
        let status = answer.status();
        // Another program may answer with anything.
        Ok::<_, reqwest::Error>((status, answer.json().await.unwrap_or_default()))
    };
    asked.await.map_err(|error| innermost(&error))
}

/// Asks the first address.
pub(super) async fn look(config: &Config) -> Seen {
    let Some(listen) = config.listen.first() else {
        return Seen::skipped("LISTEN is empty");
    };
    match health(config, listen).await {
        Ok((status, body)) => judge(listen, status, &body),
        Err(cause) => Seen::failed(Trouble::new(
            format!("management does not answer at {listen}"),
            cause,
            "systemctl restart vpnmanager-management; journalctl -u vpnmanager-management -n 50",
        )),
    }
}

fn judge(listen: &str, status: StatusCode, body: &Value) -> Seen {
    let text = |member: &str| body[member].as_str().unwrap_or_default().to_owned();
    let log = "journalctl -u vpnmanager-management -n 50";
    if status != StatusCode::OK {
        return Seen::failed(Trouble::new(
            format!("management at {listen} says that it cannot work ({status})"),
            text("detail"),
            log,
        ));
    }
    let version = text("version");
    let problems: Vec<&str> = body["problems"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    if !problems.is_empty() {
        let trouble = Trouble::new("management works, and not as it should", problems.join("; "), log);
        return Seen::warning(trouble, ());
    }
    let own = env!("CARGO_PKG_VERSION");
    if version != own {
        let trouble = Trouble::new(
            format!("management {version} runs, and this is {own}"),
            "another release runs than is installed",
            "systemctl restart vpnmanager-management",
        );
        return Seen::warning(trouble, ());
    }
    Seen::fine(format!("management {version} answers at {listen}"), ())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_the_service_says_of_itself_is_told() {
        let said = |status, body: Value| format!("{:?}", judge("127.0.0.1:8080", status, &body));
        let version = env!("CARGO_PKG_VERSION");
        let well = said(StatusCode::OK, json!({ "version": version, "problems": [] }));
        assert!(well.contains("Fine"), "{well}");
        let degraded = said(
            StatusCode::OK,
            json!({ "version": version, "problems": ["the bus stores nothing"] }),
        );
        assert!(
            degraded.contains("Warning") && degraded.contains("stores nothing"),
            "{degraded}"
        );
        let other = said(StatusCode::OK, json!({ "version": "0.0.1", "problems": [] }));
        assert!(other.contains("Warning") && other.contains("0.0.1 runs"), "{other}");
        let away = said(
            StatusCode::SERVICE_UNAVAILABLE,
            json!({ "detail": "the database is away" }),
        );
        assert!(
            away.contains("Failed") && away.contains("the database is away"),
            "{away}"
        );
    }
}
