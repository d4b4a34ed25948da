//! A tree on disk named on the command line: found, read, locked, acted on, put back. What goes is decided in registry-core.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use jiff::Timestamp;
use registry_cli::args::RoleArg;
use registry_cli::hints::{unlocked, without_place};
use registry_core::audit;
use registry_core::repair::{self, ChangeUndoState, StepProgress, Undo};
use registry_core::retention::layout::{self as core, CacheSign, LayoutError, Reading};
use registry_core::retention::{
    Applied, Permission, Plan, Policy, RankBy, Record, Source, Stopped, VerifiedPlan,
};
use registry_core::storage::{LocateError, Located, locate_one, serves_cache};
use registry_core::text::{escape, escape_os, without_controls};
use registry_core::tree_writer::{
    Access, Locking, PlaceError, RunningServers, TreeWriter, UnusableError, WriteRefusal, check_journal,
    check_place, place,
};

use crate::args::{ApplyEffects, ServerArgs, UndoArgs};
use crate::exit::{self, Failure};
use crate::journal::FileJournal;
use crate::{interrupt, render};

/// A tree that can be read.
#[derive(Debug)]
pub struct OpenLayout {
    located: Located,
    tree: core::Layout,
    /// What a run that was told to delete holds.
    writer: Option<TreeWriter>,
}

fn failure(error: LayoutError) -> Failure {
    match error {
        LayoutError::Cache { .. } | LayoutError::Text => Failure::Usage(whole(error)),
        LayoutError::LooksLikeCache(_) => {
            Failure::Guard(anyhow!("{error}; --role primary says that images are pushed here"))
        }
        _ => Failure::Io(whole(error)),
    }
}

/// An error whose text tells its cause already.
fn whole(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("{error}")
}

/// Refuses what is meant for a tree where there is none; asks nobody.
///
/// # Errors
/// When something is.
pub fn refuse_elsewhere(effects: &ApplyEffects, server: &ServerArgs) -> Result<(), Failure> {
    if server.layout.is_none() && (effects.quarantine.is_some() || effects.no_lock) {
        return Err(Failure::Usage(anyhow!("--quarantine and --no-lock go with --layout ROOT")));
    }
    Ok(())
}

/// A tree that is not changed at all, with the option that helps.
fn refused(refusal: WriteRefusal) -> Failure {
    match refusal {
        WriteRefusal::Collector(one) | WriteRefusal::Server(one) => Failure::Usage(anyhow!(
            "{} (process {}) is at work on this tree: stop it, or make it read-only",
            one.program,
            one.pid
        )),
        WriteRefusal::Lock(error) => Failure::Io(whole(unlocked(&error))),
        WriteRefusal::Quarantine(error) => Failure::Usage(whole(without_place(&error))),
        WriteRefusal::JournalInside(_) => Failure::Usage(anyhow!(
            "the journal would lie inside the registry: name another place with --journal"
        )),
        other => Failure::Io(whole(other)),
    }
}

/// How a tree is opened for writing: no server may be at work on it.
const fn access(no_lock: bool) -> Access {
    let locking = if no_lock { Locking::ByCaller } else { Locking::Required };
    Access { locking, servers: RunningServers::Refuse }
}

impl OpenLayout {
    /// Opens the one registry that a path means, to be read with so many threads.
    ///
    /// # Errors
    /// When there is none, or more than one, or it cannot be opened.
    pub fn open(root: &Path, role: RoleArg, jobs: usize) -> Result<Self, Failure> {
        let located = locate_one(root).map_err(|error| match &error {
            LocateError::Unreadable(_, why) if why.kind() != io::ErrorKind::NotFound => {
                Failure::Io(whole(error))
            }
            _ => Failure::Usage(whole(error)),
        })?;
        let tree = core::Layout::open(&located, jobs).map_err(failure)?;
        let tree = match role {
            RoleArg::Primary => tree.with_role(audit::RegistryRole::Primary),
            RoleArg::Cache => tree.with_role(audit::RegistryRole::Cache),
            RoleArg::Auto if serves_cache(&located.v2) => {
                let (tree, sign) = (escape_os(root.as_os_str()), CacheSign::Server);
                return Err(failure(LayoutError::Cache { tree, sign }));
            }
            RoleArg::Auto => tree,
        };
        Ok(Self { located, tree, writer: None })
    }

    /// What this is, as plans tell it.
    pub fn source(&self) -> Source {
        self.tree.source().clone()
    }

    /// Reads it whole.
    ///
    /// # Errors
    /// When its list of repositories cannot be read, or it is a pull-through cache.
    pub fn collect(&self, policy: &Policy) -> Result<Record, Failure> {
        let how = Reading { built_at: policy.rank_by == RankBy::Created, only: &policy.packages };
        self.tree.record(&how, Timestamp::now()).map_err(failure)
    }

    /// Whether this user may move what goes, and make the folder that it goes to.
    pub fn preflight(&self, plan: &Plan, quarantine: Option<&Path>) -> Permission {
        let why = self.tree.denied(plan).or_else(|| self.no_room(plan, quarantine));
        why.map_or(Permission::Granted, Permission::Denied)
    }

