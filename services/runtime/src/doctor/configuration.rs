//! What a `doctor` says of the configuration, whose ever it is.

use serde::Serialize;

use super::check::{Check, Seen, Trouble};
use crate::{
    config::{Cli, ShownSetting},
    process::Stop,
};

/// The first check of every `doctor` of a service.
pub const CONFIGURATION: Check = Check::new("configuration", "The settings, read as the service reads them");

/// What loading a configuration gave, with each setting as a detail.
///
/// # Errors
/// The answer to `--print-config`, and what is no fault of the configuration.
pub fn look<S, C: Serialize>(cli: &Cli<S>, program: &str, loaded: Result<C, Stop>) -> Result<Seen<C>, Stop> {
    let config = match loaded {
        Ok(config) => config,
        Err(Stop::Usage(text)) => return Ok(Seen::failed(wrong(cli, program, &text))),
        Err(other @ (Stop::Done(_) | Stop::Failed(_))) => return Err(other),
    };
    let shown = cli.shown(&config)?;
    let details: Vec<String> = shown.iter().map(detail_of).collect();
    let given = shown.iter().filter(|setting| setting.origin.is_some()).count();
    let found = format!("{} settings are read, {given} of them were given", shown.len());
    let unknown = cli.unknown_variables();
    if unknown.is_empty() {
        return Ok(Seen::fine(found, config).with_details(details));
    }
    let trouble = Trouble::new(
        format!("{found}; these variables are none of them: {}", unknown.join(", ")),
        "whoever set them thinks that they have an effect",
        format!("{program} --help"),
    );
    Ok(Seen::warning(trouble, config).with_details(details))
}

fn wrong<S>(cli: &Cli<S>, program: &str, text: &str) -> Trouble {
    let text = text.trim().trim_start_matches("error: ");
    let mend = match cli.file() {
        Some(file) => format!("${{EDITOR:-vi}} {}", file.display()),
        None => format!("{program} --help"),
    };
    Trouble::new(text, "the service does not start with it", mend)
}

fn detail_of(setting: &ShownSetting) -> String {
    let ShownSetting {
        key,
        variable,
        value,
        origin,
    } = setting;
    let origin = origin.as_deref().unwrap_or("the default");
    format!("{key} ({variable}) is {value}, from {origin}")
}
