//! A registry that may be changed. A tag is deleted by its name where that is accepted (distribution 3), else with its
//! digest, which takes every tag of it and breaks every index that names it: only when nothing is left that would miss it.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use futures::StreamExt as _;

use super::RegistrySource;
use super::memory::{Memory, locked};
use crate::Stop;
use crate::oci::manifest::ReferenceRole;
use crate::oci::{Digest, Manifest};
use crate::registry::{Client, Error, Removal};
use crate::retention::attempt::Attempt;
use crate::retention::server::{DeleteError, Deletion, PlannedDeletion, Unanswered, WriteAccess, Writer};

fn failed(error: impl std::fmt::Display) -> DeleteError {
    DeleteError::Failed(error.to_string())
}

impl WriteAccess<RegistrySource> {
    fn client(&self) -> &Client {
        self.reader().client()
    }

    fn memory(&self) -> &Memory {
        &self.reader().memory
    }

    /// Refuses to delete a digest that anything else needs: a tag that is to stay, or an index. Every tag is read again
    /// right before.
    async fn goes_whole(&self, doomed: &PlannedDeletion<'_>) -> Result<(), DeleteError> {
        let tags = self.client().tags(doomed.package).await.map_err(failed)?.unwrap_or_default();
        let asked = futures::stream::iter(tags).map(|tag| async move {
            let now = self.client().head_manifest(doomed.package, &tag).await;
            now.map(|now| (tag, now))
        });
        let mut answers = asked.buffered(self.client().http().in_flight());
        let mut seen = BTreeSet::new();
        while let Some(answer) = answers.next().await {
            let (tag, now) = answer.map_err(failed)?;
            let Some(now) = now else { continue };
            if now == doomed.digest {
                if doomed.together.contains(&tag.as_str()) {
                    continue;
                }
                return Err(failed(format!(
                    "tag {tag} names it too, and the registry deletes by digest only"
                )));
            }
            if self.reaches(doomed, now, &mut seen).await.map_err(failed)? {
                return Err(failed(format!(
                    "the index of tag {tag} names it, and the registry deletes by digest only"
                )));
            }
        }
        Ok(())
    }

    /// Whether a manifest names what is to go, at whatever depth.
    async fn reaches(
        &self,
        doomed: &PlannedDeletion<'_>,
        from: Digest,
        seen: &mut BTreeSet<Digest>,
    ) -> Result<bool, Error> {
        let mut waiting = vec![from];
        while let Some(one) = waiting.pop() {
            if one == doomed.digest {
                return Ok(true);
            }
            if seen.insert(one) {
                waiting.extend(self.children(doomed.package, one).await?);
            }
        }
        Ok(false)
    }

    async fn children(&self, package: &str, digest: Digest) -> Result<Vec<Digest>, Error> {
        let key = (package.to_owned(), digest);
        if let Some(known) = locked(&self.memory().children).get(&key) {
            return Ok(known.clone());
        }
        // What is not there names nothing; it is not remembered, since it may come.
        let Some(found) = self.client().manifest_or_schema1(package, &digest.to_string()).await? else {
            return Ok(Vec::new());
        };
        let references = Manifest::parse(&found.bytes).references.into_iter();
        let children = references.filter(|reference| reference.role == ReferenceRole::Child);
        let children: Vec<Digest> = children.filter_map(|child| child.descriptor.digest).collect();
        locked(&self.memory().children).insert(key, children.clone());
        Ok(children)
    }

    async fn attempt(&self, doomed: &PlannedDeletion<'_>) -> Attempt {
        if !self.memory().by_digest_only.load(Ordering::Relaxed) {
            match self.client().delete_manifest(doomed.package, doomed.version).await {
                Ok(Removal::Deleted) => return Attempt::Done(Deletion::Now),
                Ok(Removal::NotThere) => return Attempt::Done(Deletion::Before),
                Ok(Removal::Unsupported) => {}
                Err(error) => return Attempt::from_error(error),
            }
        }
        if let Err(why) = self.goes_whole(doomed).await {
            return Attempt::Never(why);
        }
        let key = (doomed.package.to_owned(), doomed.digest);
        let was_sent = !locked(&self.memory().sent).insert(key.clone());
        let done = match self.client().delete_manifest(doomed.package, &doomed.digest.to_string()).await {
            Ok(Removal::Deleted) => Deletion::Now,
            Ok(Removal::NotThere) if was_sent => Deletion::Now,
            Ok(Removal::NotThere) => Deletion::Before,
            Ok(Removal::Unsupported) => {
                return Attempt::Never(DeleteError::Forbidden("the registry deletes nothing".into()));
            }
            Err(error) => return Attempt::from_error(error),
        };
        self.memory().by_digest_only.store(true, Ordering::Relaxed);
        locked(&self.memory().gone).insert(key, done);
        Attempt::Done(done)
    }
}

impl Writer for WriteAccess<RegistrySource> {
    async fn delete(&self, doomed: &PlannedDeletion<'_>) -> Result<Deletion, DeleteError> {
        let mut attempt = 0;
        // The deletion of another row took its digest, and with it this one.
        let went = locked(&self.memory().gone).get(&(doomed.package.to_owned(), doomed.digest)).copied();
        // The first row of an image was read right before; what happened since then to the others is not known.
        let mut is_read = doomed.together.first().is_none_or(|first| *first == doomed.version);
        loop {
            if !std::mem::replace(&mut is_read, false) {
                match self.client().head_manifest(doomed.package, doomed.version).await {
                    Ok(None) if attempt > 0 => {
                        let key = (doomed.package.to_owned(), doomed.digest);
                        if locked(&self.memory().sent).contains(&key) {
                            locked(&self.memory().gone).insert(key, Deletion::Now);
                        }
                        return Ok(Deletion::Now);
                    }
                    Ok(None) => return Ok(went.unwrap_or(Deletion::Before)),
                    Ok(Some(now)) if now == doomed.digest && went.is_none() => {}
                    Ok(Some(_)) => return Err(failed("it was pushed again while its image was deleted")),
                    Err(error) => return Err(failed(error)),
                }
            }
            let ended = self.attempt(doomed).await.end(attempt, self.client().http(), self.stop()).await;
            if let Ok(done) = ended {
                return done;
            }
            attempt += 1;
        }
    }

    async fn put(
        &self,
        package: &str,
        reference: &str,
        media_type: &str,
        bytes: &[u8],
    ) -> Result<(), Unanswered> {
        self.client().put_manifest(package, reference, media_type, bytes).await.map_err(Unanswered::from)
    }

    fn stop(&self) -> Option<&Stop> {
        Self::stop(self)
    }
}
