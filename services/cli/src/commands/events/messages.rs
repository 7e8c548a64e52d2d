//! Server-sent events (WHATWG HTML standard): messages out of a stream of bytes.

use std::mem;

/// What is read of a stream.
#[derive(Debug, Default)]
pub(super) struct Messages {
    /// The beginning of a line.
    line: Vec<u8>,
    /// The beginning of a message.
    message: Message,
}

/// A message, of which nothing else counts here. What has an id and no data says how far management is.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) id: Option<i64>,
    pub(super) data: Option<String>,
}

impl Messages {
    /// Reads on: the messages that end here.
    pub(super) fn read(&mut self, bytes: &[u8]) -> Vec<Message> {
        let mut ended = Vec::new();
        let mut lines = bytes.split(|byte| *byte == b'\n');
        // Of the last piece the end is not known yet.
        let rest = lines.next_back().unwrap_or_default();
        for piece in lines {
            self.line.extend_from_slice(piece);
            let line = mem::take(&mut self.line);
            let line = String::from_utf8_lossy(&line);
            match line.strip_suffix('\r').unwrap_or(&line) {
                "" => ended.push(mem::take(&mut self.message)),
                line => self.message.add(line),
            }
        }
        self.line.extend_from_slice(rest);
        ended
    }
}

impl Message {
    fn add(&mut self, line: &str) {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "id" => self.id = value.parse().ok(),
            "data" => {
                let before = self.data.take().map(|data| data + "\n").unwrap_or_default();
                self.data = Some(before + value);
            }
            // Comments have no name. The kind of an event is in its data, too.
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str = "retry: 2000\nid: 4710\n\nid: 4711\r\nevent: user_created\r\ndata: {\"a\":\r\ndata: \"ü\"}\r\n\r\n\
        : nothing new\nid: 4711\n\nid: 4712\ndata: cut";

    fn message(id: i64, data: Option<&str>) -> Message {
        Message {
            id: Some(id),
            data: data.map(str::to_owned),
        }
    }

    #[test]
    fn messages_are_the_same_wherever_the_stream_is_cut() {
        let expected = [
            message(4710, None),
            message(4711, Some("{\"a\":\n\"ü\"}")),
            message(4711, None),
        ];
        for size in 1..=STREAM.len() {
            let mut messages = Messages::default();
            let read: Vec<Message> = STREAM
                .as_bytes()
                .chunks(size)
                .flat_map(|part| messages.read(part))
                .collect();
            assert_eq!(read, expected, "{size}");
        }
    }
}
