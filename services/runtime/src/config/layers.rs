//! Picks each setting's value from the highest layer that has one, and turns the result into the service's struct.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use config::{Config, ValueKind};
use secrecy::ExposeSecret as _;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::error::ConfigError;
use super::quotes::{QUOTED, is_quoted};
use super::service_link::is_service_link;
use super::setting::{Kind, Listing, Setting};
use crate::json::{self, JsonError};

/// Names the folder in which systemd gives a unit its credentials (systemd.exec(5), `LoadCredential=`).
const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";

/// A value and the layer that gave it.
#[derive(Debug)]
struct Picked {
    value: Value,
    origin: String,
}

/// Every layer above the defaults.
pub(crate) struct Layers<'a> {
    pub(crate) settings: Vec<&'static Setting>,
    /// Values by flag name, without dashes.
    pub(crate) flags: &'a BTreeMap<String, String>,
    pub(crate) env: &'a BTreeMap<String, String>,
    pub(crate) file: Option<PathBuf>,
}

impl Layers<'_> {
    /// Merges the layers into `C`.
    pub(crate) fn load<C: DeserializeOwned>(&self) -> Result<C, ConfigError> {
        let picked = self.pick_all()?;
        let mut builder = Config::builder();
        for (key, Picked { value, origin }) in &picked {
            builder = builder
                .set_override(*key, config::Value::new(Some(origin), kind_of(value)))
                .map_err(|error| ConfigError::Table(error.to_string()))?;
        }
        builder
            .build()
            .and_then(Config::try_deserialize)
            .map_err(|error| self.explain(&error, &picked))
    }

    /// Settings that were given although they are not used.
    pub(crate) fn unused(&self) -> Result<Vec<String>, ConfigError> {
        let file = self.file_values()?;
        let mut unused = Vec::new();
        for setting in self.settings.iter().filter(|setting| setting.is_ignored()) {
            if let Some(picked) = self.pick(setting, &file)? {
                unused.push(format!("{} (from {})", setting.key, picked.origin));
            }
        }
        Ok(unused)
    }

    /// The layer that gives a setting its value, if one does.
    pub(crate) fn origin(&self, key: &str) -> Result<Option<String>, ConfigError> {
        let Some(setting) = self.settings.iter().find(|setting| setting.key == key) else {
            return Ok(None);
        };
        let picked = self.pick(setting, &self.file_values()?)?;
        Ok(picked.map(|picked| picked.origin))
    }

    fn pick_all(&self) -> Result<BTreeMap<&'static str, Picked>, ConfigError> {
        let file = self.file_values()?;
        let mut picked = BTreeMap::new();
        for setting in self.settings.iter().filter(|setting| !setting.is_ignored()) {
            let given = if self.is_replaced(setting, &file)? {
                None
            } else {
                self.pick(setting, &file)?
            };
            let found = given.or_else(|| {
                setting.default.map(|text| Picked {
                    value: Value::from(text),
                    origin: "the default".to_owned(),
                })
            });
            if let Some(mut found) = found {
                split_list(setting, &mut found.value);
                picked.insert(setting.key, found);
            }
        }
        Ok(picked)
    }

    fn is_replaced(&self, setting: &Setting, file: &BTreeMap<String, Value>) -> Result<bool, ConfigError> {
        let by = self
            .settings
            .iter()
            .find(|other| setting.replaced_by == Some(other.key));
        let given = by.map(|by| self.pick(by, file)).transpose()?;
        Ok(given.flatten().is_some())
    }

    fn pick(&self, setting: &Setting, file: &BTreeMap<String, Value>) -> Result<Option<Picked>, ConfigError> {
        let flag = setting.flag();
        let variable = setting.env;
        let of_variable = format!("environment variable {variable}");
        let text =
            |layer: &BTreeMap<String, String>, name: &str| layer.get(name).map(|text| Value::from(text.as_str()));
        let layers = [
            (
                format!("flag --{flag}"),
                text(self.flags, &flag),
                text(self.flags, &format!("{flag}-file")),
            ),
            (
                of_variable.clone(),
                self.variable(setting),
                text(self.env, &format!("{variable}_FILE")),
            ),
            (
                self.file
                    .as_deref()
                    .map(|file| file.display().to_string())
                    .unwrap_or_default(),
                file.get(setting.key).cloned(),
                file.get(&format!("{}_file", setting.key)).cloned(),
            ),
        ];
        for (origin, direct, from_file) in layers {
            let from_file = match setting.kind {
                Kind::Secret => from_file,
                Kind::Plain | Kind::Ignored => None,
            };
            match (direct, from_file) {
                (None, None) => {}
                (Some(value), None) if origin == of_variable => return unquoted(setting, origin, value).map(Some),
                (Some(value), None) => return Ok(Some(Picked { value, origin })),
                (None, Some(path)) => return read_secret(setting, &origin, &path).map(Some),
                (Some(_), Some(_)) => {
                    let reason = "both the value and its file are given".to_owned();
                    return Err(ConfigError::invalid(setting, origin, reason));
                }
            }
        }
        self.credential(setting)
    }

    /// A secret that the unit was given: its file is called like the flag. An empty one is none: a unit has it in the place of a file that the
    /// operator did not make.
    fn credential(&self, setting: &Setting) -> Result<Option<Picked>, ConfigError> {
        let Some(folder) = self.env.get(CREDENTIALS).filter(|_| setting.is_secret()) else {
            return Ok(None);
        };
        let path = format!("{folder}/{}", setting.flag());
        if !Path::new(&path).exists() {
            return Ok(None);
        }
        let found = read_secret(setting, CREDENTIALS, &Value::from(path))?;
        let is_empty = found.value.as_str().is_some_and(|text| text.trim().is_empty());
        Ok((!is_empty).then_some(found))
    }

    /// What the environment says. An address that others put there is none of it.
    fn variable(&self, setting: &Setting) -> Option<Value> {
        let value = self.env.get(setting.env)?;
        (!is_service_link(setting.env, value)).then(|| Value::from(value.as_str()))
    }

    /// The file's values by dotted key, without nulls.
    fn file_values(&self) -> Result<BTreeMap<String, Value>, ConfigError> {
        let Some(file) = &self.file else {
            return Ok(BTreeMap::new());
        };
        let root = read_object(file)?;
        let mut leaves = BTreeMap::new();
        if let Err(key) = flatten("", root, &mut leaves) {
            return Err(ConfigError::Twice {
                file: file.clone(),
                key,
            });
        }
        let known = self.known_keys();
        let unknown: Vec<String> = leaves.keys().filter(|key| !known.contains(key)).cloned().collect();
        if !unknown.is_empty() {
            return Err(ConfigError::UnknownKeys {
                file: file.clone(),
                unknown,
                expected: known,
            });
        }
        leaves.retain(|_, value| !value.is_null());
        Ok(leaves)
    }

    fn known_keys(&self) -> Vec<String> {
        let file_variant = |setting: &&Setting| setting.is_secret().then(|| format!("{}_file", setting.key));
        let keys = self.settings.iter().map(|setting| setting.key.to_owned());
        keys.chain(
            self.settings
                .iter()
                .copied()
                .filter_map(|setting| file_variant(&setting)),
        )
        .collect()
    }

    /// Finds the setting behind an error of deserialisation.
    fn explain(&self, error: &config::ConfigError, picked: &BTreeMap<&'static str, Picked>) -> ConfigError {
        let key = key_of(error);
        let Some(setting) = self.settings.iter().find(|setting| key.as_deref() == Some(setting.key)) else {
            // Such as `listen[0]`, which is not in `listeners`, nor the other way round.
            let inside = |setting: &&&'static Setting| {
                let rest = key.as_deref().and_then(|key| key.strip_prefix(setting.key));
                rest.is_some_and(|rest| rest.starts_with(['[', '.']))
            };
            return match self.settings.iter().find(inside) {
                Some(setting) => self.wrong(setting, error, picked),
                None => ConfigError::Table(error.to_string()),
            };
        };
        if matches!(error, config::ConfigError::NotFound(_)) {
            return ConfigError::missing(setting);
        }
        self.wrong(setting, error, picked)
    }

    fn wrong(
        &self,
        setting: &Setting,
        error: &config::ConfigError,
        picked: &BTreeMap<&'static str, Picked>,
    ) -> ConfigError {
        let origin = picked
            .get(setting.key)
            .map_or_else(|| "no layer".to_owned(), |picked| picked.origin.clone());
        // The library's text quotes the value.
        let reason = if setting.is_secret() {
            "not accepted".to_owned()
        } else {
            reason_of(error)
        };
        ConfigError::invalid(setting, origin, reason)
    }
}

