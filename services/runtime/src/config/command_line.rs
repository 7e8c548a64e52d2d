//! The command line: one flag per setting, the service's subcommands, and the way from there to the configuration.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::error::ErrorKind;
use clap::{Arg, ArgAction, ArgMatches, Command, Subcommand};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tracing::warn;

use super::error::ConfigError;
use super::layers::Layers;
use super::masking::mask_secrets;
use super::sample::sample;
use super::service_link::service_links;
use super::setting::Setting;
use super::shown::ShownSetting;
use super::unknown::unknown_variables;
use crate::process::Stop;

const CONFIG: &str = "config";
const PRINT_CONFIG: &str = "print-config";
const SYSTEM_FOLDER: &str = "/etc/vpnmanager";

/// What a service declares about its command line and its configuration.
#[derive(Debug, Clone, Copy)]
pub struct Service {
    /// The binary's name.
    pub name: &'static str,
    /// `env!("CARGO_PKG_VERSION")`.
    pub version: &'static str,
    /// One line for `--help`.
    pub about: &'static str,
    /// The configuration file's name, looked for in the working folder, then in `/etc/vpnmanager`.
    pub file_name: &'static str,
    /// The tables of settings.
    pub settings: &'static [&'static [Setting]],
}

/// A parsed command line.
#[derive(Debug)]
pub struct Cli<S> {
    /// The subcommand, when one was given.
    pub command: Option<S>,
    service: Service,
    flags: BTreeMap<String, String>,
    env: BTreeMap<String, String>,
    file: Option<PathBuf>,
    print: bool,
}

impl Service {
    /// Parses this process's command line and notes its environment.
    ///
    /// # Errors
    /// [`Stop`] for `--help`, `--version` and a wrong command line.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is where the environment is read for everybody"
    )]
    pub fn parse<S: Subcommand>(&self) -> Result<Cli<S>, Stop> {
        // A variable that is not UTF-8 is not one of ours.
        let env =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        self.parse_from(std::env::args_os(), env.collect(), Path::new("."))
    }

    /// As [`Self::parse`], from the given arguments (the first is the program), environment and working folder.
    pub fn parse_from<S: Subcommand>(
        &self,
        args: impl IntoIterator<Item = impl Into<OsString>>,
        env: BTreeMap<String, String>,
        working_folder: &Path,
    ) -> Result<Cli<S>, Stop> {
        let args = self.with_long_flags(args.into_iter().map(Into::into));
        let command = S::augment_subcommands(self.command());
        let matches = command.try_get_matches_from(args).map_err(stop_of)?;
        let command = match matches.subcommand_name() {
            Some(_) => Some(S::from_arg_matches(&matches).map_err(stop_of)?),
            None => None,
        };
        // Global flags may stand before or after a subcommand; clap copies them to the innermost.
        let innermost = innermost(&matches);
        Ok(Cli {
            command,
            service: *self,
            flags: self.given_flags(innermost),
            env: env.into_iter().filter(|(_, value)| !value.is_empty()).collect(),
            file: innermost
                .get_one::<PathBuf>(CONFIG)
                .cloned()
                .or_else(|| self.usual_file(working_folder)),
            print: innermost.get_flag(PRINT_CONFIG),
        })
    }

    /// The sample configuration file, which loads as it is.
    #[must_use]
    pub fn sample(&self) -> String {
        sample(self.all_settings())
    }

    /// The text of `--help`.
    #[must_use]
    pub fn help<S: Subcommand>(&self) -> String {
        S::augment_subcommands(self.command()).render_long_help().to_string()
    }

    fn all_settings(&self) -> impl Iterator<Item = &'static Setting> {
        self.settings.iter().flat_map(|table| table.iter())
    }

    /// The command line without subcommands.
    pub(super) fn command(&self) -> Command {
        let config_help = format!(
            "JSON configuration file [default: ./{name}, then {SYSTEM_FOLDER}/{name}, where present]",
            name = self.file_name
        );
        let mut command = Command::new(self.name)
            .version(self.version)
            .about(self.about)
            .after_help(
                "Precedence: flag, environment variable, configuration file, credential of the systemd unit (for secrets), default. Flags may also be \
                 written with one dash.",
            )
            .arg(
                Arg::new(CONFIG)
                    .long(CONFIG)
                    .value_name("FILE")
                    .value_parser(clap::value_parser!(PathBuf))
                    .global(true)
                    .help(config_help),
            )
            .arg(
                Arg::new(PRINT_CONFIG)
                    .long(PRINT_CONFIG)
                    .action(ArgAction::SetTrue)
                    .global(true)
                    .help("Print the resulting configuration as JSON, secrets masked, and exit"),
            );
        for setting in self.all_settings() {
            command = command.arg(flag_of(setting));
            if setting.is_secret() {
                command = command.arg(file_flag_of(setting));
            }
        }
        command
    }

    fn flag_names(&self) -> impl Iterator<Item = String> {
        self.all_settings().flat_map(|setting| {
            let flag = setting.flag();
            let file_flag = setting.is_secret().then(|| format!("{flag}-file"));
            std::iter::once(flag).chain(file_flag)
        })
    }

    fn given_flags(&self, matches: &ArgMatches) -> BTreeMap<String, String> {
        self.flag_names()
            .filter_map(|flag| matches.get_one::<String>(&flag).cloned().map(|value| (flag, value)))
            .collect()
    }

    /// `-server-id x` as in the first version of the product: a single dash before a known long name becomes two.
    fn with_long_flags(&self, args: impl Iterator<Item = OsString>) -> Vec<OsString> {
        let known: Vec<String> = self
            .flag_names()
            .chain([CONFIG, PRINT_CONFIG, "help", "version"].map(str::to_owned))
            .collect();
        let mut only_values = false;
        args.map(|arg| {
            only_values |= arg == "--";
            let name = arg
                .to_str()
                .and_then(|arg| arg.strip_prefix('-'))
                .map(|arg| arg.split('=').next().unwrap_or(arg));
            match name {
                Some(name) if !only_values && known.iter().any(|known| known == name) => {
                    let mut long = OsString::from("-");
                    long.push(&arg);
                    long
                }
                Some(_) | None => arg,
            }
        })
        .collect()
    }

    fn usual_file(&self, working_folder: &Path) -> Option<PathBuf> {
        [working_folder, Path::new(SYSTEM_FOLDER)]
            .map(|folder| folder.join(self.file_name))
            .into_iter()
            .find(|file| file.is_file())
    }
}

