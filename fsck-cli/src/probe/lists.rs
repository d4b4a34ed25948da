//! Lists repositories and tags: from the catalog, from a file, or from the packages of a Forgejo server.

use std::collections::BTreeSet;

use futures::StreamExt as _;
use registry_core::forgejo::Forgejo;
use registry_core::oci::{RepositoryName, Tag};
use registry_core::probe::{ListedTag, Responses};
use registry_core::registry::{Client, Error};
use registry_core::retention::Reader as _;
use registry_core::text::escape;

use super::{Probe, TagLists, Target};

/// The path of the list of repositories.
const CATALOG: &str = "/v2/_catalog";

/// The legal names of a list. The others are noted as strays: they lie in the storage, and no client can ask for them.
fn keep_legal(
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

impl Probe<'_> {
    fn is_wanted(&self, name: &str) -> bool {
        self.only.as_ref().is_none_or(|only| only.is_match(name))
    }

    /// The repositories of a registry; `None` if they cannot be listed.
    pub(super) async fn list_repositories(
        &self,
        client: &Client,
        responses: &mut Responses,
    ) -> Option<BTreeSet<String>> {
        let names = match &self.repositories {
            Some(names) => names.clone(),
            None => match client.catalog().await {
                Ok(names) => keep_legal(names, CATALOG, responses, |name| RepositoryName::new(name).is_ok()),
                Err(error) => {
                    responses.unread.push((CATALOG.into(), error.to_string()));
                    return None;
                }
            },
        };
        Some(names.into_iter().filter(|name| self.is_wanted(name)).collect())
    }

    /// The tags of all these repositories, or of the packages on a Forgejo server.
    pub(super) async fn list_tags(
        &self,
        target: &Target,
        names: BTreeSet<String>,
        responses: &mut Responses,
    ) -> TagLists {
        let client: &Client = match target {
            Target::Registry(client) => client,
            Target::Forgejo(owners) => return self.list_packages(owners, responses).await,
        };
        let requests = futures::stream::iter(names).map(|name| async move {
            let tags = client.tags(&name).await;
            (name, tags)
        });
        let mut lists = TagLists::new();
        let (mut unasked, mut first_unasked) = (0_usize, String::new());
        let mut answers = requests.buffer_unordered(client.in_flight().max(1));
        while let Some((name, tags)) = answers.next().await {
            match tags {
                Ok(tags) => {
                    if tags.is_none() && self.args.repositories_file.is_some() {
                        tracing::info!(
                            "{}: no tags: it is not there, or all its tags are gone",
                            escape(&name)
                        );
                    }
                    let list = format!("/v2/{name}/tags/list");
                    let tags =
                        keep_legal(tags.unwrap_or_default(), &list, responses, |tag| Tag::new(tag).is_ok());
                    let listed = |tag| ListedTag { tag, pushed_at: None };
                    lists.insert(name, tags.into_iter().map(listed).collect());
                }
                // All of them share one message: there may be very many.
                Err(Error::Spent { .. }) => {
                    if unasked == 0 || name < first_unasked {
                        first_unasked = name;
                    }
                    unasked += 1;
                }
                Err(error) => {
                    responses.unread.push((format!("/v2/{}/tags/list", escape(&name)), error.to_string()));
                }
            }
        }
        responses.unread.sort();
        if let Some(others) = unasked.checked_sub(1) {
            let lists = match others {
                0 => "this list was".into(),
                _ => format!("this and {others} more lists were"),
            };
            let why = format!("{lists} not read: lists alone take more than this run may spend");
            responses.unread.push((format!("/v2/{first_unasked}/tags/list"), why));
        }
        lists
    }

    async fn list_packages(&self, owners: &[Forgejo], responses: &mut Responses) -> TagLists {
        let mut lists = TagLists::new();
        for forgejo in owners {
            let listing = match forgejo.rows(None).await {
                Ok(listing) => listing,
                Err(why) => {
                    responses.unread.push((CATALOG.into(), why.to_string()));
                    continue;
                }
            };
            for row in listing.rows.into_iter().filter(|row| !row.version.contains(':')) {
                let tag = ListedTag { tag: row.version, pushed_at: row.created_at };
                lists.entry(forgejo.repository(&row.package)).or_default().push(tag);
            }
            for package in listing.incomplete {
                let name = forgejo.repository(&package.package);
                lists.remove(&name);
                if self.is_wanted(&name) {
                    responses.unread.push((format!("/v2/{}/tags/list", escape(&name)), package.why));
                }
            }
        }
        lists.retain(|name, _| self.is_wanted(name));
        lists
    }
}
