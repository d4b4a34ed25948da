//! Trees with entries that do not belong into a registry: files in place of folders, misplaced links and data files, names that no
//! storage driver accepts. Each collector fails on them in its own way.

use std::fs;
use std::path::{Path, PathBuf};

use registry_fixtures::random::{SplitMix64, random_tree, sound_tree};
use registry_fixtures::{Digest, TreeBuilder};
use walkdir::WalkDir;

/// A tree to which odd entries are added.
struct OddTree {
    tree: TreeBuilder,
    chance: SplitMix64,
    story: Vec<String>,
    is_strict: bool,
}

/// A tree of [`random_tree`] or [`sound_tree`] with one to three odd entries; if `is_strict`, also inside leaf folders.
pub fn odd_tree(seed: u64, is_strict: bool) -> (TreeBuilder, Vec<String>) {
    let (tree, story) = if seed.is_multiple_of(3) { random_tree(seed) } else { sound_tree(seed) };
    let mut odd = OddTree { tree, chance: SplitMix64::new(seed ^ 0x0dd), story, is_strict };
    for _ in 0..1 + odd.chance.below(3) {
        let added = (0..20).find_map(|_| odd.add_odd_entry());
        odd.story.extend(added.map(|entry| format!("odd: {entry}")));
    }
    (odd.tree, odd.story)
}

impl OddTree {
    fn add_odd_entry(&mut self) -> Option<String> {
        match self.chance.below(if self.is_strict { 14 } else { 12 }) {
            0 => self.add_file_with_underscore(),
            1 => self.replace_folder_by_file(),
            2 => self.add_top_level_folder(),
            3 | 4 => self.add_entry_of_tags(),
            5 | 6 => self.add_link(),
            7 => self.add_data_file(),
            8 => self.damage_history(),
            9 => self.add_signature(),
            10 => self.shelve_repository(),
            11 => self.add_file_system_name(),
            12 => self.add_inside_leaf("link"),
            _ => self.add_inside_leaf("data"),
        }
    }

    /// All paths below `docker/registry/v2` that satisfy a condition.
    fn paths_where(&self, is_it: impl Fn(&str) -> bool) -> Vec<PathBuf> {
        let v2 = self.tree.v2();
        let below = |path: &Path| path.strip_prefix(&v2).unwrap().to_str().unwrap().to_owned();
        let mut all: Vec<PathBuf> =
            WalkDir::new(&v2).into_iter().map(|entry| entry.unwrap().into_path()).collect();
        all.retain(|path| is_it(&below(path)));
        all.sort();
        all
    }

    fn write_new_file(&self, path: &Path, bytes: &[u8]) -> Option<()> {
        if path.symlink_metadata().is_ok() {
            return None;
        }
        fs::create_dir_all(path.parent()?).ok()?;
        fs::write(path, bytes).ok()
    }

    fn describe(&self, what: &str, path: &Path) -> String {
        format!("{what} {}", path.strip_prefix(self.tree.v2()).unwrap().display())
    }

    /// A file whose name starts like a reserved folder.
    fn add_file_with_underscore(&mut self) -> Option<String> {
        let folders =
            self.paths_where(|path| Path::new(path).starts_with("repositories") && !path.contains("/_"));
        let folder = self.chance.pick(&folders)?.clone();
        let name = self.chance.one_of(["_a", "_layers", "_manifests", "_odd", "_zz", "_uploads", "_"]);
        let path = folder.join(name);
        if !folder.is_dir() {
            return None;
        }
        self.write_new_file(&path, b"odd")?;
        Some(self.describe("a file", &path))
    }

    /// Renames a repository, or a folder of repositories, to begin with `_`.
    fn shelve_repository(&mut self) -> Option<String> {
        let folders = self.paths_where(|path| path.starts_with("repositories/") && !path.contains("/_"));
        let path = self.chance.pick(&folders)?.clone();
        let to = path.with_file_name(format!("_{}", path.file_name()?.to_str()?));
        if !path.is_dir() || to.symlink_metadata().is_ok() {
            return None;
        }
        fs::rename(&path, &to).ok()?;
        Some(self.describe("shelved as", &to))
    }

    /// A name that NFS or a storage appliance leaves in any folder.
    fn add_file_system_name(&mut self) -> Option<String> {
        let folders = self.paths_where(|path| !path.contains("/tags/"));
        let folder = self.chance.pick(&folders)?.clone();
        let name = self.chance.one_of([
            ".nfs000000000000ab12000003",
            ".fuse_hidden0000a2f100000001",
            "@eaDir",
            "#recycle",
            ".snapshots",
            "Thumbs.db",
            ".Trash-1000",
        ]);
        let path = folder.join(name);
        if !folder.is_dir() || path.symlink_metadata().is_ok() {
            return None;
        }
        let is_folder = self.chance.percent(50) && name != "Thumbs.db";
        self.write_new_file(&if is_folder { path.join("inside") } else { path.clone() }, b"odd")?;
        Some(self.describe("a name of a file system", &path))
    }

