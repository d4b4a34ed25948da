//! Plans retention for an owner on a Forgejo and prints what would be deleted; deletes it only when it is told to.
//!
//! ```sh
//! TOKEN=… cargo run --example apply -- https://git.example.com team
//! TOKEN=… cargo run --example apply -- https://git.example.com team run.journal
//! ```
#![expect(
    clippy::disallowed_macros,
    clippy::disallowed_methods,
    reason = "a program prints and reads its environment; the library does not"
)]

use std::error::Error;
use std::path::Path;

use jiff::Timestamp;
use registry_core::forgejo::{Forgejo, ForgejoAccount};
use registry_core::registry::{Http, Settings};
use registry_core::repair::FileLog;
use registry_core::retention::{
    Action, CollectOptions, PlanExpectations, Policy, ServerPlanning, apply, plan_server,
};

/// The version that is written into plans: only the program that planned may act.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// One line for every row that goes or would go. Nothing is deleted without a journal to write.
///
/// # Errors
/// When the server does not answer, or the journal cannot be made.
pub async fn keep_last(
    http: &Http,
    address: &str,
    account: &ForgejoAccount,
    keep: u32,
    journal: Option<&Path>,
    now: Timestamp,
) -> Result<Vec<String>, Box<dyn Error>> {
    let forgejo = Forgejo::connect(http, address, account).await?;
    let policy = Policy::keep_last(keep)?;
    let how = ServerPlanning::new(&policy, now, VERSION);
    let plan = plan_server(&forgejo, forgejo.source(), &how).await?.plan;
    let Some(journal) = journal else {
        let rows =
            plan.packages.iter().flat_map(|package| package.versions.iter().map(move |row| (package, row)));
        let going = rows.filter(|(_, row)| row.action == Action::Delete);
        return Ok(going
            .map(|(package, row)| format!("{}:{} would go", package.name, row.version))
            .collect());
    };
    let expected = PlanExpectations { tool_version: VERSION, now, max_age: 3600 };
    let verified = plan.verify(&expected)?;
    let mut journal = FileLog::create(journal)?;
    let applied =
        apply(&forgejo.into_write_access(), verified, &CollectOptions::default(), &mut journal, now).await;
    Ok(applied.rows.iter().map(|row| format!("{}:{} {:?}", row.package, row.version, row.outcome)).collect())
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let usage = "usage: apply ADDRESS OWNER [JOURNAL]";
    let (address, owner) = (arguments.next().ok_or(usage)?, arguments.next().ok_or(usage)?);
    let journal = arguments.next();
    let token = std::env::var("TOKEN").ok().map(Into::into);
    let account = ForgejoAccount { owner, user: None, token };
    let http = Http::new(Settings::default())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let deleting =
        keep_last(&http, &address, &account, 10, journal.as_deref().map(Path::new), Timestamp::now());
    for line in runtime.block_on(deleting)? {
        println!("{line}");
    }
    Ok(())
}
