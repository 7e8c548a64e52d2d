//! PEM text (RFC 7468), parsed and written anew, so that no other text can reach a configuration inside it.

use data_encoding::BASE64;

/// The line width that OpenSSL and OpenVPN write.
const WIDTH: usize = 64;

/// A text that is not the PEM that was expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPem {
    /// No block at all.
    #[error("no PEM block was found")]
    Empty,
    /// A block that does not end, or an end without its beginning.
    #[error("a PEM block is cut short")]
    Torn,
    /// A block of another kind.
    #[error("a PEM block has another label than expected")]
    Label,
    /// What is between the lines is not base64.
    #[error("a PEM block is not base64")]
    Base64,
    /// There is more than one block, text around it, or a line that RFC 7468 would have written otherwise.
    #[error("it is more than one PEM block, or not written in lines of 64 characters")]
    Form,
}

/// One block.
pub fn render(label: &str, bytes: &[u8]) -> String {
    let body = BASE64.encode(bytes);
    let mut text = format!("-----BEGIN {label}-----\n");
    for start in (0..body.len()).step_by(WIDTH) {
        text.push_str(&body[start..body.len().min(start + WIDTH)]);
        text.push('\n');
    }
    text.push_str(&format!("-----END {label}-----\n"));
    text
}

/// The content of every block of a text, each of which must bear one of these labels. Text around the blocks is dropped.
pub fn parse<'l>(text: &str, labels: &[&'l str]) -> Result<Vec<(&'l str, Vec<u8>)>, InvalidPem> {
    let mut blocks = Vec::new();
    let mut lines = text.lines().map(str::trim);
    while let Some(line) = lines.next() {
        let Some(label) = marker(line, "-----BEGIN ") else {
            continue;
        };
        let label = labels.iter().find(|known| **known == label).ok_or(InvalidPem::Label)?;
        let mut body = String::new();
        loop {
            let line = lines.next().ok_or(InvalidPem::Torn)?;
            match marker(line, "-----END ") {
                Some(end) if end == *label => break,
                Some(_) => return Err(InvalidPem::Torn),
                None => body.push_str(line),
            }
        }
        blocks.push((*label, BASE64.decode(body.as_bytes()).map_err(|_| InvalidPem::Base64)?));
    }
    if blocks.is_empty() {
        Err(InvalidPem::Empty)
    } else {
        Ok(blocks)
    }
}

/// The content of a text that is exactly one block with this label, as [`render`] writes it: nothing before, between or after it.
pub fn parse_exactly(text: &str, label: &str) -> Result<Vec<u8>, InvalidPem> {
    let mut blocks = parse(text, &[label])?;
    let (_, bytes) = blocks.pop().ok_or(InvalidPem::Empty)?;
    if render(label, &bytes) == text {
        Ok(bytes)
    } else {
        Err(InvalidPem::Form)
    }
}

/// The first block of a text, written anew and alone.
pub fn normal(text: &str, label: &str) -> Result<String, InvalidPem> {
    let (_, bytes) = parse(text, &[label])?.into_iter().next().ok_or(InvalidPem::Empty)?;
    Ok(render(label, &bytes))
}

fn marker<'t>(line: &'t str, prefix: &str) -> Option<&'t str> {
    line.strip_prefix(prefix)?.strip_suffix("-----")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_survives_the_round_trip() {
        let bytes: Vec<u8> = (0..=255).collect();
        let text = render("THING", &bytes);
        assert!(text.lines().all(|line| line.len() <= WIDTH));
        assert_eq!(parse(&text, &["OTHER", "THING"]), Ok(vec![("THING", bytes)]));
    }

    #[test]
    fn exactly_one_block_is_that_block_as_it_is_written_here() {
        let text = render("A", &[7; 100]);
        assert_eq!(parse_exactly(&text, "A"), Ok(vec![7; 100]));
        for other in [
            format!("up evil\n{text}"),
            format!("{text}up evil\n"),
            format!("{text}\n"),
            format!(" {text}"),
            format!("{text}{text}"),
            text.replace('\n', "\r\n"),
            text.replace('\n', "\n\n"),
            text.trim_end().to_owned(),
            text.replacen("Bwc", "Bwc ", 1),
            text.replacen("Bwc", "\tBwc", 1),
        ] {
            assert!(parse_exactly(&other, "A").is_err(), "{other:?} was accepted");
        }
        assert_eq!(normal(&text.replace('\n', "\r\n"), "A"), Ok(text));
    }

    #[test]
    fn what_is_not_the_expected_pem_is_refused() {
        let torn = "-----BEGIN A-----\nAAAA\n";
        let odd = "-----BEGIN A-----\n</ca>\nup evil\n-----END A-----\n";
        assert_eq!(parse("", &["A"]), Err(InvalidPem::Empty));
        assert_eq!(parse(torn, &["A"]), Err(InvalidPem::Torn));
        assert_eq!(parse(&render("B", b"x"), &["A"]), Err(InvalidPem::Label));
        assert_eq!(parse(odd, &["A"]), Err(InvalidPem::Base64));
    }
}
