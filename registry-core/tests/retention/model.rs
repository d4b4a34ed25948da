//! A server in memory with the rules of Forgejo that matter to retention: rows by name, files that are deleted with their row, a
//! collector that deletes by age. It can stop answering after so many requests, and refuse to delete.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use jiff::Timestamp;
use registry_core::oci::manifest::{Kind, ReferenceRole};
use registry_core::oci::{Algorithm, Digest, Manifest};
use registry_core::registry::Fetched;
use registry_core::retention::{
    DeleteError, DeletionEntry, DeletionJournal, DeletionTime, ListedRow, Listing, ManifestState, NoAnswer,
    PlannedDeletion, Reader, Writer,
};

use crate::support::{PackageBuilder, now};

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
    /// The rows of a built package, and the manifests that are present.
    pub fn from_builder(builder: &PackageBuilder) -> Self {
        let mut model = Self { next: 10_000, ..Self::default() };
        for row in &builder.package.rows {
            let digest = builder.package.digest(row.manifest.unwrap());
            let (id, at) = (row.id.unwrap(), row.created_at.unwrap());
            model.rows.insert(row.version.to_string(), ModelRow { id, at, digest });
        }
        for manifest in builder.package.manifests() {
            let digest = builder.package.digest(manifest);
            if let (ManifestState::Present(_), Some(bytes)) =
                (builder.package.state(manifest), builder.bytes(&digest))
            {
                model.bytes.insert(digest, bytes);
            }
        }
        model
    }

    fn manifest(&self, digest: &Digest) -> Option<Manifest> {
        Some(Manifest::parse(&self.bytes.get(digest)?.1))
    }

    fn has_row(&self, digest: &Digest) -> bool {
        self.rows.values().any(|row| row.digest == *digest)
    }

    /// Blobs that the manifest of some row names.
    fn blobs(&self) -> BTreeSet<Digest> {
        let manifests = self.rows.values().filter_map(|row| self.manifest(&row.digest));
        let parts = manifests.flat_map(|one| one.references).filter(|one| one.role != ReferenceRole::Child);
        parts.filter_map(|one| one.descriptor.digest).collect()
    }

    /// Whether the manifest and everything that it needs, down to the blobs, is served.
    pub fn is_pullable(&self, digest: &Digest) -> bool {
        self.is_whole(digest, &self.blobs())
    }

    fn is_whole(&self, digest: &Digest, blobs: &BTreeSet<Digest>) -> bool {
        let Some(manifest) = self.manifest(digest).filter(|_| self.has_row(digest)) else { return false };
        manifest.references.iter().all(|reference| match (reference.role, reference.descriptor.digest) {
            (_, None) => true,
            (ReferenceRole::Child, Some(child)) => self.is_whole(&child, blobs),
            (_, Some(blob)) => blobs.contains(&blob),
        })
    }

    /// Whether an index names an index.
    pub fn has_nested_index(&self) -> bool {
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

/// A change to the model that somebody else makes.
pub type Event = Box<dyn Fn(&mut Model) + Send + Sync>;

/// The model as a [`Reader`] and [`Writer`].
pub struct Server {
    pub model: Mutex<Model>,
    /// Requests that are still answered; all if `None`.
    left: Mutex<Option<usize>>,
    /// Requests so far, and deletions among them.
    pub asked: Mutex<(usize, usize)>,
    /// Rows that cannot be deleted.
    pub undeletable: BTreeSet<String>,
    /// Whether these credentials may not delete.
    pub is_forbidden: bool,
    /// Changes by somebody else, each made right after so many deletions.
    pub events: Vec<(usize, Event)>,
    /// Whether the server records the digest of each tag beside its manifest.
    pub has_records: bool,
    /// Digests for which requests fail after the first deletion.
    pub silent: BTreeSet<Digest>,
}

impl Server {
    pub fn new(model: Model) -> Self {
        Self::with_requests(model, None)
    }

    /// A server that answers only so many requests.
    pub fn with_requests(model: Model, left: Option<usize>) -> Self {
        let (model, left, asked) = (Mutex::new(model), Mutex::new(left), Mutex::new((0, 0)));
        Self {
            model,
            left,
            asked,
            undeletable: BTreeSet::new(),
            is_forbidden: false,
            events: Vec::new(),
            has_records: true,
            silent: BTreeSet::new(),
        }
    }

    fn request(&self) -> Result<(), NoAnswer> {
        self.asked.lock().unwrap().0 += 1;
        match &mut *self.left.lock().unwrap() {
            Some(0) => Err(NoAnswer::new("connection refused")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn resolve(model: &Model, reference: &str) -> Option<Digest> {
        match reference.parse::<Digest>() {
            Ok(digest) => model.has_row(&digest).then_some(digest),
            Err(_) => model.rows.get(reference).map(|row| row.digest),
        }
    }
}

fn listed(version: &str, row: &ModelRow) -> ListedRow {
    ListedRow { package: "app".into(), version: version.into(), id: Some(row.id), created_at: Some(row.at) }
}

impl Reader for Server {
    async fn rows(&self, _: Option<&str>) -> Result<Listing, NoAnswer> {
        self.request()?;
        let model = self.model.lock().unwrap();
        Ok(model.rows.iter().map(|(version, row)| listed(version, row)).collect::<Vec<_>>().into())
    }

    async fn unlisted_packages(&self) -> Result<Vec<String>, NoAnswer> {
        Ok(Vec::new())
    }

    async fn row(&self, _: &str, version: &str) -> Result<Option<ListedRow>, NoAnswer> {
        self.request()?;
        Ok(self.model.lock().unwrap().rows.get(version).map(|row| listed(version, row)))
    }

    async fn manifest(&self, _: &str, reference: &str) -> Result<Option<Fetched>, NoAnswer> {
        self.request()?;
        let model = self.model.lock().unwrap();
        let is_silent = self.asked.lock().unwrap().1 > 0;
        if is_silent && Self::resolve(&model, reference).is_some_and(|digest| self.silent.contains(&digest)) {
            return Err(NoAnswer::new("502 Bad Gateway"));
        }
        let found =
            Self::resolve(&model, reference).and_then(|digest| Some((digest, model.bytes.get(&digest)?)));
        Ok(found.map(|(digest, (media_type, bytes))| Fetched {
            digest,
            media_type: media_type.clone(),
            bytes: bytes.clone(),
        }))
    }

    async fn manifest_digest(&self, _: &str, reference: &str) -> Result<Option<Digest>, NoAnswer> {
        self.request()?;
        let model = self.model.lock().unwrap();
        Ok(Self::resolve(&model, reference).filter(|digest| model.bytes.contains_key(digest)))
    }

    async fn recorded_digest(&self, _: &str, version: &str) -> Result<Option<Digest>, NoAnswer> {
        self.request()?;
        Ok(self.model.lock().unwrap().rows.get(version).map(|row| row.digest).filter(|_| self.has_records))
    }

    async fn config(&self, _: &str, _: &Digest) -> Result<Option<Vec<u8>>, NoAnswer> {
        self.request()?;
        Ok(None)
    }
}

impl Writer for Server {
    async fn delete(&self, deletion: &PlannedDeletion<'_>) -> Result<DeletionTime, DeleteError> {
        let version = deletion.version;
        self.request().map_err(|unanswered| DeleteError::Failed(unanswered.to_string()))?;
        self.asked.lock().unwrap().1 += 1;
        if self.is_forbidden {
            return Err(DeleteError::Forbidden("403: you must change your password".into()));
        }
        if self.undeletable.contains(version) {
            return Err(DeleteError::Failed("500 Internal Server Error".into()));
        }
        let mut model = self.model.lock().unwrap();
        let removed = model.rows.remove(version);
        let deletions = self.asked.lock().unwrap().1;
        for (_, event) in self.events.iter().filter(|(after, _)| *after == deletions) {
            event(&mut model);
        }
        Ok(if removed.is_some() { DeletionTime::Now } else { DeletionTime::Before })
    }

    async fn put(&self, _: &str, reference: &str, media_type: &str, bytes: &[u8]) -> Result<(), NoAnswer> {
        self.request()?;
        let mut model = self.model.lock().unwrap();
        let digest = Digest::hash(Algorithm::Sha256, bytes);
        let blobs = model.blobs();
        for reference in Manifest::parse(bytes).references {
            let Some(digest) = reference.descriptor.digest else { continue };
            let (is_there, code) = if reference.role == ReferenceRole::Child {
                (model.has_row(&digest), "MANIFEST_BLOB_UNKNOWN")
            } else {
                (blobs.contains(&digest), "BLOB_UNKNOWN")
            };
            if !is_there {
                return Err(NoAnswer::new(format!("404 {code}")));
            }
        }
        model.next += 1;
        let row = ModelRow { id: model.next, at: now(), digest };
        model.rows.insert(reference.to_owned(), row);
        model.bytes.insert(digest, (media_type.to_owned(), bytes.to_vec()));
        Ok(())
    }
}

/// A journal in memory, which is full after `room` lines.
#[derive(Default)]
pub struct MemoryJournal {
    pub text: String,
    pub room: Option<usize>,
}

impl DeletionJournal for MemoryJournal {
    fn write(&mut self, entry: &DeletionEntry) -> std::io::Result<()> {
        if let Some(room) = &mut self.room {
            *room = room.checked_sub(1).ok_or(std::io::ErrorKind::StorageFull)?;
        }
        self.text += &serde_json::to_string(entry)?;
        self.text.push('\n');
        Ok(())
    }
}
