//! Plans from a recorded inventory and prints what would go.
//!
//! ```sh
//! cargo run --example plan_inventory -- fixtures/inventories/forgejo-v15.json 10
//! ```
#![expect(
    clippy::disallowed_macros,
    clippy::disallowed_methods,
    reason = "a program prints; the library does not"
)]

use std::error::Error;
use std::path::Path;

use jiff::Timestamp;
use registry_core::retention::{Action, Policy, Record, plan};

/// One line for every row that would go: package, tag, why.
///
/// # Errors
/// When the file is no inventory.
pub fn doomed(inventory: &Path, keep_last: u32, now: Timestamp) -> Result<Vec<String>, Box<dyn Error>> {
    let record = Record::read(&std::fs::read_to_string(inventory)?)?;
    let policy = Policy::keep_last(keep_last)?;
    let plan = plan(record.source.clone(), record.packages(), &policy, now, env!("CARGO_PKG_VERSION"));
    let mut lines = Vec::new();
    for package in &plan.packages {
        for row in package.versions.iter().filter(|row| row.action == Action::Delete) {
            lines.push(format!("{}:{}: {}", package.name, row.version, row.reasons.join("; ")));
        }
    }
    Ok(lines)
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let inventory = arguments.next().ok_or("usage: plan_inventory FILE [N]")?;
    let keep_last = arguments.next().and_then(|n| n.to_str()?.parse().ok()).unwrap_or(10);
    for line in doomed(Path::new(&inventory), keep_last, Timestamp::now())? {
        println!("{line}");
    }
    Ok(())
}
