//! The modules of this crate stand on floors, and know those below them alone. So none of them is in a circle of imports,
//! and each can be read without those above. Within a module, files may import one another as they like.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, mem,
    path::{Path, PathBuf},
};

use proc_macro2::{TokenStream, TokenTree};
use syn::{
    Item, ItemMod, ItemUse, Macro, UseTree, Visibility,
    ext::IdentExt as _,
    visit::{self, Visit},
};

/// The modules at the top of the crate, from above. Those on one floor do not know each other.
const FLOORS: &[&[&str]] = &[
    &["fuzzing", "server"],
    &["http", "operator"],
    &["control"],
    &["worker"],
    &["session", "error", "guests", "kept"],
    &["room"],
    &["thread", "requests", "admission"],
    &["settings", "wire"],
    &["websocket", "tls"],
    &["reactor"],
    &["memory", "close", "admin_address", "admin_token", "journal", "listen"],
    &["metrics", "access", "log_line"],
    &["subnet", "tcp_address", "file_limit"],
];

#[test]
fn modules_know_those_on_lower_floors_alone() {
    let sources = read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    assert!(sources.len() > 50, "only {} files are found", sources.len());
    let faults = check(FLOORS, &sources);
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

/// A file's path below `src`, and its text.
type Source = (PathBuf, String);

/// Reads all sources in a directory.
fn read(root: &Path) -> Vec<Source> {
    let mut sources = Vec::new();
    let mut directories = vec![root.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).expect("it is a directory") {
            let path = entry.expect("it can be read").path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("it is text");
                sources.push((path.strip_prefix(root).expect("it is below").to_owned(), text));
            }
        }
    }
    sources.sort();
    sources
}

/// Returns what is wrong with the imports of a crate.
fn check(floors: &[&[&str]], sources: &[Source]) -> Vec<String> {
    let mut faults = Vec::new();
    let floors =
        floors.iter().enumerate().flat_map(|(floor, names)| names.iter().map(move |name| (*name, floor)));
    let floors: BTreeMap<&str, usize> = floors.collect();
    let modules: BTreeSet<_> =
        sources.iter().filter_map(|(path, _)| module_of(path).into_iter().next()).collect();
    for module in modules.iter().filter(|module| !floors.contains_key(&***module)) {
        faults.push(format!("{module}: has no floor"));
    }
    for module in floors.keys().filter(|module| !modules.contains(**module)) {
        faults.push(format!("{module}: has a floor, and is no module"));
    }
    // The names at the root of the crate, and the modules that they come from.
    let root = sources.iter().filter(|(path, _)| module_of(path).is_empty());
    let exports = root.flat_map(|(_, text)| paths(Vec::new(), text));
    let exports: BTreeMap<String, String> =
        exports.filter_map(|path| Some((path.last()?.clone(), path.first()?.clone()))).collect();

    for (file, text) in sources {
        let module = module_of(file);
        // The root is above all floors.
        let Some(from) = module.first().cloned() else { continue };
        for path in paths(module, text) {
            let to = modules.get(&path[0]).or_else(|| exports.get(&path[0]));
            let import = format!("{}: `crate::{}`", file.display(), path.join("::"));
            let Some(to) = to else {
                faults.push(format!("{import} comes from no module"));
                continue;
            };
            let (Some(here), Some(there)) = (floors.get(&*from), floors.get(&**to)) else { continue };
            if from != *to && here >= there {
                let place = if here == there { "beside" } else { "above" };
                faults.push(format!("{import} leads from `{from}` to `{to}`, which stands {place} it"));
            }
        }
    }
    faults
}

/// Returns the module that a file is: `room/id.rs` and `room/id/mod.rs` are `room::id`, and `lib.rs` is the root.
fn module_of(file: &Path) -> Vec<String> {
    let file = file.with_extension("");
    let mut names: Vec<_> =
        file.iter().map(|name| name.to_str().expect("a module's name is text").to_owned()).collect();
    if names == ["lib"] || names.last().is_some_and(|name| name == "mod") {
        names.pop();
    }
    names
}

/// Returns the paths to things of this crate that a module's source contains, each from the root on. Those of tests are
/// among them.
fn paths(module: Vec<String>, text: &str) -> Vec<Vec<String>> {
    let file = syn::parse_file(text).expect("it has been compiled");
    let mut paths = Paths { module, children: vec![children(&file.items)], found: Vec::new() };
    paths.visit_file(&file);
    paths.found
}