    fn replace_folder_by_file(&mut self) -> Option<String> {
        let ends = [
            "_layers",
            "_manifests",
            "_uploads",
            "_manifests/revisions",
            "_manifests/tags",
            "_layers/sha256",
            "_manifests/revisions/sha256",
        ];
        let end = self.chance.one_of(ends);
        let folders = self.paths_where(|path| path.ends_with(&format!("/{end}")));
        let path = self.chance.pick(&folders)?.clone();
        fs::remove_dir_all(&path).ok()?;
        self.write_new_file(&path, b"odd")?;
        Some(self.describe("a file in the place of", &path))
    }

    fn add_top_level_folder(&mut self) -> Option<String> {
        let name = self.chance.one_of([
            "_layers",
            "_manifests",
            "_uploads",
            "_odd/x/_layers",
            "UPPER/_uploads",
            "UPPER",
            "Upper/X/_layers",
        ]);
        let path = self.tree.repositories().join(name);
        if path.symlink_metadata().is_ok() {
            return None;
        }
        fs::create_dir_all(&path).ok()?;
        Some(self.describe("a folder", &path))
    }

    fn link_text(&mut self) -> Vec<u8> {
        let links = self.paths_where(|path| path.ends_with("/link"));
        match self.chance.below(6) {
            0 => Vec::new(),
            1 => b"text".to_vec(),
            2 => Digest::absent("odd").as_str().as_bytes().to_vec(),
            _ => self.chance.pick(&links).and_then(|link| fs::read(link).ok()).unwrap_or_default(),
        }
    }

    fn add_entry_of_tags(&mut self) -> Option<String> {
        let folders = self.paths_where(|path| path.ends_with("_manifests/tags"));
        let folder = self.chance.pick(&folders)?.clone();
        let name = self.chance.one_of([
            ".DS_Store",
            "lost+found",
            "v1+x",
            "a b",
            ".hidden",
            "-x",
            "v1~",
            "täg",
            ".nfs",
        ]);
        let path = folder.join(name);
        if path.symlink_metadata().is_ok() || !folder.is_dir() {
            return None;
        }
        match self.chance.below(5) {
            0 => {
                self.write_new_file(&path, b"odd")?;
                Some(self.describe("a file", &path))
            }
            1 => {
                fs::create_dir_all(&path).ok()?;
                Some(self.describe("an empty folder", &path))
            }
            2 => {
                self.write_new_file(&path.join("current"), b"odd")?;
                Some(self.describe("with a file current", &path))
            }
            3 => {
                self.write_new_file(&path.join("index/sha256"), b"odd")?;
                Some(self.describe("with a file index/sha256", &path))
            }
            _ => {
                let text = self.link_text();
                self.write_new_file(&path.join("current/link"), &text)?;
                let hex = String::from_utf8_lossy(&text).replace("sha256:", "");
                if self.chance.percent(50) && hex.len() == 64 {
                    self.write_new_file(&path.join("index/sha256").join(&hex).join("link"), &text)?;
                }
                Some(self.describe(&format!("names {}", String::from_utf8_lossy(&text)), &path))
            }
        }
    }

    fn add_link(&mut self) -> Option<String> {
        let end = self.chance.one_of(["_layers", "_manifests/revisions"]);
        let folders = self.paths_where(|path| path.ends_with(end));
        let folder = self.chance.pick(&folders)?.clone();
        if !folder.is_dir() {
            return None;
        }
        let hex = Digest::absent("odd link").hex().to_owned();
        let places = [
            "link".to_owned(),
            "sha256/link".into(),
            "odd/link".into(),
            "odd/deep/er/link".into(),
            "a b/link".into(),
            "sha256/a+b/link".into(),
            "sha256/+".into(),
            format!("sha256/{}/link", &hex[..20]),
            format!("sha256/{}/link", hex.to_uppercase()),
            format!("md5/{}/link", &hex[..32]),
            format!("sha512/{hex}/link"),
            format!("sha512/{hex}{hex}/link"),
            format!("sha256/{hex}/link"),
            format!("tarsum/v1/sha256/{hex}/link"),
        ];
        let path = folder.join(self.chance.pick(&places)?);
        let text = self.link_text();
        self.write_new_file(&path, &text)?;
        Some(self.describe(&format!("a link to {:?}", String::from_utf8_lossy(&text)), &path))
    }

