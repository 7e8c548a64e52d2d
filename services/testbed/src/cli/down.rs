//! `down`: ends a stack.

use clap::Args;
use vpnmanager_testbed::stack::{Stack, StackError};

use super::home::{Home, lock};
use crate::screen::say;

#[derive(Debug, Args)]
pub(crate) struct Down {
    #[command(flatten)]
    home: Home,
}

impl Down {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let dir = self.home.dir()?;
        let _lock = lock(&dir)?;
        match Stack::attach(&dir) {
            Ok(stack) => {
                stack.down().await;
                say("The stack is down.");
            }
            Err(StackError::NotUp { .. }) => {
                Stack::clear_leftovers(&dir, &self.home.id(&dir)).await?;
                say("No stack is up here.");
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }
}
