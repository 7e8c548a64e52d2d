//! The `.creds` file: a user's token and seed in one file, as every NATS client and the `nats` CLI read it.

use std::fmt;

use nkeys::{KeyPair, KeyPairType};

const JWT_LABEL: &str = "NATS USER JWT";
const SEED_LABEL: &str = "USER NKEY SEED";

/// The credentials of a user. Debug shows no secret: nkeys prints only the type of a key.
#[derive(Clone)]
pub struct Credentials {
    /// The user's token.
    pub jwt: String,
    /// The user's key pair, which signs the server's nonce.
    pub key: KeyPair,
}

/// Why a text is not a credentials file. Does not hold the text.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// A block is missing or empty.
    #[error("the credentials file has no block {label:?}")]
    Missing {
        /// The label of the block.
        label: &'static str,
    },
    /// The seed is not the seed of a user.
    #[error("the credentials file holds no seed of a user")]
    Seed,
}

impl Credentials {
    /// Reads the text of a credentials file.
    pub fn parse(text: &str) -> Result<Self, CredentialsError> {
        let block = |label| block(text, label).ok_or(CredentialsError::Missing { label });
        let jwt = block(JWT_LABEL)?.to_owned();
        let key = KeyPair::from_seed(block(SEED_LABEL)?).map_err(|_| CredentialsError::Seed)?;
        if key.key_pair_type() != KeyPairType::User {
            return Err(CredentialsError::Seed);
        }
        Ok(Self { jwt, key })
    }

    /// The text of the file. It holds the seed: write it with mode 0600 and never log it.
    pub fn to_file_text(&self) -> Result<String, CredentialsError> {
        let seed = self.key.seed().map_err(|_| CredentialsError::Seed)?;
        let jwt = &self.jwt;
        Ok(format!(
            "-----BEGIN {JWT_LABEL}-----\n{jwt}\n------END {JWT_LABEL}------\n\n\
             ************************* IMPORTANT *************************\n\
             The seed below proves who you are. Keep it secret.\n\n\
             -----BEGIN {SEED_LABEL}-----\n{seed}\n------END {SEED_LABEL}------\n\n\
             *************************************************************\n"
        ))
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("user", &self.key.public_key())
            .finish_non_exhaustive()
    }
}

fn block<'t>(text: &'t str, label: &str) -> Option<&'t str> {
    let begin = format!("-----BEGIN {label}-----");
    let mut lines = text.lines().map(str::trim).skip_while(|line| *line != begin).skip(1);
    lines.next().filter(|line| !line.is_empty() && !line.starts_with('-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let written = Credentials {
            jwt: "a.b.c".into(),
            key: KeyPair::new_user(),
        };
        let text = written.to_file_text().unwrap();
        let read = Credentials::parse(&text.replace('\n', "\r\n")).unwrap();
        assert_eq!(read.jwt, written.jwt);
        assert_eq!(read.key.seed().unwrap(), written.key.seed().unwrap());
    }

    #[test]
    fn each_missing_part_is_named_and_debug_shows_no_secret() {
        let creds = Credentials {
            jwt: "a.b.c".into(),
            key: KeyPair::new_user(),
        };
        let text = creds.to_file_text().unwrap();
        let half = text.split("-----BEGIN USER").next().unwrap();
        assert!(matches!(
            Credentials::parse(half),
            Err(CredentialsError::Missing { label: SEED_LABEL })
        ));
        assert!(matches!(
            Credentials::parse(""),
            Err(CredentialsError::Missing { label: JWT_LABEL })
        ));
        let foreign = text.replace(&creds.key.seed().unwrap(), &KeyPair::new_account().seed().unwrap());
        assert!(matches!(Credentials::parse(&foreign), Err(CredentialsError::Seed)));
        let debug = format!("{creds:?}");
        assert!(
            !debug.contains(&creds.key.seed().unwrap()) && !debug.contains("a.b.c"),
            "{debug}"
        );
    }
}
