//! `users reissue`.

use clap::Args;

use super::named::Named;
use super::shape::USER;
use crate::arguments::Wait;
use crate::client::types;
use crate::commands::old_profiles::OldProfiles;
use crate::desk::Desk;
use crate::failure::Failure;
use crate::given::given;
use crate::question::Sure;
use crate::values::wait_text;

/// Whose profiles, and what becomes of the old ones.
#[derive(Debug, Args)]
pub(crate) struct Reissue {
    #[command(flatten)]
    named: Named,
    #[command(flatten)]
    old: OldProfiles,
    #[command(flatten)]
    sure: Sure,
    #[command(flatten)]
    wait: Wait,
}

impl Reissue {
    pub(super) async fn run(&self, desk: &Desk) -> Result<(), Failure> {
        let user = self.named.user.as_str();
        let deed = async {
            desk.api.answer(desk.api.get_user().username(user).send()).await?;
            Ok::<_, Failure>(format!("give {user} new profiles for all devices {}", self.old.words()))
        };
        if (self.old.are_revoked() || self.sure.is_trial()) && !self.sure.agrees(deed).await? {
            return Ok(());
        }
        let body = types::Reissue::builder().old_profiles(self.old.value());
        let request = desk.api.reissue_user_profile().username(user).body(body);
        let request = given!(request, wait = self.wait.wait.map(wait_text));
        let answer = desk.api.answer(request.send()).await?;
        desk.settle(&USER, &self.wait, user, answer).await
    }
}
