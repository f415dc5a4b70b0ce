//! A directory of versioned SQL files in the form of the sqlx command line, and what a database has
//! of them. The record is sqlx's table `_sqlx_migrations`, so that `sqlx migrate info` agrees.
//!
//! | file | what is in it |
//! | --- | --- |
//! | `directory` | the files, and every check that needs no database |
//! | `statements` | the statements of a file |
//! | `apply` | the record of a database, and the files that it misses, applied |

mod apply;
mod directory;
mod statements;

pub(crate) use self::apply::{Change, Database};
pub(crate) use self::directory::{Directory, hex};
