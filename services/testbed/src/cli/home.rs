//! The folder that describes the running stack, and the lock for changing it.

use std::{
    fs::{self, File},
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use clap::Args;
use rustix::fs::FlockOperation;

/// Which stack a command is for.
#[derive(Debug, Args)]
pub(crate) struct Home {
    /// Folder of the state file and of `env`, which a shell can read
    #[arg(long, default_value = "target/run", value_name = "DIR")]
    home: PathBuf,
    /// Name of the stack, when several run side by side; its folder is DIR-NAME
    #[arg(long, value_name = "NAME", value_parser = name)]
    name: Option<String>,
}

impl Home {
    /// The folder, made if missing, as an absolute path.
    pub(crate) fn dir(&self) -> anyhow::Result<PathBuf> {
        let mut dir = self.home.as_os_str().to_owned();
        if let Some(name) = &self.name {
            dir.push(format!("-{name}"));
        }
        let dir = PathBuf::from(dir);
        fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
        dir.canonicalize()
            .with_context(|| format!("cannot find {}", dir.display()))
    }

    /// The name of the stack, if it has one.
    pub(crate) fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// A short id that is always the same for the same folder. It is part of every name of the stack.
    pub(crate) fn id(&self, dir: &Path) -> String {
        let mut hasher = DefaultHasher::new();
        dir.hash(&mut hasher);
        let name = self.name.as_deref().unwrap_or("run");
        format!("{name}-{:04x}", hasher.finish() & 0xffff)
    }
}

/// Takes the lock, so that only one command at a time changes a stack. It is released when dropped.
pub(crate) fn lock(dir: &Path) -> anyhow::Result<File> {
    let file = File::create(dir.join("lock")).with_context(|| format!("cannot make a lock in {}", dir.display()))?;
    if rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        bail!("another command is working on the stack in {}", dir.display());
    }
    Ok(file)
}

fn name(text: &str) -> Result<String, String> {
    let fits = (1..=12).contains(&text.len());
    if fits && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        return Ok(text.to_owned());
    }
    Err("expected 1 to 12 letters, digits and dashes".to_owned())
}
