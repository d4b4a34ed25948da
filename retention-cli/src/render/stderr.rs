//! Lines on standard error.

use registry_core::text::without_controls;

/// What failed, on standard error; for one owner of several, with its name.
pub fn error(owner: Option<&str>, error: &anyhow::Error) {
    let owner = owner.map_or_else(String::new, |owner| format!("owner {owner}: "));
    eprintln!("error: {}", without_controls(&format!("{owner}{error:#}")));
}

/// A line on standard error.
pub fn warn(text: &str) {
    eprintln!("warning: {}", without_controls(text));
}
