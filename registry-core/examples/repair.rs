//! Plans the repair of a registry:2 tree and prints its steps; does them only when it is told to.
//!
//! ```sh
//! cargo run --example repair -- /var/lib/registry
//! cargo run --example repair -- /var/lib/registry repair.journal
//! ```
//!
//! `registry-fsck repair --undo` takes back what a journal tells.
#![expect(
    clippy::disallowed_macros,
    clippy::disallowed_methods,
    reason = "a program prints; the library does not"
)]

use std::error::Error;
use std::path::Path;

use jiff::Timestamp;
use registry_core::audit::AuditOptions;
use registry_core::repair::{FileLog, StepOutcome, StepProgress, apply, plan_tree};
use registry_core::storage::{OpenOptions, Tree, locate_one};
use registry_core::tree_writer::{Access, TreeWriter};

/// One line for every step: what is done, where, and what became of it. Nothing is changed without a journal to write.
///
/// # Errors
/// When there is no registry, or something else is at work on it, or the journal cannot be written.
pub fn repair(root: &Path, journal: Option<&Path>, now: Timestamp) -> Result<Vec<String>, Box<dyn Error>> {
    let located = locate_one(root)?;
    let tree = Tree::open(&located, &OpenOptions::default())?.waiting_for_writers();
    // The writer is opened before the plan is made, so that nothing else repairs the tree in between.
    let writer = journal.map(|_| TreeWriter::open(&located, None, Access::default(), now)).transpose()?;
    let plan = plan_tree(&tree, &AuditOptions::new(now));
    let outcomes = match (writer, journal) {
        (Some(mut writer), Some(journal)) if !plan.steps().is_empty() => {
            apply(&mut writer, &plan, || FileLog::create(journal), None, &StepProgress::default())?
        }
        _ => vec![StepOutcome::Planned; plan.steps().len()],
    };
    let lines = plan.steps().iter().zip(&outcomes).map(|(step, outcome)| {
        let done = if *outcome == StepOutcome::Done { "done" } else { "not done" };
        format!("{} {}: {} ({done})", step.action.as_str(), step.path, step.message)
    });
    Ok(lines.collect())
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let root = arguments.next().ok_or("usage: repair ROOT [JOURNAL]")?;
    let journal = arguments.next();
    for line in repair(Path::new(&root), journal.as_deref().map(Path::new), Timestamp::now())? {
        println!("{line}");
    }
    Ok(())
}
