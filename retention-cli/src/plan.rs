//! The verbs `plan` and `explain`, for recorded inventories. For servers, they are in `run`.

use std::path::Path;

use anyhow::{Context as _, anyhow};
use jiff::Timestamp;
use registry_core::retention::{self as core, Plan, Record};
use registry_core::text::NaturalOrder;

use crate::args::{ExplainArgs, PlanArgs};
use crate::exit::{self, Failure};
use crate::file::read_text;
use crate::planning::{make_plan, output_plan, warn_of_unmatched};
use crate::render::Explained;
use crate::{policy, render};

/// Plans, prints, and writes the plan file.
///
/// # Errors
/// When the inventory or the policy cannot be used, or the plan cannot be written.
pub fn run(args: &PlanArgs) -> Result<u8, Failure> {
    let Some(path) = &args.recorded.inventory else { return crate::run::plan(args) };
    let record = read_record(path)?;
    let policy =
        policy::from_args(&args.policy, record.source.kind, args.undo_window).map_err(Failure::Usage)?;
    let plan = plan_record(&record, &policy, args.common.at);
    let mut tally = exit::Tally::default();
    output_plan(args, &plan, &mut tally)?;
    Ok(tally.status())
}

/// Explains why a package, a tag or a digest stays or goes.
///
/// # Errors
/// As [`run`], and when nothing has the given name.
pub fn explain(args: &ExplainArgs) -> Result<u8, Failure> {
    let (plans, tally) = match &args.recorded.inventory {
        Some(path) => {
            let record = read_record(path)?;
            let policy =
                policy::from_args(&args.policy, record.source.kind, false).map_err(Failure::Usage)?;
            (vec![plan_record(&record, &policy, args.common.at)], exit::Tally::default())
        }
        None => crate::run::explain(args)?,
    };
    let mut package_without_match = None;
    let mut is_found = false;
    for plan in &plans {
        let found = render::explain(&args.common, plan, &args.subject, plans.len() > 1);
        match found.context("cannot print").map_err(Failure::Io)? {
            Explained::Rows => is_found = true,
            Explained::Package { name, tags } => {
                package_without_match = package_without_match.or(Some((name, tags)));
            }
            Explained::Nothing => {}
        }
    }
    if is_found || plans.is_empty() {
        return Ok(tally.status());
    }
    if let Some((name, tags)) = package_without_match {
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

/// How many similar tags are named when there is none of the given name.
const NEAREST: usize = 5;

/// The error for a name that a package does not have, with the most similar tags.
fn no_such_version(subject: &str, package: &str, mut tags: Vec<String>) -> anyhow::Error {
    let wanted = subject.rsplit(':').next().unwrap_or_default().to_lowercase();
    tags.sort_by_cached_key(|tag| {
        (strsim::damerau_levenshtein(&wanted, &tag.to_lowercase()), NaturalOrder::new(tag))
    });
    tags.truncate(NEAREST);
    let has = match &tags[..] {
        [] => "has no tags".to_owned(),
        [tag] => format!("has the tag {tag}"),
        _ => format!("has tags such as {}", tags.join(", ")),
    };
    anyhow!("nothing is called {subject:?}; package {package} {has}")
}

/// Plans, and warns of parts of the policy that match nothing.
fn plan_record(record: &Record, policy: &core::Policy, at: Option<Timestamp>) -> Plan {
    warn_of_unmatched(record, policy);
    make_plan(record, policy, at)
}

fn read_record(path: &Path) -> Result<Record, Failure> {
    let read = || Ok::<_, anyhow::Error>(Record::read(&read_text(path)?)?);
    read().with_context(|| format!("cannot use the inventory {}", path.display())).map_err(Failure::Usage)
}
