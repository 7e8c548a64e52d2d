//! A credential of the bus: the token and the seed that proves it, as they lie in the state folder of a node.

use std::{fs, path::Path};

use anyhow::Context;
use nkeys::KeyPair;
use serde_json::Value;

/// What a thief carries away. Not shown.
pub(super) struct Credential {
    /// The name in the token: the node.
    pub(super) name: String,
    pub(super) jwt: String,
    pub(super) key: KeyPair,
}

impl Credential {
    /// The credential of the node that keeps its state in `dir`.
    pub(super) fn of_node(dir: &Path) -> anyhow::Result<Self> {
        let read = |name: &str| fs::read_to_string(dir.join(name)).with_context(|| format!("cannot read {name}"));
        let identity: Value = serde_json::from_str(&read("identity.json")?).context("identity.json is no JSON")?;
        let text = |field: &str| {
            identity[field]
                .as_str()
                .map(str::to_owned)
                .with_context(|| format!("no {field}"))
        };
        Ok(Self {
            name: text("server_id")?,
            jwt: text("bus_jwt")?,
            key: KeyPair::from_seed(read("node.nk")?.trim())?,
        })
    }

    /// The credential of a `.creds` file.
    pub(super) fn of_file(path: &Path) -> anyhow::Result<Self> {
        let text = fs::read_to_string(path).context("cannot read the credentials file")?;
        let mut blocks = text
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with('-') && !line.contains(' ') && !line.contains('*'));
        let (jwt, seed) = (blocks.next().context("no token")?, blocks.next().context("no seed")?);
        Ok(Self {
            name: "management".to_owned(),
            jwt: jwt.to_owned(),
            key: KeyPair::from_seed(seed)?,
        })
    }
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credential")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
