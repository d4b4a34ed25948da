//! A tree on disk named on the command line: found, read, locked, acted on, put back. What goes is decided in registry-core.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use jiff::Timestamp;
use registry_cli::args::RoleArg;
use registry_core::audit;
use registry_core::repair::{
    self, AsidePlace, Journal, Lock, Log, PlaceError, Progress, RoomError, Undo, UndoState,
};
use registry_core::retention::layout::{self as core, Arms, CacheSign, LayoutError, Reading};
use registry_core::retention::{
    Action, Applied, AppliedRow, Outcome, PackageState, Permission, Plan, Policy, RankBy, Record, Source,
    Stopped, VerifiedPlan,
};
use registry_core::storage::edit::FdEditor;
use registry_core::storage::{Job, LocateError, Located, locate_one, serves_cache, serving};
use registry_core::text::{escape, escape_os, without_controls};

use crate::args::{ApplyEffects, Server, UndoArgs};
use crate::exit::{self, Failure};
use crate::journal::FileJournal;
use crate::{interrupt, render};

/// A tree that can be read.
#[derive(Debug)]
pub struct Layout {
    located: Located,
    tree: core::Layout,
    armed: Option<Armed>,
}

/// What a run that was told to delete holds.
#[derive(Debug)]
struct Armed {
    _lock: Option<Lock>,
    editor: FdEditor,
    aside: AsidePlace,
    v2: PathBuf,
    now: Timestamp,
    steps: Arc<Progress>,
}

fn failure(error: LayoutError) -> Failure {
    match error {
        LayoutError::Cache { .. } | LayoutError::Text => Failure::Usage(whole(error)),
        LayoutError::LooksLikeCache(_) => Failure::Guard(whole(error)),
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
pub fn refuse_elsewhere(effects: &ApplyEffects, server: &Server) -> Result<(), Failure> {
    if server.layout.is_none() && (effects.quarantine.is_some() || effects.no_lock) {
        return Err(Failure::Usage(anyhow!("--quarantine and --no-lock go with --layout ROOT")));
    }
    Ok(())
}

/// What is at work on a tree, so that nothing may be moved in it.
fn busy(v2: &Path) -> Option<String> {
    let found = serving(v2);
    // A server that only reads does not mind; a collector does.
    let one = found.into_iter().find(|one| one.job == Job::Collector || !one.is_read_only)?;
    Some(format!("{} (process {})", one.program, one.pid))
}

impl Layout {
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
            RoleArg::Primary => tree.with_role(audit::Role::Primary),
            RoleArg::Cache => tree.with_role(audit::Role::Cache),
            RoleArg::Auto if serves_cache(&located.v2) => {
                let (tree, sign) = (escape_os(root.as_os_str()), CacheSign::Server);
                return Err(failure(LayoutError::Cache { tree, sign }));
            }
            RoleArg::Auto => tree,
        };
        Ok(Self { located, tree, armed: None })
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
        match repair::place(&self.located, quarantine, Timestamp::now()) {
            Ok(place) => repair::room(&place, &self.located.v2).err().map(|error| error.to_string()),
            Err(PlaceError::OtherDevice(path)) => Some(RoomError::OtherDevice(path).to_string()),
            Err(PlaceError::Unusable(path, why)) if why.kind() == io::ErrorKind::PermissionDenied => {
                Some(RoomError::Denied(path).to_string())
            }
            Err(_) => None,
        }
    }

    /// Makes ready for moving things aside: nobody else may be at work, and there must be a place for them.
    ///
    /// # Errors
    /// When that is not so.
    pub fn arm(&mut self, effects: &ApplyEffects) -> Result<(), Failure> {
        self.refuse_inside(effects.journal.as_deref())?;
        if let Some(who) = busy(&self.located.v2) {
            return Err(Failure::Usage(anyhow!(
                "{who} is at work on this tree: stop it, or make it read-only"
            )));
        }
        let lock = if effects.no_lock {
            None
        } else {
            Some(repair::lock(&self.located.v2).map_err(|error| Failure::Io(whole(error)))?)
        };
        let now = Timestamp::now();
        let aside = repair::place(&self.located, effects.quarantine.as_deref(), now)
            .map_err(|error| Failure::Usage(whole(error)))?;
        let open = || -> io::Result<_> {
            Ok((FdEditor::open(&self.located.v2, &aside.base)?, self.located.v2.canonicalize()?))
        };
        let (editor, v2) =
            open().with_context(|| format!("cannot open {}", aside.base.display())).map_err(Failure::Io)?;
        self.armed = Some(Armed { _lock: lock, editor, aside, v2, now, steps: Arc::default() });
        Ok(())
    }

    /// Refuses a journal in the tree that it tells of.
    fn refuse_inside(&self, journal: Option<&Path>) -> Result<(), Failure> {
        let folder = journal.and_then(Path::parent).filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new(".")).canonicalize();
        let v2 = self.located.v2.canonicalize();
        if matches!((&folder, &v2), (Ok(folder), Ok(v2)) if folder.starts_with(v2)) {
            let why = "the journal would lie inside the registry: name another place with --journal";
            return Err(Failure::Usage(anyhow!(why)));
        }
        Ok(())
    }

    /// Where what goes is moved to.
    pub fn aside(&self) -> Option<PathBuf> {
        self.armed.as_ref().map(|armed| armed.aside.base.join(&armed.aside.below))
    }

    /// Moves aside what a plan lets go.
    pub fn apply(self, plan: VerifiedPlan<'_>, journal: &mut FileJournal) -> Applied {
        let Some(armed) = &self.armed else {
            return nothing(&plan, Stopped::Halted("this run may not change anything".into()));
        };
        let mut journal = match Journal::begin(journal, &armed.v2, &armed.aside.base, armed.now) {
            Ok(journal) => journal,
            Err(error) => return nothing(&plan, Stopped::Journal(error.to_string())),
        };
        let arms = Arms {
            editor: &armed.editor,
            journal: &mut journal,
            aside: &armed.aside.below,
            v2: &armed.v2,
            now: armed.now,
            progress: &armed.steps,
        };
        interrupt::watch(&armed.steps);
        core::apply(&self.tree, plan, arms)
    }
}

