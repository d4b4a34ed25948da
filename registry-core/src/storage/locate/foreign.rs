//! Recognises the storage of other products, named by mistake in the place of a registry's tree. Looks at names and kinds of a
//! few entries; the only content that it reads is a small text of MinIO.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// Most entries of one folder that are looked at.
const MAX_ENTRIES: usize = 4096;
/// Most folders that are searched for one sign.
const MAX_FOLDERS: usize = 64;
/// Most bytes of `format.json` that are read.
const FORMAT_MAX: u64 = 4096;

/// A product whose storage is not that of a `registry`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Product {
    /// A disk of MinIO: each object is a folder with `xl.meta` (`cmd/xl-storage.go` of minio/minio), before 2021 `xl.json`.
    Minio,
    /// Data or metadata of Garage (`src/block/layout.rs`, `src/rpc/system.rs` of deuxfleurs/garage).
    Garage,
    /// Volumes or filer of SeaweedFS.
    SeaweedFs,
    /// Packages of Forgejo or Gitea (`modules/packages/content_store.go`).
    ForgejoPackages,
    /// An OCI image layout (`image-layout.md` of opencontainers/image-spec).
    OciLayout,
    /// OCI image layouts, one a repository, as zot keeps them.
    Zot,
    /// Data of Harbor without the storage of its registry.
    HarborDatabase,
    /// A tree whose repositories and tags are in GitLab's metadata database (`registry/storage/locks.go` of
    /// gitlab-org/container-registry).
    GitlabDatabase,
    /// The content store of containerd.
    Containerd,
}

impl fmt::Display for Product {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Minio => {
                "this is MinIO's own disk format, in which each object is a folder; scan the bucket over S3: copy it to a \
                 folder (rclone, aws s3 sync) and name that"
            }
            Self::Garage => {
                "this is the storage of Garage, which cuts objects into blocks; scan the bucket over S3: copy it to a folder \
                 (rclone, aws s3 sync) and name that"
            }
            Self::SeaweedFs => {
                "this is the storage of SeaweedFS, which keeps files in volumes; mount it, or copy the bucket to a folder, and \
                 name that"
            }
            Self::ForgejoPackages => {
                "these are the packages of Forgejo or Gitea, whose names and tags are in its database; ask the server: \
                 `registry-fsck probe` over HTTP"
            }
            Self::OciLayout => {
                "this is an OCI image layout (oci-layout, index.json), not the storage of a registry; skopeo or crane copy it \
                 to a registry"
            }
            Self::Zot => {
                "these are OCI image layouts, one a repository, as zot keeps them, not the storage of a distribution registry; \
                 ask the server: `registry-fsck probe` over HTTP"
            }
            Self::HarborDatabase => {
                "this is the data of Harbor without the storage of its registry, which harbor.yml names as storage_service: \
                 name that"
            }
            Self::GitlabDatabase => {
                "GitLab's registry keeps repositories and tags of this tree in its metadata database \
                 (lockfiles/database-in-use), so that everything here looks unreferenced; ask the server: `registry-fsck \
                 probe` over HTTP"
            }
            Self::Containerd => {
                "this is the content store of containerd, not the storage of a registry; ctr and nerdctl look after it"
            }
        })
    }
}

/// The product whose storage a folder is that looks like a registry's tree.
pub(super) fn product_of_tree(v2: &Path) -> Option<Product> {
    let names = EntryNames::read(v2);
    if names.has_file("oci-layout") {
        return Some(Product::OciLayout);
    }
    if names.has_folder("blobs") && names.has_folder("ingest") && !names.has_folder("repositories") {
        return Some(Product::Containerd);
    }
    let lock = v2.parent().map(|registry| registry.join("lockfiles/database-in-use"));
    if lock.is_some_and(|lock| lock.symlink_metadata().is_ok()) {
        return Some(Product::GitlabDatabase);
    }
    let is_object = |folder: &Path| {
        let names = EntryNames::read(folder);
        names.has_file("xl.meta") || names.has_file("xl.json")
    };
    let is_minio = ["repositories", "blobs"].iter().any(|part| any_below(&v2.join(part), is_object));
    is_minio.then_some(Product::Minio)
}

/// Whether a folder is a disk of MinIO on which objects are folders. In MinIO's old file system mode objects are plain files.
pub(super) fn is_minio_disk(folder: &Path) -> bool {
    let Ok(file) = std::fs::File::open(folder.join(".minio.sys/format.json")) else { return false };
    let mut text = String::new();
    let read = file.take(FORMAT_MAX).read_to_string(&mut text);
    read.is_ok() && text.contains("\"xl")
}

/// The product whose storage a folder without a registry is, or holds, and the place of that storage.
pub(super) fn product_in_folder(root: &Path) -> Option<(PathBuf, Product)> {
    let names = EntryNames::read(root);
    let inner = names.folders().take(MAX_FOLDERS).map(|name| root.join(name));
    let mut places = std::iter::once(root.to_path_buf()).chain(inner);
    let found = places.find_map(|place| Some((place.clone(), product_of(&place)?)));
    found.or_else(|| {
        let is_layout = |folder: &Path| EntryNames::read(folder).has_file("oci-layout");
        any_below(root, is_layout).then(|| (root.to_path_buf(), Product::Zot))
    })
}

