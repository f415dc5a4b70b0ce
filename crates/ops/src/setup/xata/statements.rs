//! Splits a file of SQL into statements. The lexer finds strings, comments and quoted bodies. As in
//! psql, a semicolon in parentheses or in a `BEGIN ATOMIC` body ends no statement.

use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer};

/// One statement, without its semicolon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Statement {
    pub(crate) text: String,
    /// The line of the file on which it begins, from 1.
    pub(crate) line: usize,
}

/// Why a file cannot be applied, and the line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct InvalidStatement {
    pub(crate) line: usize,
    pub(crate) why: String,
}

/// Splits a file into statements, each of which can be part of a transaction.
pub(crate) fn split(sql: &str) -> Result<Vec<Statement>, InvalidStatement> {
    let tokens = Tokenizer::new(&PostgreSqlDialect {}, sql).tokenize_with_location();
    let tokens = tokens.map_err(|error| InvalidStatement {
        line: line(error.location),
        why: error.message.to_lowercase(),
    })?;
    let lines = Lines::new(sql);
    let (mut statements, mut statement) = (Vec::new(), OpenStatement::default());
    for TokenWithSpan { token, span } in &tokens {
        match token {
            Token::Whitespace(_) | Token::EOF => {}
            Token::Backslash => {
                let why = "a line that begins with a backslash is for psql, and no SQL";
                return Err(InvalidStatement { line: line(span.start), why: why.to_owned() });
            }
            Token::SemiColon if statement.is_whole() => {
                statements.extend(std::mem::take(&mut statement).close(&lines)?);
            }
            token => statement.take(token, span.start, span.end),
        }
    }
    statements.extend(statement.close(&lines)?);
    Ok(statements)
}

/// A statement whose end is not reached.
#[derive(Default)]
struct OpenStatement {
    /// From its first word to its last.
    span: Option<(Location, Location)>,
    /// Its words, in capitals. A quoted name is no word.
    words: Vec<String>,
    parentheses: usize,
    blocks: usize,
}

