//! Audits every registry:2 tree at or below a path and prints the tags that a client cannot pull.
//!
//! ```sh
//! cargo run --example audit_tree -- /var/lib/registry
//! ```
#![expect(
    clippy::disallowed_macros,
    clippy::disallowed_methods,
    reason = "a program prints; the library does not"
)]

use std::error::Error;
use std::path::Path;

use jiff::Timestamp;
use registry_core::audit::{AuditOptions, audit_tree};
use registry_core::storage::{OpenOptions, Symlinks, Tree, locate};

/// One line for every broken tag of every registry at or below `root`: the tag, and what breaks it.
///
/// # Errors
/// When there is no registry, or it cannot be opened. What cannot be read inside is no error here: the audit knows it
/// as [`unread`](registry_core::audit::Audit::unread).
pub fn broken_tags(root: &Path) -> Result<Vec<String>, Box<dyn Error>> {
    let mut lines = Vec::new();
    let found = locate(root, Symlinks::Refuse);
    if let Some(error) = found.errors.into_iter().next() {
        return Err(error.into());
    }
    for located in found.registries {
        let tree = Tree::open(&located, &OpenOptions::default())?.waiting_for_writers();
        let audit = audit_tree(&tree, &AuditOptions::new(Timestamp::now()));
        for tag in &audit.broken_tags {
            let why: Vec<_> = tag.findings.iter().map(|number| &*audit.findings[*number].message).collect();
            lines.push(format!("{}:{}: {}", tag.repository, tag.tag, why.join("; ")));
        }
    }
    Ok(lines)
}

fn main() -> Result<(), Box<dyn Error>> {
    let root = std::env::args_os().nth(1).ok_or("usage: audit_tree ROOT")?;
    for line in broken_tags(Path::new(&root))? {
        println!("{line}");
    }
    Ok(())
}