fn product_of(folder: &Path) -> Option<Product> {
    let names = EntryNames::read(folder);
    if is_minio_disk(folder) {
        return Some(Product::Minio);
    }
    if names.has_file("garage-marker") || names.has_file("node_key") && names.has_file("cluster_layout") {
        return Some(Product::Garage);
    }
    if names.has_volume() || names.has_folder("filerldb2") || names.has_folder("m9333") {
        return Some(Product::SeaweedFs);
    }
    let is_harbor = ["secret", "job_logs", "redis"].iter().any(|name| names.has_folder(name));
    if is_harbor && is_postgres(&folder.join("database")) {
        return Some(Product::HarborDatabase);
    }
    has_packages(folder, &names).then_some(Product::ForgejoPackages)
}

/// Whether a folder is a PostgreSQL database, or holds one: Harbor keeps one for each release of PostgreSQL.
fn is_postgres(folder: &Path) -> bool {
    let names = EntryNames::read(folder);
    names.has_file("PG_VERSION")
        || names.folders().any(|name| EntryNames::read(&folder.join(name)).has_file("PG_VERSION"))
}

/// Whether there is a file `aa/bb/aabb…`, of 64 hexadecimal digits.
fn has_packages(folder: &Path, names: &EntryNames) -> bool {
    let is_hex = |name: &str| name.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    let shards = |names: &EntryNames| -> Vec<String> {
        names.folders().filter(|name| name.len() == 2 && is_hex(name)).take(8).map(str::to_owned).collect()
    };
    shards(names).into_iter().any(|first| {
        let outer = folder.join(&first);
        shards(&EntryNames::read(&outer)).into_iter().any(|second| {
            let prefix = format!("{first}{second}");
            let is_blob = |name: &str| name.len() == 64 && is_hex(name) && name.starts_with(&prefix);
            EntryNames::read(&outer.join(&second)).files().any(is_blob)
        })
    })
}

/// Whether `predicate` holds for one of the first [`MAX_FOLDERS`] folders at and below `root`, depth first.
fn any_below(root: &Path, predicate: impl Fn(&Path) -> bool) -> bool {
    let (mut stack, mut looked) = (vec![root.to_path_buf()], 0);
    while let Some(folder) = stack.pop() {
        looked += 1;
        if predicate(&folder) {
            return true;
        }
        if looked == MAX_FOLDERS {
            return false;
        }
        let names = EntryNames::read(&folder);
        stack.extend(names.folders().take(MAX_FOLDERS).map(|name| folder.join(name)));
    }
    false
}

/// Names of the files and folders in a folder, and whether each is a folder. Names that are not UTF-8 are left out. Empty where
/// the folder cannot be listed.
struct EntryNames(BTreeMap<String, bool>);

impl EntryNames {
    fn read(folder: &Path) -> Self {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().take(MAX_ENTRIES);
        let named = entries.filter_map(|entry| {
            let kind = entry.file_type().ok().filter(|kind| kind.is_dir() || kind.is_file())?;
            Some((entry.file_name().into_string().ok()?, kind.is_dir()))
        });
        Self(named.collect())
    }

    fn folders(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter(|(_, is_folder)| **is_folder).map(|(name, _)| &**name)
    }

    fn files(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter(|(_, is_folder)| !**is_folder).map(|(name, _)| &**name)
    }

    fn has_file(&self, name: &str) -> bool {
        self.0.get(name) == Some(&false)
    }

    fn has_folder(&self, name: &str) -> bool {
        self.0.get(name) == Some(&true)
    }

