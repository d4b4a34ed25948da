//! The verbs `plan` and `explain`: an inventory and a policy into a plan, printed or kept.

use std::path::Path;

use anyhow::{Context as _, anyhow};
use jiff::Timestamp;
use registry_core::retention::{self as core, Plan, Record};
use registry_core::text::NaturalOrder;

use crate::args::{ExplainArgs, PlanArgs};
use crate::exit::{self, Failure};
use crate::file::{keep, text_of};
use crate::planning::{plan_of, warn_of_unmatched};
use crate::render::Explained;
use crate::{policy, render};

/// Most bytes of a recorded inventory.
const INVENTORY_MAX: u64 = 1 << 30;

/// Plans, prints, keeps.
///
/// # Errors
/// When the inventory or the policy cannot be used, or the plan cannot be written.
pub fn run(args: &PlanArgs) -> Result<u8, Failure> {
    let Some(path) = &args.recorded.inventory else { return crate::run::plan(args) };
    let record = record(path)?;
    let policy =
        policy::settle(&args.policy, record.source.kind, args.undo_window).map_err(Failure::Usage)?;
    let plan = make(&record, &policy, args.common.at);
    if let Some(path) = &args.plan_file {
        keep(path, &plan)
            .with_context(|| format!("cannot write the plan {}", path.display()))
            .map_err(Failure::Io)?;
    }
    render::plan(&args.common, &plan, None).context("cannot print the plan").map_err(Failure::Io)?;
    let mut tally = exit::Tally::default();
    tally.plan(&plan, &args.answer, false);
    Ok(tally.status())
}

/// Explains why a package, a tag or a digest stays or goes.
///
/// # Errors
/// As [`run`]; and when nothing of that name is there.
pub fn explain(args: &ExplainArgs) -> Result<u8, Failure> {
    let (plans, tally) = match &args.recorded.inventory {
        Some(path) => {
            let record = record(path)?;
            let policy = policy::settle(&args.policy, record.source.kind, false).map_err(Failure::Usage)?;
            (vec![make(&record, &policy, args.common.at)], exit::Tally::default())
        }
        None => crate::run::explain(args)?,
    };
    let mut missed = None;
    let mut is_found = false;
    for plan in &plans {
        let found = render::explain(&args.common, plan, &args.subject, plans.len() > 1);
        match found.context("cannot print").map_err(Failure::Io)? {
            Explained::Rows => is_found = true,
            Explained::Package { name, tags } => missed = missed.or(Some((name, tags))),
            Explained::Nothing => {}
        }
    }
    if is_found || plans.is_empty() {
        return Ok(tally.status());
    }
    if let Some((name, tags)) = missed {
        return Err(Failure::Usage(no_such_version(&args.subject, &name, tags)));
    }
    let names = plans.iter().flat_map(|plan| &plan.packages).map(|package| package.name.as_str());
    let names: Vec<_> = names.take(10).collect();
    Err(Failure::Usage(anyhow!(
        "nothing is called {:?}; the packages are {}",
        args.subject,
        names.join(", ")
    )))
}

/// Tags named to somebody who named one that is not there.
const NEAREST: usize = 5;

/// That a package has nothing of the name that was given, and the tags that are most like it.
fn no_such_version(subject: &str, package: &str, mut tags: Vec<String>) -> anyhow::Error {
    let wanted = subject.rsplit(':').next().unwrap_or_default().to_lowercase();
    tags.sort_by_cached_key(|tag| {
        (strsim::damerau_levenshtein(&wanted, &tag.to_lowercase()), NaturalOrder::position_of(tag))
    });
    tags.truncate(NEAREST);
    let has = match &tags[..] {
        [] => "has no tags".to_owned(),
        [one] => format!("has the tag {one}"),
        _ => format!("has tags such as {}", tags.join(", ")),
    };
    anyhow!("nothing is called {subject:?}; package {package} {has}")
}

/// Plans, and says what matches nothing.
pub fn make(record: &Record, policy: &core::Policy, at: Option<Timestamp>) -> Plan {
    warn_of_unmatched(record, policy);
    plan_of(record, policy, at)
}

fn record(path: &Path) -> Result<Record, Failure> {
    let read = || Ok::<_, anyhow::Error>(Record::read(&text_of(path, INVENTORY_MAX)?)?);
    read().with_context(|| format!("cannot use the inventory {}", path.display())).map_err(Failure::Usage)
}
