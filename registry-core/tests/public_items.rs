//! The surface of the library, item by item, as `registry-core/public-items.txt` lists it, so that a change of it is seen in
//! review. `UPDATE_PUBLIC_ITEMS=1 cargo test -p registry-core --test public_items` writes the list anew.
#![expect(
    clippy::disallowed_methods,
    reason = "a person says by the environment that the list is to be written"
)]

#[path = "support/sources.rs"]
mod sources;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::{env, fs};

use quote::ToTokens;
use syn::{Attribute, Fields, File, ImplItem, Item, TraitItem, Visibility};

use self::sources::{Module, modules, paths_of};

/// All modules of the library.
struct Library(BTreeMap<Module, File>);

impl Library {
    /// Lists what a module offers, and its public modules.
    fn list(&self, module: &Module, lines: &mut BTreeSet<String>) {
        for item in &self.0[module].items {
            match item {
                Item::Mod(inner) if is_public(&inner.vis) && !is_hidden(&inner.attrs) => {
                    self.list(&joined(module, &inner.ident.to_string()), lines);
                }
                Item::Use(one) if is_public(&one.vis) && !is_hidden(&one.attrs) => {
                    for (path, shown) in passed_on(&one.tree) {
                        let (defined, name) = self.defined(module, &path);
                        self.describe(&defined, &name, &joined(module, &shown).join("::"), lines);
                    }
                }
                _ => {
                    if let Some(name) = public_name(item) {
                        self.describe(module, &name, &joined(module, &name).join("::"), lines);
                    }
                }
            }
        }
    }

    /// Where the item is defined that a path in a module names: its module and its name there.
    fn defined(&self, module: &Module, path: &[String]) -> (Module, String) {
        let mut at = match path[0].as_str() {
            "crate" => Module::new(),
            "self" => module.clone(),
            "super" => module[..module.len() - 1].to_vec(),
            own => joined(module, own),
        };
        for part in &path[1..path.len() - 1] {
            at.push(part.clone());
        }
        let name = path.last().unwrap();
        let Some(file) = self.0.get(&at) else {
            panic!("{} is no module, in {}", at.join("::"), module.join("::"))
        };
        for item in &file.items {
            if let Item::Use(one) = item
                && let Some((path, _)) = passed_on(&one.tree).into_iter().find(|(_, shown)| shown == name)
                && !matches!(one.vis, Visibility::Inherited)
            {
                return self.defined(&at, &path);
            }
        }
        (at, name.clone())
    }

    /// The lines of one item: itself, its public fields or variants, its functions.
    fn describe(&self, module: &Module, name: &str, shown: &str, lines: &mut BTreeSet<String>) {
        let items = &self.0[module].items;
        let item = items.iter().find(|item| public_name(item).is_some_and(|own| own == name));
        let is_made_by_a_macro = || items.iter().any(|item| matches!(item, Item::Macro(_)));
        let mut add = |line: String| assert!(lines.insert(format!("{shown}{line}")), "{shown}{line} twice");
        let Some(item) = item else {
            assert!(is_made_by_a_macro(), "{}::{name} is not found", module.join("::"));
            add(" (made by a macro)".into());
            return self.describe_functions(module, name, shown, lines);
        };
        match item {
            Item::Struct(one) => {
                add(format!(" struct{}", open(&one.attrs)));
                for (number, field) in
                    one.fields.iter().enumerate().filter(|(_, field)| is_public(&field.vis))
                {
                    let name = field.ident.as_ref().map_or_else(|| number.to_string(), ToString::to_string);
                    add(format!(".{name}: {}", tokens(&field.ty)));
                }
            }
            Item::Enum(one) => {
                add(format!(" enum{}", open(&one.attrs)));
                for variant in &one.variants {
                    let fields = if matches!(variant.fields, Fields::Unit) {
                        String::new()
                    } else {
                        let named = variant.fields.iter().map(|field| {
                            let name =
                                field.ident.as_ref().map_or_else(String::new, |name| format!("{name}: "));
                            format!("{name}{}", tokens(&field.ty))
                        });
                        format!("({})", named.collect::<Vec<_>>().join(", "))
                    };
                    add(format!("::{}{fields}", variant.ident));
                }
            }
            Item::Trait(one) => {
                add(" trait".into());
                for inner in &one.items {
                    match inner {
                        TraitItem::Fn(function) => add(format!("::{}", tokens(&function.sig))),
                        TraitItem::Const(constant) => add(format!("::{}", constant.ident)),
                        TraitItem::Type(alias) => add(format!("::{}", alias.ident)),
                        _ => {}
                    }
                }
            }
            Item::Fn(one) => add(format!(": {}", tokens(&one.sig))),
            Item::Const(one) => add(format!(": const {}", tokens(&one.ty))),
            Item::Type(one) => add(format!(" = {}", tokens(&one.ty))),
            _ => add(String::new()),
        }
        self.describe_functions(module, name, shown, lines);
    }

