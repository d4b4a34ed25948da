//! A server in memory with the rules of Forgejo that matter to retention: rows by name, files that go with their row, a
//! collector that goes by age. It can stop answering after so many requests, and refuse to delete.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use jiff::Timestamp;
use registry_core::oci::manifest::{Kind, ReferenceRole};
use registry_core::oci::{Algorithm, Digest, Manifest};
use registry_core::registry::Fetched;
use registry_core::retention::{
    DeleteError, Deletion, DeletionEntry, DeletionJournal, ListedRow, Listing, ManifestState,
    PlannedDeletion, Reader, Unanswered, Writer,
};

use crate::support::Maker;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelRow {
    pub id: u64,
    pub at: Timestamp,
    pub digest: Digest,
}

/// The state of the package `app`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Model {
    pub rows: BTreeMap<String, ModelRow>,
    pub bytes: BTreeMap<Digest, (String, Vec<u8>)>,
    next: u64,
}

impl Model {
    /// The package that a maker made, as far as its rows are.
    pub fn of(maker: &Maker) -> Self {
        let mut model = Self { next: 10_000, ..Self::default() };
        for row in &maker.package.rows {
            let digest = maker.package.digest(row.manifest.unwrap());
            let (id, at) = (row.id.unwrap(), row.created_at.unwrap());
            model.rows.insert(row.version.to_string(), ModelRow { id, at, digest });
        }
        for manifest in maker.package.manifests() {
            let digest = maker.package.digest(manifest);
            if let (ManifestState::Present(_), Some(bytes)) =
                (maker.package.state(manifest), maker.bytes(&digest))
            {
                model.bytes.insert(digest, bytes);
            }
        }
        model
    }

    fn manifest(&self, digest: &Digest) -> Option<Manifest> {
        Some(Manifest::parse(&self.bytes.get(digest)?.1))
    }

    fn carried(&self, digest: &Digest) -> bool {
        self.rows.values().any(|row| row.digest == *digest)
    }

    /// Blobs whose files some row holds.
    fn blobs(&self) -> BTreeSet<Digest> {
        let manifests = self.rows.values().filter_map(|row| self.manifest(&row.digest));
        let parts = manifests.flat_map(|one| one.references).filter(|one| one.role != ReferenceRole::Child);
        parts.filter_map(|one| one.descriptor.digest).collect()
    }

    /// Whether everything down to the blobs answers.
    pub fn is_pullable(&self, digest: &Digest) -> bool {
        self.is_whole(digest, &self.blobs())
    }

    fn is_whole(&self, digest: &Digest, blobs: &BTreeSet<Digest>) -> bool {
        let Some(manifest) = self.manifest(digest).filter(|_| self.carried(digest)) else { return false };
        manifest.references.iter().all(|reference| match (reference.role, reference.descriptor.digest) {
            (_, None) => true,
            (ReferenceRole::Child, Some(child)) => self.is_whole(&child, blobs),
            (_, Some(blob)) => blobs.contains(&blob),
        })
    }

    /// Whether an index names an index.
    pub fn has_nested(&self) -> bool {
        let is_index = |digest: &Digest| self.manifest(digest).is_some_and(|one| one.kind == Kind::Index);
        let indexes =
            self.bytes.keys().filter(|digest| is_index(digest)).filter_map(|digest| self.manifest(digest));
        indexes
            .flat_map(|one| one.references)
            .filter_map(|one| one.descriptor.digest)
            .any(|child| is_index(&child))
    }

    /// Tags with what they name and whether that can be pulled.
    pub fn tags(&self) -> BTreeMap<String, (Digest, bool)> {
        let blobs = self.blobs();
        let tags = self.rows.iter().filter(|(version, _)| !version.contains(':'));
        tags.map(|(tag, row)| (tag.clone(), (row.digest, self.is_whole(&row.digest, &blobs)))).collect()
    }

    /// The collector: digests that no tagged index names, older than a day
    /// (`services/packages/container/cleanup_sha256.go @ v15.0.3`).
    pub fn collect(&mut self, now: Timestamp) {
        let tagged = self.rows.iter().filter(|(version, _)| !version.contains(':'));
        let named: BTreeSet<Digest> = tagged
            .filter_map(|(_, row)| self.manifest(&row.digest))
            .filter(|manifest| manifest.kind == Kind::Index)
            .flat_map(|manifest| manifest.references)
            .filter_map(|reference| reference.descriptor.digest)
            .collect();
        self.rows.retain(|version, row| {
            let is_young = now.as_second() - row.at.as_second() < 24 * 3600;
            !version.contains(':') || is_young || named.contains(&row.digest)
        });
    }
}

/// What somebody else does to the model.
pub type Event = Box<dyn Fn(&mut Model) + Send + Sync>;

/// The model behind the traits.
pub struct Server {
    pub model: Mutex<Model>,
    now: Timestamp,
    /// Requests that are still answered.
    left: Mutex<Option<usize>>,
    /// Requests so far, and deletions among them.
    pub asked: Mutex<(usize, usize)>,
    /// Rows that cannot be deleted.
    pub stubborn: BTreeSet<String>,
    /// Whether these credentials may not delete.
    pub is_forbidden: bool,
    /// What somebody else does right after so many deletions.
    pub events: Vec<(usize, Event)>,
    /// Whether the server has records of what tags name, beside their manifests.
    pub has_records: bool,
    /// Digests that are not answered for after the first deletion.
    pub silent: BTreeSet<Digest>,
}

