//! The arrows of the code: every module uses only what the table of layers in ARCHITECTURE.md puts at its own layer or below,
//! and no files use each other in a circle. Read from the sources, so that the page cannot go stale.

#[path = "support/sources.rs"]
mod sources;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use syn::visit::{self, Visit};
use syn::{Attribute, File, Item, Visibility};

use self::sources::{Module, modules, paths_of};

/// The modules of one crate, each with those that it uses.
struct Crate {
    uses: BTreeMap<Module, BTreeSet<Module>>,
}

impl Crate {
    fn read(folder: &str) -> Self {
        let files = modules(folder);
        let known: BTreeSet<Module> = files.keys().cloned().collect();
        let uses = files.iter().map(|(module, file)| (module.clone(), used_by(module, file, &known)));
        Self { uses: uses.collect() }
    }

    /// Modules that use each other in a circle.
    fn circles(&self) -> Vec<Vec<String>> {
        let reached: BTreeMap<&Module, BTreeSet<&Module>> =
            self.uses.keys().map(|module| (module, self.reached(module))).collect();
        let mut circles = BTreeSet::new();
        for (module, below) in &reached {
            let back: BTreeSet<String> =
                below.iter().filter(|one| reached[*one].contains(module)).map(|one| one.join("::")).collect();
            if back.len() > 1 {
                circles.insert(back);
            }
        }
        circles.into_iter().map(|circle| circle.into_iter().collect()).collect()
    }

    fn reached<'c>(&'c self, from: &'c Module) -> BTreeSet<&'c Module> {
        let (mut seen, mut waiting) = (BTreeSet::new(), vec![from]);
        while let Some(module) = waiting.pop() {
            waiting.extend(self.uses[module].iter().filter(|one| seen.insert(*one)));
        }
        seen
    }
}

/// The modules that a file uses.
fn used_by(module: &Module, file: &File, known: &BTreeSet<Module>) -> BTreeSet<Module> {
    let mut paths = Paths::default();
    paths.visit_file(file);
    let resolve = |path: &Module| -> Option<Module> {
        let ups = path.iter().take_while(|part| *part == "super").count();
        let mut whole: Module = match path.first()?.as_str() {
            "crate" => path[1..].to_vec(),
            "self" => module.iter().chain(&path[1..]).cloned().collect(),
            "super" => module[..module.len().checked_sub(ups)?].iter().chain(&path[ups..]).cloned().collect(),
            // A module of its own, or another crate.
            own => {
                let child: Module = module.iter().chain([&own.to_owned()]).cloned().collect();
                known.get(&child)?;
                module.iter().chain(path).cloned().collect()
            }
        };
        while !known.contains(&whole) {
            whole.pop()?;
        }
        Some(whole)
    };
    // What the root passes on is said where it is defined.
    let used = paths.0.iter().filter_map(resolve);
    used.filter(|used| used != module && !used.is_empty()).collect()
}

/// Paths in the code of a file, tests and what is only passed on apart.
#[derive(Default)]
struct Paths(Vec<Module>);

fn is_test(attributes: &[Attribute]) -> bool {
    let words = |attribute: &Attribute| match &attribute.meta {
        syn::Meta::List(list) if list.path.is_ident("cfg") => list.tokens.to_string(),
        _ => String::new(),
    };
    attributes
        .iter()
        .any(|one| words(one).split(|sign: char| !sign.is_alphanumeric()).any(|word| word == "test"))
}

impl Visit<'_> for Paths {
    fn visit_item(&mut self, item: &Item) {
        match item {
            Item::Mod(inner) if is_test(&inner.attrs) => {}
            Item::Use(one) if is_test(&one.attrs) || !matches!(one.vis, Visibility::Inherited) => {}
            Item::Use(one) => self.0.extend(paths_of(&one.tree).into_iter().map(|(path, _)| path)),
            Item::Fn(one) if is_test(&one.attrs) => {}
            _ => visit::visit_item(self, item),
        }
    }

    fn visit_path(&mut self, path: &syn::Path) {
        let parts: Module = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if parts.len() > 1 && matches!(parts[0].as_str(), "crate" | "super" | "self") {
            self.0.push(parts);
        }
        visit::visit_path(self, path);
    }
}

/// The layers of registry-core, the lowest first, by the modules in the third column of the table.
fn layers() -> Vec<(Module, usize)> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../ARCHITECTURE.md");
    let page = fs::read_to_string(path).unwrap();
    let (_, table) =
        page.split_once("| layer | what it is | modules |\n|---|---|---|\n").expect("the table of layers");
    let rows = table.lines().take_while(|line| line.starts_with('|'));
    let modules = rows.zip(0..).flat_map(|(row, layer)| {
        let names = row.split('|').nth(3).unwrap().split('`').skip(1).step_by(2);
        names.map(move |name| (name.split("::").map(str::to_owned).collect(), layer))
    });
    modules.collect()
}

/// The layer of a module: that of the longest path in the table which it lies at or below.
fn layer_of(module: &Module, layers: &[(Module, usize)]) -> Option<usize> {
    let of = layers.iter().filter(|(path, _)| module.starts_with(path));
    of.max_by_key(|(path, _)| path.len()).map(|(_, layer)| *layer)
}

#[test]
fn a_module_uses_its_own_layer_and_those_below() {
    let (layers, library) = (layers(), Crate::read("registry-core"));
    let (mut wrong, mut count) = (Vec::new(), 0);
    for (module, uses) in library.uses.iter().filter(|(module, _)| !module.is_empty()) {
        let name = module.join("::");
        let Some(own) = layer_of(module, &layers) else { panic!("{name} is in no layer of ARCHITECTURE.md") };
        for used in uses {
            count += 1;
            if layer_of(used, &layers) > Some(own) {
                wrong.push(format!("{name} uses {}", used.join("::")));
            }
        }
    }
    assert!(count > 500, "only {count} uses were found");
    assert!(wrong.is_empty(), "from a lower layer to a higher one:\n{}", wrong.join("\n"));
    let is_there = |path: &Module| library.uses.keys().any(|module| module.starts_with(path));
    let gone: Vec<String> =
        layers.iter().filter(|(path, _)| !is_there(path)).map(|(path, _)| path.join("::")).collect();
    assert_eq!(gone, [""; 0], "in the table and not in the code");
}

#[test]
fn no_files_use_each_other_in_a_circle() {
    for folder in ["registry-core", "cli-common", "fsck-cli", "retention-cli", "fixtures", "benches"] {
        let circles = Crate::read(folder).circles();
        let text: Vec<String> = circles.iter().map(|circle| circle.join(", ")).collect();
        assert!(circles.is_empty(), "{folder}:\n{}", text.join("\n"));
    }
}
