//! Groups on this node: what management says of them, and the fixed address of each member's credential, which holds her to the rules of her
//! group while the agent is dead.
//!
//! A node whose agent runs OpenVPN gives the members of every group but `default` a fixed address in the tunnel ([`Places`]). The rules of the
//! machine's firewall go by blocks of such addresses ([`Layout`]), so a member who logs in needs no agent to be held to them. Where the agent
//! does not run OpenVPN it can hold nobody to rules, and lets in only members of groups that have none ([`Unheld`]).

mod layout;
mod place;

mod book;
mod draft;
mod enforcement;
mod places;

mod definitions;
mod unheld;

mod holding;

pub(crate) use self::definitions::judges_default;
pub use self::{
    definitions::Definitions,
    draft::{Draft, Placing},
    enforcement::Enforced,
    holding::{Hold, Holding, HoldingDraft},
    layout::Layout,
    place::{Place, Seat},
    places::Places,
    unheld::Unheld,
};
