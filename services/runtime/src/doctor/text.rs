//! The report as lines for people.

use std::fmt::Write as _;

use super::report::{Finding, Outcome, Report};

const RESET: &str = "\x1b[0m";

/// One line for each finding, with why and the command that mends it below those that are not as they should be.
pub(super) fn text_of(report: &Report, details: bool, colours: bool) -> String {
    let names: Vec<String> = report.checks.iter().map(name_of).collect();
    let widest = names.iter().map(|name| name.chars().count()).max().unwrap_or_default();
    let mut text = String::new();
    for (finding, name) in report.checks.iter().zip(&names) {
        // Writing to a String cannot fail.
        _ = write_finding(&mut text, finding, &format!("{name:<widest$}"), details, colours);
    }
    _ = writeln!(
        text,
        "\n{} {}: {} ok, {} warnings, {} failed, {} skipped",
        report.examined.program,
        report.examined.version,
        report.count(Outcome::Ok),
        report.count(Outcome::Warning),
        report.count(Outcome::Failed),
        report.count(Outcome::Skipped),
    );
    text
}

fn write_finding(text: &mut String, finding: &Finding, name: &str, details: bool, colours: bool) -> std::fmt::Result {
    let indent = " ".repeat(WORD + 2);
    let (word, found) = (finding.outcome.as_str(), finding.found.as_deref());
    let word = format!("{word:<WORD$}");
    let word = match colours {
        true => format!("{}{word}{RESET}", colour_of(finding.outcome)),
        false => word,
    };
    match (found, &finding.why) {
        (Some(found), Some(why)) => {
            writeln!(text, "{word}  {name}  {}", on_one_line(found))?;
            writeln!(text, "{indent}why:  {}", on_one_line(why))?;
        }
        (Some(only), None) => writeln!(text, "{word}  {name}  {}", on_one_line(only))?,
        (None, Some(why)) => writeln!(text, "{word}  {name}  {}", on_one_line(why))?,
        (None, None) => writeln!(text, "{word}  {name}")?,
    }
    if let Some(mend) = &finding.mend {
        writeln!(text, "{indent}mend: {}", on_one_line(mend))?;
    }
    if details {
        finding
            .details
            .iter()
            .try_for_each(|detail| writeln!(text, "{indent}- {}", on_one_line(detail)))?;
    }
    Ok(())
}

/// The widest of the words for outcomes.
const WORD: usize = 7;

fn name_of(finding: &Finding) -> String {
    match &finding.of {
        Some(of) => format!("{} {}", finding.id, on_one_line(of)),
        None => finding.id.to_owned(),
    }
}

/// Others choose some of these words: a line end in them would look like a finding of its own, an escape like a colour.
fn on_one_line(words: &str) -> String {
    let mut line = String::new();
    for word in words.split(|character: char| character.is_whitespace() || character.is_control()) {
        if !word.is_empty() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    line
}

fn colour_of(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Ok => "\x1b[32m",
        Outcome::Skipped => "\x1b[2m",
        Outcome::Warning => "\x1b[33m",
        Outcome::Failed => "\x1b[31m",
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            check::{Check, Trouble, Verdict},
            report::Examined,
        },
        *,
    };

    fn report() -> Report {
        let names = Check::new("names", "Names");
        let nodes = Check::new("nodes", "Nodes");
        let examined = Examined {
            program: "example",
            version: "1.0.0",
        };
        let skipped = Verdict::Skipped {
            why: "the check names failed".to_owned(),
            mend: None,
        };
        let about_one = Finding {
            of: Some("n1\u{1b}".to_owned()),
            details: vec!["it has\n3 users".to_owned()],
            ..Finding::new(&nodes, Verdict::Fine("healthy".to_owned()))
        };
        let failed = Verdict::Failed(Trouble::new(
            "db is\nnot known",
            "\x1b[31mNXDOMAIN",
            "getent ahosts\x1b db",
        ));
        let checks = vec![Finding::new(&names, failed), about_one, Finding::new(&nodes, skipped)];
        Report::new(examined, checks)
    }

    #[test]
    fn the_lines_are_aligned_and_words_of_others_make_no_line_of_their_own() {
        let text = text_of(&report(), false, false);
        assert_eq!(
            text,
            "failed   names     db is not known\n\
             \x20        why:  [31mNXDOMAIN\n\
             \x20        mend: getent ahosts db\n\
             ok       nodes n1  healthy\n\
             skipped  nodes     the check names failed\n\
             \n\
             example 1.0.0: 1 ok, 0 warnings, 1 failed, 1 skipped\n"
        );
    }

    #[test]
    fn colours_and_details_are_for_who_wants_them() {
        let text = text_of(&report(), true, true);
        assert!(text.contains("\x1b[31mfailed \x1b[0m  names"), "{text}");
        assert!(text.contains("- it has 3 users"), "{text}");
        assert!(!text_of(&report(), true, false).contains('\x1b'));
    }
}
