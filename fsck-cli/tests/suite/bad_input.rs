//! Input that means harm, or that no server ever wrote. Nothing here may panic, hang, take much memory, steer a
//! terminal, or be called what it is not.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use registry_core::audit::{Code, Report};
use registry_fixtures::{Child, Digest, Image, TreeBuilder, layer_bytes, trees};
use serde_json::json;

use crate::support::{Ran, fsck, masked, ran, run, wait};

const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

fn app() -> (TreeBuilder, Image) {
    let mut tree = TreeBuilder::new();
    let image = tree.image("app", Some("v1"), "x");
    tree.image("app", Some("sound"), "sound");
    (tree, image)
}

fn json_of(root: &Path, options: &[&str]) -> Ran {
    ran(root, &[options, &["--output", "json"]].concat())
}

fn codes(report: &Report) -> Vec<Code> {
    report.findings.iter().map(|finding| finding.code).collect()
}

fn broken(report: &Report) -> Vec<&str> {
    report.broken_tags.iter().map(|tag| &*tag.tag).collect()
}

/// One damage, one finding: exit status, codes, broken and unknown tags.
fn verdict(tree: &TreeBuilder, options: &[&str]) -> String {
    let done = json_of(tree.root(), options);
    let report = done.typed();
    let unknown: Vec<_> = report.unknown_tags.iter().map(|tag| &*tag.tag).collect();
    let codes: Vec<_> = codes(&report).iter().map(|code| code.as_str()).collect();
    format!("{} {codes:?} broken {:?} unknown {unknown:?}", done.status, broken(&report))
}

mod roots {
    use super::*;

    #[test]
    fn what_is_no_registry_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir(at("empty")).unwrap();
        std::fs::create_dir_all(at("foreign/etc")).unwrap();
        std::fs::write(at("foreign/etc/passwd"), "root").unwrap();
        std::fs::write(at("file"), "x").unwrap();
        symlink("loop", at("loop")).unwrap();
        assert!(Command::new("mkfifo").arg(at("pipe")).status().unwrap().success());
        let mut said = String::new();
        for name in ["empty", "foreign", "file", "missing", "loop", "pipe", ""] {
            let done = ran(&at(name), &[]);
            assert_eq!(done.status, 8, "{name}");
            said.push_str(&format!("{name}: {}", done.stderr));
        }
        let _masked = masked(folder.path());
        insta::assert_snapshot!(said, @r"
    empty: ERROR no registry in ROOT/empty: looked for docker/registry/v2, for blobs and repositories, and in folders up to 4 levels below for docker/registry/v2
    foreign: ERROR no registry in ROOT/foreign: looked for docker/registry/v2, for blobs and repositories, and in folders up to 4 levels below for docker/registry/v2
    file: ERROR ROOT/file is no folder: name the rootdirectory of a registry (the one that holds docker/registry/v2)
    missing: ERROR cannot open ROOT/missing: No such file or directory (os error 2)
    loop: ERROR cannot open ROOT/loop: Too many levels of symbolic links (os error 40)
    pipe: ERROR ROOT/pipe is no folder: name the rootdirectory of a registry (the one that holds docker/registry/v2)
    : ERROR no registry in ROOT/: looked for docker/registry/v2, for blobs and repositories, and in folders up to 4 levels below for docker/registry/v2
    ");
        insta::assert_snapshot!(ran(&at("empty"), &[]).stdout, @r"
    ROOT/empty was not audited: no registry in ROOT/empty: looked for docker/registry/v2, for blobs and repositories, and in folders up to 4 levels below for docker/registry/v2
    garbage: not known, because something could not be read
    registry-fsck scan: broken_tags=0 unknown_tags=0 errors=0 warnings=0 infos=0 repairable=0 tags=0 unread=1 exit_status=8 seconds=…
    ");
    }

    #[test]
    fn the_empty_path_is_no_panic() {
        assert_eq!(run(fsck().args(["scan", ""])).status, 16);
    }

    #[test]
    fn a_good_root_is_audited_beside_a_bad_one() {
        let (mut tree, image) = app();
        tree.break_blob_missing(&image.config);
        for order in [["/nonexistent", "good"], ["good", "/nonexistent"]] {
            let roots = order.map(|root| if root == "good" { tree.root() } else { Path::new(root) });
            let done = run(fsck().args(["scan", "--output", "json"]).args(roots));
            let report = done.typed();
            assert_eq!((done.status, broken(&report), report.unread.len()), (12, vec!["v1"], 1));
            // What is garbage in all that was asked for is not known; what was read is.
            assert_eq!(report.sources.len(), 1);
        }
    }

    #[test]
    fn a_root_given_as_v2_or_by_a_symlink_is_the_same() {
        let (mut tree, image) = app();
        tree.break_blob_missing(&image.config);
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("link");
        symlink(tree.root(), &link).unwrap();
        for root in [tree.root(), &tree.v2(), &link, &link.join("docker/registry/v2")] {
            assert_eq!(broken(&json_of(root, &[]).typed()), ["v1"], "{}", root.display());
        }
    }
}

mod files {
    use super::*;