/// Collects the paths of a file.
struct Paths {
    /// The module that is being read.
    module: Vec<String>,
    /// The names of its modules, behind those of the modules in the same file that it is in.
    children: Vec<BTreeSet<String>>,
    found: Vec<Vec<String>>,
}

fn children(items: &[Item]) -> BTreeSet<String> {
    let modules = items.iter().filter_map(|item| match item {
        Item::Mod(module) => Some(module.ident.unraw().to_string()),
        _ => None,
    });
    modules.collect()
}

impl Paths {
    /// Takes note of a path as it is written, if it leads to something of this crate.
    fn note(&mut self, segments: &[String]) {
        let Some(first) = segments.first() else { return };
        let (mut path, mut segments) = match &**first {
            "crate" => (Vec::new(), &segments[1..]),
            "self" | "super" => (self.module.clone(), segments),
            child if self.children.last().is_some_and(|children| children.contains(child)) => {
                (self.module.clone(), segments)
            }
            _ => return,
        };
        while let [first, rest @ ..] = segments
            && matches!(&**first, "self" | "super")
        {
            if first == "super" {
                path.pop();
            }
            segments = rest;
        }
        path.extend_from_slice(segments);
        if !path.is_empty() {
            self.found.push(path);
        }
    }

    fn note_tree(&mut self, before: &[String], tree: &UseTree) {
        let with = |name: &proc_macro2::Ident| [before, &[name.unraw().to_string()]].concat();
        match tree {
            UseTree::Path(path) => self.note_tree(&with(&path.ident), &path.tree),
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.note_tree(before, tree)),
            UseTree::Glob(_) => self.note(before),
            // `a::{self}` is `a`.
            UseTree::Name(name) if name.ident == "self" => self.note(before),
            UseTree::Rename(rename) if rename.ident == "self" => self.note(before),
            UseTree::Name(name) => self.note(&with(&name.ident)),
            UseTree::Rename(rename) => self.note(&with(&rename.ident)),
        }
    }

    /// Takes note of the paths among tokens, which may be anything.
    fn note_tokens(&mut self, tokens: TokenStream) {
        let (mut path, mut colons) = (Vec::new(), 0);
        for token in tokens {
            match token {
                TokenTree::Punct(punct) if punct.as_char() == ':' => {
                    colons += 1;
                    continue;
                }
                TokenTree::Ident(name) => {
                    if colons != 2 {
                        self.note(&mem::take(&mut path));
                    } else if path.is_empty() {
                        // It begins with two colons, and leads to another crate.
                        path.push(String::new());
                    }
                    path.push(name.unraw().to_string());
                }
                TokenTree::Group(group) => {
                    let path = mem::take(&mut path);
                    match syn::parse2::<UseTree>(TokenTree::Group(group.clone()).into()) {
                        Ok(tree) if colons == 2 => self.note_tree(&path, &tree),
                        _ => {
                            self.note(&path);
                            self.note_tokens(group.stream());
                        }
                    }
                }
                TokenTree::Punct(_) | TokenTree::Literal(_) => self.note(&mem::take(&mut path)),
            }
            colons = 0;
        }
        self.note(&path);
    }
}

impl<'ast> Visit<'ast> for Paths {
    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        if item.leading_colon.is_none() {
            self.note_tree(&[], &item.tree);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.leading_colon.is_none() {
            let segments: Vec<_> =
                path.segments.iter().map(|segment| segment.ident.unraw().to_string()).collect();
            self.note(&segments);
        }
        visit::visit_path(self, path);
    }

    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        let Some((_, items)) = &item.content else { return };
        self.module.push(item.ident.unraw().to_string());
        self.children.push(children(items));
        visit::visit_item_mod(self, item);
        self.children.pop();
        self.module.pop();
    }

    fn visit_macro(&mut self, item: &'ast Macro) {
        self.visit_path(&item.path);
        self.note_tokens(item.tokens.clone());
    }

    /// Ignores visibilities, which are no imports.
    fn visit_visibility(&mut self, _: &'ast Visibility) {}
}

