//! Makes one policy from options, environment and configuration file.

use anyhow::{Context as _, bail};
use registry_cli::file::read_text;
use registry_core::retention::{self as core, GroupBy, ImagesInUse, LetterCase, Pattern, SourceKind};

use crate::args::{PolicyArgs, RankByArg, UnneededArg};
use crate::config::Config;

/// Most bytes of a list of images in use.
const IN_USE_MAX: u64 = 64 << 20;

/// Makes the policy for a kind of source.
///
/// # Errors
/// When an option or a file cannot be used.
pub fn from_args(args: &PolicyArgs, kind: SourceKind, undo_window: bool) -> anyhow::Result<core::Policy> {
    if undo_window && kind == SourceKind::Layout {
        bail!("--undo-window is for servers: what goes from a tree can be put back until it is collected");
    }
    let file = args.config.as_deref().map(Config::read).transpose()?.unwrap_or_default();
    // Forgejo stores names and tags in lower case, so patterns match any case.
    let case = if kind == SourceKind::Forgejo { LetterCase::Ignored } else { LetterCase::Exact };
    let pattern = |text: &str| Pattern::new(text, case).with_context(|| format!("{text:?} is no pattern"));
    let keep_last = args.keep_last.or(file.keep_last).unwrap_or(10);
    let mut policy = core::Policy::keep_last(keep_last)?;
    policy.keep_tags.clear();
    if !args.no_keep_latest && file.keep_latest != Some(false) {
        policy.keep_tags.push(pattern("latest")?);
    }
    for text in args.keep_tag.iter().chain(&file.keep_tags) {
        policy.keep_tags.push(pattern(text)?);
    }
    policy.keep_cache = !args.no_keep_cache && file.keep_cache != Some(false);
    policy.keep_within = args.keep_within.or(file.keep_within);
    policy.rank_by = match args.rank_by.or(file.rank_by).unwrap_or(RankByArg::Pushed) {
        RankByArg::Pushed if kind == SourceKind::Registry => bail!(
            "a registry does not tell when an image was pushed; rank by something it knows: --rank-by semver or created"
        ),
        RankByArg::Pushed => core::RankBy::Pushed,
        RankByArg::Semver => core::RankBy::Semver,
        RankByArg::Created => core::RankBy::Created,
    };
    for rule in &file.rules {
        policy.rules.push(core::Rule {
            package: pattern(&rule.package)?,
            tags: pattern(&rule.tags)?,
            group_by: rule.group_by.as_deref().map(|text| GroupBy::new(text, case)).transpose()?,
            keep_last: rule.keep_last.unwrap_or(keep_last),
            keep_within: rule.keep_within,
            keep_cache: rule.keep_cache,
        });
    }
    if let Some(path) = &args.in_use {
        let text = read_text(path, IN_USE_MAX).with_context(|| format!("cannot read {}", path.display()))?;
        policy.in_use =
            ImagesInUse::parse(&text).with_context(|| format!("{} cannot be used", path.display()))?;
    }
    let unneeded = |argument: Option<UnneededArg>| match argument {
        Some(UnneededArg::Prune) => core::UnneededAction::Prune,
        Some(UnneededArg::Leave) | None => core::UnneededAction::Leave,
    };
    policy.untagged = unneeded(args.untagged.or(file.untagged));
    policy.orphan_signatures = unneeded(args.orphan_signatures.or(file.orphan_signatures));
    policy.grace = args.grace.or(file.grace).unwrap_or(policy.grace);
    policy.hold = args.hold.or(file.hold).unwrap_or(policy.hold);
    policy.accept_push_order = args.accept_push_order || file.accept_push_order == Some(true);
    policy.max_delete = args.max_delete.or(file.max_delete);
    policy.max_delete_percent = args.max_delete_percent.or(file.max_delete_percent);
    policy.allow_empty = args.allow_empty;
    policy.undo_window = undo_window;
    for lost in &args.assume_lost {
        if !lost.contains(':') {
            bail!("--assume-lost {lost:?} names no tag; write it as PACKAGE:TAG");
        }
        policy.assume_lost.insert(lost.clone());
    }
    policy.packages =
        args.package.iter().chain(&file.packages).map(|text| pattern(text)).collect::<anyhow::Result<_>>()?;
    Ok(policy)
}
