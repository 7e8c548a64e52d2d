//! The result as a file.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context;

use crate::bench::measure::Measured;

/// Writes the result into `dir`, named by its time.
pub(in crate::bench) fn store(dir: &Path, measured: &Measured) -> anyhow::Result<PathBuf> {
    let file = dir.join(format!("{}.json", measured.at.format("%Y-%m-%dT%H-%M-%SZ")));
    let text = serde_json::to_string_pretty(measured)?;
    fs::create_dir_all(dir)
        .and_then(|()| fs::write(&file, text))
        .with_context(|| format!("cannot write {}", file.display()))?;
    Ok(file)
}
