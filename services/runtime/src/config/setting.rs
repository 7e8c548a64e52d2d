//! One line of a service's table of settings.

/// One setting: where it comes from, what it means and what is expected of it.
///
/// The flag is the variable's name in lower case with dashes (`DB_HOST` gives `--db-host`).
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    pub(crate) key: &'static str,
    pub(crate) env: &'static str,
    pub(crate) help: &'static str,
    pub(crate) expected: &'static str,
    pub(crate) default: Option<&'static str>,
    pub(crate) sample: Sample,
    pub(crate) kind: Kind,
    pub(crate) list: Listing,
    pub(crate) replaced_by: Option<&'static str>,
}

/// How the value is treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Plain,
    /// Never shown; may also come from a file named by `<VARIABLE>_FILE`, `--<flag>-file` or `<key>_file`.
    Secret,
    /// Accepted for compatibility and not used.
    Ignored,
}

/// What the sample file shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sample {
    /// The default, or nothing.
    Default,
    Text(&'static str),
    /// A fresh random key.
    Key,
}

/// Whether the text is one value or a comma list of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Listing {
    One,
    Comma,
}

impl Setting {
    /// A setting with its file key (dots for nesting), its variable, one line of help and, in words, the values accepted.
    #[must_use]
    pub const fn new(key: &'static str, env: &'static str, help: &'static str, expected: &'static str) -> Self {
        Self {
            key,
            env,
            help,
            expected,
            default: None,
            sample: Sample::Default,
            kind: Kind::Plain,
            list: Listing::One,
            replaced_by: None,
        }
    }

    /// The value when no layer gives one, as text. Without a default, and without `Option` in the struct, it is required.
    #[must_use]
    pub const fn default(self, value: &'static str) -> Self {
        Self {
            default: Some(value),
            ..self
        }
    }

    /// The value shown in the sample file, where the default (or nothing) would say too little.
    #[must_use]
    pub const fn sample(self, value: &'static str) -> Self {
        Self {
            sample: Sample::Text(value),
            ..self
        }
    }

    /// The sample file has a fresh random key of its own each time.
    #[must_use]
    pub const fn sample_key(self) -> Self {
        Self {
            sample: Sample::Key,
            ..self
        }
    }

    /// Masked wherever it is shown, and also read from a file named by `<VARIABLE>_FILE`.
    #[must_use]
    pub const fn secret(self) -> Self {
        Self {
            kind: Kind::Secret,
            ..self
        }
    }

    /// Without effect where the setting with this key is given: it is then not even read, so nothing in it can be wrong.
    #[must_use]
    pub const fn replaced_by(self, key: &'static str) -> Self {
        Self {
            replaced_by: Some(key),
            ..self
        }
    }

    /// Accepted and not used; [`Cli::unused`](super::Cli::unused) lists those given.
    #[must_use]
    pub const fn ignored(self) -> Self {
        Self {
            kind: Kind::Ignored,
            ..self
        }
    }

    /// A comma list in the environment and in flags; a JSON array (or the same text) in the file.
    #[must_use]
    pub const fn list(self) -> Self {
        Self {
            list: Listing::Comma,
            ..self
        }
    }

    pub(crate) fn flag(&self) -> String {
        self.env.to_ascii_lowercase().replace('_', "-")
    }

    pub(crate) fn is_secret(&self) -> bool {
        match self.kind {
            Kind::Secret => true,
            Kind::Plain | Kind::Ignored => false,
        }
    }

    pub(crate) fn is_ignored(&self) -> bool {
        match self.kind {
            Kind::Ignored => true,
            Kind::Plain | Kind::Secret => false,
        }
    }

    /// `environment variable DB_PORT, key "database.port" in the configuration file, or flag --db-port`.
    pub(crate) fn places(&self) -> String {
        let file_variant = if self.is_secret() {
            format!(" (or {}_FILE)", self.env)
        } else {
            String::new()
        };
        format!(
            "environment variable {}{file_variant}, key \"{}\" in the configuration file, or flag --{}",
            self.env,
            self.key,
            self.flag()
        )
    }
}