    #[test]
    fn a_link_of_five_gigabytes_is_no_link() {
        let (mut tree, _) = app();
        tree.break_tag_link_huge("app", "v1");
        insta::assert_snapshot!(verdict(&tree, &["--content", "--strict"]), @r#"4 ["tag-link-invalid"] broken ["v1"] unknown []"#);
    }

    #[test]
    fn a_manifest_of_two_hundred_megabytes() {
        let (mut tree, image) = app();
        huge(&mut tree, &image.digest, 200_000_000);
        insta::assert_snapshot!(verdict(&tree, &[]), @r#"4 ["manifest-unreadable"] broken ["v1"] unknown []"#);
    }

    fn huge(tree: &mut TreeBuilder, digest: &Digest, bytes: u64) {
        std::fs::File::options().write(true).open(tree.blob_path(digest)).unwrap().set_len(bytes).unwrap();
    }

    /// The address space bounds what is held: neither the link nor the manifest is read into memory.
    #[test]
    fn large_files_do_not_make_a_large_process() {
        let (mut tree, image) = app();
        let other = tree.image("app", Some("v2"), "other");
        tree.break_tag_link_huge("app", "sound");
        huge(&mut tree, &image.digest, 200_000_000);
        huge(&mut tree, &other.layers[0], 300_000_000);
        let limited = |kilobytes: &str, options: &[&str]| {
            let mut command = Command::new("sh");
            command.args([
                "-c",
                "ulimit -v $0 && exec \"$@\"",
                kilobytes,
                env!("CARGO_BIN_EXE_registry-fsck"),
            ]);
            // glibc reserves 64 MiB of addresses for each thread's arena; that is no memory.
            command.env("MALLOC_ARENA_MAX", "1").args(["scan", "--output", "json", "--jobs", "4"]);
            run(command.args(options).arg(tree.root()))
        };
        for options in [&[][..], &["--content"]] {
            let done = limited("150000", options);
            assert_eq!(broken(&done.typed()), ["sound", "v1", "v2"], "{}", done.stderr);
        }
    }

    #[test]
    fn links_that_are_no_text() {
        let (mut tree, image) = app();
        tree.break_tag_link_binary("app", "v1");
        let binary = [0, 0xff, 0x1b, b'[', b'3', b'1', b'm'].repeat(20);
        std::fs::write(tree.layer_link_path("app", &image.layers[0]), &binary).unwrap();
        std::fs::write(tree.revision_link("app", &image.digest), &binary).unwrap();
        insta::assert_snapshot!(verdict(&tree, &[]), @r#"4 ["in-flight", "tag-link-invalid"] broken ["v1"] unknown []"#);
    }

    #[test]
    fn json_that_is_nested_too_deep() {
        let (mut tree, image) = app();
        tree.break_manifest_deep(&image.digest, 100_000);
        insta::assert_snapshot!(verdict(&tree, &[]), @r#"4 ["manifest-unreadable"] broken ["v1"] unknown []"#);
        let (mut tree, image) = app();
        let bytes = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        tree.break_manifest_bytes(&image.digest, bytes.as_bytes());
        insta::assert_snapshot!(verdict(&tree, &[]), @r#"4 ["manifest-unreadable"] broken ["v1"] unknown []"#);
        let (mut tree, image) = app();
        tree.break_manifest_bytes(&image.digest, "{\"a\":".repeat(800_000).as_bytes());
        insta::assert_snapshot!(verdict(&tree, &[]), @r#"4 ["manifest-unreadable"] broken ["v1"] unknown []"#);
        // A config is parsed too, when its platform is asked for.
        let (mut tree, image) = app();
        tree.break_blob_replaced(&image.config, bytes.as_bytes());
        assert_eq!(ran(tree.root(), &["--require-platform", "linux/amd64"]).status, 4);
    }

    #[test]
    fn a_manifest_with_a_hundred_thousand_layers() {
        let (mut tree, image) = app();
        let manifest = many_layers(&tree, &image, 100_000);
        let digest = tree.manifest("app", &manifest);
        tree.tag("app", "v1", &digest);
        assert!(manifest.len() > 4_194_304);
        insta::assert_snapshot!(verdict(&tree, &["--min-age", "0s"]), @r#"4 ["manifest-unreadable"] broken ["v1"] unknown []"#);
    }

    #[test]
    fn a_manifest_just_below_four_megabytes_is_served() {
        let (mut tree, image) = app();
        let manifest = many_layers(&tree, &image, 28_000);
        assert!((4_000_000..=4_194_304).contains(&manifest.len()), "{}", manifest.len());
        let digest = tree.manifest("app", &manifest);
        tree.tag("app", "v1", &digest);
        insta::assert_snapshot!(verdict(&tree, &[]), @r#"0 ["in-flight"] broken [] unknown []"#);
        tree.break_blob_missing(&image.layers[0]);
        insta::assert_snapshot!(verdict(&tree, &[]), @r#"4 ["in-flight", "blob-missing"] broken ["v1"] unknown []"#);
    }

    /// An image whose layers all are one.
    fn many_layers(tree: &TreeBuilder, image: &Image, count: usize) -> Vec<u8> {
        let descriptor = |digest: &Digest, kind: &str| json!({"mediaType": kind, "digest": digest.as_str(), "size": tree.size(digest)});
        let layers = vec![descriptor(&image.layers[0], "application/vnd.oci.image.layer.v1.tar"); count];
        let config = descriptor(&image.config, "application/vnd.oci.image.config.v1+json");
        let manifest =
            json!({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": layers});
        manifest.to_string().into_bytes()
    }
}

mod graphs {
    use super::*;

    fn index_of(digests: &[&Digest]) -> Vec<u8> {
        let entry =
            |digest: &&Digest| json!({"mediaType": OCI_INDEX, "digest": digest.as_str(), "size": 300});
        let entries: Vec<_> = digests.iter().map(entry).collect();
        json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}).to_string().into_bytes()
    }

    #[test]
    fn an_index_that_names_itself() {
        let (mut tree, image) = app();
        tree.break_manifest_bytes(&image.digest, &index_of(&[&image.digest, &image.digest]));
        insta::assert_snapshot!(verdict(&tree, &[]), @r#"4 ["in-flight", "manifest-digest-mismatch"] broken ["v1"] unknown []"#);
        insta::assert_snapshot!(verdict(&tree, &["--content", "--strict"]), @r#"4 ["in-flight", "manifest-digest-mismatch"] broken ["v1"] unknown []"#);
    }

    #[test]
    fn two_indexes_that_name_each_other() {
        let (mut tree, image) = app();
        let other = tree.image("app", None, "other");
        tree.break_manifest_bytes(&image.digest, &index_of(&[&other.digest]));
        tree.break_manifest_bytes(&other.digest, &index_of(&[&image.digest]));
        insta::assert_snapshot!(verdict(&tree, &["--min-age", "0s"]), @r#"4 ["blob-unreferenced", "layer-link-unreferenced", "manifest-digest-mismatch", "manifest-digest-mismatch"] broken ["v1"] unknown []"#);
    }

    #[test]
    fn revision_links_in_a_circle() {
        let (mut tree, image) = app();
        let other = tree.image("app", None, "other");
        tree.break_revision_link_mismatch("app", &image.digest, &other.digest);
        tree.break_revision_link_mismatch("app", &other.digest, &image.digest);
        insta::assert_snapshot!(verdict(&tree, &[]), @r#"4 ["in-flight", "revision-link-mismatch"] broken ["v1"] unknown []"#);
    }

    #[test]
    fn layer_links_in_a_circle() {
        let (mut tree, image) = app();
        tree.break_layer_link_mismatch("app", &image.layers[0], &image.layers[1]);
        tree.break_layer_link_mismatch("app", &image.layers[1], &image.layers[0]);
        insta::assert_snapshot!(verdict(&tree, &["--content"]), @r#"4 ["layer-link-mismatch", "layer-link-mismatch"] broken ["v1"] unknown []"#);
    }

    #[test]
    fn a_tower_of_three_thousand_indexes() {
        let (mut tree, image) = app();
        let mut child = image.child();
        for _ in 0..3000 {
            child = Child { platform: None, ..tree.index("app", None, &[child]).child() };
        }
        tree.tag("app", "tower", &child.digest);
        tree.break_blob_missing(&image.config);
        let report = json_of(tree.root(), &[]).typed();
        assert_eq!(broken(&report), ["tower", "v1"]);
    }

    #[test]
    fn ten_indexes_of_ten_thousand_paths_each() {
        // Every level names every manifest of the next one: 10^12 paths, 120 manifests.
        let (mut tree, image) = app();
        let mut level = vec![image.child()];
        for depth in 0..12 {
            let wide = (0..10).map(|number| {
                let mut children = level.clone();
                let note = vec![("n".to_owned(), format!("{depth}.{number}"))];
                children[0].annotations = note;
                tree.index("app", None, &children).child()
            });
            level = wide.collect();
        }
        tree.index("app", Some("top"), &level);
        tree.break_blob_missing(&image.layers[0]);
        assert_eq!(broken(&json_of(tree.root(), &[]).typed()), ["top", "v1"]);
    }
}

mod symlinks {
    use super::*;

    #[test]
    fn loops_and_ways_out_are_unread() {
        let (mut tree, image) = app();
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("secret"), "do not print this").unwrap();
        tree.break_symlink(&tree.repositories().join("loop"), Path::new("."));
        tree.break_symlink(&tree.repositories().join("up"), Path::new("../.."));
        tree.break_symlink(&tree.repositories().join("away"), outside.path());
        tree.break_symlink(&tree.tag_link("app", "v1"), &outside.path().join("secret"));
        tree.break_symlink(&tree.blob_path(&image.config), &outside.path().join("secret"));
        insta::assert_snapshot!(verdict(&tree, &[]), @r#"8 ["path-unread", "path-unread", "path-unread", "path-unread", "path-unread"] broken [] unknown ["v1"]"#);
        for options in [&["-v"][..], &["-v", "--follow-symlinks"], &["-v", "--content"]] {
            assert!(!ran(tree.root(), options).stdout.contains("do not print this"));
        }
    }

    #[test]
    fn moved_blobs_are_unknown_until_links_are_followed() {
        let (mut tree, image) = app();
        let blobs = tree.blobs();
        tree.break_moved_behind_symlink(&blobs);
        insta::assert_snapshot!(verdict(&tree, &[]), @r#"8 ["path-unread", "path-unread", "path-unread"] broken [] unknown ["sound", "v1"]"#);
        let followed = || json_of(tree.root(), &["--follow-symlinks"]).typed();
        assert_eq!((broken(&followed()), followed().unknown_tags), (vec![], vec![]));
        let hidden = tree.root().join("moved/blobs/sha256");
        std::fs::remove_file(hidden.join(&image.config.hex()[..2]).join(image.config.hex()).join("data"))
            .unwrap();
        assert_eq!(broken(&followed()), ["v1"]);
        let some = json_of(tree.root(), &["--follow-symlinks", "--repository", "app"]).typed();
        assert_eq!(broken(&some), ["v1"]);
    }

    #[test]
    fn every_folder_of_a_repository_behind_a_link() {
        for name in
            ["_manifests", "_manifests/tags", "_manifests/revisions", "_layers", "_layers/sha256", "_uploads"]
        {
            let (mut tree, _) = app();
            tree.break_moved_behind_symlink(&tree.repository("app").join(name));
            let report = json_of(tree.root(), &[]);
            assert_eq!(report.status, 8, "{name}: {}", report.stdout);
            assert_eq!(report.typed().summary.broken_tags, 0, "{name}");
            let followed = json_of(tree.root(), &["--follow-symlinks"]).typed();
            assert_eq!((followed.sources[0].tags, followed.summary.broken_tags), (2, 0), "{name}");
            assert_eq!(followed.summary.unknown_tags, 0, "{name}");
        }
    }

    #[test]
    fn a_link_to_the_tree_itself_ends_when_links_are_followed() {
        let (mut tree, _) = app();
        for name in ["a", "b", "c", "d"] {
            let repositories = tree.repositories();
            tree.break_symlink(&repositories.join("app").join(name), &repositories);
        }
        assert_eq!(ran(tree.root(), &["--follow-symlinks", "--quiet"]).status & 8, 8);
    }
}

mod special {
    use super::*;

    #[test]
    fn pipes_do_not_make_it_wait() {
        let (mut tree, image) = app();
        tree.break_fifo(&tree.tag_link("app", "v1"));
        tree.break_fifo(&tree.blob_path(&image.config));
        tree.break_fifo(&tree.layer_link_path("app", &image.layers[0]));
        insta::assert_snapshot!(verdict(&tree, &["--content", "--strict"]), @r#"8 ["path-unread", "path-unread", "path-unread"] broken [] unknown ["v1"]"#);
        let (mut tree, image) = app();
        tree.break_fifo(&tree.blob_path(&image.digest));
        tree.break_fifo(&tree.revision_link("app", &image.digest));
        insta::assert_snapshot!(verdict(&tree, &["--content", "--strict"]), @r#"8 ["path-unread", "path-unread"] broken [] unknown ["v1"]"#);
        assert_eq!(ran(tree.root(), &["--follow-symlinks", "--repository", "app"]).status, 8);
    }

    #[test]
    fn a_pipe_or_a_socket_where_a_folder_belongs() {
        let (mut tree, _) = app();
        tree.break_fifo(&tree.repositories().join("pipe"));
        tree.break_fifo(&tree.blobs().join("pipe"));
        tree.break_fifo(&tree.tag_folder("app", "pipe"));
        let _socket =
            std::os::unix::net::UnixListener::bind(tree.repository("app").join("_uploads/socket")).unwrap();
        insta::assert_snapshot!(verdict(&tree, &["--content", "--strict"]), @r#"4 ["path-unexpected", "path-unexpected", "path-unexpected", "path-unexpected", "tag-link-invalid"] broken ["pipe"] unknown []"#);
    }
}

mod terminal {
    use super::*;

    const EVIL: &[u8] = b"e\n\x1b[31m\x07\r\xff\xc2\x9b2J\xe2\x80\xae";

    /// Nothing that a terminal obeys: control characters, C1 too, and what turns the direction of text.
    fn assert_tame(done: &Ran) {
        for text in [&done.stdout, &done.stderr] {
            let bad = |c: char| c.is_control() && c != '\n' || ('\u{202a}'..='\u{202e}').contains(&c);
            assert!(!text.contains(bad), "{text:?}");
        }
    }

    #[test]
    fn names_of_any_bytes_in_every_place() {
        let (tree, image) = app();
        let evil = OsStr::from_bytes(EVIL);
        let (layers, uploads) = (tree.layers_folder("app"), tree.uploads_folder("app"));
        for folder in [
            tree.v2(),
            tree.blobs(),
            tree.blobs().join("sha256"),
            tree.blob_folder(&image.config).parent().unwrap().into(),
            tree.blob_folder(&image.config),
            tree.repositories(),
            tree.repository("app"),
            tree.manifests_folder("app"),
            tree.tags_folder("app"),
            tree.tag_folder("app", "v1"),
            tree.tag_folder("app", "v1").join("index/sha256"),
            tree.revisions_folder("app"),
            tree.revisions_folder("app").join("sha256"),
            layers.clone(),
            layers.join("sha256"),
            uploads,
        ] {
            std::fs::create_dir(folder.join(evil)).unwrap();
            std::fs::write(folder.join(OsStr::from_bytes(&[EVIL, b"-file"].concat())), "x").unwrap();
            symlink("x\x1b[31m", folder.join(OsStr::from_bytes(&[EVIL, b"-link"].concat()))).unwrap();
        }
        let repository = tree.repositories().join(evil).join("_manifests/tags").join(evil);
        std::fs::create_dir_all(repository).unwrap();
        let list = tree.root().join("garbage");
        for options in [
            &["-v"][..],
            &["-v", "--strict"],
            &["-v", "--follow-symlinks"],
            &["--output", "json", "--strict"],
        ] {
            let done = ran(tree.root(), &[options, &["--list-garbage", list.to_str().unwrap()]].concat());
            assert_tame(&done);
            assert_eq!(done.status & 4, 0, "{}", done.stdout);
        }
        let garbage = std::fs::read_to_string(&list).unwrap();
        assert!(!garbage.contains(|c: char| c.is_control() && c != '\n'));
    }

    #[test]
    fn a_root_of_such_a_name() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join(OsStr::from_bytes(EVIL));
        assert_tame(&ran(&root, &[]));
        let mut tree = TreeBuilder::in_folder(&root);
        tree.image("a", Some("v1"), "x");
        tree.break_tag_target("a", "v1");
        for options in [&["-v"][..], &["--output", "json"], &["--repository", "nothing"]] {
            assert_tame(&ran(&root, options));
        }
        let metrics = folder.path().join("m.prom");
        assert_tame(&ran(folder.path(), &["--metrics-file", metrics.to_str().unwrap()]));
        assert!(!std::fs::read_to_string(metrics).unwrap().contains(|c: char| c.is_control() && c != '\n'));
    }

    #[test]
    fn files_named_on_the_command_line() {
        let folder = tempfile::tempdir().unwrap();
        let evil = folder.path().join("e\u{1b}[31m\n\u{202e}x");
        for option in ["--baseline", "--ignore"] {
            let path = evil.to_str().unwrap();
            assert_tame(&ran(folder.path(), &[option, path]));
            std::fs::write(&evil, "{\u{1b}[31m").unwrap();
            assert_tame(&ran(folder.path(), &[option, path]));
            std::fs::remove_file(&evil).unwrap();
        }
    }

    #[test]
    fn words_from_manifests() {
        let (mut tree, image) = app();
        let evil = "\u{1b}]0;owned\u{7}\n\r\u{202e}\u{9b}31m";
        let index = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [
            {"mediaType": OCI_MANIFEST, "digest": Digest::nowhere("x").as_str(), "size": 1,
             "platform": {"os": evil, "architecture": evil, "variant": evil}},
            {"mediaType": evil, "digest": evil, "size": 1},
            {"mediaType": OCI_MANIFEST, "digest": format!("sha256:{evil}"), "size": 1}]});
        let digest = tree.manifest("app", index.to_string().as_bytes());
        tree.tag("app", "index", &digest);
        let unknown = json!({"schemaVersion": 2, "mediaType": evil, evil: evil});
        let digest = tree.manifest("app", unknown.to_string().as_bytes());
        tree.tag("app", "unknown", &digest);
        let config = json!({"os": evil, "architecture": evil}).to_string();
        tree.break_blob_replaced(&image.config, config.as_bytes());
        let done = ran(tree.root(), &["-v", "--require-platform", "linux/s390x"]);
        assert_tame(&done);
        assert_eq!(done.status, 4);
    }

    #[test]
    fn words_from_a_baseline_and_an_ignore_file() {
        let (mut tree, _) = app();
        let healed = std::fs::read(tree.tag_link("app", "v1")).unwrap();
        tree.break_tag_link_empty("app", "v1");
        let evil = r"\u001b]31m\u0007\r\u202e";
        let baseline = json_of(tree.root(), &[])
            .stdout
            .replace("its link", evil)
            .replace("\"v1\"", &format!("\"{evil}\""));
        let path = tree.root().join("baseline.json");
        std::fs::write(&path, baseline).unwrap();
        std::fs::write(tree.tag_link("app", "v1"), healed).unwrap();
        let ignore = tree.root().join("ignore.toml");
        let entry = format!(
            "[[ignore]]\ncode = 'gc-hazard'\nrepository = \"{0}*\"\nreason = \"{0}\"\nexpires = 2999-01-01\n",
            evil.replace(r"\r", "")
        );
        std::fs::write(&ignore, entry).unwrap();
        let options = ["--baseline", path.to_str().unwrap(), "--ignore", ignore.to_str().unwrap()];
        let done = ran(tree.root(), &options);
        assert!(
            done.stdout.contains("resolved tag-link-invalid") && done.stdout.contains("matches nothing"),
            "{done:?}"
        );
        assert_tame(&done);
    }
}

mod surroundings {
    use super::*;

    /// A report far larger than a pipe holds.
    fn long() -> TreeBuilder {
        let mut tree = TreeBuilder::new();
        let image = tree.image("app", Some("v"), "x");
        for number in 0..1500 {
            let tag = format!("t{number}");
            tree.tag("app", &tag, &image.digest).break_tag_link_empty("app", &tag);
        }
        tree
    }

    #[test]
    fn a_reader_that_goes_away_is_no_error() {
        let tree = long();
        for options in [&[][..], &["-v", "--color", "always"], &["--output", "json"]] {
            let mut command = fsck();
            command.arg("scan").args(options).arg(tree.root());
            let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
            let mut line = String::new();
            BufReader::with_capacity(16, child.stdout.take().unwrap()).read_line(&mut line).unwrap();
            let status = wait(&mut child, Duration::from_secs(60)).expect("it hangs");
            let mut stderr = String::new();
            child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
            assert_eq!((status.code(), &*stderr, line.is_empty()), (Some(4), "", false), "{options:?}");
        }
    }

    #[test]
    fn closed_streams_are_no_panic() {
        let root = trees::carried();
        for redirection in [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"] {
            let script = format!("exec \"$@\" {redirection}");
            let mut command = Command::new("sh");
            command.args(["-c", &script, "sh", env!("CARGO_BIN_EXE_registry-fsck"), "scan"]).arg(&root);
            assert_eq!(run(&mut command).status, 4, "{redirection}");
        }
    }

    #[test]
    fn a_full_disk_is_said() {
        let full = || std::fs::File::options().write(true).open("/dev/full").unwrap();
        let output = fsck().arg("scan").arg(long().root()).stdout(full()).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(
            stderr.contains("cannot write the report") && output.status.code().unwrap() & 8 == 8,
            "{stderr}"
        );
    }

    #[test]
    fn too_few_file_descriptors_are_no_damage() {
        let (mut tree, _) = app();
        for number in 0..40 {
            tree.multi_platform(&format!("r{number}"), Some("v"), &["linux/amd64", "linux/arm64"]);
        }
        for limit in ["8", "12", "20", "40"] {
            let mut command = Command::new("sh");
            let program = env!("CARGO_BIN_EXE_registry-fsck");
            command.args(["-c", "ulimit -n $0 && exec \"$@\"", limit, program, "scan", "--output", "json"]);
            let done = run(command.arg(tree.root()));
            let report = done.typed();
            assert_eq!(report.broken_tags, [], "{limit}: {}", done.stdout);
            assert!(matches!(done.status, 0 | 8), "{limit}: {}", done.status);
            let all_seen = report.coverage.tags_checked == 42 && report.unread.is_empty();
            assert_eq!(done.status == 0, all_seen, "{limit}: {}", done.stdout);
        }
    }

    #[test]
    fn a_tree_that_changes_while_it_is_read() {
        let mut tree = TreeBuilder::new();
        let shared = tree.layer("app", &layer_bytes("shared", 5000));
        for number in 0..20 {
            tree.multi_platform("app", Some(&format!("keep{number}")), &["linux/amd64", "linux/arm64"]);
        }
        let stop = AtomicBool::new(false);
        let root = tree.root().to_path_buf();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut tree = TreeBuilder::in_folder(&root);
                let mut number = 0;
                while !stop.load(Ordering::Relaxed) {
                    churn(&mut tree, number, &shared);
                    number += 1;
                }
            });
            let _stops = StopAtEnd(&stop);
            for round in 0..50 {
                let done = json_of(&root, if round % 5 == 0 { &["--content"] } else { &[] });
                let report = done.typed();
                let broken = report.broken_tags.iter().filter(|tag| tag.tag.starts_with("keep")).count();
                let unknown = report.unknown_tags.iter().filter(|tag| tag.tag.starts_with("keep")).count();
                assert_eq!((broken, unknown), (0, 0), "round {round}: {}", done.stdout);
            }
        });
    }

    /// Ends the other thread, also when a test fails.
    struct StopAtEnd<'a>(&'a AtomicBool);

    impl Drop for StopAtEnd<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    /// Pushes an image, moves a tag to it, deletes an older one and all that only it had.
    fn churn(tree: &mut TreeBuilder, number: u32, shared: &Digest) {
        let repository = if number.is_multiple_of(2) { "app" } else { "other" };
        let spec = registry_fixtures::ImageSpec {
            shared: vec![shared.clone()],
            ..registry_fixtures::ImageSpec::oci(&format!("churn{number}"))
        };
        let image = tree.image_with(repository, Some("moving"), &spec);
        tree.tag(repository, &format!("t{number}"), &image.digest);
        std::fs::remove_dir_all(tree.tag_folder(repository, &format!("t{number}"))).unwrap();
        tree.break_revision_link_missing(repository, &image.digest);
        for layer in &image.layers[..2] {
            tree.break_layer_link_missing(repository, layer).break_blob_missing(layer);
        }
        tree.break_blob_missing(&image.digest);
    }
}
