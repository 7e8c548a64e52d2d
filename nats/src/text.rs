//! How types of this crate are read from text and printed as text: written once, as macros.

/// A text that does not have the form of the identifier it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} must be {expected}")]
pub struct InvalidId {
    what: &'static str,
    expected: &'static str,
}

impl InvalidId {
    /// `what` was to be read, and must have the form `expected`.
    pub(crate) fn new(what: &'static str, expected: &'static str) -> Self {
        Self { what, expected }
    }
}

/// Whether a text is a plain name: 1 to `most` characters, a letter or digit first, then letters, digits and these `others`, all of ASCII.
pub(crate) fn is_plain_name(text: &str, most: usize, others: &[u8]) -> bool {
    let bytes = text.as_bytes();
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || others.contains(byte);
    bytes.len() <= most && bytes.first().is_some_and(u8::is_ascii_alphanumeric) && bytes.iter().all(is_plain)
}

/// For a newtype over `String` that implements `FromStr`: parses on the way in, prints the bare text on the way out.
macro_rules! text_id {
    ($($name:ident),+) => {$(
        impl $name {
            /// The bare text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = <$name as std::str::FromStr>::Err;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl PartialEq<str> for $name {
            fn eq(&self, other: &str) -> bool {
                self.0 == other
            }
        }

        impl PartialEq<&str> for $name {
            fn eq(&self, other: &&str) -> bool {
                self.0 == *other
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }
    )+};
}

/// For any type that implements `FromStr` and `Display`: both ways between it and a `String`, as `#[serde(try_from, into)]` wants them.
macro_rules! as_text {
    ($($name:ident),+) => {$(
        impl TryFrom<String> for $name {
            type Error = <$name as std::str::FromStr>::Err;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.to_string()
            }
        }
    )+};
}

/// For an enum whose variants are one word each: the words, in both directions.
macro_rules! word_enum {
    ($name:ident, $what:literal, $expected:literal, $($variant:ident => $word:literal),+) => {
        impl $name {
            /// Every variant, in the order of their declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word for it: on the bus, in the database and in the API.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word),+
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::text::InvalidId;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text {
                    $($word => Ok(Self::$variant),)+
                    _ => Err($crate::text::InvalidId::new($what, $expected)),
                }
            }
        }
    };
}

pub(crate) use {as_text, text_id, word_enum};
