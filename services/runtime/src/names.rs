//! Names that are not known: which one was meant.

/// How alike two names must be for one to be taken for the other, from 0 to 1. clap asks for 0.7, which one letter of a name has.
const ALIKE: f64 = 0.75;

/// The known name that is likely meant. Those that are known are in lower case; the cost grows with the length of `name`.
pub fn nearest<'k>(name: &str, known: &[&'k str]) -> Option<&'k str> {
    let lower = name.to_lowercase();
    let likeness = |known: &str| strsim::jaro(&lower, known);
    let likely = known.iter().map(|known| (likeness(known), *known));
    likely
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .max_by(|one, other| one.0.total_cmp(&other.0))
        .map(|(_, known)| known)
}

/// The known name from which this one differs by a slip of the pen: a letter or two, or the case. Those that are known are in upper case.
pub(crate) fn misspelt<'k>(name: &str, known: &[&'k str]) -> Option<&'k str> {
    let upper = name.to_uppercase();
    let slips = |known: &str| strsim::damerau_levenshtein(&upper, known);
    // Of a short name one letter makes another word.
    let most = |known: &str| match known.len() {
        ..=5 => 0,
        6..=7 => 1,
        8.. => 2,
    };
    let likely = known.iter().map(|known| (slips(known), *known));
    likely
        .filter(|(slips, known)| *slips <= most(known))
        .min_by_key(|(slips, _)| *slips)
        .map(|(_, known)| known)
}
