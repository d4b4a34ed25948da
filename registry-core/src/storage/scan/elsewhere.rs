//! Names that file systems, network storage and desktops write into any folder: no registry makes them, and none trips over
//! them but below `tags/`.

use super::super::folder::EntryKind;

/// Names that no repository can have, whatever they belong to.
const NAMES: &[&str] = &[
    // File systems and their snapshots: ext4, ZFS, NetApp, btrfs and snapper, CephFS, GlusterFS.
    "lost+found",
    ".zfs",
    ".snapshot",
    ".snapshots",
    "~snapshot",
    ".snap",
    ".glusterfs",
    ".trashcan",
    // Synology and QNAP (https://github.com/wow-signal-dev/metadata-remote/issues/38).
    "@eaDir",
    "#recycle",
    "#snapshot",
    "@Recycle",
    "@Recently-Snapshot",
    ".@__thumb",
    // Desktops.
    ".DS_Store",
    ".AppleDouble",
    ".AppleDB",
    ".Spotlight-V100",
    ".DocumentRevisions-V100",
    ".TemporaryItems",
    ".Trashes",
    ".Trash",
    ".fseventsd",
    ".directory",
    "$RECYCLE.BIN",
    "System Volume Information",
    // Programs that keep folders alike.
    ".stfolder",
    ".stversions",
    ".stignore",
];

/// Names of files that are legal names of repositories too.
const FILES: &[&str] =
    &["Thumbs.db", "thumbs.db", "ehthumbs.db", "desktop.ini", "Desktop.ini", "aquota.user", "aquota.group"];

/// How a file is called that was deleted while somebody has it open, and goes when it is closed: a prefix, then hexadecimal
/// digits. By NFS (`nfs_sillyrename` in `fs/nfs/unlink.c` of Linux; a registry on it:
/// https://github.com/distribution/distribution/issues/4398), FUSE (`lib/fuse.c` of libfuse), SMB.
const STILL_OPEN: &[&str] = &[".nfs", ".fuse_hidden", ".__smb"];

/// Whether an entry is one that something else than a registry writes everywhere.
pub(super) fn is_harmless(name: &str, kind: EntryKind) -> bool {
    let after = |prefix: &str| name.strip_prefix(prefix);
    NAMES.contains(&name)
        || kind == EntryKind::File && (FILES.contains(&name) || name.starts_with("._"))
        || STILL_OPEN.iter().filter_map(|prefix| after(prefix)).any(is_hex)
        || after(".smbdelete").is_some()
        || after(".Trash-")
            .is_some_and(|user| !user.is_empty() && user.bytes().all(|one| one.is_ascii_digit()))
        || [".syncthing.", "~syncthing~"].iter().any(|prefix| after(prefix).is_some())
            && name.ends_with(".tmp")
}

/// Hexadecimal digits only; also none at all.
fn is_hex(text: &str) -> bool {
    text.bytes().all(|one| one.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_by_their_pattern() {
        for name in
            [".nfs", ".nfs000000000000ab12000003", ".fuse_hidden0000a2f100000001", ".Trash-1000", "@eaDir"]
        {
            assert!(is_harmless(name, EntryKind::File) && is_harmless(name, EntryKind::Folder), "{name}");
        }
        for name in
            [".nfsroot", ".Trash-", ".Trash-me", "nfs0001", ".snapshotted", ".tools", "eaDir", ".syncthing.x"]
        {
            assert!(!is_harmless(name, EntryKind::File), "{name}");
        }
    }

    /// A folder that a registry may serve is never passed over.
    #[test]
    fn what_may_be_a_repository_is_harmless_only_as_a_file() {
        use crate::oci::RepositoryName;
        for name in FILES {
            assert!(is_harmless(name, EntryKind::File) && !is_harmless(name, EntryKind::Folder), "{name}");
        }
        for name in NAMES {
            assert!(
                RepositoryName::new(name).is_err() && RepositoryName::new(&format!("{name}/x")).is_err(),
                "{name}"
            );
        }
    }
}