    /// `7.dat` with `7.idx`, or `collection_7.dat` with `collection_7.idx`.
    fn has_volume(&self) -> bool {
        self.files().filter_map(|name| name.strip_suffix(".dat")).any(|volume| {
            let number = volume.rsplit_once('_').map_or(volume, |(_, number)| number);
            let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
            is_number && self.has_file(&format!("{volume}.idx"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{LocateError, Symlinks, locate};
    use super::*;
    use registry_fixtures::TreeBuilder;

    /// A folder with files; names that end with `/` are folders.
    fn folder(paths: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for path in paths {
            let place = folder.path().join(path);
            std::fs::create_dir_all(place.parent().unwrap()).unwrap();
            if path.ends_with('/') {
                std::fs::create_dir_all(&place).unwrap();
            } else {
                std::fs::write(&place, "{\"format\":\"xl-single\"}").unwrap();
            }
        }
        folder
    }

    fn products(root: &Path) -> Vec<Product> {
        let found = locate(root, Symlinks::Refuse);
        assert!(found.registries.is_empty(), "{found:?}");
        let product = |error: &LocateError| match error {
            LocateError::Foreign(_, product) => *product,
            other => panic!("{other}"),
        };
        found.errors.iter().map(product).collect()
    }

    // https://github.com/minio/minio/issues/21268: each object is a folder with xl.meta.
    #[test]
    fn minio_disk_is_recognised() {
        let disk = TempDisk::new();
        for root in
            [disk.tree.root().to_path_buf(), disk.tree.v2(), disk.tree.root().parent().unwrap().into()]
        {
            assert_eq!(products(&root), [Product::Minio], "{}", root.display());
        }
        let error = locate(disk.tree.root(), Symlinks::Refuse).errors[0].to_string();
        insta::assert_snapshot!(error.replace(&*disk.tree.root().to_string_lossy(), "ROOT"), @"ROOT is not the storage of a registry: this is MinIO's own disk format, in which each object is a folder; scan the bucket over S3: copy it to a folder (rclone, aws s3 sync) and name that");
        // A bucket without the disk's `.minio.sys` beside it, and a disk without a bucket of a registry.
        std::fs::remove_dir_all(disk.tree.root().parent().unwrap().join(".minio.sys")).unwrap();
        assert_eq!(products(disk.tree.root()), [Product::Minio]);
        assert_eq!(
            products(folder(&[".minio.sys/format.json", "bucket/object/xl.meta"]).path()),
            [Product::Minio]
        );
    }

    /// A MinIO disk, and the registry's tree in a bucket of it.
    struct TempDisk {
        tree: TreeBuilder,
        _folder: tempfile::TempDir,
    }

    impl TempDisk {
        fn new() -> Self {
            let folder = folder(&[".minio.sys/format.json", "bucket/"]);
            let mut tree = TreeBuilder::in_folder(&folder.path().join("bucket"));
            tree.image("team/app", Some("v1"), "one");
            tree.break_into_minio_objects();
            Self { tree, _folder: folder }
        }
    }

    #[test]
    fn other_products_are_named() {
        let hex = "ab".repeat(32);
        let package = format!("packages/ab/ab/{hex}");
        let layout = ["oci-layout", "index.json", "blobs/sha256/"];
        let harbor = ["database/pg15/PG_VERSION", "secret/keys/secretkey", "redis/dump.rdb", "registry/"];
        for (paths, product) in [
            (&["data/garage-marker", "meta/node_key"][..], Product::Garage),
            (&["node_key", "cluster_layout", "db.lmdb/data.mdb"], Product::Garage),
            (&["7.dat", "7.idx"], Product::SeaweedFs),
            (&["volumes/docker_12.dat", "volumes/docker_12.idx"], Product::SeaweedFs),
            (&[&package], Product::ForgejoPackages),
            (&[&package["packages/".len()..]], Product::ForgejoPackages),
            (&layout, Product::OciLayout),
            (&["team/app/oci-layout", "team/app/blobs/sha256/", "team/app/index.json"], Product::Zot),
            (&harbor, Product::HarborDatabase),
            (
                &["docker/registry/v2/blobs/", "docker/registry/lockfiles/database-in-use"],
                Product::GitlabDatabase,
            ),
            (&["blobs/sha256/", "ingest/"], Product::Containerd),
        ] {
            assert_eq!(products(folder(paths).path()), [product], "{paths:?}");
        }
    }

    #[test]
    fn a_registry_is_not_taken_for_another_product() {
        let mut tree = TreeBuilder::new();
        tree.image("team/app", Some("v1"), "one");
        let found = |tree: &TreeBuilder| locate(tree.root(), Symlinks::Refuse);
        // Entries that Harbor, GitLab without its database, and MinIO in its old mode keep beside a tree.
        for beside in ["database/PG_VERSION", "secret/key", "docker/registry/lockfiles/filesystem-in-use"] {
            let place = tree.root().join(beside);
            std::fs::create_dir_all(place.parent().unwrap()).unwrap();
            std::fs::write(place, "15").unwrap();
        }
        std::fs::create_dir(tree.root().join(".minio.sys")).unwrap();
        std::fs::write(tree.root().join(".minio.sys/format.json"), r#"{"version":"1","format":"fs"}"#)
            .unwrap();
        assert_eq!((found(&tree).registries.len(), found(&tree).errors.len()), (1, 0));
        let unrelated = folder(&["notes/7.dat", "ab/ab/abab", "blob.txt"]);
        assert!(matches!(locate(unrelated.path(), Symlinks::Refuse).errors[..], [LocateError::Nothing(_)]));
    }

    #[test]
    fn minio_bucket_is_named_and_the_registry_beside_it_found() {
        let disk = TempDisk::new();
        let beside = disk.tree.root().parent().unwrap().join("true");
        std::fs::remove_dir_all(beside.parent().unwrap().join(".minio.sys")).unwrap();
        std::fs::create_dir(&beside).unwrap();
        TreeBuilder::in_folder(&beside).image("web", Some("v1"), "two");
        let found = locate(beside.parent().unwrap(), Symlinks::Refuse);
        assert_eq!(found.registries.len(), 1);
        assert!(matches!(found.errors[..], [LocateError::Foreign(_, Product::Minio)]));
    }
}