impl Log for &mut FileJournal {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        FileJournal::append(self, bytes)
    }
}

/// The result of a run that did nothing.
fn nothing(plan: &Plan, why: Stopped) -> Applied {
    let planned = plan.packages.iter().filter(|package| package.state == PackageState::Planned);
    let rows = planned.flat_map(|package| {
        let doomed = package.versions.iter().filter(|row| row.action == Action::Delete);
        doomed.map(|row| AppliedRow {
            package: package.name.clone(),
            version: row.version.clone(),
            outcome: Outcome::Stopped,
            reason: None,
        })
    });
    Applied {
        schema: registry_core::retention::APPLIED_SCHEMA.into(),
        plan_digest: plan.plan_digest.clone(),
        rows: rows.collect(),
        stopped: Some(why),
    }
}

/// What became of a change.
fn line_of(one: &repair::Undone) -> String {
    let state = match &one.state {
        UndoState::Restored => "is as it was".to_owned(),
        UndoState::There => "was so already".to_owned(),
        UndoState::Taken(why) => format!("is left alone: {why}"),
        UndoState::Lost(why) => format!("cannot be put back: {why}"),
    };
    format!("{} {state}", one.path)
}

/// Takes back what a journal of a tree tells; `None` when the text is no such journal.
///
/// # Errors
/// When it is one and cannot be used, or its tree not be opened.
pub fn undo(text: &str, args: &UndoArgs) -> Result<Option<u8>, Failure> {
    let shown = escape_os(args.journal.as_os_str());
    let told = match repair::Told::read(text) {
        Ok(told) => told,
        Err(repair::JournalError::Begin) => return Ok(None),
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
    let named = named.map(|root| Layout::open(root, RoleArg::Primary, args.jobs.of_files())).transpose()?;
    let is_other = |layout: &Layout| layout.located.v2.canonicalize().is_ok_and(|v2| v2 != tree);
    if args.server.registry.is_some() || named.as_ref().is_some_and(is_other) {
        let tree = escape(&told.tree);
        return Err(Failure::Usage(anyhow!(
            "it was made for {tree}, and the command line names something else"
        )));
    }
    if let Some(who) = busy(tree) {
        return Err(Failure::Usage(anyhow!("{who} is at work on this tree: stop it, or make it read-only")));
    }
    let lock = if args.no_lock {
        None
    } else {
        Some(repair::lock(tree).map_err(|error| Failure::Io(whole(error)))?)
    };
    let editor = repair::open(&told).map_err(|error| Failure::Io(whole(error)))?;
    let undone = Undo { editor: &editor }.all(&told);
    drop(lock);
    let is_bad = |one: &&repair::Undone| matches!(one.state, UndoState::Taken(_) | UndoState::Lost(_));
    render::not_back(undone.iter().filter(is_bad).map(line_of));
    let mut out = io::stdout().lock();
    let (mut back, mut there, mut lost, mut left, context) = (0, 0, 0, 0, "cannot print");
    for one in &undone {
        back += u32::from(one.state == UndoState::Restored);
        there += u32::from(one.state == UndoState::There);
        lost += u32::from(matches!(one.state, UndoState::Lost(_)));
        left += u32::from(matches!(one.state, UndoState::Taken(_)));
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
