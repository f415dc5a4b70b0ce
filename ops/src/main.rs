//! The companion tool.
fn main() {}
