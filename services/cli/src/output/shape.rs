//! What of a resource stands in its table.

/// A kind of thing that management answers with. What a newer management adds to it is in JSON and YAML, and in `show`.
#[derive(Debug)]
pub(crate) struct Shape {
    /// Where its name is: a JSON pointer.
    pub(crate) name: &'static str,
    pub(crate) columns: &'static [Column],
}

/// A column of the table.
#[derive(Debug)]
pub(crate) struct Column {
    pub(crate) title: &'static str,
    /// Where its value is: a JSON pointer.
    pub(crate) pointer: &'static str,
    pub(crate) look: Look,
}

/// How a value is shown to people.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Look {
    /// As it is.
    Plain,
    /// A time, to the second.
    Time,
    /// An amount of bytes.
    Bytes,
    /// A list of objects, by this member of each.
    Each(&'static str),
}

/// A column whose values are shown as they are.
pub(crate) const fn column(title: &'static str, pointer: &'static str) -> Column {
    Column {
        title,
        pointer,
        look: Look::Plain,
    }
}

impl Column {
    /// The same with values that are shown otherwise.
    pub(crate) const fn shown(self, look: Look) -> Self {
        Self { look, ..self }
    }

    /// The heading of a column for programs: `limits.traffic.bytes`.
    pub(crate) fn path(&self) -> String {
        self.pointer.trim_start_matches('/').replace('/', ".")
    }
}
