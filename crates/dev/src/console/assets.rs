//! The files of the page, which the program contains.

use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;

const HTML: &str = "text/html; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// A file of `crates/dev/console/`.
macro_rules! file {
    ($name:literal, $content_type:expr) => {
        ($name, $content_type, include_str!(concat!("../../console/", $name)))
    };
}

/// Name, content type, content.
const FILES: [(&str, &str, &str); 18] = [
    file!("index.html", HTML),
    file!("style.css", STYLE),
    file!("icon.svg", "image/svg+xml"),
    file!("actions.js", SCRIPT),
    file!("announce.js", SCRIPT),
    file!("connection.js", SCRIPT),
    file!("databases.js", SCRIPT),
    file!("deliveries.js", SCRIPT),
    file!("detail.js", SCRIPT),
    file!("dialogs.js", SCRIPT),
    file!("dom.js", SCRIPT),
    file!("faults.js", SCRIPT),
    file!("main.js", SCRIPT),
    file!("numbers.js", SCRIPT),
    file!("runs.js", SCRIPT),
    file!("store.js", SCRIPT),
    file!("words.js", SCRIPT),
    file!("world.js", SCRIPT),
];

/// The file at this path, if there is one.
pub(super) fn respond(path: &str) -> Option<Response> {
    let name = if path == "/" { "index.html" } else { path.strip_prefix('/')? };
    let (_, content_type, content) = FILES.iter().find(|it| it.0 == name)?;
    Some(([(CONTENT_TYPE, *content_type)], *content).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// docs/reference.md, "Local runs": the page is small and needs no network.
    #[test]
    fn the_page_has_all_its_files_is_small_and_loads_nothing_from_elsewhere() {
        let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/console");
        let names = std::fs::read_dir(directory).expect("the directory").flatten();
        let mut names: Vec<_> = names.filter_map(|it| it.file_name().into_string().ok()).collect();
        names.sort();
        let mut embedded = FILES.map(|it| it.0);
        embedded.sort_unstable();
        assert_eq!(names, embedded);
        assert!(FILES.iter().map(|it| it.2.len()).sum::<usize>() < 100_000);
        for (name, _, content) in FILES {
            for elsewhere in ["src=\"http", "href=\"http", "url(http", "from 'http", "import('http"]
            {
                assert!(!content.contains(elsewhere), "{name}: {elsewhere}");
            }
        }
    }
}
