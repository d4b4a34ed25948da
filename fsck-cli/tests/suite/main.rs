//! All tests of the program but those over HTTP and those that need another user, in one binary.

mod bad_input;
mod exit;
mod files;
mod gc_preview;
mod json;
mod manuals;
mod real_cache;
mod real_probe;
mod real_push;
mod real_server;
mod regressions;
mod repair;
mod schemas;
mod standard_error;
mod support;
mod text;

#[test]
fn every_test_file_is_included() {
    let suite = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suite");
    let mut folders = vec![(suite, "main.rs")];
    while let Some((folder, module_file)) = folders.pop() {
        let modules = std::fs::read_to_string(folder.join(module_file)).unwrap();
        for entry in std::fs::read_dir(&folder).unwrap().map(Result::unwrap) {
            let path = entry.path();
            let name = path.file_stem().unwrap().to_str().unwrap();
            let is_test = path.is_dir() || path.extension().is_some_and(|extension| extension == "rs");
            let is_included = path.ends_with(module_file) || modules.contains(&format!("mod {name};"));
            assert!(!is_test || is_included, "{} is not included", path.display());
            if path.is_dir() {
                folders.push((path, "mod.rs"));
            }
        }
    }
}
