//! One run against a live registry, and the parts that it is made of: the lists of repositories and tags, and the asking. What is
//! judged is in `judge`, what is remembered in `state`.

use std::collections::BTreeMap;

use futures::StreamExt as _;
use jiff::Timestamp;

use super::coverage::{ListedTag, TagSelection, TagSelectionOptions, select_tags};
use super::judge::{JudgeOptions, ProbeJudgement, judge};
use super::responses::Responses;
use super::state::{ListedRepositories, ProbeRun, ProbeState};
use super::walk::{Depth, ProbeWalk, WalkOptions};
use crate::oci::{Platform, RepositoryName, Tag};
use crate::registry::{Client, Error};
use crate::text::escape;

/// The list of repositories.
const CATALOG: &str = "/v2/_catalog";

/// Tags by repository.
pub type TagLists = BTreeMap<String, Vec<ListedTag>>;

/// How a run is made.
#[derive(Debug, Clone)]
pub struct ProbeOptions {
    /// How the registry is asked, with the clock of the run.
    pub walk: WalkOptions,
    /// Which tags are asked for.
    pub choosing: TagSelectionOptions,
    /// Platforms that every image must have.
    pub require_platforms: Vec<Platform>,
}

impl ProbeOptions {
    /// A run at the time `now` that asks for all tags, as [`WalkOptions::new`] says, and requires no platforms.
    pub fn new(now: Timestamp) -> Self {
        Self {
            walk: WalkOptions::new(now),
            choosing: TagSelectionOptions::default(),
            require_platforms: Vec::new(),
        }
    }
}

/// Lists the repositories and tags of a registry, asks for them, judges the answers, and leaves in `state` what the next run
/// need not ask again. What could not be asked is listed in [`Audit::unread`](crate::audit::Audit::unread).
///
/// A pull-through cache fetches and keeps what it is asked for; [`Client::push_support`] tells one from a registry that takes pushes.
pub async fn probe(client: &Client, options: &ProbeOptions, state: &mut ProbeState) -> ProbeJudgement {
    let (mut responses, before) = (Responses::default(), state.clone());
    let names = list_repositories(client, &mut responses).await.unwrap_or_default();
    let lists = list_tags(client, names, &mut responses).await.lists;
    let mut walk = options.walk.clone();
    walk.platforms |= !options.require_platforms.is_empty();
    ask_for_tags(client, &lists, &options.choosing, &walk, state, &mut responses).await;
    let judging = JudgeOptions {
        blobs: walk.depth > Depth::Manifests,
        require_platforms: options.require_platforms.clone(),
    };
    let judgement = judge(&responses, &client.address(), &judging);
    if responses.is_out_of_order() {
        // Nothing was learned.
        *state = before;
    } else {
        state.end_run(&lists, &responses, &judgement, ListedRepositories::All, walk.now);
    }
    judgement
}

/// The repositories that a registry lists; `None` if the list cannot be read, which is noted in `responses`. Names that no
/// client can ask for are noted there as strays.
pub async fn list_repositories(client: &Client, responses: &mut Responses) -> Option<Vec<String>> {
    match client.catalog().await {
        Ok(names) => Some(legal(names, CATALOG, responses, |name| RepositoryName::new(name).is_ok())),
        Err(error) => {
            responses.unread.push((CATALOG.into(), error.to_string()));
            None
        }
    }
}

/// What [`list_tags`] found.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct ListedTags {
    /// The tags of each repository whose list was read.
    pub lists: TagLists,
    /// Repositories that the registry does not know, in order: they are not there, or all their tags are gone.
    pub absent: Vec<String>,
}

