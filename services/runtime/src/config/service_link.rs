//! Variables that Kubernetes sets for each Service of a namespace, and Docker for each of its links: a Service called `openvpn` gives
//! `OPENVPN_PORT=tcp://10.0.0.1:1194`, which is the name of a setting of ours.

use std::collections::BTreeMap;

use super::setting::Setting;

/// Whether a variable holds the address of such a Service. No port of ours looks like that.
pub(super) fn is_service_link(name: &str, value: &str) -> bool {
    name.ends_with("_PORT") && value.contains("://")
}

/// The variables of settings that are not taken because others set them.
pub(super) fn service_links(settings: &[&'static Setting], env: &BTreeMap<String, String>) -> Vec<&'static str> {
    let is_link = |setting: &&&'static Setting| {
        let value = env.get(setting.env);
        value.is_some_and(|value| is_service_link(setting.env, value))
    };
    settings
        .iter()
        .filter(|setting| !setting.is_ignored())
        .filter(is_link)
        .map(|setting| setting.env)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    static TABLE: [Setting; 4] = [
        Setting::new("openvpn.port", "OPENVPN_PORT", "", ""),
        Setting::new("public_port", "PUBLIC_PORT", "", ""),
        Setting::new("management_url", "MANAGEMENT_URL", "", ""),
        Setting::new("database.port", "DB_PORT", "", "").ignored(),
    ];

    #[test]
    fn addresses_in_the_variables_of_ports_are_named() {
        let env = [
            ("OPENVPN_PORT", "tcp://10.0.0.1:1194"),
            ("PUBLIC_PORT", "1194"),
            ("MANAGEMENT_URL", "https://management.example.org"),
            ("DB_PORT", "tcp://10.0.0.2:5432"),
            ("BUS_PORT", "tcp://10.0.0.3:4222"),
        ];
        let env: BTreeMap<String, String> = env.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        assert_eq!(service_links(&TABLE.iter().collect::<Vec<_>>(), &env), ["OPENVPN_PORT"]);
    }
}
