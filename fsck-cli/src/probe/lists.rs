//! Lists repositories and tags: from the catalog, from a file, or from the packages of a Forgejo server.

use std::collections::BTreeSet;

use registry_core::forgejo::Forgejo;
use registry_core::probe::{ListedTag, Responses, TagLists, list_repositories, list_tags};
use registry_core::registry::Client;
use registry_core::retention::Reader as _;
use registry_core::text::escape;

use super::{Probe, Target};

/// The path of the list of repositories.
const CATALOG: &str = "/v2/_catalog";

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
            None => list_repositories(client, responses).await?,
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
        let listed = list_tags(client, names, responses).await;
        if self.args.repositories_file.is_some() {
            for name in &listed.absent {
                tracing::info!("{}: no tags: it is not there, or all its tags are gone", escape(name));
            }
        }
        listed.lists
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
