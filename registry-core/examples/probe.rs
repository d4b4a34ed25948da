//! Probes a live registry and prints the tags that a client cannot pull.
//!
//! ```sh
//! cargo run --example probe -- https://registry.example.com
//! ```
#![expect(
    clippy::disallowed_macros,
    clippy::disallowed_methods,
    reason = "a program prints; the library does not"
)]

use std::error::Error;

use jiff::Timestamp;
use registry_core::probe::{ProbeOptions, ProbeState, probe};
use registry_core::registry::{Client, Credentials, Http, Settings};

/// One line for every broken tag, and for everything that could not be asked. The state is what a later run goes on from; a
/// program keeps it in a file.
///
/// # Errors
/// When the address is none. What does not answer is no error here: the audit knows it as
/// [`unread`](registry_core::audit::Audit::unread).
pub async fn broken_tags(http: &Http, address: &str, now: Timestamp) -> Result<Vec<String>, Box<dyn Error>> {
    let client = Client::new(http, address, Credentials::Anonymous)?;
    let mut state = ProbeState::new(&client.address());
    let audit = probe(&client, &ProbeOptions::new(now), &mut state).await.audit;
    let mut lines = Vec::new();
    for tag in &audit.broken_tags {
        let why: Vec<_> = tag.findings.iter().map(|number| &*audit.findings[*number].message).collect();
        lines.push(format!("{}:{}: {}", tag.repository, tag.tag, why.join("; ")));
    }
    lines.extend(audit.unread.iter().map(|one| format!("unread {}: {}", one.path, one.error)));
    Ok(lines)
}

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).ok_or("usage: probe ADDRESS")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let http = Http::new(Settings::default())?;
    for line in runtime.block_on(broken_tags(&http, &address, Timestamp::now()))? {
        println!("{line}");
    }
    Ok(())
}
