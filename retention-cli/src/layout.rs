//! A tree on disk as a source: finds, reads, locks and changes it, and undoes changes. registry-core decides what goes.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use jiff::Timestamp;
use registry_cli::args::RoleArg;
use registry_cli::hints::{lock_failure, quarantine_failure};
use registry_core::audit;
use registry_core::repair::{self, ChangeUndoState, StepProgress, Undo};
use registry_core::retention::layout::{self as core, CacheSign, LayoutError, ReadOptions};
use registry_core::retention::{
    ApplyResult, Permission, Plan, Policy, RankBy, Record, Source, Stopped, VerifiedPlan,
};
use registry_core::storage::{LocateError, LocatedRegistry, is_served_as_cache, locate_one};
use registry_core::text::{escape, escape_os, without_controls};
use registry_core::tree_writer::{
    Access, Locking, PlaceError, RunningServers, TreeWriter, UnusableError, WriteRefusal, check_journal,
    check_place, find_place,
};

use crate::args::{ApplyEffects, ServerArgs, UndoArgs};
use crate::exit::{self, Failure};
use crate::journal::FileJournal;
use crate::{interrupt, render};

/// A tree that was opened for reading.
#[derive(Debug)]
pub struct OpenLayout {
    located: LocatedRegistry,
    tree: core::Layout,
    /// The access for writing, in an armed run.
    writer: Option<TreeWriter>,
}

fn layout_failure(error: LayoutError) -> Failure {
    match error {
        LayoutError::Cache { .. } | LayoutError::Text => Failure::Usage(without_source(error)),
        LayoutError::LooksLikeCache(_) => {
            Failure::Guard(anyhow!("{error}; --role primary says that images are pushed here"))
        }
        _ => Failure::Io(without_source(error)),
    }
}

/// An error without its source, for errors whose text includes the source.
fn without_source(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("{error}")
}

/// Refuses options for a tree when the source is none. Sends no request.
///
/// # Errors
/// When there is such an option.
pub fn refuse_layout_options(effects: &ApplyEffects, server: &ServerArgs) -> Result<(), Failure> {
    if server.layout.is_none() && (effects.quarantine.is_some() || effects.no_lock) {
        return Err(Failure::Usage(anyhow!("--quarantine and --no-lock go with --layout ROOT")));
    }
    Ok(())
}

/// Why the tree is not changed at all, with the option that helps.
fn write_refused(refusal: WriteRefusal) -> Failure {
    match refusal {
        WriteRefusal::Collector(process) | WriteRefusal::Server(process) => Failure::Usage(anyhow!(
            "{} (process {}) is at work on this tree: stop it, or make it read-only",
            process.program,
            process.pid
        )),
        WriteRefusal::Lock(error) => Failure::Io(without_source(lock_failure(&error))),
        WriteRefusal::Quarantine(error) => Failure::Usage(without_source(quarantine_failure(&error))),
        WriteRefusal::JournalInside(_) => Failure::Usage(anyhow!(
            "the journal would lie inside the registry: name another place with --journal"
        )),
        other => Failure::Io(without_source(other)),
    }
}

/// The access for writing: no server may run on the tree.
const fn access(no_lock: bool) -> Access {
    let locking = if no_lock { Locking::ByCaller } else { Locking::Required };
    Access { locking, servers: RunningServers::Refuse }
}

impl OpenLayout {
    /// Opens the one registry at a path, to be read with `jobs` threads.
    ///
    /// # Errors
    /// When there is no registry or more than one, or it cannot be opened.
    pub fn open(root: &Path, role: RoleArg, jobs: usize) -> Result<Self, Failure> {
        let located = locate_one(root).map_err(|error| match &error {
            LocateError::Unreadable(_, why) if why.kind() != io::ErrorKind::NotFound => {
                Failure::Io(without_source(error))
            }
            _ => Failure::Usage(without_source(error)),
        })?;
        let tree = core::Layout::open(&located, jobs).map_err(layout_failure)?;
        let tree = match role {
            RoleArg::Primary => tree.with_role(audit::RegistryRole::Primary),
            RoleArg::Cache => tree.with_role(audit::RegistryRole::Cache),
            RoleArg::Auto if is_served_as_cache(&located.v2) => {
                let (tree, sign) = (escape_os(root.as_os_str()), CacheSign::Server);
                return Err(layout_failure(LayoutError::Cache { tree, sign }));
            }
            RoleArg::Auto => tree,
        };
        Ok(Self { located, tree, writer: None })
    }

    /// This source as plans name it.
    pub fn source(&self) -> Source {
        self.tree.source().clone()
    }

    /// Reads the whole tree.
    ///
    /// # Errors
    /// When the list of repositories cannot be read, or the tree is a pull-through cache.
    pub fn collect(&self, policy: &Policy) -> Result<Record, Failure> {
        let reading = ReadOptions { built_at: policy.rank_by == RankBy::Created, only: &policy.packages };
        self.tree.record(&reading, Timestamp::now()).map_err(layout_failure)
    }

    /// Checks whether this user may move what goes, and create the folder to which it is moved.
    pub fn preflight(&self, plan: &Plan, quarantine: Option<&Path>) -> Permission {
        let why = self.tree.why_not_writable(plan).or_else(|| self.find_quarantine_problem(plan, quarantine));
        why.map_or(Permission::Granted, Permission::Denied)
    }