    /// The public functions and constants of a type, wherever its `impl` stands.
    fn describe_functions(&self, module: &Module, name: &str, shown: &str, lines: &mut BTreeSet<String>) {
        for (place, file) in &self.0 {
            for item in &file.items {
                let Item::Impl(one) = item else { continue };
                let syn::Type::Path(of) = &*one.self_ty else { continue };
                if one.trait_.is_some()
                    || of.path.segments.last().unwrap().ident != name
                    || !self.is(place, name, module)
                {
                    continue;
                }
                for inner in &one.items {
                    match inner {
                        ImplItem::Fn(function) if is_public(&function.vis) && !is_hidden(&function.attrs) => {
                            lines.insert(format!("{shown}::{}", tokens(&function.sig)));
                        }
                        ImplItem::Const(constant) if is_public(&constant.vis) => {
                            lines.insert(format!(
                                "{shown}::{}: const {}",
                                constant.ident,
                                tokens(&constant.ty)
                            ));
                        }
                        _ => {}
                    }
                }
            }
        }
    }

    /// Whether a name in one module is the item that another defines.
    fn is(&self, place: &Module, name: &str, module: &Module) -> bool {
        if place == module {
            return true;
        }
        let used = self.0[place].items.iter().filter_map(|item| match item {
            Item::Use(one) => passed_on(&one.tree).into_iter().find(|(_, shown)| shown == name),
            _ => None,
        });
        let ours = |(path, _): (Vec<String>, String)| {
            matches!(path[0].as_str(), "crate" | "super") && self.defined_through(place, &path) == *module
        };
        used.into_iter().any(ours)
    }

    /// The module that defines what a `use` names, `super` of several steps included.
    fn defined_through(&self, place: &Module, path: &[String]) -> Module {
        let ups = path.iter().take_while(|part| *part == "super").count();
        let absolute: Vec<String> = if ups == 0 {
            path.to_vec()
        } else {
            let above = place[..place.len() - ups].iter().cloned();
            std::iter::once("crate".to_owned()).chain(above).chain(path[ups..].iter().cloned()).collect()
        };
        self.defined(&Module::new(), &absolute).0
    }
}

fn joined(module: &Module, name: &str) -> Module {
    module.iter().cloned().chain([name.to_owned()]).collect()
}

fn is_public(visibility: &Visibility) -> bool {
    matches!(visibility, Visibility::Public(_))
}

/// Whether an item is kept out of the documentation, or is there in tests only.
fn is_hidden(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|one| {
        let text = tokens(&one.meta);
        text == "doc(hidden)" || text == "cfg(test)"
    })
}

fn open(attributes: &[Attribute]) -> &'static str {
    let is_open = attributes.iter().any(|one| one.path().is_ident("non_exhaustive"));
    if is_open { " (non-exhaustive)" } else { "" }
}

/// The paths that a `use` names, each with the name that it gets, globs apart.
fn passed_on(tree: &syn::UseTree) -> Vec<(Module, String)> {
    paths_of(tree).into_iter().filter_map(|(path, name)| Some((path, name?))).collect()
}

/// The name of an item that can be public.
fn public_name(item: &Item) -> Option<String> {
    let (visibility, name) = match item {
        Item::Struct(one) => (&one.vis, &one.ident),
        Item::Enum(one) => (&one.vis, &one.ident),
        Item::Trait(one) => (&one.vis, &one.ident),
        Item::Fn(one) => (&one.vis, &one.sig.ident),
        Item::Const(one) => (&one.vis, &one.ident),
        Item::Type(one) => (&one.vis, &one.ident),
        _ => return None,
    };
    is_public(visibility).then(|| name.to_string())
}

/// Code as one line, without the spaces that nobody writes.
fn tokens(code: &impl ToTokens) -> String {
    let mut text = code.to_token_stream().to_string();
    for (from, to) in [
        (" :: ", "::"),
        (" < ", "<"),
        (" <", "<"),
        ("< ", "<"),
        (" >", ">"),
        (" ,", ","),
        (" (", "("),
        ("( ", "("),
        (" )", ")"),
        ("& ", "&"),
        (" : ", ": "),
        (" ;", ";"),
        ("[ ", "["),
        (" ]", "]"),
        (":: <", "::<"),
        ("- >", "->"),
        (")->", ") ->"),
    ] {
        text = text.replace(from, to);
    }
    text
}

#[test]
fn the_public_items_are_those_listed() {
    let (library, mut lines) = (Library(modules("registry-core")), BTreeSet::new());
    library.list(&Module::new(), &mut lines);
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("public-items.txt");
    if env::var_os("UPDATE_PUBLIC_ITEMS").is_some() {
        fs::write(&path, &text).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    let kept: BTreeSet<&str> = kept.lines().collect();
    let now: BTreeSet<&str> = text.lines().collect();
    let new: Vec<_> = now.difference(&kept).collect();
    let gone: Vec<_> = kept.difference(&now).collect();
    assert!(
        new.is_empty() && gone.is_empty(),
        "the surface of the library changed; new: {new:#?}, gone: {gone:#?}. Where that is meant, run with UPDATE_PUBLIC_ITEMS=1"
    );
}
