//! Findings about leftovers: strays, temporary files, unreferenced links, uploads, special files.

use std::time::SystemTime;

use insta::assert_snapshot;
use registry_fixtures::Digest;

use crate::support::{APP, Base, DAY, HOUR, View, report_after, report_with_damage, set_age};

/// A view that opens every folder.
fn strict() -> View<'static> {
    View { strict: true, ..View::default() }
}

#[test]
fn stray_data_file_among_algorithms_is_found() {
    assert_snapshot!(report_after(|base| { base.tree.break_stray_data(); }), @"warning path-unexpected - | a file among digest algorithms; a collector aborts on a data file there | blobs/data | MoveAside");
}

#[test]
fn shard_folder_of_one_character_is_found() {
    assert_snapshot!(report_after(|base| { base.tree.break_short_blob_folder(); }), @"warning path-unexpected - | a folder that is no shard; a collector aborts on a data file there | blobs/sha256/x | MoveAside");
}

#[test]
fn repository_with_an_illegal_name_is_found() {
    assert_snapshot!(report_after(|base| {
        base.tree.break_illegal_repository_name("UPPER").break_illegal_repository_name("a..b/c");
    }), @"
    warning path-unexpected - | a registry refuses this repository name; its collector aborts on it | repositories/UPPER | MoveAside
    warning path-unexpected - | a registry refuses this repository name; its collector aborts on it | repositories/a..b/c | MoveAside
    ");
}

#[test]
fn repository_with_an_illegal_name_protects_its_blobs() {
    let report = report_after(|base| {
        base.image("Team/App", Some("v1"), "hidden");
    });
    assert!(report.starts_with("warning path-unexpected -") && !report.contains("unreferenced"), "{report}");
}

#[test]
fn stale_temporary_files_are_found_in_strict_mode() {
    let leave = |base: &mut Base| {
        base.tree.break_temp_file(&base.tree.tag_link(APP, "v1"));
        base.tree.break_temp_file(&base.tree.blob_path(&base.one.layers[0]));
    };
    assert_snapshot!(report_after(leave), @"nothing");
    assert_snapshot!(report_with_damage(&strict(), leave), @"
    info temp-file-stale - | temporary file of a write that never finished, 50 bytes | blobs/sha256/xx/one-layer1/data.3a6eb079-0f39-4ac8-87c9-4f3856b2dd2c.tmp | Remove
    info temp-file-stale team/app | temporary file of a write that never finished, 35 bytes | repositories/team/app/_manifests/tags/v1/current/link.b1b1bdb4-80c6-41d0-8753-00d9bff7d9cb.tmp | Remove
    ");
    assert_snapshot!(report_with_damage(&View { later: HOUR / 2, ..strict() }, leave), @"nothing");
}

#[test]
fn harmless_names_are_ignored() {
    assert_snapshot!(report_after(|base| { base.tree.break_harmless_strays(&base.one.layers[0]); }), @"nothing");
    assert_snapshot!(report_with_damage(&strict(), |base| {
        base.tree.break_harmless_strays(&base.one.layers[0]);
    }), @"
    warning path-unexpected - | a file that has no place here | blobs/sha256/xx/one-layer1/note.txt | MoveAside
    ");
}

/// A registry on NFS and on storage appliances: https://github.com/distribution/distribution/issues/1116,
/// https://github.com/distribution/distribution/issues/4398, https://github.com/wow-signal-dev/metadata-remote/issues/38
#[test]
fn names_of_nfs_and_storage_appliances_are_ignored_except_among_tags() {
    let leave = |base: &mut Base| _ = base.tree.break_names_of_file_systems(APP);
    for view in [View { later: HOUR, ..View::default() }, View { later: HOUR, ..strict() }] {
        assert_eq!(report_with_damage(&view, leave), "nothing");
    }
    // Among tags a server lists these names, and an untagged collector stops at them.
    assert_snapshot!(report_with_damage(&strict(), |base| {
        base.tree.break_stray_tag_name(APP, "@eaDir").break_tag_is_file(APP, "Thumbs.db");
    }), @"
    warning path-unexpected team/app | no legal tag name, although the server lists it as a tag | repositories/team/app/_manifests/tags/@eaDir | MoveAside
    warning path-unexpected team/app | a file that has no place here | repositories/team/app/_manifests/tags/Thumbs.db | MoveAside
    error tag-link-invalid team/app:Thumbs.db | a file stands in the place of its folder | repositories/team/app/_manifests/tags/Thumbs.db
    broken: team/app:Thumbs.db by tag-link-invalid
    ");
}

/// Renamed by hand to shelve it: https://github.com/distribution/distribution/issues/225
#[test]
fn shelved_repository_is_found_with_its_tags_and_manifests() {
    let shelve = |name: &'static str| {
        move |base: &mut Base| {
            base.image("tools", Some("v1"), "tools");
            base.image("tools/deep/er", Some("v2"), "deeper");
            base.tree.break_shelved(name);
        }
    };
    let (top, nested) = (report_after(shelve("tools")), report_after(shelve("tools/deep/er")));
    assert_snapshot!(top, @"
    warning path-unexpected - | a repository that no server lists, for its name starts with _; it holds 1 tag and 1 manifest; a collection passes by and deletes its blobs; give it a legal name, or move it out of the tree | repositories/_tools
    warning path-unexpected - | a repository that no server lists, for its name starts with _; it holds 1 tag and 1 manifest; a collection passes by and deletes its blobs; give it a legal name, or move it out of the tree | repositories/_tools/deep/er
    ");
    assert_snapshot!(nested, @"warning path-unexpected - | a repository that no server lists, for its name starts with _; it holds 1 tag and 1 manifest; a collection passes by and deletes its blobs; give it a legal name, or move it out of the tree | repositories/tools/deep/_er");
    assert_eq!(report_with_damage(&strict(), shelve("tools")), top);
    assert_eq!(report_with_damage(&strict(), shelve("tools/deep/er")), nested);
}

/// What a shelved repository reaches only by a tag is not garbage. A folder with `_` that holds no repository is one stray.
#[test]
fn shelved_repository_protects_its_blobs_and_is_one_finding() {
    assert_snapshot!(report_with_damage(&strict(), |base| {
        let image = base.image("tools", Some("v1"), "tools");
        base.tree.break_revision_link_missing("tools", &image.digest);
        base.tree.break_shelved("tools");
        std::fs::create_dir_all(base.tree.repositories().join("_notes/deep")).unwrap();
        std::fs::write(base.tree.repositories().join("_notes/deep/text"), b"odd").unwrap();
    }), @"
    warning path-unexpected - | no folder of that name belongs into a repository | repositories/_notes | MoveAside
    warning path-unexpected - | a repository that no server lists, for its name starts with _; it holds 1 tag and 0 manifests; a collection passes by and deletes its blobs; give it a legal name, or move it out of the tree | repositories/_tools
    ");
}

#[test]
fn names_that_are_not_utf8_are_escaped() {
    let leave = |base: &mut Base| {
        base.tree.break_illegal_utf8_name(&base.tree.tags_folder(APP));
        base.tree.break_illegal_utf8_name(&base.tree.repositories());
        base.tree.break_illegal_utf8_name(&base.tree.layers_folder(APP).join("sha256"));
        base.tree.break_illegal_utf8_name(&base.tree.blob_folder(&base.one.layers[0]));
    };
    assert_snapshot!(report_after(leave), @r"
    warning path-unexpected - | a file among repositories | repositories/bad-\xff\xfe-name | MoveAside
    warning path-unexpected team/app | a file whose name is no sha256 hash | repositories/team/app/_layers/sha256/bad-\xff\xfe-name | MoveAside
    warning path-unexpected team/app | no legal tag name, although the server lists it as a tag | repositories/team/app/_manifests/tags/bad-\xff\xfe-name | MoveAside
    ");
    let mut base = Base::new();
    leave(&mut base);
    let strays = strict().look(base.tree.root()).findings;
    assert_eq!(
        strays.iter().filter(|stray| stray.path.as_deref().unwrap().contains(r"bad-\xff\xfe")).count(),
        4
    );
}

#[test]
fn unreferenced_layer_link_is_garbage() {
    assert_snapshot!(report_after(|base| { base.tree.layer_link(APP, &base.lib.layers[0]); }), @"
    info layer-link-unreferenced team/app | 1 layer link that no manifest needs | repositories/team/app/_layers | Remove
    garbage: 1 layer links
    ");
}

#[test]
fn dangling_unreferenced_layer_link_is_garbage() {
    assert_snapshot!(report_after(|base| { base.tree.layer_link(APP, &Digest::absent("layer")); }), @"
    info layer-link-dangling team/app | 1 layer link that no manifest needs and whose bytes are gone | repositories/team/app/_layers | Remove
    garbage: 1 layer links
    ");
}

#[test]
fn empty_unreferenced_layer_link_is_a_hazard() {
    assert_snapshot!(report_after(|base| {
        base.tree.layer_link(APP, &base.lib.layers[0]);
        base.tree.break_layer_link_empty(APP, &base.lib.layers[0]);
    }), @"warning gc-hazard team/app sha256:lib-layer1 | the layer link of sha256:lib-layer1, which no manifest needs, is empty (0 bytes): a 3.x collector aborts on it; remove it | repositories/team/app/_layers/sha256/lib-layer1/link | Remove");
}

/// The `startedat` of an upload that started so long before the look.
fn started(view: &View<'_>, before: std::time::Duration) -> String {
    let time = SystemTime::now() + view.later - before;
    jiff::Timestamp::try_from(time).unwrap().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[test]
fn uploads_are_stale_168_hours_after_startedat() {
    let view = View::default();
    for (hours, is_stale) in [(1, false), (167, false), (169, true)] {
        let started = started(&view, hours * HOUR);
        let report = report_with_damage(&view, |base| {
            base.tree.upload(APP, b"so far", Some(&started));
        });
        assert_eq!(report.contains("upload-stale"), is_stale, "{hours} h: {report}");
    }
}

#[test]
fn uploads_without_startedat_are_stale_168_hours_after_mtime() {
    for (hours, is_stale) in [(1_u32, false), (167, false), (169, true)] {
        let view = View { later: hours * HOUR, ..View::default() };
        let report = report_with_damage(&view, |base| {
            let id = base.tree.upload(APP, b"so far", Some("2020-01-02T03:04:05Z"));
            base.tree.break_upload_without_startedat(APP, &id);
        });
        assert_eq!(report.contains("upload-stale"), is_stale, "{hours} h: {report}");
        let report = report_with_damage(&view, |base| {
            base.tree.upload(APP, b"so far", Some("yesterday"));
        });
        assert_eq!(report.contains("upload-stale"), is_stale, "{hours} h: {report}");
    }
}

#[test]
fn growing_upload_is_not_stale() {
    let view = View::default();
    let report = report_with_damage(&view, |base| {
        let id = base.tree.upload(APP, b"so far", Some("2020-01-02T03:04:05Z"));
        set_age(&base.tree.upload_folder(APP, &id).join("data"), &view, HOUR / 2);
    });
    assert_snapshot!(report, @"nothing");
}

#[test]
fn stale_uploads_are_one_finding_per_repository() {
    assert_snapshot!(report_after(|base| {
        base.tree.upload(APP, b"some bytes", Some("2020-01-02T03:04:05Z"));
        let id = base.tree.upload(APP, b"more bytes so far", Some("2020-01-02T03:04:05Z"));
        base.tree.break_upload_without_startedat(APP, &id);
    }), @"
    info upload-stale team/app | 2 uploads older than 168 h, 27 bytes; the server never purges 1 of them, which have no readable startedat | repositories/team/app/_uploads | Remove
    garbage: 2 uploads (27 bytes)
    ");
}

#[test]
fn history_of_a_moved_tag_dangles_only_when_its_manifest_is_gone() {
    let moved = |base: &mut Base| {
        let newer = base.image(APP, Some("v1"), "newer").digest;
        assert_ne!(newer, base.one.digest);
    };
    assert_snapshot!(report_after(moved), @"
    info manifest-untagged team/app | 1 manifest that no tag reaches: only an untagged collection frees it | repositories/team/app/_manifests/revisions
    garbage: 1 manifests untagged, 4 blobs (1016 bytes) untagged
    ");
    assert_snapshot!(report_after(|base| {
        moved(base);
        base.tree.break_revision_link_missing(APP, &base.one.digest);
    }), @"
    info blob-unreferenced - | 4 blobs that no manifest references, 1016 bytes: a plain collection frees them | blobs
    info layer-link-unreferenced team/app | 3 layer links that no manifest needs | repositories/team/app/_layers | Remove
    info tag-history-dangling team/app | 1 entry of tag histories that no longer resolve | repositories/team/app/_manifests/tags | Remove
    garbage: 4 blobs (1016 bytes) unreferenced, 3 layer links
    ");
}

#[test]
fn symbolic_links_are_unread_and_never_missing() {
    assert_snapshot!(report_after(|base| {
        let link = base.tree.tag_link(APP, "v1");
        base.tree.break_moved_behind_symlink(&link);
    }), @"
    error path-unread team/app | not read: a symbolic link (not followed) | repositories/team/app/_manifests/tags/v1/current/link
    unknown: team/app:v1 as the tag's link could not be read
    ");
    assert_snapshot!(report_after(|base| {
        let link = base.tree.revision_link(APP, &base.arm.digest);
        base.tree.break_symlink(&link, "/nowhere".as_ref());
    }), @"
    error path-unread team/app | not read: a symbolic link (not followed) | repositories/team/app/_manifests/revisions/sha256/arm/link
    unknown: team/app:v2 as sha256:arm: its revision link could not be read
    ");
}

#[test]
fn fifo_in_place_of_a_link_is_unread() {
    assert_snapshot!(report_after(|base| { base.tree.break_fifo(&base.tree.tag_link(APP, "v1")); }), @"
    error path-unread team/app | not read: a FIFO, socket or device in the place of a link file | repositories/team/app/_manifests/tags/v1/current/link
    unknown: team/app:v1 as the tag's link could not be read
    ");
    assert_snapshot!(report_after(|base| {
        base.tree.break_fifo(&base.tree.layer_link_path(APP, &base.one.layers[0]));
    }), @"
    error path-unread team/app | not read: a FIFO, socket or device in the place of a link file | repositories/team/app/_layers/sha256/one-layer1/link
    unknown: team/app:v1 as sha256:one-layer1: its layer link could not be read
    ");
}

/// `root` can read everything, so the folder is not unread for it. `planned` injects failures that need no other user.
#[test]
fn folder_without_read_permission_is_unread() {
    let mut base = Base::new();
    let layers = base.tree.layers_folder(APP);
    base.tree.break_unreadable(&layers);
    if std::fs::read_dir(&layers).is_ok() {
        assert_eq!(base.report(), "nothing");
        return;
    }
    let report = base.report_with(&View { later: DAY, ..View::default() });
    assert!(report.contains("error path-unread") && !report.contains("broken:"), "{report}");
}

#[test]
fn missing_required_platform_is_found() {
    let view = View { platforms: &["linux/amd64", "linux/arm64"], ..View::default() };
    assert_snapshot!(report_with_damage(&view, |_| ()), @"
    error platform-missing lib:v1 sha256:lib for linux/arm64 | it has no linux/arm64, only linux/amd64 | repositories/lib/_manifests/tags/v1/current/link
    error platform-missing team/app:v1 sha256:one for linux/arm64 | it has no linux/arm64, only linux/amd64 | repositories/team/app/_manifests/tags/v1/current/link
    ");
}