impl<S> Cli<S> {
    /// Builds the configuration from flags, environment, file and defaults. `C` may be a part of the whole: settings that it
    /// does not have are not asked for.
    ///
    /// # Errors
    /// [`Stop::Usage`] naming the setting and what is expected; [`Stop::Done`] with the text of `--print-config`.
    pub fn load<C: DeserializeOwned + Serialize>(&self) -> Result<C, Stop> {
        let config: C = self.layers().load()?;
        if !self.print {
            return Ok(config);
        }
        let mut shown = serde_json::to_value(&config).map_err(|error| ConfigError::Table(error.to_string()))?;
        mask_secrets(&mut shown, self.service.all_settings());
        Err(Stop::Done(format!("{shown:#}\n")))
    }

    /// Settings that are accepted for compatibility, were given, and have no effect: worth one warning.
    pub fn unused(&self) -> Result<Vec<String>, ConfigError> {
        self.layers().unused()
    }

    /// Which layer gives this setting its value, in words; `None` where it has its default, or nothing.
    ///
    /// # Errors
    /// The configuration file cannot be read, as for [`Self::load`].
    pub fn origin(&self, key: &str) -> Result<Option<String>, ConfigError> {
        self.layers().origin(key)
    }

    /// Secrets that were given as flags, each with what to use instead: every account of the machine sees them in the list of processes.
    /// Worth one warning.
    #[must_use]
    pub fn exposed_secrets(&self) -> Vec<String> {
        let given = self
            .service
            .all_settings()
            .filter(|setting| setting.is_secret() && self.flags.contains_key(&setting.flag()));
        given
            .map(|setting| {
                let (flag, variable) = (setting.flag(), setting.env);
                format!("--{flag} (use {variable}, {variable}_FILE or --{flag}-file)")
            })
            .collect()
    }

