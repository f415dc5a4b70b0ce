//! Results and errors of PostgreSQL, as the gateway writes them.
//!
//! The driver returns values in PostgreSQL's binary form, but the gateway shows text. So a statement is
//! prepared, which shows that it is one and what it returns, and then run by the simple protocol, which
//! returns text. A statement with parameters is run by `PREPARE` and `EXECUTE`.

use http::StatusCode;
use serde_json::{Map, Value, json};
use tokio_postgres::error::{DbError, ErrorPosition};
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Column, Error, SimpleQueryMessage, SimpleQueryRow};

use super::error::{error, fatal, unreachable};
use super::request::{Modes, Query, Request};
use crate::service::ErrorResponse;

const RESPONSE_LIMIT_BYTES: usize = 10 * 1024 * 1024;

/// PostgreSQL's code for a statement that took too long.
const CANCELLED: &str = "57014";

/// The commands that return a number of rows.
const COUNTING: [&str; 8] =
    ["SELECT", "INSERT", "UPDATE", "DELETE", "MERGE", "FETCH", "MOVE", "COPY"];

pub(super) async fn run(
    client: &Client,
    modes: &Modes,
    request: &Request,
) -> Result<Value, ErrorResponse> {
    let answer = match request {
        Request::Single(query) => query.run(client, modes).await?,
        Request::Batch { queries } | Request::Bare(queries) => {
            client.batch_execute(&format!("BEGIN{}", modes.transaction)).await?;
            let mut results = Vec::new();
            for query in queries {
                // An error drops the connection, which rolls back.
                results.push(query.run(client, modes).await?);
            }
            client.batch_execute("COMMIT").await?;
            json!({ "results": results })
        }
    };
    if answer.to_string().len() > RESPONSE_LIMIT_BYTES {
        let message = "the response is too large";
        let status = StatusCode::INSUFFICIENT_STORAGE;
        return Err(error(status, "RESPONSE_TOO_LARGE", message));
    }
    Ok(answer)
}

impl Query {
    async fn run(&self, client: &Client, modes: &Modes) -> Result<Value, ErrorResponse> {
        let statement = client.prepare(&self.text).await?;
        let (n_given, n_taken) = (self.params.len(), statement.params().len());
        if n_given != n_taken {
            let message = format!(
                "bind message supplies {n_given} parameters, but prepared statement \"\" requires {n_taken}"
            );
            return Err(fatal("08P01", message));
        }
        let messages = if self.params.is_empty() {
            client.simple_query(&self.text).await?
        } else {
            let values: Vec<_> = self.params.iter().map(literal).collect();
            client.batch_execute(&format!("PREPARE standin AS {}", self.text)).await?;
            let run = format!("EXECUTE standin({})", values.join(", "));
            let messages = client.simple_query(&run).await?;
            client.batch_execute("DEALLOCATE standin").await?;
            messages
        };
        let as_array = self.array_mode.unwrap_or(modes.rows_as_arrays);
        let columns = statement.columns();
        let (mut rows, mut count) = (Vec::new(), None);
        for message in messages {
            match message {
                SimpleQueryMessage::Row(row) => rows.push(shown(&row, columns, as_array, modes)),
                SimpleQueryMessage::CommandComplete(n) => count = Some(n),
                _ => {}
            }
        }
        let command = command(&self.text);
        Ok(json!({
            "fields": columns.iter().map(field).collect::<Vec<_>>(),
            "rowCount": count.filter(|_| COUNTING.contains(&command.as_str())),
            "command": command,
            "rows": rows,
            "rowAsArray": as_array,
        }))
    }
}

