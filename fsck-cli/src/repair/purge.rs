//! `repair --purge`: deletes a quarantine. Nothing else in this program deletes.

use std::path::Path;

use jiff::Timestamp;
use registry_core::repair::{self, PURGE_SCHEMA, PurgeError, PurgeReport};
use registry_core::text::escape_os;

use crate::args::RepairArgs;
use crate::exit::{self, Failure};
use crate::{render, unused};

/// With `--apply`, deletes a quarantine; without it, says what is in it.
///
/// # Errors
/// When the folder is no quarantine, or cannot be deleted completely.
pub fn run(args: &RepairArgs, quarantine: &Path) -> Result<u8, Failure> {
    let started_at = Timestamp::now();
    unused::refuse_unused("--purge", "a quarantine is deleted as a whole", &args.common)?;
    let content = if args.apply { repair::purge(quarantine) } else { repair::count_content(quarantine) };
    let content = content.map_err(|error| match error {
        PurgeError::NoQuarantine(_) | PurgeError::Registry(..) => Failure::Usage(error.into()),
        PurgeError::Lock(_) | PurgeError::Io(..) => Failure::Io(error.into()),
    })?;
    let report = PurgeReport {
        schema: PURGE_SCHEMA.into(),
        version: env!("CARGO_PKG_VERSION").into(),
        started_at,
        exit_status: exit::NOTHING_WRONG,
        quarantine: escape_os(quarantine.as_os_str()),
        deleted: args.apply,
        content,
    };
    render::purged(&args.common, &report)?;
    Ok(report.exit_status)
}
