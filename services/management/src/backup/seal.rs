//! Who can read a backup: whoever has the passphrase, or the secret key of one of the recipients.

use std::{
    fs::File,
    io::{BufReader, Read, Write},
    path::{Path, PathBuf},
};

use age::{
    Decryptor, Encryptor, Identity, Recipient, scrypt,
    secrecy::{ExposeSecret as _, SecretString},
    stream::{StreamReader, StreamWriter},
    x25519,
};
use vpnmanager_secret_file::{self as secret_file, SecretFileError};

use super::read_error::ReadError;

/// 64 MiB and a fraction of a second for each try of a passphrase (`N` = 2^16). The same on every machine, so that none makes a file that another
/// one would not take.
const WORK: u8 = 16;
/// What is taken of a file that another program of age made: 4 GiB.
const MOST_WORK: u8 = 22;
/// The fewest characters of a passphrase: whoever has the file may try as many as he likes.
const SHORTEST: usize = 16;
/// The first bytes of every file of age that is not text.
const MAGIC: &[u8] = b"age-encryption.org/v1\n";

/// How a backup is encrypted.
pub enum Seal {
    /// With a passphrase.
    Passphrase(SecretString),
    /// To these public keys.
    Recipients(Vec<x25519::Recipient>),
}

/// How a backup is decrypted.
pub enum Key {
    /// With the passphrase.
    Passphrase(SecretString),
    /// With one of these secret keys.
    Identities(Vec<x25519::Identity>),
}

/// Why a passphrase or a key is of no use.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Somebody would guess it.
    #[error("the passphrase has fewer than {SHORTEST} characters: `openssl rand -hex 32` makes a good one")]
    Short,
    /// Whoever types it one day would leave that out.
    #[error("the passphrase begins or ends with white space: take it out of its file")]
    Blank,
    /// Nothing is in its file.
    #[error("the passphrase is empty")]
    Empty,
    /// It is no public key.
    #[error("{text} is no recipient: expected age1..., the public key that `age-keygen` shows")]
    Recipient {
        /// What was given.
        text: String,
    },
    /// The file of secret keys could not be read.
    #[error(transparent)]
    Read(#[from] SecretFileError),
    /// It holds something else.
    #[error("line {line} of {} is no secret key: expected AGE-SECRET-KEY-1..., as `age-keygen` writes it", .path.display())]
    Identity {
        /// The file.
        path: PathBuf,
        /// The line. What stands there is not told: it may be a secret.
        line: usize,
    },
    /// It holds none.
    #[error("{} holds no secret key", .path.display())]
    NoIdentity {
        /// The file.
        path: PathBuf,
    },
}

impl Seal {
    /// With this passphrase.
    pub fn passphrase(passphrase: SecretString) -> Result<Self, KeyError> {
        if passphrase.expose_secret().chars().count() < SHORTEST {
            return Err(KeyError::Short);
        }
        let text = passphrase.expose_secret();
        if text.trim() != text {
            return Err(KeyError::Blank);
        }
        Ok(Self::Passphrase(passphrase))
    }

    /// To these public keys, at least one.
    pub fn recipients(texts: &[String]) -> Result<Self, KeyError> {
        let parse = |text: &String| {
            text.trim()
                .parse::<x25519::Recipient>()
                .map_err(|_unclear: &str| KeyError::Recipient { text: text.clone() })
        };
        texts.iter().map(parse).collect::<Result<_, _>>().map(Self::Recipients)
    }

    /// The key that opens what this seals, where it is known.
    #[must_use]
    pub fn key(&self) -> Option<Key> {
        match self {
            Self::Passphrase(passphrase) => Some(Key::Passphrase(passphrase.clone())),
            Self::Recipients(_) => None,
        }
    }

    /// Encrypts what is written, into `output`.
    pub(super) fn wrap<W: Write>(&self, output: W) -> std::io::Result<StreamWriter<W>> {
        let encryptor = match self {
            Self::Passphrase(passphrase) => {
                let mut recipient = scrypt::Recipient::new(passphrase.clone());
                recipient.set_work_factor(WORK);
                Encryptor::with_recipients(std::iter::once(&recipient as &dyn Recipient))
            }
            Self::Recipients(recipients) => {
                Encryptor::with_recipients(recipients.iter().map(|recipient| recipient as &dyn Recipient))
            }
        };
        encryptor.map_err(std::io::Error::other)?.wrap_output(output)
    }
}

