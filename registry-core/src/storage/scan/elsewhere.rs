//! Names of entries that file systems, network storage and desktops add to any folder. A registry ignores them except below
//! `tags/`, where it takes them for tags.

use super::super::folder::EntryKind;

/// Names of files and folders. None is a legal name of a repository.
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
    // Programs that synchronise folders (Syncthing).
    ".stfolder",
    ".stversions",
    ".stignore",
];

/// Names of files only: a folder of that name may be a repository.
const FILES: &[&str] =
    &["Thumbs.db", "thumbs.db", "ehthumbs.db", "desktop.ini", "Desktop.ini", "aquota.user", "aquota.group"];

/// Prefixes of the names, followed by hexadecimal digits, of files that were deleted while open and vanish when closed. By NFS
/// (`nfs_sillyrename` in `fs/nfs/unlink.c` of Linux; a registry on it:
/// https://github.com/distribution/distribution/issues/4398), FUSE (`lib/fuse.c` of libfuse), SMB.
const STILL_OPEN: &[&str] = &[".nfs", ".fuse_hidden", ".__smb"];

/// Whether an entry has the name of one that other programs than a registry add to any folder.
pub(super) fn is_harmless(name: &str, kind: EntryKind) -> bool {
    let after = |prefix: &str| name.strip_prefix(prefix);
    NAMES.contains(&name)
        || kind == EntryKind::File && (FILES.contains(&name) || name.starts_with("._"))
        || STILL_OPEN.iter().filter_map(|prefix| after(prefix)).any(is_hex)
        || after(".smbdelete").is_some()
        || after(".Trash-")
            .is_some_and(|user| !user.is_empty() && user.bytes().all(|byte| byte.is_ascii_digit()))
        || [".syncthing.", "~syncthing~"].iter().any(|prefix| after(prefix).is_some())
            && name.ends_with(".tmp")
}

/// Whether a text, which may be empty, consists of hexadecimal digits.
fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn harmless_names_are_matched_whole() {
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

    #[test]
    fn folder_with_a_legal_repository_name_is_never_harmless() {
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
