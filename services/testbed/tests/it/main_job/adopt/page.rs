//! The commands of docs/adopt.md, in their order.

const PAGE: &str = include_str!("../../../../../../docs/adopt.md");

/// A block of commands, and where it stands: the number of its step, or the heading above it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Block {
    place: String,
    text: String,
}

/// The blocks that were not followed yet, the next one last.
#[derive(Debug)]
pub(super) struct Page {
    left: Vec<Block>,
}

impl Page {
    pub(super) fn read() -> Self {
        let mut left = blocks(PAGE);
        left.reverse();
        Self { left }
    }

    /// The next block, which must stand at this place.
    pub(super) fn next(&mut self, place: &str) -> String {
        let block = self.left.pop().unwrap_or_else(|| panic!("nothing is left for {place}"));
        assert_eq!(block.place, place, "the next block is {}", block.text);
        block.text
    }

    /// The block behind the next one of this place, which is not followed yet.
    pub(super) fn ahead(&self, place: &str) -> &str {
        let mut here = self.left.iter().rev().filter(|block| block.place == place);
        &here.nth(1).unwrap_or_else(|| panic!("one block at {place}")).text
    }

    pub(super) fn end(self) {
        assert_eq!(self.left, [], "commands of the page that were not followed");
    }
}

/// Settings of the agent: `NAME=value` lines.
pub(super) fn settings_in(block: &str) -> Vec<(String, String)> {
    let lines = block.lines().filter(|line| !line.starts_with('#'));
    let settings = lines.map(|line| {
        let (name, value) = line.split_once('=').unwrap_or_else(|| panic!("no setting: {line}"));
        (name.to_owned(), value.to_owned())
    });
    settings.collect()
}

fn blocks(page: &str) -> Vec<Block> {
    let (mut found, mut place, mut open) = (Vec::new(), String::new(), None::<String>);
    for line in page.lines() {
        match &mut open {
            Some(text) if line == "```" => {
                found.push(Block {
                    place: place.clone(),
                    text: std::mem::take(text),
                });
                open = None;
            }
            Some(text) => {
                text.push_str(line);
                text.push('\n');
            }
            None if line == "```sh" => open = Some(String::new()),
            None => {
                if let Some(heading) = line.strip_prefix("## ") {
                    heading.clone_into(&mut place);
                } else if let Some(step) = step_of(line) {
                    step.clone_into(&mut place);
                }
            }
        }
    }
    found
}

/// `**5. Import the users.** Look first: ...`
fn step_of(line: &str) -> Option<&str> {
    let (number, _) = line.strip_prefix("**")?.split_once(". ")?;
    number.parse::<u8>().is_ok().then_some(number)
}

/// The places that the story names, in the order of its text.
fn named_in(story: &str) -> Vec<&str> {
    let calls = story.split("page.next(\"").skip(1);
    calls.filter_map(|rest| rest.split('"').next()).collect()
}

#[test]
fn the_story_follows_each_block_of_the_page_in_its_order() {
    let blocks = blocks(PAGE);
    let places: Vec<&str> = blocks.iter().map(|block| block.place.as_str()).collect();
    assert_eq!(named_in(include_str!("story.rs")), places);
    for step in ["1", "2", "3", "4", "5", "6", "7"] {
        assert!(places.contains(&step), "step {step} has no command");
    }
    let fences = PAGE.lines().filter(|line| line.starts_with("```")).count();
    assert_eq!(fences, 2 * blocks.len(), "a block that is no sh is not followed");
}

#[test]
fn blocks_are_found_with_their_places() {
    let page = "## A\n**1. One**, here:\n```sh\na \\\n  b\n```\n```sh\nX=1\nY=a=b\n```\n## B\n```sh\nc\n```\n";
    let found: Vec<(String, String)> = blocks(page)
        .into_iter()
        .map(|block| (block.place, block.text))
        .collect();
    let expected = [("1", "a \\\n  b\n"), ("1", "X=1\nY=a=b\n"), ("B", "c\n")];
    assert_eq!(found, expected.map(|(place, text)| (place.to_owned(), text.to_owned())));
    let settings = [("X", "1"), ("Y", "a=b")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(settings_in(&found[1].1), settings);
}
