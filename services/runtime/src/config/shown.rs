//! A setting as people are shown it.

use serde_json::Value;

use super::setting::Setting;

/// A setting with its value, where it is no secret, and where that came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownSetting {
    /// Its key in the configuration file.
    pub key: &'static str,
    /// Its variable.
    pub variable: &'static str,
    /// Its value as JSON; `null` where there is none.
    pub value: String,
    /// The layer that gave it; `None`: it has its default, or nothing.
    pub origin: Option<String>,
}

impl ShownSetting {
    /// That of this setting among all values, in which secrets are masked.
    pub(super) fn of(setting: &Setting, values: &Value, origin: Option<String>) -> Self {
        let pointer = format!("/{}", setting.key.replace('.', "/"));
        let value = values.pointer(&pointer).unwrap_or(&Value::Null);
        Self {
            key: setting.key,
            variable: setting.env,
            value: value.to_string(),
            origin,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_setting_is_found_in_its_section() {
        const PORT: Setting = Setting::new("database.port", "DB_PORT", "Port", "a port");
        let shown = ShownSetting::of(&PORT, &json!({ "database": { "port": 5432 } }), None);
        assert_eq!((shown.variable, shown.value.as_str()), ("DB_PORT", "5432"));
        assert_eq!(ShownSetting::of(&PORT, &json!({}), None).value, "null");
    }
}
