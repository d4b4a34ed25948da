//! Which repositories and tags there are: by the catalog, by a file, or by the packages of a Forgejo.

use std::collections::BTreeSet;

use futures::StreamExt as _;
use registry_core::oci::{RepositoryName, Tag};
use registry_core::probe::{ListedTag, Responses};
use registry_core::registry::{Client, Error};
use registry_core::retention::Reader as _;
use registry_core::text::escape;

use super::{Lists, Probe, Target};

/// The list of repositories.
const CATALOG: &str = "/v2/_catalog";

/// Those names of a list that somebody can ask for. The others are noted: they lie in the storage, and no client reaches
/// them.
fn legal(
    names: Vec<String>,
    list: &str,
    seen: &mut Responses,
    is_legal: impl Fn(&str) -> bool,
) -> Vec<String> {
    let (legal, strays): (Vec<_>, Vec<_>) = names.into_iter().partition(|name| is_legal(name));
    if !strays.is_empty() {
        seen.strays.insert(list.to_owned(), strays);
    }
    legal
}

impl Probe<'_> {
    fn is_wanted(&self, name: &str) -> bool {
        self.only.as_ref().is_none_or(|only| only.is_match(name))
    }

    /// The repositories of a registry; `None` where they cannot be listed.
    pub(super) async fn names(&self, client: &Client, seen: &mut Responses) -> Option<BTreeSet<String>> {
        let names = match &self.names {
            Some(names) => names.clone(),
            None => match client.catalog().await {
                Ok(names) => legal(names, CATALOG, seen, |name| RepositoryName::new(name).is_ok()),
                Err(error) => {
                    seen.unread.push((CATALOG.into(), error.to_string()));
                    return None;
                }
            },
        };
        Some(names.into_iter().filter(|name| self.is_wanted(name)).collect())
    }

    /// The tags of every repository that is looked at.
    pub(super) async fn lists(
        &self,
        target: &Target,
        names: BTreeSet<String>,
        seen: &mut Responses,
    ) -> Lists {
        let client = match target {
            Target::Registry(client) => client,
            Target::Forgejo(owners) => {
                let mut lists = Lists::new();
                for forgejo in owners {
                    match forgejo.rows(None).await {
                        Ok(listing) => {
                            for row in listing.rows.into_iter().filter(|row| !row.version.contains(':')) {
                                let listed = ListedTag { tag: row.version, pushed_at: row.created_at };
                                lists.entry(forgejo.repository(&row.package)).or_default().push(listed);
                            }
                            for one in listing.incomplete {
                                let name = forgejo.repository(&one.package);
                                lists.remove(&name);
                                if self.is_wanted(&name) {
                                    seen.unread.push((format!("/v2/{}/tags/list", escape(&name)), one.why));
                                }
                            }
                        }
                        Err(why) => seen.unread.push((CATALOG.into(), why.to_string())),
                    }
                }
                lists.retain(|name, _| self.is_wanted(name));
                return lists;
            }
        };
        let asked = futures::stream::iter(names).map(|name| async move {
            let tags = client.tags(&name).await;
            (name, tags)
        });
        let mut lists = Lists::new();
        let mut unasked = (0_usize, String::new());
        let mut answers = asked.buffer_unordered(client.in_flight().max(1));
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
                    let tags = legal(tags.unwrap_or_default(), &list, seen, |tag| Tag::new(tag).is_ok());
                    let listed = |tag| ListedTag { tag, pushed_at: None };
                    lists.insert(name, tags.into_iter().map(listed).collect());
                }
                // One word for all of them: there may be very many.
                Err(Error::Spent { .. }) => {
                    if unasked.0 == 0 || name < unasked.1 {
                        unasked.1 = name;
                    }
                    unasked.0 += 1;
                }
                Err(error) => {
                    seen.unread.push((format!("/v2/{}/tags/list", escape(&name)), error.to_string()));
                }
            }
        }
        seen.unread.sort();
        if let (count @ 1.., first) = unasked {
            let lists = if count == 1 {
                "this list was".into()
            } else {
                format!("this and {} more lists were", count - 1)
            };
            let why = format!("{lists} not read: lists alone take more than this run may spend");
            seen.unread.push((format!("/v2/{first}/tags/list"), why));
        }
        lists
    }
}
