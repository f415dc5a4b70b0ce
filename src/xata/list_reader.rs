//! Finds one branch in a project's list in constant memory. The reader splits the response into
//! branches as it arrives and keeps only the current one.

use serde::Deserialize;

use super::{Database, ProjectId};

/// A longer branch is unreadable. Real ones are a few hundred bytes.
const BRANCH_LIMIT_BYTES: usize = 64 * 1024;

/// The members of a branch that lists and creates have and the function needs.
#[derive(Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Branch {
    id: String,
    pub(super) name: String,
    region: String,
}

impl Branch {
    /// The database; none where the name or the region is not well-formed.
    pub(super) fn into_database(self, project: &ProjectId) -> Option<Database> {
        let (name, region) =
            (self.name.as_str().try_into().ok()?, self.region.as_str().try_into().ok()?);
        let id = self.id.as_str().try_into().ok();
        Some(Database { project: project.clone(), name, region, id })
    }
}

/// What the bytes so far contain.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// The branch of the wanted name.
    Found(Branch),
    /// The wanted name has not appeared yet.
    More,
    /// These bytes are not the list that Xata documents.
    Unreadable,
}

/// Reads `{"branches": [{…}, …]}` byte by byte and looks for a name.
///
/// It follows strings and brackets only, and hands each branch to a JSON parser. A list that is cut
/// off, or that holds anything but branches with a name, is unreadable and never proves an absence.
#[derive(Debug)]
pub(super) struct ListReader<'a> {
    wanted: &'a str,
    /// The open brackets. Inside one are the members of the response; inside three, those of a
    /// branch.
    open: Vec<u8>,
    in_string: bool,
    escaped: bool,
    /// The bytes of the current member name or branch.
    pending: Vec<u8>,
    position: Position,
}

#[derive(Debug, PartialEq, Eq)]
enum Position {
    BeforeList,
    InList,
    AfterList,
    /// The response has ended, too.
    Complete,
}

impl<'a> ListReader<'a> {
    pub(super) fn new(wanted: &'a str) -> Self {
        let (open, pending) = (Vec::new(), Vec::new());
        Self {
            wanted,
            open,
            in_string: false,
            escaped: false,
            pending,
            position: Position::BeforeList,
        }
    }

    /// Reads the next bytes.
    pub(super) fn read(&mut self, chunk: &[u8]) -> Progress {
        let done =
            chunk.iter().map(|&byte| self.step(byte)).find(|progress| *progress != Progress::More);
        done.unwrap_or(Progress::More)
    }

    /// Whether the list was read from its beginning to its end.
    pub(super) fn is_complete(&self) -> bool {
        self.position == Position::Complete
    }

    fn step(&mut self, byte: u8) -> Progress {
        let inside = self.position == Position::InList;
        if self.open.len() == 1 || (inside && self.open.len() >= 3) {
            self.pending.push(byte);
            if self.pending.len() > BRANCH_LIMIT_BYTES {
                return Progress::Unreadable;
            }
        }
        if self.in_string {
            (self.in_string, self.escaped) = match byte {
                _ if self.escaped => (true, false),
                b'\\' => (true, true),
                b'"' => (false, false),
                _ => (true, false),
            };
            return Progress::More;
        }
        let blank = byte.is_ascii_whitespace();
        match (self.open.len(), byte) {
            (0, b'{') if self.position == Position::BeforeList => self.open.push(byte),
            (0, _) if !blank => return Progress::Unreadable,
            (1, b',') => self.pending.clear(),
            (1, b'[') => {
                if self.position == Position::BeforeList && self.pending_is(b"\"branches\":[") {
                    self.position = Position::InList;
                }
                self.open.push(byte);
            }
            (2, b'{') if inside => {
                self.pending = vec![byte];
                self.open.push(byte);
            }
            (_, b'}' | b']') => return self.close(byte),
            (2, _) if inside && !blank && byte != b',' => return Progress::Unreadable,
            (_, b'{' | b'[') => self.open.push(byte),
            (_, b'"') => self.in_string = true,
            _ => {}
        }
        Progress::More
    }