/// The value of a variable, unless it stands in quotation marks. Of one that is not used nothing is said.
fn unquoted(setting: &Setting, origin: String, value: Value) -> Result<Picked, ConfigError> {
    if value.as_str().is_some_and(is_quoted) && !setting.is_ignored() {
        let reason = format!("{QUOTED}; where they are meant, give it in the configuration file");
        return Err(ConfigError::invalid(setting, origin, reason));
    }
    Ok(Picked { value, origin })
}

/// Reads a secret whose file a layer names.
fn read_secret(setting: &Setting, origin: &str, path: &Value) -> Result<Picked, ConfigError> {
    let Some(path) = path.as_str() else {
        return Err(ConfigError::invalid(
            setting,
            origin.to_owned(),
            "its file is not named by text".to_owned(),
        ));
    };
    match vpnmanager_secret_file::read(Path::new(path)) {
        Ok(secret) => Ok(Picked {
            value: Value::from(secret.expose_secret()),
            origin: format!("file {path}, named by {origin}"),
        }),
        Err(error) => {
            let reason = match std::error::Error::source(&error) {
                Some(source) => format!("{error}: {source}"),
                None => error.to_string(),
            };
            Err(ConfigError::invalid(setting, origin.to_owned(), reason))
        }
    }
}

fn read_object(file: &Path) -> Result<Value, ConfigError> {
    let text = std::fs::read_to_string(file).map_err(|source| ConfigError::ReadFile {
        file: file.to_owned(),
        source,
    })?;
    let parse_error = |reason: String| ConfigError::ParseFile {
        file: file.to_owned(),
        reason,
    };
    let root = json::parse(text.as_bytes()).map_err(|error| match error {
        JsonError::Twice { place } => ConfigError::Twice {
            file: file.to_owned(),
            key: place,
        },
        JsonError::Invalid(error) => parse_error(error.to_string()),
    })?;
    if root.is_object() {
        Ok(root)
    } else {
        Err(parse_error("expected an object at the top".to_owned()))
    }
}

