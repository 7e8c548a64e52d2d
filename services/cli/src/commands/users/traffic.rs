//! `users traffic` and `users forgive`.

use clap::Args;

use super::named::Named;
use super::shape::USER;
use crate::arguments::Wait;
use crate::commands::days::{DAY, Days};
use crate::desk::Desk;
use crate::failure::Failure;
use crate::given::given;
use crate::pages::items;
use crate::values::wait_text;

/// Whose traffic.
#[derive(Debug, Args)]
pub(crate) struct Traffic {
    #[command(flatten)]
    named: Named,
    #[command(flatten)]
    days: Days,
}

/// Who is forgiven.
#[derive(Debug, Args)]
pub(crate) struct Forgive {
    #[command(flatten)]
    named: Named,
    #[command(flatten)]
    wait: Wait,
}

impl Traffic {
    pub(super) async fn run(&self, desk: &Desk) -> Result<(), Failure> {
        let request = desk.api.get_user_traffic().username(self.named.user.as_str());
        let request = given!(request, from = self.days.from.clone(), until = self.days.until.clone());
        let answer = desk.api.answer(request.send()).await?;
        desk.print(&desk.output.list(&DAY, items(&answer))?)
    }
}

impl Forgive {
    pub(super) async fn run(&self, desk: &Desk) -> Result<(), Failure> {
        let user = self.named.user.as_str();
        let request = desk.api.forgive_user_traffic().username(user);
        let request = given!(request, wait = self.wait.wait.map(wait_text));
        let answer = desk.api.answer(request.send()).await?;
        desk.settle(&USER, &self.wait, user, answer).await
    }
}