    fn close(&mut self, bracket: u8) -> Progress {
        if !matches!((self.open.pop(), bracket), (Some(b'{'), b'}') | (Some(b'['), b']')) {
            return Progress::Unreadable;
        }
        match (self.open.len(), &self.position) {
            (2, Position::InList) => match serde_json::from_slice::<Branch>(&self.pending) {
                Ok(branch) if branch.name == self.wanted => return Progress::Found(branch),
                Ok(_) => {}
                Err(_) => return Progress::Unreadable,
            },
            (1, Position::InList) => self.position = Position::AfterList,
            (0, Position::AfterList) => self.position = Position::Complete,
            (0, _) => return Progress::Unreadable,
            _ => {}
        }
        Progress::More
    }

    fn pending_is(&self, expected: &[u8]) -> bool {
        self.pending.iter().filter(|byte| !byte.is_ascii_whitespace()).eq(expected)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks a name up in a list that arrives in chunks of this length.
    fn look_up(list: &str, name: &str, chunk_length: usize) -> (Progress, bool) {
        let mut reader = ListReader::new(name);
        for chunk in list.as_bytes().chunks(chunk_length) {
            match reader.read(chunk) {
                Progress::More => {}
                done => return (done, false),
            }
        }
        (Progress::More, reader.is_complete())
    }

    const LIST: &str = r#" { "note": {"branches": [{"name": 7}]}, "more": ["]", {}],
        "branches" : [ {"id":"a","name":"main","region":"us-east-1","parentID":null,"tags":[{"x":"}"}]},
                       {"name":"quote\" ]} \\","id":"b","region":"eu-central-1"} , {"id":"c","name":"Main","region":"x"}],
        "next": null } "#;

    #[test]
    fn a_name_is_found_in_chunks_of_any_length() {
        for chunk_length in 1..LIST.len() {
            for (name, id) in [("main", "a"), ("Main", "c"), ("quote\" ]} \\", "b")] {
                let (progress, _) = look_up(LIST, name, chunk_length);
                assert!(
                    matches!(progress, Progress::Found(ref branch) if branch.id == id),
                    "{name} by {chunk_length}"
                );
            }
            assert_eq!(
                look_up(LIST, "MAIN", chunk_length),
                (Progress::More, true),
                "by {chunk_length}"
            );
        }
    }

    #[test]
    fn a_truncated_list_is_not_complete() {
        for end in 0..LIST.trim_end().len() {
            assert_ne!(look_up(&LIST[..end], "MAIN", 7), (Progress::More, true), "cut at {end}");
        }
    }

    #[test]
    fn an_empty_list_is_complete() {
        assert_eq!(look_up(r#"{"branches":[]}"#, "main", 1), (Progress::More, true));
    }

    #[test]
    fn a_body_that_is_not_the_documented_list_is_not_an_absence() {
        for body in [
            "",
            "null",
            "[]",
            "{}",
            r#"{"message":"x"}"#,
            r#"{"branches":null}"#,
            r#"{"branches":{}}"#,
            r#"{"branches":[null]}"#,
            r#"{"branches":["main"]}"#,
            r#"{"branches":[{"id":"a"}]}"#,
            r#"{"branches":[{"id":"a","name":7,"region":"x"}]}"#,
            r#"{"branches":[]]"#,
            r#"{"branches":[]}{"branches":[]}"#,
            "<html>[{}]</html>",
        ] {
            assert_ne!(look_up(body, "main", 3), (Progress::More, true), "{body}");
        }
    }

    #[test]
    fn a_branch_beyond_the_limit_is_unreadable() {
        let huge = format!(r#"{{"branches":[{{"name":"{}"#, "a".repeat(BRANCH_LIMIT_BYTES));
        assert_eq!(look_up(&huge, "main", 1000).0, Progress::Unreadable);
    }
}