/// Checks a crate that is in order, and has `text` in the place of one of its files, or as one more.
fn faults_with(file: &str, text: &str) -> Vec<String> {
    let mut sources = BTreeMap::from([
        ("lib.rs", "mod high; mod low; mod beside; pub use high::{Tall, inner::Deep}; pub use low::Small;"),
        ("high/mod.rs", "mod inner; use crate::low::Small; pub use inner::Deep; pub struct Tall;"),
        ("high/inner.rs", "use super::Tall; pub struct Deep;"),
        ("low.rs", "pub struct Small;"),
        ("beside.rs", ""),
    ]);
    sources.insert(file, text);
    let sources: Vec<_> = sources.into_iter().map(|(path, text)| (path.into(), text.to_owned())).collect();
    check(&[&["high"], &["low", "beside"]], &sources)
}

#[test]
fn imports_that_go_down_or_stay_in_their_module_are_right() {
    for text in [
        "",
        "use crate::low::Small;",
        "use super::{Tall, super::{low::{self, Small}, beside}};",
        "use crate::Small;",
        "fn f() { crate::low::f(super::super::beside::g()); }",
        "use crate::high::Tall;",
        "mod tests { use super::*; use crate::high::Tall; }",
    ] {
        assert_eq!(faults_with("high/inner.rs", text), [""; 0], "{text}");
    }
}

#[test]
fn an_import_that_goes_up_is_found_however_it_is_written() {
    for (text, path) in [
        ("use crate::high::Tall;", "high::Tall"),
        ("use crate::{low::Small, high::{Tall as T}};", "high::Tall"),
        ("use crate::{high::{inner::{self}}};", "high::inner"),
        ("use crate::high::{self as h};", "high"),
        ("use crate::high;", "high"),
        ("use super::high::*;", "high"),
        ("use self::super::high::Tall;", "high::Tall"),
        ("use crate::Tall;", "Tall"),
        ("use crate::Deep;", "Deep"),
        ("use crate::r#high::Tall;", "high::Tall"),
        ("fn f(_: &[crate::high::Tall]) {}", "high::Tall"),
        ("struct S(Vec<Option<super::high::Tall>>);", "high::Tall"),
        ("fn f() { let _ = crate::high::f(1) + 1; }", "high::f"),
        ("impl crate::high::Height for Small {}", "high::Height"),
        ("fn f() { println!(\"{} {}\", 1, (crate::high::f(), 2).0); }", "high::f"),
        ("thread_local! { static S: u8 = const { use crate::{high::Tall}; 0 }; }", "high::Tall"),
        ("macro_rules! m { () => { $crate::high::f() } }", "high::f"),
        ("#[crate::high::attribute] struct S;", "high::attribute"),
        ("#[cfg(test)] mod tests { use super::super::high::Tall; }", "high::Tall"),
        ("mod tests { mod deeper { fn f() { super::super::super::high::f(); } } }", "high::f"),
    ] {
        let fault = format!("low.rs: `crate::{path}` leads from `low` to `high`, which stands above it");
        assert_eq!(faults_with("low.rs", text), [fault], "{text}");
    }
}

#[test]
fn modules_on_one_floor_do_not_know_each_other() {
    let fault = "beside.rs: `crate::low::Small` leads from `beside` to `low`, which stands beside it";
    assert_eq!(faults_with("beside.rs", "use crate::low::Small;"), [fault]);
}

#[test]
fn each_module_has_a_floor_and_each_import_a_module() {
    assert_eq!(faults_with("new.rs", ""), ["new: has no floor"]);
    assert_eq!(check(&[&["gone"]], &[]), ["gone: has a floor, and is no module"]);
    assert_eq!(
        faults_with("low.rs", "use crate::Nothing;"),
        ["low.rs: `crate::Nothing` comes from no module"]
    );
}

#[test]
fn what_only_looks_like_an_import_is_none() {
    for text in [
        "pub(in crate::high) struct S;",
        "use std::high::Tall;",
        "use ::high::Tall;",
        "fn f() { println!(\"crate::high::f() {}\", ::high::f()); }",
        "fn f(high: u8) -> u8 { high }",
        "// use crate::high::Tall;",
        "/// [`Tall`](crate::high::Tall)\nstruct S;",
    ] {
        assert_eq!(faults_with("low.rs", text), [""; 0], "{text}");
    }
}
