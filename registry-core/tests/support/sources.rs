//! The source of a crate of this project as syntax trees, module by module, for tests that hold the code to a page or a list.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use syn::{File, UseTree};
use walkdir::WalkDir;

/// A module as the parts of its path; the root of a crate has none.
pub type Module = Vec<String>;

/// All modules of the crate in a folder of the project, but for those of tests, which stand beside what they test.
pub fn modules(folder: &str) -> BTreeMap<Module, File> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(folder).join("src");
    let mut files = BTreeMap::new();
    for entry in WalkDir::new(&root) {
        let entry = entry.unwrap();
        let path = entry.path().strip_prefix(&root).unwrap().to_str().unwrap();
        let Some(name) = path.strip_suffix(".rs") else { continue };
        let mut module: Module = name.split('/').map(str::to_owned).collect();
        match module.last().map(String::as_str) {
            Some("mod" | "lib" | "main") => drop(module.pop()),
            Some("tests") => continue,
            _ => {}
        }
        let text = fs::read_to_string(entry.path()).unwrap();
        files.insert(module, syn::parse_file(&text).unwrap());
    }
    files
}

/// The paths that a `use` names, each with the name that it gets. A glob names the module before it, and gives no name.
pub fn paths_of(tree: &UseTree) -> Vec<(Module, Option<String>)> {
    fn walk(before: &Module, tree: &UseTree, found: &mut Vec<(Module, Option<String>)>) {
        let with = |name: &syn::Ident| before.iter().cloned().chain([name.to_string()]).collect::<Module>();
        match tree {
            UseTree::Path(path) => walk(&with(&path.ident), &path.tree, found),
            UseTree::Name(name) => found.push((with(&name.ident), Some(name.ident.to_string()))),
            UseTree::Rename(name) => found.push((with(&name.ident), Some(name.rename.to_string()))),
            UseTree::Glob(_) => found.push((before.clone(), None)),
            UseTree::Group(group) => group.items.iter().for_each(|item| walk(before, item, found)),
        }
    }
    let mut found = Vec::new();
    walk(&Module::new(), tree, &mut found);
    found
}
