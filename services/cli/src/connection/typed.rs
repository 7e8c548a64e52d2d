//! The flags of a command line that is being typed.

use std::path::PathBuf;

use super::find::ConnectionArgs;

/// What its words say so far of management, so that completion asks the one that the command will ask. What cannot be understood yet leads to no
/// management rather than to another one.
pub(crate) fn typed(words: &[String]) -> ConnectionArgs {
    ConnectionArgs {
        context: value_of(words, "--context"),
        management_url: value_of(words, "--management-url"),
        api_key_file: value_of(words, "--api-key-file").map(PathBuf::from),
        management_ca: value_of(words, "--management-ca").map(PathBuf::from),
        timeout: None,
    }
}

/// The value of a flag: in the next word, in the same one, or, as bash has it, after a word that is an equals sign.
fn value_of(words: &[String], flag: &str) -> Option<String> {
    let mut found = None;
    for (at, word) in words.iter().enumerate() {
        let ahead = |by: usize| words.get(at + by).cloned();
        let value = match word.strip_prefix(flag) {
            Some("") if ahead(1).as_deref() == Some("=") => ahead(2),
            Some("") => ahead(1),
            Some(rest) => rest.strip_prefix('=').map(str::to_owned),
            None => None,
        };
        found = value.or(found);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn the_management_of_the_command_is_asked_and_not_the_current_one() {
        for line in [
            "vpnmanager --context lab users delete al",
            "vpnmanager users delete --context=lab al",
            "vpnmanager users delete --context = lab al",
            "vpnmanager --context prod users delete al --context lab",
        ] {
            assert_eq!(typed(&words(line)).context.as_deref(), Some("lab"), "{line}");
        }
        let args = typed(&words(
            "vpnmanager users list --management-url https://lab --api-key-file k ",
        ));
        assert_eq!(args.management_url.as_deref(), Some("https://lab"));
        assert_eq!(args.api_key_file, Some(PathBuf::from("k")));
        assert_eq!((args.context, args.management_ca), (None, None));
        assert_eq!(typed(&words("vpnmanager context use --contexts")).context, None);
    }
}