/// Reads the tags of some repositories. Lists that cannot be read, and tags that no client can ask for, are noted in `responses`.
pub async fn list_tags(
    client: &Client,
    repositories: impl IntoIterator<Item = String>,
    responses: &mut Responses,
) -> ListedTags {
    let asked = futures::stream::iter(repositories).map(|name| async move {
        let tags = client.tags(&name).await;
        (name, tags)
    });
    let mut listed = ListedTags::default();
    let mut unasked = (0_usize, String::new());
    let mut answers = asked.buffer_unordered(client.in_flight().max(1));
    while let Some((name, tags)) = answers.next().await {
        match tags {
            Ok(tags) => {
                if tags.is_none() {
                    listed.absent.push(name.clone());
                }
                let list = format!("/v2/{name}/tags/list");
                let tags = legal(tags.unwrap_or_default(), &list, responses, |tag| Tag::new(tag).is_ok());
                let tags = tags.into_iter().map(|tag| ListedTag { tag, pushed_at: None });
                listed.lists.insert(name, tags.collect());
            }
            // One line for all of them: there may be very many.
            Err(Error::Spent { .. }) => {
                if unasked.0 == 0 || name < unasked.1 {
                    unasked.1 = name;
                }
                unasked.0 += 1;
            }
            Err(error) => {
                responses.unread.push((format!("/v2/{}/tags/list", escape(&name)), error.to_string()));
            }
        }
    }
    listed.absent.sort();
    responses.unread.sort();
    if let (count @ 1.., first) = unasked {
        let lists = if count == 1 {
            "this list was".into()
        } else {
            format!("this and {} more lists were", count - 1)
        };
        let why = format!("{lists} not read: lists alone take more than this run may spend");
        responses.unread.push((format!("/v2/{first}/tags/list"), why));
    }
    listed
}

/// Those names of a list that a client can ask for. The others are noted: they lie in the storage, and no client reaches them.
fn legal(
    names: Vec<String>,
    list: &str,
    responses: &mut Responses,
    is_legal: impl Fn(&str) -> bool,
) -> Vec<String> {
    let (legal, strays): (Vec<_>, Vec<_>) = names.into_iter().partition(|name| is_legal(name));
    if !strays.is_empty() {
        responses.strays.insert(list.to_owned(), strays);
    }
    legal
}

/// Chooses the tags of this run and asks for them and all that they reach, once more for what looks like damage. The answers are
/// added to `responses`.
pub async fn ask_for_tags(
    client: &Client,
    lists: &TagLists,
    choosing: &TagSelectionOptions,
    options: &WalkOptions,
    state: &mut ProbeState,
    responses: &mut Responses,
) -> TagSelection {
    let choice = select_tags(lists, state, choosing);
    let mut walk = ProbeWalk::new(client, options, state);
    walk.ask_tags(&choice.tags).await;
    walk.run_second_look().await;
    let (mut unread, strays) = (std::mem::take(&mut responses.unread), std::mem::take(&mut responses.strays));
    let mut walked = walk.into_responses();
    unread.append(&mut walked.unread);
    *responses = Responses { unread, strays, ..walked };
    for (name, tags) in lists {
        responses.repositories.entry(name.clone()).or_default().listed = tags.len() as u64;
    }
    choice
}

impl ProbeState {
    /// Ends a run at the time `now`: notes which tags were judged, and forgets what is long unused or no longer listed. Repositories
    /// that are not listed are forgotten only where `listed` says that all were, and everything that was asked for was read.
    pub fn end_run(
        &mut self,
        lists: &TagLists,
        responses: &Responses,
        judgement: &ProbeJudgement,
        listed: ListedRepositories,
        now: Timestamp,
    ) {
        self.note_tags(responses, &judgement.judged, now);
        let names = |tags: &Vec<ListedTag>| tags.iter().map(|tag| tag.tag.clone()).collect();
        let tags: BTreeMap<String, Vec<String>> =
            lists.iter().map(|(name, tags)| (name.clone(), names(tags))).collect();
        let run = ProbeRun { at: now, tags_checked: judgement.judged.len() as u64 };
        let listed = if responses.unread.is_empty() { listed } else { ListedRepositories::Some };
        self.finish_run(run, &tags, listed);
    }
}