    /// Every setting with the value that `config` has for it, secrets masked, and where that came from.
    ///
    /// # Errors
    /// The configuration file cannot be read, as for [`Self::load`].
    pub fn shown<C: Serialize>(&self, config: &C) -> Result<Vec<ShownSetting>, ConfigError> {
        let mut values = serde_json::to_value(config).map_err(|error| ConfigError::Table(error.to_string()))?;
        mask_secrets(&mut values, self.service.all_settings());
        let layers = self.layers();
        let used = self.service.all_settings().filter(|setting| !setting.is_ignored());
        used.map(|setting| {
            let origin = layers.origin(setting.key);
            origin.map(|origin| ShownSetting::of(setting, &values, origin))
        })
        .collect()
    }

    /// Variables of the environment that look like ours and are none, in words.
    #[must_use]
    pub fn unknown_variables(&self) -> Vec<String> {
        let settings: Vec<&'static Setting> = self.service.all_settings().collect();
        unknown_variables(&settings, &self.env)
    }

    /// Logs each variable of the environment that looks like ours and is none, in one warning: whoever set it thinks that it works. Those
    /// that Kubernetes sets under the name of a setting have a warning of their own.
    pub fn warn_of_unknown_variables(&self) {
        let unknown = self.unknown_variables();
        if !unknown.is_empty() {
            warn!(
                variables = unknown.join(", "),
                "Variables of the environment look like settings and are none: they have no effect"
            );
        }
        let settings: Vec<&'static Setting> = self.service.all_settings().collect();
        let links = service_links(&settings, &self.env);
        if !links.is_empty() {
            warn!(
                variables = links.join(", "),
                "Variables of the environment hold the address of a Kubernetes Service where a setting has a port: they are not taken. \
                 The same variable with a number in the container's own env wins over them; enableServiceLinks: false keeps them away"
            );
        }
    }

    /// A value that passed its type but not the service's own check: the message names its places like any other.
    #[must_use]
    pub fn reject(&self, key: &str, reason: impl Into<String>) -> ConfigError {
        match self.service.all_settings().find(|setting| setting.key == key) {
            Some(setting) => ConfigError::invalid(setting, "the configuration".to_owned(), reason.into()),
            None => ConfigError::Table(format!("{key} is not in the table: {}", reason.into())),
        }
    }

    /// A value that is needed in this situation, though not in every one.
    #[must_use]
    pub fn missing(&self, key: &str) -> ConfigError {
        match self.service.all_settings().find(|setting| setting.key == key) {
            Some(setting) => ConfigError::missing(setting),
            None => ConfigError::Table(format!("{key} is not in the table")),
        }
    }

    /// The configuration file in use, if any.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    fn layers(&self) -> Layers<'_> {
        Layers {
            settings: self.service.all_settings().collect(),
            flags: &self.flags,
            env: &self.env,
            file: self.file.clone(),
        }
    }
}

fn flag_of(setting: &Setting) -> Arg {
    let flag = setting.flag();
    let default = match setting.default {
        Some(default) => format!(" [default: {default}]"),
        None => String::new(),
    };
    let help = format!(
        "{}: {}{default} [env: {}] [file: {}]",
        setting.help, setting.expected, setting.env, setting.key
    );
    Arg::new(flag.clone())
        .long(flag)
        .value_name("VALUE")
        .global(true)
        .hide(setting.is_ignored())
        .help(help)
}

fn file_flag_of(setting: &Setting) -> Arg {
    let flag = format!("{}-file", setting.flag());
    let help = format!(
        "File that holds it [env: {}_FILE] [file: {}_file]",
        setting.env, setting.key
    );
    Arg::new(flag.clone())
        .long(flag)
        .value_name("FILE")
        .global(true)
        .help(help)
}

fn innermost(matches: &ArgMatches) -> &ArgMatches {
    match matches.subcommand() {
        Some((_, inner)) => innermost(inner),
        None => matches,
    }
}

fn stop_of(error: clap::Error) -> Stop {
    let text = error.render().to_string();
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        Stop::Done(text)
    } else {
        Stop::Usage(text)
    }
}