    fn add_data_file(&mut self) -> Option<String> {
        let blobs = self.paths_where(|path| path.starts_with("blobs/sha256/") && path.ends_with("/data"));
        let there = self.chance.pick(&blobs)?.parent()?.file_name()?.to_str()?.to_owned();
        let hex = match self.chance.below(3) {
            0 => Digest::absent("odd data").hex().to_owned(),
            _ => there,
        };
        let two = &hex[..2];
        let places = [
            format!("sha256/{hex}/data"),
            format!("sha256/zz/{hex}/data"),
            format!("sha256/{}/{hex}/data", if two == "ab" { "cd" } else { "ab" }),
            format!("sha256/{}/data", &hex[..30]),
            format!("sha256/{two}/{}/data", hex.to_uppercase()),
            format!("sha256/{two}/data"),
            "odd/data".into(),
            "sha256/data".into(),
            "data".into(),
            format!("md5/{two}/{}/data", &hex[..32]),
            format!("sha512/{two}/{hex}{hex}/data"),
            format!("x/sha256/{two}/{hex}/data"),
            format!("x/sha256/{hex}/data"),
            "a/b/c/data".into(),
            "a b/x/data".into(),
            "ä/data".into(),
        ];
        let path = self.tree.blobs().join(self.chance.pick(&places)?);
        self.write_new_file(&path, b"odd")?;
        Some(self.describe("a data file", &path))
    }

    fn damage_history(&mut self) -> Option<String> {
        let end = self.chance.one_of(["/index", "/index/sha256", ""]);
        if !end.is_empty() {
            let folders = self.paths_where(|path| path.contains("/tags/") && path.ends_with(end));
            let path = self.chance.pick(&folders)?.clone();
            fs::remove_dir_all(&path).ok()?;
            self.write_new_file(&path, b"odd")?;
            return Some(self.describe("a file in the place of", &path));
        }
        // A history entry of a revision that was deleted over the API and that another revision link names.
        let links = self.paths_where(|path| path.contains("/revisions/sha256/") && path.ends_with("/link"));
        let (one, two) = (self.chance.pick(&links)?.clone(), self.chance.pick(&links)?.clone());
        if one.parent()?.parent() != two.parent()?.parent() || one == two {
            return None;
        }
        let text = fs::read(&two).ok()?;
        fs::write(&one, &text).ok()?;
        fs::remove_file(&two).ok()?;
        let hex = two.parent()?.file_name()?.to_str()?.to_owned();
        let layer =
            two.parent()?.ancestors().find(|path| path.ends_with("_manifests"))?.with_file_name("_layers");
        self.write_new_file(&layer.join("sha256").join(hex).join("link"), &text)?;
        Some(self.describe("only as a layer and named by another revision:", &two))
    }

    fn add_signature(&mut self) -> Option<String> {
        let folders = self.paths_where(|path| {
            path.contains("/revisions/sha256/") && path.len() - path.rfind('/').unwrap() == 65
        });
        let folder = self.chance.pick(&folders)?.clone();
        let is_old = fs::read(folder.join("link")).ok().and_then(|text| String::from_utf8(text).ok());
        let is_old = is_old.filter(|text| text.starts_with("sha256:") && text.len() == 71)?;
        let digest = Digest::from_text(is_old);
        let bytes = fs::read(self.tree.blob_path(&digest)).ok()?;
        if !String::from_utf8_lossy(&bytes).contains("fsLayers") {
            return None;
        }
        let hex = Digest::absent("odd signature").hex().to_owned();
        let path = folder.join("signatures/sha256").join(hex).join("link");
        let text = self.link_text();
        self.write_new_file(&path, &text)?;
        Some(self.describe(&format!("a signature {:?}", String::from_utf8_lossy(&text)), &path))
    }

    fn add_inside_leaf(&mut self, name: &str) -> Option<String> {
        let of = if name == "link" { "/_" } else { "blobs/sha256" };
        let leaves = self.paths_where(|path| {
            path.contains(of) && !path.contains("/tags/") && path.ends_with(&format!("/{name}"))
        });
        let leaf = self.chance.pick(&leaves)?.parent()?.to_path_buf();
        let path = leaf.join(self.chance.one_of(["odd", "sha256", "x", "a b"])).join(name);
        let text = self.link_text();
        self.write_new_file(&path, &text)?;
        Some(self.describe(&format!("inside a leaf {:?}", String::from_utf8_lossy(&text)), &path))
    }
}