    /// Why nothing can be moved aside, if this user lacks the permission. Other problems are reported by [`Self::arm`].
    fn find_quarantine_problem(&self, plan: &Plan, quarantine: Option<&Path>) -> Option<String> {
        if plan.summary.versions_deleted == 0 {
            return None;
        }
        let error = match find_place(&self.located, quarantine, Timestamp::now()) {
            Ok(place) => check_place(&place, &self.located.v2).err()?,
            Err(PlaceError::OtherDevice(path)) => UnusableError::OtherDevice(path),
            Err(PlaceError::Unusable(path, why)) if why.kind() == io::ErrorKind::PermissionDenied => {
                UnusableError::Denied(path)
            }
            Err(_) => return None,
        };
        Some(format!("{error} with --quarantine"))
    }

    /// Opens the tree for writing, so that things can be moved aside.
    ///
    /// # Errors
    /// When a server or another run works on the tree, or there is no place for the quarantine or the journal.
    pub fn arm(&mut self, effects: &ApplyEffects) -> Result<(), Failure> {
        let journal = effects.journal.as_deref().unwrap_or(Path::new("journal"));
        check_journal(&self.located.v2, journal).map_err(write_refused)?;
        let (quarantine, now) = (effects.quarantine.as_deref(), Timestamp::now());
        let writer = TreeWriter::open(&self.located, quarantine, access(effects.no_lock), now)
            .map_err(write_refused)?;
        if let Err(error) = writer.quarantine() {
            return Err(write_refused(error.clone().into()));
        }
        self.writer = Some(writer);
        Ok(())
    }

    /// The folder to which things are moved.
    pub fn aside(&self) -> Option<PathBuf> {
        let place = self.writer.as_ref()?.quarantine().ok()?;
        Some(place.base.join(&place.below))
    }

    /// Moves aside what a plan lists.
    pub fn apply(self, plan: VerifiedPlan<'_>, journal: &mut FileJournal) -> ApplyResult {
        let Some(mut writer) = self.writer else {
            return ApplyResult::not_tried(
                &plan,
                Stopped::Halted("this run may not change anything".to_owned().into()),
            );
        };
        let steps = Arc::new(StepProgress::default());
        interrupt::watch_steps(&steps);
        core::apply(&self.tree, plan, &mut writer, journal, &steps)
    }
}

/// A line for the result of one change.
fn change_line(change: &repair::UndoneChange) -> String {
    let state = match &change.state {
        ChangeUndoState::Restored => "is as it was".to_owned(),
        ChangeUndoState::There => "was so already".to_owned(),
        ChangeUndoState::Taken(why) => format!("is left alone: {why}"),
        ChangeUndoState::Lost(why) => format!("cannot be put back: {why}"),
    };
    format!("{} {state}", change.path)
}

/// Takes back the changes in the journal of a tree; `None` if the text is no such journal.
///
/// # Errors
/// When the journal cannot be used, or its tree cannot be opened.
pub fn undo(text: &str, args: &UndoArgs) -> Result<Option<u8>, Failure> {
    let shown = escape_os(args.journal.as_os_str());
    let history = match repair::RepairHistory::read(text) {
        Ok(history) => history,
        Err(repair::RepairJournalError::Begin) => return Ok(None),
        Err(error) => return Err(Failure::Usage(anyhow!("cannot use the journal {shown}: {error}"))),
    };
    if args.rank_as_new || args.server.push_times.is_some() {
        return Err(Failure::Usage(anyhow!(
            "--push-times and --rank-as-new are for servers: an undo on a tree brings the times back"
        )));
    }
    let tree = Path::new(&history.tree);
    // The role does not matter here, because everything that was moved is put back.
    let named = args.server.layout.as_deref();
    let named =
        named.map(|root| OpenLayout::open(root, RoleArg::Primary, args.jobs.file_jobs())).transpose()?;
    let is_other = |layout: &OpenLayout| layout.located.v2.canonicalize().is_ok_and(|v2| v2 != tree);
    if args.server.registry.is_some() || named.as_ref().is_some_and(is_other) {
        let tree = escape(&history.tree);
        return Err(Failure::Usage(anyhow!(
            "it was made for {tree}, and the command line names something else"
        )));
    }
    let undo = Undo::open(&history, access(args.no_lock)).map_err(write_refused)?;
    let undone = undo.undo_all();
    drop(undo);
    print(&undone).context("cannot print").map_err(Failure::Io)?;
    Ok(Some(if undone.iter().any(is_not_undone) { exit::FAILED } else { exit::DONE }))
}

const fn is_not_undone(change: &repair::UndoneChange) -> bool {
    matches!(change.state, ChangeUndoState::Taken(_) | ChangeUndoState::Lost(_))
}

fn print(undone: &[repair::UndoneChange]) -> io::Result<()> {
    render::log_not_undone(undone.iter().filter(|change| is_not_undone(change)).map(change_line));
    let mut out = io::stdout().lock();
    for change in undone {
        writeln!(out, "{}", without_controls(&change_line(change)))?;
    }
    let count = |is: fn(&ChangeUndoState) -> bool| undone.iter().filter(|change| is(&change.state)).count();
    writeln!(
        out,
        "registry-retention undo: changes={} back={} there={} left={} lost={}",
        undone.len(),
        count(|state| *state == ChangeUndoState::Restored),
        count(|state| *state == ChangeUndoState::There),
        count(|state| matches!(state, ChangeUndoState::Taken(_))),
        count(|state| matches!(state, ChangeUndoState::Lost(_)))
    )
}
