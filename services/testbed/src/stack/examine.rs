//! The doctor of a service, with the settings that the service runs with.

use std::process::{Output, Stdio};

use super::{Stack, StackError};
use crate::process::Spec;

impl Stack {
    /// What `doctor` of management says.
    ///
    /// # Errors
    /// It could not be started.
    pub async fn examine_management(&self) -> Result<Output, StackError> {
        examine(self.state.management_spec()?).await
    }

    /// What `doctor` of a node says, with these settings instead of its own and these flags.
    ///
    /// # Errors
    /// There is no such node, or it could not be started.
    pub async fn examine_node(
        &self,
        number: u8,
        settings: &[(&str, &str)],
        flags: &[&str],
    ) -> Result<Output, StackError> {
        let own = self.state.node_spec(number)?.args(flags.iter().copied());
        let changed = settings.iter().fold(own, |spec, (name, value)| spec.env(name, *value));
        examine(changed).await
    }
}

async fn examine(mut spec: Spec) -> Result<Output, StackError> {
    let given = std::mem::take(&mut spec.args);
    let spec = spec.args(["doctor", "-o", "json"]).args(given);
    let mut command = tokio::process::Command::from(spec.command());
    command.stdin(Stdio::null()).kill_on_drop(true);
    command.output().await.map_err(StackError::file(&spec.dir))
}
