//! Variables of the environment that look like ours and are none: a mistyped name has no effect, and nobody says so.

use std::collections::BTreeMap;

use super::service_link::is_service_link;
use super::setting::Setting;
use crate::names::misspelt;

/// In words: each with the name that is likely meant. Values are not shown.
pub(super) fn unknown_variables(settings: &[&'static Setting], env: &BTreeMap<String, String>) -> Vec<String> {
    let known: Vec<String> = settings.iter().flat_map(|setting| names_of(setting)).collect();
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    let used: Vec<&str> = settings
        .iter()
        .filter(|setting| !setting.is_ignored())
        .map(|setting| setting.env)
        .collect();
    env.iter()
        .filter(|(name, value)| !known.contains(&name.as_str()) && !is_of_machinery(name, value))
        .filter_map(|(name, _)| match misspelt(name, &known) {
            Some(meant) => Some(format!("{name} (did you mean {meant}?)")),
            None => has_our_prefix(name, &used).then(|| name.clone()),
        })
        .collect()
}

fn names_of(setting: &Setting) -> impl Iterator<Item = String> {
    let of_file = setting.is_secret().then(|| format!("{}_FILE", setting.env));
    std::iter::once(setting.env.to_owned()).chain(of_file)
}

/// The first word of several settings, such as `HEALTH_`.
fn has_our_prefix(name: &str, used: &[&str]) -> bool {
    let Some((word, _)) = name.split_once('_') else {
        return false;
    };
    let same = used
        .iter()
        .filter(|known| known.split_once('_').is_some_and(|(other, _)| other == word));
    same.count() > 1
}

/// What others set, whatever a service of theirs is called: the proxy of HTTP clients; Kubernetes, for each of its services
/// (`BUS_SERVICE_HOST`, `BUS_PORT=tcp://..`, `BUS_PORT_4222_TCP_ADDR`); Docker, for each of its links (the same, and `BUS_NAME=/..`,
/// `BUS_ENV_..`).
fn is_of_machinery(name: &str, value: &str) -> bool {
    let is_port = |rest: &str| rest.starts_with(|c: char| c.is_ascii_digit());
    name.eq_ignore_ascii_case("HTTP_PROXY")
        || name.contains("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || name.contains("_ENV_")
        || name.split_once("_PORT_").is_some_and(|(_, rest)| is_port(rest))
        || is_service_link(name, value)
        || (name.ends_with("_NAME") && value.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    static TABLE: [Setting; 12] = [
        Setting::new("server_id", "SERVER_ID", "", ""),
        Setting::new("api_key", "API_KEY", "", "").secret(),
        Setting::new("listen", "LISTEN", "", ""),
        Setting::new("pool", "POOL", "", ""),
        Setting::new("state_dir", "STATE_DIR", "", ""),
        Setting::new("public_host", "PUBLIC_HOST", "", ""),
        Setting::new("public_port", "PUBLIC_PORT", "", ""),
        Setting::new("openvpn.max_clients", "OPENVPN_MAX_CLIENTS", "", ""),
        Setting::new("openvpn.mode", "OPENVPN_MODE", "", ""),
        Setting::new("health.rehome_after", "HEALTH_REHOME_AFTER", "", ""),
        Setting::new("http.idle_timeout", "HTTP_IDLE_TIMEOUT", "", ""),
        Setting::new("http.head_timeout", "HTTP_HEAD_TIMEOUT", "", ""),
    ];

    fn found(env: &[(&str, &str)]) -> Vec<String> {
        let env = env
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        unknown_variables(&TABLE.iter().collect::<Vec<_>>(), &env.collect())
    }

    #[test]
    fn a_mistyped_name_is_told_with_the_one_that_is_meant() {
        for (name, meant) in [
            ("PUBLIC_HOSTS", "PUBLIC_HOST"),
            ("OPENVPN_MAX_CLIENT", "OPENVPN_MAX_CLIENTS"),
            ("HEALTH_REHOMEAFTER", "HEALTH_REHOME_AFTER"),
            ("SEVRER_ID", "SERVER_ID"),
            ("public_host", "PUBLIC_HOST"),
            ("API_KEY_FILES", "API_KEY_FILE"),
        ] {
            assert_eq!(found(&[(name, "x")]), [format!("{name} (did you mean {meant}?)")]);
        }
        assert_eq!(
            found(&[("OPENVPN_DNS", "x"), ("PUBLIC_HOST_FILE", "x")]),
            ["OPENVPN_DNS", "PUBLIC_HOST_FILE"]
        );
    }

    #[test]
    fn nothing_is_said_of_our_own_and_of_what_the_machinery_sets() {
        let ours = ["SERVER_ID", "API_KEY_FILE", "PUBLIC_PORT", "OPENVPN_MODE"];
        let of_others = [
            "PATH",
            "HOME",
            "HOSTNAME",
            "LOGNAME",
            "USER",
            "SHELL",
            "TERM",
            "LANG",
            "PWD",
            "OLDPWD",
            "SHLVL",
            "TZ",
            "MAIL",
            "INVOCATION_ID",
            "JOURNAL_STREAM",
            "SYSTEMD_EXEC_PID",
            "NOTIFY_SOCKET",
            "WATCHDOG_PID",
            "LISTEN_FDS",
            "LISTEN_PID",
            "STATE_DIRECTORY",
            "RUNTIME_DIRECTORY",
            "LOGS_DIRECTORY",
            "CREDENTIALS_DIRECTORY",
            "MEMORY_PRESSURE_WATCH",
            "KUBERNETES_SERVICE_HOST",
            "KUBERNETES_PORT_443_TCP_PROTO",
            "POD_NAME",
            "NODE_NAME",
            "HEALTH_CHECK",
            "OPENVPN_SERVICE_HOST",
            "OPENVPN_SERVICE_PORT_UDP",
            "OPENVPN_PORT_1194_UDP_ADDR",
            "HTTP_ENV_DEBIAN_FRONTEND",
            "HTTP_PROXY",
            "http_proxy",
            "HTTPS_PROXY",
            "NO_PROXY",
            "TOOL",
            "RUST_LOG",
            "RUST_BACKTRACE",
            "VPNMANAGER_KEEP",
            "DOCKER_HOST",
            "MANAGEMENT_HOST",
        ];
        let env: Vec<(&str, &str)> = ours.into_iter().chain(of_others).map(|name| (name, "x")).collect();
        assert_eq!(found(&env), Vec::<String>::new());
        assert_eq!(
            found(&[("OPENVPN_PORT", "tcp://10.0.0.1:1194"), ("HTTP_NAME", "/app/http")]),
            Vec::<String>::new()
        );
        assert_eq!(found(&[("OPENVPN_PORT", "1194")]), ["OPENVPN_PORT"]);
    }
}
