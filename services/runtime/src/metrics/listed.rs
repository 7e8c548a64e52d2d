//! What the manual says of figures.

/// What the manual says of one figure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its name, as queries have it; that of a histogram without `_bucket`, `_count` and `_sum`.
    pub name: &'static str,
    /// `counter`, `gauge`, `histogram` or `info`.
    pub kind: &'static str,
    /// The names of its labels.
    pub labels: Vec<&'static str>,
    /// What it says, without a full stop.
    pub help: &'static str,
}

impl Listed {
    /// Its row in the manual.
    #[must_use]
    pub fn row(&self) -> String {
        let labels: Vec<String> = self.labels.iter().map(|label| format!("`{label}`")).collect();
        let Self { name, kind, help, .. } = self;
        format!("| `{name}` | {kind} | {} | {help} |", labels.join(", "))
    }
}

/// Of a figure with this name, kind and help.
pub(super) fn listed(
    (name, kind, help): (&'static str, &'static str, &'static str),
    labels: &[&'static str],
) -> Listed {
    Listed {
        name,
        kind,
        labels: labels.to_vec(),
        help,
    }
}
