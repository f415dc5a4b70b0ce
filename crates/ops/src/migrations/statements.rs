//! The statements of a file, as PostgreSQL finds them. The lexer finds strings, comments and quoted
//! bodies; a semicolon in parentheses or in a `BEGIN ATOMIC` body ends no statement.

use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};

/// A statement.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Statement {
    /// The line of the file on which it begins, from 1.
    pub(crate) line: usize,
    /// In capitals. A quoted name is no word.
    words: Vec<String>,
}

/// Why a file cannot be applied, and the line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct InvalidStatement {
    pub(crate) line: usize,
    pub(crate) why: String,
}

impl Statement {
    /// The first word, where the statement begins or ends a transaction.
    pub(crate) fn transaction_word(&self) -> Option<&str> {
        let words: Vec<_> = self.words.iter().take(2).map(String::as_str).collect();
        let is_transaction = matches!(
            words[..],
            ["BEGIN" | "COMMIT" | "END" | "ROLLBACK" | "ABORT" | "SAVEPOINT" | "RELEASE", ..]
                | ["START" | "PREPARE", "TRANSACTION"]
        );
        is_transaction.then(|| words[0]).and(self.words.first().map(String::as_str))
    }

    /// Whether the data follows the statement, or goes to the client.
    fn is_copy(&self) -> bool {
        let is = |word: &str| self.words.iter().any(|it| it == word);
        self.words.first().is_some_and(|it| it == "COPY") && (is("STDIN") || is("STDOUT"))
    }
}

/// Splits a file into statements.
pub(crate) fn split(sql: &str) -> Result<Vec<Statement>, InvalidStatement> {
    let invalid = |line, why: &str| InvalidStatement { line, why: why.to_owned() };
    let tokens = Tokenizer::new(&PostgreSqlDialect {}, sql).tokenize_with_location();
    let tokens = tokens
        .map_err(|error| invalid(line(error.location.line), &error.message.to_lowercase()))?;
    let mut statements = Vec::<Statement>::new();
    let (mut is_open, mut parentheses, mut blocks) = (false, 0_usize, 0_usize);
    for TokenWithSpan { token, span } in &tokens {
        match token {
            Token::Whitespace(_) | Token::EOF => continue,
            Token::SemiColon if parentheses == 0 && blocks == 0 => {
                is_open = false;
                continue;
            }
            Token::Backslash => {
                let why = "a line that begins with a backslash is for psql, and no SQL";
                return Err(invalid(line(span.start.line), why));
            }
            Token::LParen => parentheses += 1,
            Token::RParen => parentheses = parentheses.saturating_sub(1),
            _ => {}
        }
        if !is_open {
            is_open = true;
            statements.push(Statement { line: line(span.start.line), words: Vec::new() });
        }
        let Some(Statement { words, .. }) = statements.last_mut() else { continue };
        if let Token::Word(word) = token
            && word.quote_style.is_none()
        {
            let before = words.last().cloned().unwrap_or_default();
            words.push(word.value.to_ascii_uppercase());
            match words.last().map(String::as_str) {
                Some("ATOMIC") if before == "BEGIN" => blocks += 1,
                Some("CASE") if blocks > 0 => blocks += 1,
                Some("END") => blocks = blocks.saturating_sub(1),
                _ => {}
            }
        }
    }
    if let Some(Statement { line, .. }) = statements.last()
        && parentheses + blocks > 0
    {
        let why = "the file ends before this statement does: a parenthesis or an END is missing";
        return Err(invalid(*line, why));
    }
    if let Some(Statement { line, .. }) = statements.iter().find(|it| it.is_copy()) {
        let why = "COPY with the data in the file needs psql: write INSERT instead (pg_dump does with \
                   --inserts), or run psql with `cargo ops each`";
        return Err(invalid(*line, why));
    }
    Ok(statements)
}

fn line(number: u64) -> usize {
    usize::try_from(number).unwrap_or_default().max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(sql: &str) -> Vec<usize> {
        let statements = split(sql).unwrap_or_else(|error| panic!("{error:?}"));
        statements.into_iter().map(|statement| statement.line).collect()
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
            assert_eq!(lines(&format!("-- before;\n{whole};;\nselect 2;")).len(), 2, "{whole}");
            assert_eq!(lines(whole), [1], "without an end: {whole}");
        }
    }

    #[test]
    fn an_empty_file_has_no_statements() {
        for nothing in ["", " \n", ";;", "-- a comment", "/* another; */ ;"] {
            assert_eq!(lines(nothing), [0; 0], "{nothing:?}");
        }
    }

    #[test]
    fn a_statement_knows_its_line() {
        assert_eq!(lines("-- é\n\nselect 1;\r\nselect\r\n2; select 3"), [3, 4, 5]);
    }

    #[test]
    fn a_statement_of_a_transaction_is_known_by_its_words() {
        let word = |sql| split(sql).expect(sql)[0].transaction_word().map(str::to_owned);
        for sql in ["begin", "/* now */ start transaction", "commit", "savepoint a", "end"] {
            assert!(word(sql).is_some(), "{sql}");
        }
        for sql in ["create table \"begin\" ()", "prepare a as select 1", "select 'commit'"] {
            assert_eq!(word(sql), None, "{sql}");
        }
    }

    #[test]
    fn text_that_is_no_statement_is_reported_with_its_line() {
        assert!(objects("select 1;\nselect 'a").why.contains("unterminated"));
        assert_eq!(objects("select 1;\nselect 'a").line, 2);
        assert!(objects("\\connect other").why.contains("psql"));
        assert!(objects("select (1;").why.contains("parenthesis"));
        assert_eq!(objects("select 1;\ncopy a from stdin;\n1\n").line, 2);
        assert!(lines("copy a from '/tmp/a'").len() == 1);
    }
}