/// An error with the key that is given twice, once as `{"a.b": ..}` and once as `{"a": {"b": ..}}`.
fn flatten(prefix: &str, value: Value, leaves: &mut BTreeMap<String, Value>) -> Result<(), String> {
    let Value::Object(children) = value else {
        return match leaves.insert(prefix.to_owned(), value) {
            None => Ok(()),
            Some(_) => Err(prefix.to_owned()),
        };
    };
    for (name, child) in children {
        let key = if prefix.is_empty() {
            name
        } else {
            format!("{prefix}.{name}")
        };
        flatten(&key, child, leaves)?;
    }
    Ok(())
}

fn split_list(setting: &Setting, value: &mut Value) {
    if setting.list == Listing::Comma
        && let Some(text) = value.as_str()
    {
        *value = Value::from(
            text.split(',')
                .map(str::trim)
                .filter(|part| !part.is_empty())
                .collect::<Vec<_>>(),
        );
    }
}

/// The library's value of a JSON leaf. Text stays text: numbers are read from it by the type that wants one.
fn kind_of(value: &Value) -> ValueKind {
    match value {
        Value::Null => ValueKind::Nil,
        Value::Bool(flag) => ValueKind::Boolean(*flag),
        Value::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(number), _, _) => ValueKind::I64(number),
            (None, Some(number), _) => ValueKind::U64(number),
            (None, None, number) => ValueKind::Float(number.unwrap_or(f64::NAN)),
        },
        Value::String(text) => ValueKind::String(text.clone()),
        Value::Array(items) => ValueKind::Array(
            items
                .iter()
                .map(|item| config::Value::new(None, kind_of(item)))
                .collect(),
        ),
        // An object never stays a leaf.
        Value::Object(_) => ValueKind::Nil,
    }
}

fn key_of(error: &config::ConfigError) -> Option<String> {
    if let config::ConfigError::NotFound(key) = error {
        return Some(key.clone());
    }
    if let config::ConfigError::Type { key, .. } | config::ConfigError::At { key, .. } = error {
        return key.clone();
    }
    None
}

fn reason_of(error: &config::ConfigError) -> String {
    if let config::ConfigError::At { error, .. } = error {
        return reason_of(error);
    }
    if let config::ConfigError::Type {
        unexpected, expected, ..
    } = error
    {
        return format!("found {unexpected} where {expected} is needed");
    }
    error.to_string()
}
