//! Making profiles: keys, certificates, files. Two commits for each: the key is journaled before its certificate is asked
//! for, so that a crash in between asks for the same certificate again and not for a second one.

mod finish;
mod issue;
mod result;
mod work;

pub use self::{
    issue::Issuer,
    result::{IssueError, IssueResult},
};
