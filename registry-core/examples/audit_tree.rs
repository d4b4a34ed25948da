//! Audits a registry:2 tree and prints the tags that a client cannot pull.
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
use registry_core::audit::{self, AuditOptions};
use registry_core::storage::{OpenOptions, ScanOptions, ScanProgress, Tree, locate};

/// One line for every broken tag of every registry at or below `root`: the tag, and what breaks it.
///
/// # Errors
/// When there is no registry, or it cannot be opened. What cannot be read inside is no error here: the audit knows it
/// as [`unread`](registry_core::audit::Audit::unread).
pub fn broken_tags(root: &Path) -> Result<Vec<String>, Box<dyn Error>> {
    let mut lines = Vec::new();
    let found = locate(root, false);
    if let Some(error) = found.errors.into_iter().next() {
        return Err(error.into());
    }
    for located in found.registries {
        let tree = Tree::open(&located, &OpenOptions::default())?;
        let progress = ScanProgress::default();
        let mut graph = tree.scan(&ScanOptions::default(), &progress);
        // The audit is a pure function of the graph and the clock. What it doubts is read a second time, so that a push under way is
        // not taken for damage.
        let name = located.name.display().to_string();
        let options = AuditOptions::new(Timestamp::now());
        let audit = audit::audit_with_recheck(&mut graph, &name, &options, |graph, doubts| {
            tree.settle(graph, doubts, &progress);
        });
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