/// The first word, comments aside.
fn command(text: &str) -> String {
    let mut rest = text.trim_start();
    loop {
        let after = if let Some(comment) = rest.strip_prefix("--") {
            comment.split_once('\n').map_or("", |(_, after)| after)
        } else if let Some(comment) = rest.strip_prefix("/*") {
            comment.split_once("*/").map_or("", |(_, after)| after)
        } else {
            break;
        };
        rest = after.trim_start();
    }
    let word: String = rest.chars().take_while(char::is_ascii_alphabetic).collect();
    match word.to_ascii_uppercase().as_str() {
        "" | "WITH" | "VALUES" | "TABLE" if !rest.is_empty() => "SELECT".to_owned(),
        word => word.to_owned(),
    }
}

/// A parameter as a literal that takes the type of its place.
fn literal(value: &Value) -> String {
    let text = match value {
        Value::Null => return "NULL".to_owned(),
        Value::String(text) => text.clone(),
        value => value.to_string(),
    };
    format!(" E'{}'", text.replace('\\', r"\\").replace('\'', "''"))
}

fn field(column: &Column) -> Value {
    json!({
        "name": column.name(),
        "tableID": column.table_oid().unwrap_or(0),
        "columnID": column.column_id().unwrap_or(0),
        "dataTypeID": column.type_().oid(),
        "dataTypeSize": size(column.type_()),
        "dataTypeModifier": column.type_modifier(),
        "format": "text",
    })
}

/// Bytes; -1 is any number of them.
fn size(kind: &Type) -> i16 {
    match *kind {
        Type::BOOL => 1,
        Type::INT2 => 2,
        Type::INT4 | Type::FLOAT4 | Type::DATE | Type::OID => 4,
        Type::INT8 | Type::FLOAT8 | Type::TIMESTAMP | Type::TIMESTAMPTZ | Type::TIME => 8,
        Type::UUID | Type::INTERVAL => 16,
        Type::NAME => 64,
        _ => -1,
    }
}

fn shown(row: &SimpleQueryRow, columns: &[Column], as_array: bool, modes: &Modes) -> Value {
    let value = |(index, column): (usize, &Column)| match row.get(index) {
        None => Value::Null,
        Some(text) if modes.raw_text => text.into(),
        Some(text) => value(text, column.type_()),
    };
    if as_array {
        return columns.iter().enumerate().map(value).collect();
    }
    let named = columns.iter().enumerate().map(|it| (it.1.name().to_owned(), value(it)));
    Value::Object(named.collect::<Map<_, _>>())
}

/// Small numbers, booleans and JSON are shown as such, everything else as text.
fn value(text: &str, kind: &Type) -> Value {
    match *kind {
        Type::BOOL => (text == "t").into(),
        Type::INT2
        | Type::INT4
        | Type::OID
        | Type::FLOAT4
        | Type::FLOAT8
        | Type::JSON
        | Type::JSONB => serde_json::from_str(text).unwrap_or_else(|_| text.into()),
        _ => text.into(),
    }
}

impl From<Error> for ErrorResponse {
    fn from(error: Error) -> Self {
        error.as_db_error().map_or_else(unreachable, response)
    }
}

fn response(database: &DbError) -> ErrorResponse {
    let code = match database.code().code() {
        CANCELLED => "QUERY_TIMEOUT",
        code => code,
    };
    let mut response = error(StatusCode::BAD_REQUEST, code, database.message());
    let position = match database.position() {
        Some(ErrorPosition::Original(position)) => Some(position.to_string()),
        _ => None,
    };
    let (line, severity) = (database.line().map(|line| line.to_string()), database.severity());
    for (member, text) in [
        ("severity", Some(severity)),
        ("detail", database.detail()),
        ("hint", database.hint()),
        ("position", position.as_deref()),
        ("where", database.where_()),
        ("schema", database.schema()),
        ("table", database.table()),
        ("column", database.column()),
        ("dataType", database.datatype()),
        ("constraint", database.constraint()),
        ("file", database.file()),
        ("line", line.as_deref()),
        ("routine", database.routine()),
    ] {
        if let Some(text) = text {
            response = response.with(member, text);
        }
    }
    response
}