impl OpenStatement {
    fn take(&mut self, token: &Token, start: Location, end: Location) {
        self.span = Some((self.span.map_or(start, |(start, _)| start), end));
        match token {
            Token::LParen => self.parentheses += 1,
            Token::RParen => self.parentheses = self.parentheses.saturating_sub(1),
            Token::Word(word) if word.quote_style.is_none() => {
                self.words.push(word.value.to_ascii_uppercase());
                if self.parentheses == 0 && self.makes_a_routine() {
                    match self.words.last().map(String::as_str) {
                        Some("BEGIN") => self.blocks += 1,
                        Some("CASE") if self.blocks > 0 => self.blocks += 1,
                        Some("END") => self.blocks = self.blocks.saturating_sub(1),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }

    fn makes_a_routine(&self) -> bool {
        let words: Vec<_> = self.words.iter().take(4).map(String::as_str).collect();
        let what = match &words[..] {
            ["CREATE", "OR", "REPLACE", what] | ["CREATE", what, ..] => *what,
            _ => "",
        };
        ["FUNCTION", "PROCEDURE"].contains(&what)
    }

    fn is_whole(&self) -> bool {
        self.parentheses == 0 && self.blocks == 0
    }

    /// The statement, unless it is empty.
    fn close(self, lines: &Lines) -> Result<Option<Statement>, InvalidStatement> {
        let Some((start, end)) = self.span else { return Ok(None) };
        let line = line(start);
        let words: Vec<_> = self.words.iter().map(String::as_str).collect();
        if !self.is_whole() {
            let why =
                "the file ends before this statement does: a parenthesis or an END is missing";
            return Err(InvalidStatement { line, why: why.to_owned() });
        }
        match objection(&words) {
            Some(why) => Err(InvalidStatement { line, why }),
            None => Ok(Some(Statement { text: lines.between(start, end).to_owned(), line })),
        }
    }
}

/// Why a statement cannot be part of the file's transaction, where that is known.
fn objection(words: &[&str]) -> Option<String> {
    let is_transaction = matches!(
        words,
        ["BEGIN" | "COMMIT" | "END" | "ROLLBACK" | "ABORT" | "SAVEPOINT" | "RELEASE", ..]
            | ["START" | "PREPARE", "TRANSACTION", ..]
    );
    if is_transaction {
        let what = words[0];
        return Some(format!("{what}: a file is one transaction already; take this out"));
    }
    if let ["COPY", ..] = words
        && words.iter().any(|word| ["STDIN", "STDOUT"].contains(word))
    {
        let why = "COPY with the data in the file needs psql's connection: write INSERT instead \
                   (pg_dump does with --inserts)";
        return Some(why.to_owned());
    }
    let what = match words {
        ["CREATE" | "DROP", "DATABASE" | "TABLESPACE" | "SUBSCRIPTION", ..]
        | ["ALTER", "SYSTEM", ..]
        | ["REINDEX", "DATABASE" | "SCHEMA" | "SYSTEM", ..]
        | ["DISCARD", "ALL", ..] => words[..2].join(" "),
        ["VACUUM", ..] => "VACUUM".to_owned(),
        ["CREATE" | "DROP" | "REINDEX" | "ALTER", ..] => {
            let is_index = words[..words.len().min(3)].contains(&"INDEX");
            let is_detached = words.contains(&"DETACH");
            let position = words.iter().position(|word| *word == "CONCURRENTLY")?;
            if !(is_index && position < 4 || is_detached || words[0] == "REINDEX") {
                return None;
            }
            let what = if is_detached { "DETACH PARTITION" } else { words[0] };
            let what = if is_index { format!("{what} INDEX") } else { what.to_owned() };
            return Some(format!(
                "{what} CONCURRENTLY cannot run in a transaction, and a file is one; a template has no \
                 other clients, so leave CONCURRENTLY out"
            ));
        }
        _ => return None,
    };
    Some(format!("{what} cannot run in a transaction, and a file is one; take it out"))
}

fn line(location: Location) -> usize {
    usize::try_from(location.line).unwrap_or_default().max(1)
}

/// Finds places in a text by line and column, as the lexer counts them.
struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    fn new(text: &'a str) -> Self {
        let after_breaks = text.match_indices('\n').map(|(index, _)| index + 1);
        Self { text, starts: std::iter::once(0).chain(after_breaks).collect() }
    }

    fn between(&self, start: Location, end: Location) -> &'a str {
        &self.text[self.index(start)..self.index(end)]
    }

    fn index(&self, location: Location) -> usize {
        let start = self.starts.get(line(location) - 1).copied().unwrap_or(self.text.len());
        let column = usize::try_from(location.column).unwrap_or_default().max(1);
        let mut characters = self.text[start..].char_indices();
        characters.nth(column - 1).map_or(self.text.len(), |(offset, _)| start + offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(sql: &str) -> Vec<String> {
        let statements = split(sql).unwrap_or_else(|error| panic!("{error:?}"));
        statements.into_iter().map(|statement| statement.text).collect()
    }

    fn objects(sql: &str) -> InvalidStatement {
        split(sql).expect_err(sql)
    }

    #[test]
    fn only_a_semicolon_between_statements_ends_one() {
        for whole in [
            "select 'a;b', \"c;d\", E'e\\';f', $$g;h$$, $x$ $$;$$ $x$, U&'i;j'",
            "select 1 -- a;b\n + 2",
            "select 1 /* a; /* b; */ c; */ + 2",
            "create function f() returns int language plpgsql as $$ begin return 1; end; $$",
            "create rule r as on insert to a do also (delete from b; delete from c)",
            "create or replace function f(x int) returns int begin atomic select case when x > 0 \
             then 1 end; select 2; end",
            "select a::text[] @> array[$1], b ->> 'c;', d #>> '{e}' from f where g ?| array['h']",
            "select 'ünï;cödé' as \"ä;ö\"",
        ] {
            assert_eq!(texts(&format!("-- before;\n{whole}\n;; select 2;")), [whole, "select 2"]);
            assert_eq!(texts(whole), [whole], "without an end");
        }
    }

    #[test]
    fn an_empty_file_has_no_statements() {
        for nothing in ["", " \n", ";;", "-- a comment", "/* another; */ ;"] {
            assert_eq!(texts(nothing), [""; 0], "{nothing:?}");
        }
    }

    #[test]
    fn a_statement_knows_its_line() {
        let statements = split("-- é\n\nselect 1;\r\nselect\r\n2; select 3").expect("statements");
        let lines: Vec<_> = statements.iter().map(|it| (&*it.text, it.line)).collect();
        assert_eq!(lines, [("select 1", 3), ("select\r\n2", 4), ("select 3", 5)]);
    }

    #[test]
    fn a_statement_that_cannot_run_in_a_transaction_is_refused_by_name() {
        for (sql, what) in [
            ("begin", "BEGIN:"),
            ("/* now */ start transaction", "START:"),
            ("commit", "COMMIT:"),
            ("savepoint a", "SAVEPOINT:"),
            ("vacuum analyze a", "VACUUM cannot"),
            ("create database a", "CREATE DATABASE cannot"),
            ("alter system set a = 1", "ALTER SYSTEM cannot"),
            ("create unique index concurrently a on b (c)", "CREATE INDEX CONCURRENTLY cannot"),
            ("drop index concurrently a", "DROP INDEX CONCURRENTLY cannot"),
            ("reindex table concurrently a", "REINDEX CONCURRENTLY cannot"),
            ("alter table a detach partition b concurrently", "DETACH PARTITION CONCURRENTLY"),
            ("copy a from stdin", "COPY with"),
        ] {
            let error = objects(&format!("select 1;\n{sql};"));
            assert!(error.line == 2 && error.why.contains(what), "{sql}: {error:?}");
        }
    }

    #[test]
    fn statements_that_only_resemble_the_refused_ones_pass() {
        for sql in [
            "create table \"begin\" (concurrently int)",
            "refresh materialized view concurrently a",
            "create index a on b (c)",
            "prepare a as select 1",
            "comment on table a is 'VACUUM'",
            "copy a from '/tmp/a'",
        ] {
            assert_eq!(texts(sql), [sql]);
        }
    }

    #[test]
    fn text_that_the_lexer_cannot_read_is_reported_with_its_line() {
        assert!(objects("select 1;\nselect 'a").why.contains("unterminated"));
        assert_eq!(objects("select 1;\nselect 'a").line, 2);
        assert!(objects("\\connect other").why.contains("psql"));
        assert!(objects("select (1;").why.contains("parenthesis"));
    }
}
