//! The result as a file.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context;
use serde::Serialize;

/// Writes the result into `dir`, named by what was measured and when.
pub(in crate::bench) fn store(
    dir: &Path,
    what: &str,
    at: chrono::DateTime<chrono::Utc>,
    measured: &impl Serialize,
) -> anyhow::Result<PathBuf> {
    let file = dir.join(format!("{what}-{}.json", at.format("%Y-%m-%dT%H-%M-%SZ")));
    let text = serde_json::to_string_pretty(measured)?;
    fs::create_dir_all(dir)
        .and_then(|()| fs::write(&file, text))
        .with_context(|| format!("cannot write {}", file.display()))?;
    Ok(file)
}
