//! The operator's file as it is at the moment.

use std::{
    fs,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use tokio::time::Instant;
use tracing::{info, warn};

use super::{checks::lint, expected::Expected, finding::Finding};

/// Between two looks at the files.
const LOOK: Duration = Duration::from_secs(2);

/// A configuration that is checked again as it changes, with the files that it names. Clones share what was found.
#[derive(Debug, Clone)]
pub struct LintedConf {
    file: PathBuf,
    expected: Arc<Expected>,
    last: Arc<Mutex<Option<Look>>>,
}

#[derive(Debug)]
struct Look {
    at: Instant,
    findings: Vec<Finding>,
}

impl LintedConf {
    /// The file, and what it is compared with.
    pub fn new(file: PathBuf, expected: Expected) -> Self {
        Self {
            file,
            expected: Arc::new(expected),
            last: Arc::default(),
        }
    }

    /// What should change, as of two seconds ago at most. Logs what is found anew.
    pub fn findings(&self) -> Vec<Finding> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = &*last
            && last.at.elapsed() < LOOK
        {
            return last.findings.clone();
        }
        let findings = lint(&self.file, &self.expected);
        let known = last.as_ref().map_or(&[][..], |last| &last.findings);
        for finding in findings.iter().filter(|finding| !known.contains(finding)) {
            warn!(finding = %finding, "The OpenVPN configuration needs a change");
        }
        if findings.is_empty() && !known.is_empty() {
            info!("The OpenVPN configuration is as it should be");
        }
        *last = Some(Look {
            at: Instant::now(),
            findings: findings.clone(),
        });
        findings
    }

    /// Whether the file was changed after this moment, which is known to the second. What it includes is not looked at.
    pub fn changed_since(&self, moment: SystemTime) -> bool {
        let changed = fs::metadata(&self.file).and_then(|file| file.modified());
        changed.is_ok_and(|changed| changed > moment + Duration::from_secs(1))
    }
}