    /// Why what goes cannot be put anywhere. What is wrong with the place itself is told when it is taken.
    fn no_room(&self, plan: &Plan, quarantine: Option<&Path>) -> Option<String> {
        if plan.summary.versions_deleted == 0 {
            return None;
        }
        let error = match place(&self.located, quarantine, Timestamp::now()) {
            Ok(place) => check_place(&place, &self.located.v2).err()?,
            Err(PlaceError::OtherDevice(path)) => UnusableError::OtherDevice(path),
            Err(PlaceError::Unusable(path, why)) if why.kind() == io::ErrorKind::PermissionDenied => {
                UnusableError::Denied(path)
            }
            Err(_) => return None,
        };
        Some(format!("{error} with --quarantine"))
    }

    /// Makes ready for moving things aside: nobody else may be at work, and there must be a place for them.
    ///
    /// # Errors
    /// When that is not so.
    pub fn arm(&mut self, effects: &ApplyEffects) -> Result<(), Failure> {
        let journal = effects.journal.as_deref().unwrap_or(Path::new("journal"));
        check_journal(&self.located.v2, journal).map_err(refused)?;
        let (quarantine, now) = (effects.quarantine.as_deref(), Timestamp::now());
        let writer =
            TreeWriter::open(&self.located, quarantine, access(effects.no_lock), now).map_err(refused)?;
        if let Err(error) = writer.quarantine() {
            return Err(refused(error.clone().into()));
        }
        self.writer = Some(writer);
        Ok(())
    }

    /// Where what goes is moved to.
    pub fn aside(&self) -> Option<PathBuf> {
        let place = self.writer.as_ref()?.quarantine().ok()?;
        Some(place.base.join(&place.below))
    }

    /// Moves aside what a plan lets go.
    pub fn apply(self, plan: VerifiedPlan<'_>, journal: &mut FileJournal) -> Applied {
        let Some(mut writer) = self.writer else {
            return Applied::not_tried(
                &plan,
                Stopped::Halted("this run may not change anything".to_owned().into()),
            );
        };
        let steps = Arc::new(StepProgress::default());
        interrupt::watch(&steps);
        core::apply(&self.tree, plan, &mut writer, journal, &steps)
    }
}

/// What became of a change.
fn line_of(one: &repair::UndoneChange) -> String {
    let state = match &one.state {
        ChangeUndoState::Restored => "is as it was".to_owned(),
        ChangeUndoState::There => "was so already".to_owned(),
        ChangeUndoState::Taken(why) => format!("is left alone: {why}"),
        ChangeUndoState::Lost(why) => format!("cannot be put back: {why}"),
    };
    format!("{} {state}", one.path)
}

/// Takes back what a journal of a tree tells; `None` when the text is no such journal.
///
/// # Errors
/// When it is one and cannot be used, or its tree not be opened.
pub fn undo(text: &str, args: &UndoArgs) -> Result<Option<u8>, Failure> {
    let shown = escape_os(args.journal.as_os_str());
    let told = match repair::RepairHistory::read(text) {
        Ok(told) => told,
        Err(repair::RepairJournalError::Begin) => return Ok(None),
        Err(error) => return Err(Failure::Usage(anyhow!("cannot use the journal {shown}: {error}"))),
    };
    if args.rank_as_new || args.server.push_times.is_some() {
        return Err(Failure::Usage(anyhow!(
            "--push-times and --rank-as-new are for servers: an undo on a tree brings the times back"
        )));
    }
    let tree = Path::new(&told.tree);
    // What was moved is put back, whatever the tree is.
    let named = args.server.layout.as_deref();
    let named =
        named.map(|root| OpenLayout::open(root, RoleArg::Primary, args.jobs.of_files())).transpose()?;
    let is_other = |layout: &OpenLayout| layout.located.v2.canonicalize().is_ok_and(|v2| v2 != tree);
    if args.server.registry.is_some() || named.as_ref().is_some_and(is_other) {
        let tree = escape(&told.tree);
        return Err(Failure::Usage(anyhow!(
            "it was made for {tree}, and the command line names something else"
        )));
    }
    let undo = Undo::open(&told, access(args.no_lock)).map_err(refused)?;
    let undone = undo.all();
    drop(undo);
    let is_bad = |one: &&repair::UndoneChange| {
        matches!(one.state, ChangeUndoState::Taken(_) | ChangeUndoState::Lost(_))
    };
    render::not_back(undone.iter().filter(is_bad).map(line_of));
    let mut out = io::stdout().lock();
    let (mut back, mut there, mut lost, mut left, context) = (0, 0, 0, 0, "cannot print");
    for one in &undone {
        back += u32::from(one.state == ChangeUndoState::Restored);
        there += u32::from(one.state == ChangeUndoState::There);
        lost += u32::from(matches!(one.state, ChangeUndoState::Lost(_)));
        left += u32::from(matches!(one.state, ChangeUndoState::Taken(_)));
        writeln!(out, "{}", without_controls(&line_of(one))).context(context).map_err(Failure::Io)?;
    }
    let changes = undone.len();
    writeln!(
        out,
        "registry-retention undo: changes={changes} back={back} there={there} left={left} lost={lost}"
    )
    .context(context)
    .map_err(Failure::Io)?;
    Ok(Some(if lost + left > 0 { exit::FAILED } else { exit::DONE }))
}
