//! Text with rules as a type of the API: refused at the border, described in the specification.

/// Declares a newtype over `String` that the API parses with a rule of the service and describes with a pattern, a length and an example.
///
/// What is described is what is enforced: the pattern is checked too, after `check`, which has the better words. poem-openapi's own
/// `pattern` validator compiles its expression for every request; this one is compiled once.
///
/// ```
/// vpnmanager_openapi::text_scalar! {
///     /// A pool of nodes.
///     pub struct PoolName {
///         format: "pool",
///         pattern: "^[a-z]+$",
///         length: 1..=63,
///         example: "default",
///         check: |text| match text.bytes().all(|byte| byte.is_ascii_lowercase()) {
///             true => Ok(()),
///             false => Err("must be lower-case letters".to_owned()),
///         },
///     }
/// }
/// ```
///
/// `check` is a `fn(&str) -> Result<(), String>` for what a pattern cannot say, and for words; NUL and lengths outside `length` (in
/// characters) are refused before it is called.
#[macro_export]
macro_rules! text_scalar {
    (
        $(#[$docs:meta])*
        $vis:vis struct $name:ident {
            format: $format:literal,
            pattern: $pattern:expr,
            length: $shortest:literal..=$longest:literal,
            example: $example:expr,
            check: $check:expr $(,)?
        }
    ) => {
        $(#[$docs])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        $vis struct $name(String);

        impl $name {
            /// The text, which keeps the rule.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The text by value.
            #[must_use]
            pub fn into_string(self) -> String {
                self.0
            }

            fn parse_text(text: &str) -> ::std::result::Result<Self, ::std::string::String> {
                let check: fn(&str) -> ::std::result::Result<(), ::std::string::String> = $check;
                let length = text.chars().count();
                if !($shortest..=$longest).contains(&length) {
                    return Err(format!("must have {} to {} characters, not {length}", $shortest, $longest));
                }
                if text.contains('\0') {
                    return Err("must not contain NUL".to_owned());
                }
                check(text)?;
                static PATTERN: ::std::sync::LazyLock<$crate::__regex::Regex> =
                    ::std::sync::LazyLock::new(|| $crate::__regex::Regex::new($pattern).expect("a valid pattern"));
                if !PATTERN.is_match(text) {
                    return Err(format!("must match {}", PATTERN.as_str()));
                }
                Ok(Self(text.to_owned()))
            }
        }

        impl ::std::str::FromStr for $name {
            type Err = ::std::string::String;

            fn from_str(text: &str) -> ::std::result::Result<Self, Self::Err> {
                Self::parse_text(text)
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl $crate::__serde::Serialize for $name {
            fn serialize<S: $crate::__serde::Serializer>(&self, serializer: S) -> ::std::result::Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> $crate::__serde::Deserialize<'de> for $name {
            fn deserialize<D: $crate::__serde::Deserializer<'de>>(deserializer: D) -> ::std::result::Result<Self, D::Error> {
                let text = <::std::string::String as $crate::__serde::Deserialize>::deserialize(deserializer)?;
                Self::parse_text(&text).map_err($crate::__serde::de::Error::custom)
            }
        }

        $crate::scalar_impls! {
            $name, "string", $format,
            |schema| {
                schema.pattern = Some($pattern.to_string());
                schema.min_length = Some($shortest);
                schema.max_length = Some($longest);
                schema.example = Some($crate::__serde_json::Value::from($example));
            },
            |text| <$name as ::std::str::FromStr>::from_str(text),
            |value| $crate::__serde_json::Value::from(value.0.as_str())
        }
    };
}

/// The poem-openapi traits of a type that is text on the wire.
#[doc(hidden)]
#[macro_export]
macro_rules! scalar_impls {
    ($name:ident, $type:literal, $format:literal, |$schema:ident| $describe:block, |$text:ident| $parse:expr, |$value:ident| $print:expr) => {
        impl $crate::__poem_openapi::types::Type for $name {
            const IS_REQUIRED: bool = true;
            type RawValueType = Self;
            type RawElementValueType = Self;

            fn name() -> ::std::borrow::Cow<'static, str> {
                ::std::borrow::Cow::Borrowed(concat!($type, "_", $format))
            }

            fn schema_ref() -> $crate::__poem_openapi::registry::MetaSchemaRef {
                let mut $schema = $crate::__poem_openapi::registry::MetaSchema::new_with_format($type, $format);
                $describe
                $crate::__poem_openapi::registry::MetaSchemaRef::Inline(Box::new($schema))
            }

            fn as_raw_value(&self) -> Option<&Self::RawValueType> {
                Some(self)
            }

            fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self::RawElementValueType> + 'a> {
                Box::new(::std::iter::once(self))
            }
        }

        impl $crate::__poem_openapi::types::ParseFromJSON for $name {
            fn parse_from_json(
                value: Option<$crate::__serde_json::Value>,
            ) -> $crate::__poem_openapi::types::ParseResult<Self> {
                match value.unwrap_or_default() {
                    $crate::__serde_json::Value::String($text) => {
                        let $text = $text.as_str();
                        $parse.map_err($crate::__poem_openapi::types::ParseError::custom)
                    }
                    other => Err($crate::__poem_openapi::types::ParseError::expected_type(other)),
                }
            }
        }

        impl $crate::__poem_openapi::types::ParseFromParameter for $name {
            fn parse_from_parameter($text: &str) -> $crate::__poem_openapi::types::ParseResult<Self> {
                $parse.map_err($crate::__poem_openapi::types::ParseError::custom)
            }
        }

        impl $crate::__poem_openapi::types::ToJSON for $name {
            fn to_json(&self) -> Option<$crate::__serde_json::Value> {
                let $value = self;
                Some($print)
            }
        }
    };
}
