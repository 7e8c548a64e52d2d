//! Secrets as they are shown.

use secrecy::SecretString;
use serde::Serializer;
use serde_json::Value;

use super::setting::Setting;

/// What is shown in place of a secret.
pub const MASK: &str = "********";

/// For `#[serde(serialize_with = "vpnmanager_runtime::config::masked")]` on a `SecretString` or an `Option` of it.
pub fn masked<'a, T, S>(secret: &'a T, serializer: S) -> Result<S::Ok, S::Error>
where
    Option<&'a SecretString>: From<&'a T>,
    S: Serializer,
{
    match Option::from(secret) {
        Some(_) => serializer.serialize_str(MASK),
        None => serializer.serialize_none(),
    }
}

/// Masks every secret of the table, whatever its serializer wrote.
pub(crate) fn mask_secrets<'a>(shown: &mut Value, settings: impl Iterator<Item = &'a Setting>) {
    for setting in settings.filter(|setting| setting.is_secret()) {
        let pointer = format!("/{}", setting.key.replace('.', "/"));
        if let Some(value) = shown.pointer_mut(&pointer)
            && !value.is_null()
        {
            *value = Value::from(MASK);
        }
    }
}
