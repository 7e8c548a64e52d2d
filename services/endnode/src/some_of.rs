//! Naming some of many to people.

/// The most that are named: more would push the end of a note over its bound.
const MOST: usize = 3;

/// The first three, and how many more there are: `a, b, c and 2 more`.
pub(crate) fn some_of<T: ToString>(all: &[T]) -> String {
    let named: Vec<String> = all.iter().take(MOST).map(ToString::to_string).collect();
    let named = named.join(", ");
    match all.len().saturating_sub(MOST) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_are_named_and_the_others_are_counted() {
        assert_eq!(some_of(&["a", "b", "c"]), "a, b, c");
        assert_eq!(some_of(&["a", "b", "c", "d", "e"]), "a, b, c and 2 more");
    }
}
