//! A row of a list becomes a user.

use super::cells::{Cell, Odd};
use crate::found::{FoundUser, Place, Remark};

/// The column that must be there.
const USERNAME: &str = "username";
/// Columns of the old schema that mean nothing to VPN Manager: it finds out by itself, or has no use for it.
const UNUSED: [&str; 7] = [
    "id",
    "ovpn_path",
    "port",
    "protocol",
    "checksum",
    "synced",
    "created_by",
];

static ABSENT: Cell = Cell::Absent;

/// The users of one list.
#[derive(Debug, Default)]
pub(crate) struct UserList {
    pub(crate) users: Vec<FoundUser>,
    pub(crate) remarks: Vec<Remark>,
}

/// Where a list has what.
#[derive(Debug, Clone, Copy)]
pub(super) struct Columns {
    username: usize,
    active: Option<usize>,
    created_at: Option<usize>,
    expires_at: Option<usize>,
    last_access: Option<usize>,
    pub(super) server_id: Option<usize>,
}

impl Columns {
    /// `None`: there is no column `username`. Capitals and blanks around names do not matter.
    pub(super) fn of(names: &[String]) -> Option<Self> {
        let at = |wanted: &str| names.iter().position(|name| is(name, wanted));
        Some(Self {
            username: at(USERNAME)?,
            active: at("active"),
            created_at: at("created_at"),
            expires_at: at("expires_at"),
            last_access: at("last_access"),
            server_id: at("server_id"),
        })
    }

    /// Names of columns that nothing is known of.
    pub(super) fn unknown(&self, names: &[String]) -> Vec<String> {
        let used = [
            Some(self.username),
            self.active,
            self.created_at,
            self.expires_at,
            self.last_access,
            self.server_id,
        ];
        let unknown = names.iter().enumerate().filter(|(at, name)| {
            !used.contains(&Some(*at)) && !UNUSED.iter().any(|unused| is(name, unused)) && !name.trim().is_empty()
        });
        unknown.map(|(_, name)| name.trim().to_owned()).collect()
    }
}

impl UserList {
    pub(super) fn note_unknown(&mut self, place: Place, columns: &[String]) {
        if !columns.is_empty() {
            let text = format!("these columns are not carried over: {}", columns.join(", "));
            self.remarks.push(place.remark(text));
        }
    }

    /// Who cannot be read for certain is not let in.
    pub(super) fn add(&mut self, place: Place, cells: &[Cell], columns: &Columns) {
        let cell = |at: Option<usize>| at.and_then(|at| cells.get(at)).unwrap_or(&ABSENT);
        let name = cell(Some(columns.username))
            .text()
            .filter(|name| !name.trim().is_empty());
        let Some(name) = name else {
            self.remarks
                .push(place.remark("the row is left out: it has no username"));
            return;
        };
        let mut odd = Vec::new();
        let mut time = |column: &'static str, at: Option<usize>| {
            cell(at).time().unwrap_or_else(|Odd| {
                odd.push(column);
                None
            })
        };
        let (created_at, last_access) = (
            time("created_at", columns.created_at),
            time("last_access", columns.last_access),
        );
        for column in odd {
            let text = format!("the `{column}` of `{name}` is no time, and is left out");
            self.remarks.push(place.clone().remark(text));
        }
        let (expires_at, active) = (cell(columns.expires_at).time(), cell(columns.active).truth());
        for (column, is_odd) in [("expires_at", expires_at.is_err()), ("active", active.is_err())] {
            if is_odd {
                let text = format!(
                    "the `{column}` of `{name}` says nothing that is understood: the user is taken as suspended"
                );
                self.remarks.push(place.clone().remark(text));
            }
        }
        self.users.push(FoundUser {
            active: expires_at.is_ok() && active.is_ok_and(|active| active.unwrap_or(true)),
            created_at,
            expires_at: expires_at.unwrap_or_default(),
            last_access,
            ..FoundUser::new(name, place)
        });
    }
}

fn is(name: &str, wanted: &str) -> bool {
    name.trim().eq_ignore_ascii_case(wanted)
}
