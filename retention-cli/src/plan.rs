//! The verbs `plan` and `explain`: an inventory and a policy into a plan, printed or kept.

use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, anyhow, bail};
use jiff::Timestamp;
use registry_core::retention::{self as core, Inventory, Plan, Record};

use crate::args::{ExplainArgs, PlanArgs, Policy};
use crate::exit::{self, Failure};
use crate::{policy, render};

/// Most bytes of a recorded inventory.
const INVENTORY_MAX: u64 = 1 << 30;

/// Plans, prints, keeps.
///
/// # Errors
/// When the inventory or the policy cannot be used, or the plan cannot be written.
pub fn run(args: &PlanArgs) -> Result<u8, Failure> {
    let inventory = inventory(args.recorded.inventory.as_deref())?;
    let plan = make(inventory, &args.policy, args.common.at)?;
    if let Some(path) = &args.plan_file {
        keep(path, &plan)
            .with_context(|| format!("cannot write the plan {}", path.display()))
            .map_err(Failure::Io)?;
    }
    render::plan(&args.common, &plan).context("cannot print the plan").map_err(Failure::Io)?;
    Ok(exit::of_plan(&plan, &args.answer))
}

/// Explains why a package, a tag or a digest stays or goes.
///
/// # Errors
/// As [`run`]; and when nothing of that name is there.
pub fn explain(args: &ExplainArgs) -> Result<u8, Failure> {
    let inventory = inventory(args.recorded.inventory.as_deref())?;
    let plan = make(inventory, &args.policy, args.common.at)?;
    let found =
        render::explain(&args.common, &plan, &args.subject).context("cannot print").map_err(Failure::Io)?;
    if !found {
        let names: Vec<_> = plan.packages.iter().map(|package| package.name.as_str()).take(10).collect();
        let why = anyhow!("nothing is called {:?}; the packages are {}", args.subject, names.join(", "));
        return Err(Failure::Usage(why));
    }
    Ok(exit::DONE)
}

fn make(mut inventory: Inventory, args: &Policy, at: Option<Timestamp>) -> Result<Plan, Failure> {
    let settled = policy::settle(args, inventory.source.kind).map_err(Failure::Usage)?;
    if !settled.packages.is_empty() {
        inventory
            .packages
            .retain(|package| settled.packages.iter().any(|pattern| pattern.is_match(&package.name)));
        for pattern in &settled.packages {
            if !inventory.packages.iter().any(|package| pattern.is_match(&package.name)) {
                render::warn(&format!("no package matches {:?}", pattern.as_str()));
            }
        }
    }
    for pattern in &settled.policy.keep_tags {
        let tags = inventory.packages.iter().flat_map(|package| &package.rows);
        if pattern.as_str() != "latest" && !tags.into_iter().any(|row| pattern.is_match(&row.version)) {
            render::warn(&format!("no tag matches the keep pattern {:?}", pattern.as_str()));
        }
    }
    let now = at.unwrap_or_else(Timestamp::now);
    Ok(core::plan(&inventory, &settled.policy, settled.text, now, env!("CARGO_PKG_VERSION")))
}

fn inventory(path: Option<&Path>) -> Result<Inventory, Failure> {
    let Some(path) = path else {
        return Err(Failure::Usage(anyhow!(
            "this version plans from a recorded inventory only: give --inventory FILE"
        )));
    };
    let read = || -> anyhow::Result<Inventory> {
        use std::io::Read as _;
        let mut text = String::new();
        if std::fs::File::open(path)?.take(INVENTORY_MAX + 1).read_to_string(&mut text)? as u64
            > INVENTORY_MAX
        {
            bail!("it is larger than 1 GiB");
        }
        Ok(Record::read(&text)?.inventory())
    };
    read().with_context(|| format!("cannot use the inventory {}", path.display())).map_err(Failure::Usage)
}

/// Writes the plan so that nobody finds half of one.
fn keep(path: &Path, plan: &Plan) -> anyhow::Result<()> {
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    serde_json::to_writer_pretty(&mut file, plan)?;
    file.write_all(b"\n")?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}
