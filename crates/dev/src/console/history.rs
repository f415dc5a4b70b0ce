//! The last messages of the stream, each with its sequence number, and a client's way through them.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use serde::Serialize;

/// How many messages are kept. A client that is further behind loads the snapshot again.
const CAPACITY: usize = 4096;

/// A client gets no more at once, so that a thousand clients that are far behind need little memory.
const PIECE_BYTES: usize = 256 * 1024;

/// Messages as server-sent events, written once for all clients.
pub(super) struct History {
    messages: VecDeque<Bytes>,
    /// The number of the last message.
    last: u64,
}

impl History {
    /// Without messages; the first one gets the number after this one.
    pub(super) fn new(last: u64) -> Self {
        Self { messages: VecDeque::with_capacity(CAPACITY), last }
    }

    pub(super) fn last(&self) -> u64 {
        self.last
    }

    pub(super) fn push(&mut self, event: &str, data: &impl Serialize) {
        self.last += 1;
        if self.messages.len() == CAPACITY {
            self.messages.pop_front();
        }
        self.messages.push_back(message(self.last, event, data));
    }

    /// The messages after this number, and the number of the last of them. Where they are not kept any
    /// more, or the number is that of another process, it is the message `reset`.
    pub(super) fn after(&self, number: u64) -> (Bytes, u64) {
        let first = self.last + 1 - self.messages.len() as u64;
        if number > self.last || number + 1 < first {
            return (message(self.last, "reset", &serde_json::json!({})), self.last);
        }
        let (mut piece, mut number) = (BytesMut::new(), number);
        let start = usize::try_from(number + 1 - first).unwrap_or(usize::MAX);
        for message in self.messages.range(start..) {
            if !piece.is_empty() && piece.len() + message.len() > PIECE_BYTES {
                break;
            }
            piece.extend_from_slice(message);
            number += 1;
        }
        (piece.freeze(), number)
    }
}

/// JSON without line breaks is one line of data.
fn message(number: u64, event: &str, data: &impl Serialize) -> Bytes {
    let data = serde_json::to_string(data).unwrap_or_default();
    format!("id: {number}\nevent: {event}\ndata: {data}\n\n").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(history: &History, number: u64) -> (String, u64) {
        let (piece, last) = history.after(number);
        (String::from_utf8(piece.to_vec()).unwrap_or_default(), last)
    }

    #[test]
    fn a_client_gets_each_message_after_its_last_one() {
        let mut history = History::new(100);
        assert_eq!(text(&history, 100), (String::new(), 100));
        history.push("row", &1);
        history.push("row", &2);
        let second = "id: 102\nevent: row\ndata: 2\n\n";
        assert_eq!(text(&history, 101), (second.to_owned(), 102));
        assert_eq!(text(&history, 100), (format!("id: 101\nevent: row\ndata: 1\n\n{second}"), 102));
    }

    #[test]
    fn a_client_of_another_process_or_too_far_behind_is_told_to_begin_again() {
        let mut history = History::new(100);
        let reset = |last: u64| (format!("id: {last}\nevent: reset\ndata: {{}}\n\n"), last);
        assert_eq!(text(&history, 99), reset(100));
        assert_eq!(text(&history, 101), reset(100));
        (0..=CAPACITY).for_each(|n| history.push("row", &n));
        let last = 101 + CAPACITY as u64;
        assert_eq!(text(&history, 100), reset(last));
        assert_eq!(text(&history, 101).1, last);
    }

    #[test]
    fn a_client_far_behind_gets_the_messages_in_pieces() {
        let mut history = History::new(0);
        let long = "x".repeat(PIECE_BYTES / 3);
        (0..5).for_each(|_| history.push("row", &long));
        let mut seen = 0;
        for expected in [2, 4, 5] {
            seen = history.after(seen).1;
            assert_eq!(seen, expected);
        }
    }
}
