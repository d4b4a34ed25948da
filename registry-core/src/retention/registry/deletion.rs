//! Deletion from a registry. A tag is deleted by its name where the server accepts that (distribution 3), otherwise by its
//! digest. A deletion by digest removes all tags of the digest and breaks every index that names it, so it is made only when no
//! staying tag and no index needs the digest.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use futures::StreamExt as _;

use super::RegistrySource;
use super::memory::{Memory, locked};
use crate::Stop;
use crate::oci::Digest;
use crate::registry::{Client, Error, Removal};
use crate::retention::attempt::Attempt;
use crate::retention::record::child_digests;
use crate::retention::server::{DeleteError, DeletionTime, NoAnswer, PlannedDeletion, WriteAccess, Writer};

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

    /// Reads every tag of the repository again, and returns an error if one that stays, or an index, needs the digest to delete.
    async fn check_not_needed(&self, planned: &PlannedDeletion<'_>) -> Result<(), DeleteError> {
        let tags = self.client().tags(planned.package).await.map_err(failed)?.unwrap_or_default();
        let asked = futures::stream::iter(tags).map(|tag| async move {
            let now = self.client().head_manifest(planned.package, &tag).await;
            now.map(|now| (tag, now))
        });
        let mut answers = asked.buffered(self.client().http().in_flight());
        let mut seen = BTreeSet::new();
        while let Some(answer) = answers.next().await {
            let (tag, now) = answer.map_err(failed)?;
            let Some(now) = now else { continue };
            if now == planned.digest {
                if planned.rows_of_manifest.contains(&tag.as_str()) {
                    continue;
                }
                return Err(failed(format!(
                    "tag {tag} names it too, and the registry deletes by digest only"
                )));
            }
            if self.reaches(planned, now, &mut seen).await.map_err(failed)? {
                return Err(failed(format!(
                    "the index of tag {tag} names it, and the registry deletes by digest only"
                )));
            }
        }
        Ok(())
    }

    /// Whether a manifest is the one to delete or names it at whatever depth. Manifests in `seen` are known not to.
    async fn reaches(
        &self,
        planned: &PlannedDeletion<'_>,
        from: Digest,
        seen: &mut BTreeSet<Digest>,
    ) -> Result<bool, Error> {
        let mut waiting = vec![from];
        while let Some(digest) = waiting.pop() {
            if digest == planned.digest {
                return Ok(true);
            }
            if seen.insert(digest) {
                waiting.extend(self.read_children(planned.package, digest).await?);
            }
        }
        Ok(false)
    }

    async fn read_children(&self, package: &str, digest: Digest) -> Result<Vec<Digest>, Error> {
        let key = (package.to_owned(), digest);
        if let Some(known) = locked(&self.memory().children).get(&key) {
            return Ok(known.clone());
        }
        // An absent manifest has no children. That is not remembered, because somebody may push it.
        let Some(found) = self.client().manifest_or_schema1(package, &digest.to_string()).await? else {
            return Ok(Vec::new());
        };
        let children: Vec<Digest> = child_digests(&found.bytes).collect();
        locked(&self.memory().children).insert(key, children.clone());
        Ok(children)
    }

    /// Tries to delete a row once: by name if the server may accept that, otherwise by digest.
    async fn attempt(&self, planned: &PlannedDeletion<'_>) -> Attempt {
        if !self.memory().by_digest_only.load(Ordering::Relaxed) {
            match self.client().delete_manifest(planned.package, planned.version).await {
                Ok(Removal::Deleted) => return Attempt::Done(DeletionTime::Now),
                Ok(Removal::NotThere) => return Attempt::Done(DeletionTime::Before),
                Ok(Removal::Unsupported) => {}
                Err(error) => return Attempt::from_error(error),
            }
        }
        if let Err(why) = self.check_not_needed(planned).await {
            return Attempt::Never(why);
        }
        let key = (planned.package.to_owned(), planned.digest);
        let was_sent = !locked(&self.memory().sent).insert(key.clone());
        let deletion = match self.client().delete_manifest(planned.package, &planned.digest.to_string()).await
        {
            Ok(Removal::Deleted) => DeletionTime::Now,
            Ok(Removal::NotThere) if was_sent => DeletionTime::Now,
            Ok(Removal::NotThere) => DeletionTime::Before,
            Ok(Removal::Unsupported) => {
                return Attempt::Never(DeleteError::Forbidden("the registry deletes nothing".into()));
            }
            Err(error) => return Attempt::from_error(error),
        };
        self.memory().by_digest_only.store(true, Ordering::Relaxed);
        locked(&self.memory().gone).insert(key, deletion);
        Attempt::Done(deletion)
    }
}

impl Writer for WriteAccess<RegistrySource> {
    async fn delete(&self, planned: &PlannedDeletion<'_>) -> Result<DeletionTime, DeleteError> {
        let mut attempt = 0;
        // An earlier deletion by digest, made for another row of the same manifest, may have removed this row too.
        let gone = locked(&self.memory().gone).get(&(planned.package.to_owned(), planned.digest)).copied();
        // The caller read the first row of the image right before. The other rows may have changed since they were read.
        let mut is_read = planned.rows_of_manifest.first().is_none_or(|first| *first == planned.version);
        loop {
            if !std::mem::replace(&mut is_read, false) {
                match self.client().head_manifest(planned.package, planned.version).await {
                    Ok(None) if attempt > 0 => {
                        let key = (planned.package.to_owned(), planned.digest);
                        if locked(&self.memory().sent).contains(&key) {
                            locked(&self.memory().gone).insert(key, DeletionTime::Now);
                        }
                        return Ok(DeletionTime::Now);
                    }
                    Ok(None) => return Ok(gone.unwrap_or(DeletionTime::Before)),
                    Ok(Some(now)) if now == planned.digest && gone.is_none() => {}
                    Ok(Some(_)) => return Err(failed("it was pushed again while its image was deleted")),
                    Err(error) => return Err(failed(error)),
                }
            }
            let ended = self.attempt(planned).await.end(attempt, self.client().http(), self.stop()).await;
            if let Ok(result) = ended {
                return result;
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
    ) -> Result<(), NoAnswer> {
        self.client().put_manifest(package, reference, media_type, bytes).await.map_err(NoAnswer::from)
    }

    fn stop(&self) -> Option<&Stop> {
        Self::stop(self)
    }
}