impl Key {
    /// The passphrase, as it is: a backup may have been made with an odd one.
    pub fn passphrase(passphrase: SecretString) -> Result<Self, KeyError> {
        match passphrase.expose_secret().is_empty() {
            true => Err(KeyError::Empty),
            false => Ok(Self::Passphrase(passphrase)),
        }
    }

    /// The secret keys of a file as `age-keygen` writes it: one in a line; lines that begin with # are notes.
    pub fn from_file(path: &Path) -> Result<Self, KeyError> {
        let text = secret_file::read(path)?;
        let lines = text.expose_secret().lines().enumerate();
        let keys = lines.filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'));
        let parse = |(number, line): (usize, &str)| {
            let identity = line.trim().parse::<x25519::Identity>();
            identity.map_err(|_unclear: &str| KeyError::Identity {
                path: path.to_owned(),
                line: number + 1,
            })
        };
        let identities = keys.map(parse).collect::<Result<Vec<_>, _>>()?;
        if identities.is_empty() {
            return Err(KeyError::NoIdentity { path: path.to_owned() });
        }
        Ok(Self::Identities(identities))
    }

    /// Decrypts a file as it is read.
    pub(super) fn open(&self, path: &Path) -> Result<StreamReader<BufReader<File>>, ReadError> {
        let failed = |source| ReadError::Open {
            path: path.to_owned(),
            source,
        };
        let mut magic = Vec::new();
        let mut head = File::open(path).map_err(failed)?.take(MAGIC.len() as u64);
        head.read_to_end(&mut magic).map_err(failed)?;
        if magic != MAGIC {
            return Err(ReadError::NotOurs { path: path.to_owned() });
        }
        let file = BufReader::new(File::open(path).map_err(failed)?);
        // The head is text that ends with a code over it. Without the key nothing says whether it is what was written.
        let sealed = Decryptor::new_buffered(file).map_err(|_unclear| ReadError::damaged(path))?;
        match self {
            Self::Passphrase(passphrase) if sealed.is_scrypt() => {
                let mut identity = scrypt::Identity::new(passphrase.clone());
                identity.set_max_work_factor(MOST_WORK);
                let opened = sealed.decrypt(std::iter::once(&identity as &dyn Identity));
                opened.map_err(|_unfit| ReadError::Passphrase { path: path.to_owned() })
            }
            Self::Identities(identities) if !sealed.is_scrypt() => {
                let opened = sealed.decrypt(identities.iter().map(|identity| identity as &dyn Identity));
                opened.map_err(|_unfit| ReadError::Identity { path: path.to_owned() })
            }
            Self::Passphrase(_) => Err(ReadError::NeedsIdentity { path: path.to_owned() }),
            Self::Identities(_) => Err(ReadError::NeedsPassphrase { path: path.to_owned() }),
        }
    }
}

impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Passphrase(_) => "Passphrase([REDACTED])",
            Self::Recipients(_) => "Recipients(..)",
        })
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Passphrase(_) => "Passphrase([REDACTED])",
            Self::Identities(_) => "Identities([REDACTED])",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_a_key_is_told_without_what_it_is() {
        assert!(matches!(Seal::passphrase("short".into()), Err(KeyError::Short)));
        Seal::passphrase("x".repeat(SHORTEST).into()).expect("long enough");
        let blank = format!("{}\n", "x".repeat(SHORTEST));
        assert!(matches!(Seal::passphrase(blank.into()), Err(KeyError::Blank)));
        assert!(matches!(Key::passphrase("".into()), Err(KeyError::Empty)));
        Seal::recipients(&["age1nonsense".to_owned()]).expect_err("no recipient");

        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("keys.txt");
        std::fs::write(&path, "# only a note\n\n").expect("written");
        assert!(matches!(Key::from_file(&path), Err(KeyError::NoIdentity { .. })));
        std::fs::write(&path, "# a note\nhunter2\n").expect("written");
        let error = Key::from_file(&path).expect_err("no key").to_string();
        assert!(error.starts_with("line 2 of ") && !error.contains("hunter2"), "{error}");

        let identity = x25519::Identity::generate();
        std::fs::write(&path, identity.to_string().expose_secret()).expect("written");
        Key::from_file(&path).expect("a key");
        Seal::recipients(&[identity.to_public().to_string()]).expect("a recipient");
    }
}
