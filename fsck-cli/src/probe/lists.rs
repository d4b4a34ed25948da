//! Which repositories and tags there are: by the catalog, by a file, or by the packages of a Forgejo.

use std::collections::BTreeSet;

use registry_core::probe::{ListedTag, Responses, TagLists, list_repositories, list_tags};
use registry_core::registry::Client;
use registry_core::retention::Reader as _;
use registry_core::text::escape;

use super::{Probe, Target};

/// The list of repositories.
const CATALOG: &str = "/v2/_catalog";

impl Probe<'_> {
    fn is_wanted(&self, name: &str) -> bool {
        self.only.as_ref().is_none_or(|only| only.is_match(name))
    }

    /// The repositories of a registry; `None` where they cannot be listed.
    pub(super) async fn names(&self, client: &Client, seen: &mut Responses) -> Option<BTreeSet<String>> {
        let names = match &self.names {
            Some(names) => names.clone(),
            None => list_repositories(client, seen).await?,
        };
        Some(names.into_iter().filter(|name| self.is_wanted(name)).collect())
    }

    /// The tags of every repository that is looked at.
    pub(super) async fn lists(
        &self,
        target: &Target,
        names: BTreeSet<String>,
        seen: &mut Responses,
    ) -> TagLists {
        let client = match target {
            Target::Registry(client) => client,
            Target::Forgejo(owners) => {
                let mut lists = TagLists::new();
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
        let listed = list_tags(client, names, seen).await;
        if self.args.repositories_file.is_some() {
            for name in &listed.absent {
                tracing::info!("{}: no tags: it is not there, or all its tags are gone", escape(name));
            }
        }
        listed.lists
    }
}