impl Server {
    pub fn new(model: Model, now: Timestamp, left: Option<usize>) -> Self {
        let (model, left, asked) = (Mutex::new(model), Mutex::new(left), Mutex::new((0, 0)));
        Self {
            model,
            now,
            left,
            asked,
            stubborn: BTreeSet::new(),
            is_forbidden: false,
            events: Vec::new(),
            has_records: true,
            silent: BTreeSet::new(),
        }
    }

    fn request(&self) -> Result<(), Unanswered> {
        self.asked.lock().unwrap().0 += 1;
        match &mut *self.left.lock().unwrap() {
            Some(0) => Err(Unanswered::new("connection refused")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn resolve(model: &Model, reference: &str) -> Option<Digest> {
        match reference.parse::<Digest>() {
            Ok(digest) => model.carried(&digest).then_some(digest),
            Err(_) => model.rows.get(reference).map(|row| row.digest),
        }
    }
}

fn listed(version: &str, row: &ModelRow) -> ListedRow {
    ListedRow { package: "app".into(), version: version.into(), id: Some(row.id), created_at: Some(row.at) }
}

impl Reader for Server {
    async fn rows(&self, _: Option<&str>) -> Result<Listing, Unanswered> {
        self.request()?;
        let model = self.model.lock().unwrap();
        Ok(model.rows.iter().map(|(version, row)| listed(version, row)).collect::<Vec<_>>().into())
    }

    async fn unlisted(&self) -> Result<Vec<String>, Unanswered> {
        Ok(Vec::new())
    }

    async fn row(&self, _: &str, version: &str) -> Result<Option<ListedRow>, Unanswered> {
        self.request()?;
        Ok(self.model.lock().unwrap().rows.get(version).map(|row| listed(version, row)))
    }

    async fn manifest(&self, _: &str, reference: &str) -> Result<Option<Fetched>, Unanswered> {
        self.request()?;
        let model = self.model.lock().unwrap();
        let is_silent = self.asked.lock().unwrap().1 > 0;
        if is_silent && Self::resolve(&model, reference).is_some_and(|digest| self.silent.contains(&digest)) {
            return Err(Unanswered::new("502 Bad Gateway"));
        }
        let found =
            Self::resolve(&model, reference).and_then(|digest| Some((digest, model.bytes.get(&digest)?)));
        Ok(found.map(|(digest, (media_type, bytes))| Fetched {
            digest,
            media_type: media_type.clone(),
            bytes: bytes.clone(),
        }))
    }

    async fn head(&self, _: &str, reference: &str) -> Result<Option<Digest>, Unanswered> {
        self.request()?;
        let model = self.model.lock().unwrap();
        Ok(Self::resolve(&model, reference).filter(|digest| model.bytes.contains_key(digest)))
    }

    async fn recorded_digest(&self, _: &str, version: &str) -> Result<Option<Digest>, Unanswered> {
        self.request()?;
        Ok(self.model.lock().unwrap().rows.get(version).map(|row| row.digest).filter(|_| self.has_records))
    }

    async fn config(&self, _: &str, _: &Digest) -> Result<Option<Vec<u8>>, Unanswered> {
        self.request()?;
        Ok(None)
    }
}

impl Writer for Server {
    async fn delete(&self, doomed: &PlannedDeletion<'_>) -> Result<Deletion, DeleteError> {
        let version = doomed.version;
        self.request().map_err(|unanswered| DeleteError::Failed(unanswered.to_string()))?;
        self.asked.lock().unwrap().1 += 1;
        if self.is_forbidden {
            return Err(DeleteError::Forbidden("403: you must change your password".into()));
        }
        if self.stubborn.contains(version) {
            return Err(DeleteError::Failed("500 Internal Server Error".into()));
        }
        let mut model = self.model.lock().unwrap();
        let gone = model.rows.remove(version);
        let deletions = self.asked.lock().unwrap().1;
        for (_, event) in self.events.iter().filter(|(after, _)| *after == deletions) {
            event(&mut model);
        }
        Ok(if gone.is_some() { Deletion::Now } else { Deletion::Before })
    }

    async fn put(&self, _: &str, reference: &str, media_type: &str, bytes: &[u8]) -> Result<(), Unanswered> {
        self.request()?;
        let mut model = self.model.lock().unwrap();
        let digest = Digest::of(Algorithm::Sha256, bytes);
        let blobs = model.blobs();
        for reference in Manifest::parse(bytes).references {
            let Some(digest) = reference.descriptor.digest else { continue };
            let (is_there, code) = if reference.role == ReferenceRole::Child {
                (model.carried(&digest), "MANIFEST_BLOB_UNKNOWN")
            } else {
                (blobs.contains(&digest), "BLOB_UNKNOWN")
            };
            if !is_there {
                return Err(Unanswered::new(format!("404 {code}")));
            }
        }
        model.next += 1;
        let row = ModelRow { id: model.next, at: self.now, digest };
        model.rows.insert(reference.to_owned(), row);
        model.bytes.insert(digest, (media_type.to_owned(), bytes.to_vec()));
        Ok(())
    }
}

/// A journal in memory that can run full.
#[derive(Default)]
pub struct Lines {
    pub text: String,
    pub room: Option<usize>,
}

impl DeletionJournal for Lines {
    fn write(&mut self, entry: &DeletionEntry) -> std::io::Result<()> {
        if let Some(room) = &mut self.room {
            *room = room.checked_sub(1).ok_or(std::io::ErrorKind::StorageFull)?;
        }
        self.text += &serde_json::to_string(entry)?;
        self.text.push('\n');
        Ok(())
    }
}
