//! Circular imports between the modules of one crate.
//!
//! A module is a file; modules written out inside a file belong to that file. Module A imports module B if A's code names
//! an item that B defines: in a `use`, or by a path such as `super::b::run()`. Macros are read like other code. So a parent
//! that starts its child imports it, and a child that uses an item of its parent's `mod.rs` imports the parent.
//!
//! - An import through a re-export is an import of the module that defines the item.
//! - A `pub use` alone is not an import: the module re-exports the item without depending on it. It counts if the code of the
//!   same module uses the name.
//! - Naming a module is not an import; naming an item through it is.
//! - Method calls and paths in string literals (`#[serde(with = "…")]`) do not count: the tokens contain no path.
//! - Code under `#[cfg(test)]` does not count.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::str::FromStr;

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

use super::source::{File, absolute};

type Path = Vec<String>;

/// The modules of a crate by their paths from `crate` on.
pub(super) struct Modules(BTreeMap<Path, Module>);

#[derive(Default)]
struct Module {
    file: String,
    /// The names that `use` declarations bring in, and the paths that they stand for.
    imported: BTreeMap<String, Path>,
    /// The modules of which the module re-exports everything: `pub use child::*`.
    globs: Vec<Path>,
    /// The names of its items.
    defined: HashSet<String>,
    /// Every path in the code with its line.
    paths: Vec<(Path, usize)>,
}

/// Modules that import one another: their files, and each import among them as a line of text.
#[derive(Debug)]
pub(super) struct Circle {
    pub(super) files: BTreeSet<String>,
    pub(super) imports: Vec<String>,
}

impl Modules {
    /// Reads the files of one crate, given as pairs of a path and its text.
    pub(super) fn read<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut modules = BTreeMap::new();
        let mut tests: Vec<Path> = Vec::new();
        for (path, text) in files {
            let tokens = TokenStream::from_str(text).unwrap_or_else(|error| panic!("{path}: {error}"));
            let mut test_modules = Vec::new();
            let tokens = without_tests(tokens, &mut test_modules);
            let mut module = Module { file: path.to_owned(), ..Module::default() };
            collect_definitions(tokens.clone(), &mut module.defined);
            let mut file = File::new(path);
            file.read(tokens, &[]);
            let name = file.module().to_vec();
            tests.extend(test_modules.into_iter().map(|test| [&name[..], &[test]].concat()));
            for named in &file.paths {
                let path = absolute(&named.segments, &named.module, &file.aliases);
                match (named.is_reexport, path.last()) {
                    (true, Some(last)) if last == "*" => module.globs.push(path[..path.len() - 1].to_vec()),
                    (true, _) => {}
                    (false, _) => module.paths.push((path, named.line)),
                }
            }
            module.imported.extend(file.aliases);
            modules.insert(name, module);
        }
        modules.retain(|name, _| !tests.iter().any(|test| name.starts_with(test)));
        Self(modules)
    }

    /// The groups of modules each of which imports, directly or not, every other of its group.
    pub(super) fn circles(&self) -> Vec<Circle> {
        let imports: BTreeMap<&Path, BTreeMap<&Path, usize>> =
            self.0.keys().map(|module| (module, self.imports(module))).collect();
        let reachable: BTreeMap<&Path, BTreeSet<&Path>> =
            self.0.keys().map(|module| (module, reachable(module, &imports))).collect();
        let mut grouped = BTreeSet::new();
        let mut circles = Vec::new();
        for module in self.0.keys() {
            let circle: BTreeSet<&Path> =
                reachable[module].iter().copied().filter(|other| reachable[other].contains(module)).collect();
            if circle.len() < 2 || !grouped.insert(circle.clone()) {
                continue;
            }
            let mut lines = Vec::new();
            for from in &circle {
                for (to, line) in imports[from].iter().filter(|(to, _)| circle.contains(*to)) {
                    lines.push(format!("{}:{line} imports {}", self.0[*from].file, self.0[*to].file));
                }
            }
            let files = circle.iter().map(|module| self.0[*module].file.clone()).collect();
            circles.push(Circle { files, imports: lines });
        }
        circles
    }

    /// The modules that a module imports, each with the first line that does so.
    fn imports(&self, module: &Path) -> BTreeMap<&Path, usize> {
        let mut imports = BTreeMap::new();
        for (path, line) in &self.0[module].paths {
            if let Some(origin) = self.origin(&rooted(path, module), 0).filter(|origin| *origin != module) {
                imports.entry(origin).or_insert(*line);
            }
        }
        imports
    }

    /// The module that defines what a path from `crate` on names. `None` if that is a module.
    fn origin(&self, path: &Path, depth: usize) -> Option<&Path> {
        let prefix = (1..=path.len()).rev().find(|length| self.0.contains_key(&path[..*length]))?;
        let (name, module) = self.0.get_key_value(&path[..prefix])?;
        let item = path.get(prefix)?;
        if module.defined.contains(item) || item == "*" || depth > 8 {
            return Some(name);
        }
        if let Some(import) = module.imported.get(item) {
            let import = rooted(import, name);
            return self.origin(&[&import[..], &path[prefix + 1..]].concat(), depth + 1);
        }
        let offered = module.globs.iter().find_map(|glob| {
            let (origin, module) = self.0.get_key_value(&rooted(glob, name))?;
            module.defined.contains(item).then_some(origin)
        });
        Some(offered.unwrap_or(name))
    }
}

/// A path from `crate` on. The names of other crates end up below the module, where no module has them.
fn rooted(path: &Path, module: &Path) -> Path {
    if path[0] == "crate" { path.clone() } else { [&module[..], path].concat() }
}

fn reachable<'a>(
    module: &'a Path,
    imports: &BTreeMap<&'a Path, BTreeMap<&'a Path, usize>>,
) -> BTreeSet<&'a Path> {
    let mut reached = BTreeSet::from([module]);
    let mut open = vec![module];
    while let Some(next) = open.pop() {
        open.extend(imports[next].keys().copied().filter(|import| reached.insert(import)));
    }
    reached
}

/// The tokens without the items under `#[cfg(test)]`. The modules that are declared there and have a file go to `test_modules`.
fn without_tests(tokens: TokenStream, test_modules: &mut Vec<String>) -> TokenStream {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut kept = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if is_test_attribute(&tokens, at) {
            at = end_of_item(&tokens, at + 2, test_modules);
            continue;
        }
        kept.push(match &tokens[at] {
            TokenTree::Group(group) => {
                Group::new(group.delimiter(), without_tests(group.stream(), test_modules)).into()
            }
            token => token.clone(),
        });
        at += 1;
    }
    kept.into_iter().collect()
}

fn is_test_attribute(tokens: &[TokenTree], at: usize) -> bool {
    let hash = matches!(&tokens[at], TokenTree::Punct(mark) if mark.as_char() == '#');
    hash && matches!(tokens.get(at + 1), Some(TokenTree::Group(group))
        if group.delimiter() == Delimiter::Bracket && group.stream().to_string().replace(' ', "") == "cfg(test)")
}

/// The place behind the item, field or statement that starts at `start`.
fn end_of_item(tokens: &[TokenTree], start: usize, test_modules: &mut Vec<String>) -> usize {
    let mut is_item = false;
    let mut is_use = false;
    let mut module = None;
    for (at, token) in tokens.iter().enumerate().skip(start) {
        match token {
            TokenTree::Ident(word) => match word.to_string().as_str() {
                "use" => is_use = true,
                "fn" | "struct" | "enum" | "impl" | "trait" | "const" | "static" | "type" => is_item = true,
                "mod" => module = tokens.get(at + 1).map(ToString::to_string),
                _ => {}
            },
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace && !is_use => return at + 1,
            TokenTree::Punct(mark) if mark.as_char() == ';' => {
                test_modules.extend(module);
                return at + 1;
            }
            TokenTree::Punct(mark) if mark.as_char() == ',' && !is_item && !is_use => return at + 1,
            _ => {}
        }
    }
    tokens.len()
}

/// The names of items. The derive of a custom resource names its type in the attribute: `#[kube(kind = "Tenant")]`.
fn collect_definitions(tokens: TokenStream, defined: &mut HashSet<String>) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    for at in 0..tokens.len() {
        match (&tokens[at], tokens.get(at + 1), tokens.get(at + 2)) {
            (TokenTree::Ident(word), Some(TokenTree::Ident(name)), _)
                if ["struct", "enum", "trait", "type", "fn", "const", "static"]
                    .contains(&word.to_string().as_str()) =>
            {
                defined.insert(name.to_string());
            }
            (TokenTree::Ident(word), Some(TokenTree::Punct(mark)), Some(TokenTree::Ident(name)))
                if word == "macro_rules" && mark.as_char() == '!' =>
            {
                defined.insert(name.to_string());
            }
            (TokenTree::Ident(word), Some(TokenTree::Punct(mark)), Some(TokenTree::Literal(name)))
                if word == "kind" && mark.as_char() == '=' =>
            {
                defined.insert(name.to_string().trim_matches('"').to_owned());
            }
            (TokenTree::Group(group), _, _) => collect_definitions(group.stream(), defined),
            _ => {}
        }
    }
}

/// The files of the circles among these files, a line each.
fn check(files: &[(&str, &str)]) -> Vec<String> {
    let circles = Modules::read(files.iter().copied()).circles();
    circles.iter().map(|circle| circle.files.iter().cloned().collect::<Vec<_>>().join(" ")).collect()
}

#[test]
fn circular_imports_are_found() {
    for files in [
        // Siblings, by an import and by a path.
        [("src/a.rs", "use crate::b::f; pub fn g() {}"), ("src/b.rs", "pub fn f() { super::a::g() }")],
        [("src/a.rs", "use super::b; fn h() { b::f() }"), ("src/b.rs", "use crate::a::{self, T as U};")],
        [("src/a.rs", "macro_rules! m { () => { $crate::b::f() } }"), ("src/b.rs", "use super::a::*;")],
        // A parent that calls its child, and a child that uses an item of its parent.
        [
            ("src/a/mod.rs", "mod b; struct T; fn f() { b::g() }"),
            ("src/a/b.rs", "use super::T; pub fn g(t: T) {}"),
        ],
        [("src/a.rs", "pub use b::g; struct T; fn f() { g(T) }"), ("src/a/b.rs", "pub fn g(t: super::T) {}")],
        [("src/a.rs", "pub use b::*; struct T; fn f(s: S) {}"), ("src/a/b.rs", "pub struct S(super::T);")],
        [
            ("src/a.rs", "pub use b::*; struct T; fn f(k: K) {}"),
            ("src/a/b.rs", "#[kube(kind = \"K\")] struct S(super::T);"),
        ],
    ] {
        let expected = files.map(|(path, _)| path);
        let mut expected = expected.to_vec();
        expected.sort_unstable();
        assert_eq!(check(&files), [expected.join(" ")], "{files:?}");
    }
}

#[test]
fn a_circle_leads_through_the_module_that_defines_an_item() {
    let through_a_reexport = [
        ("src/lib.rs", "pub use a::T;"),
        ("src/a.rs", "use crate::b::U; pub struct T(U);"),
        ("src/b.rs", "use crate::c::V; pub struct U(V);"),
        ("src/c.rs", "pub struct V(crate::T);"),
    ];
    assert_eq!(check(&through_a_reexport), ["src/a.rs src/b.rs src/c.rs"]);
}

#[test]
fn other_imports_are_not_circular() {
    for files in [
        // A parent that only re-exports what its child defines; siblings through the parent.
        [("src/a/mod.rs", "mod b; pub use b::g; pub struct T;"), ("src/a/b.rs", "pub fn g(t: super::T) {}")],
        [("src/a/mod.rs", "pub(crate) use b::*; pub struct T;"), ("src/a/b.rs", "pub fn g(t: super::T) {}")],
        // A module that is named only to reach another item.
        [("src/a.rs", "use crate::b; fn f() {}"), ("src/b.rs", "use super::a::f;")],
        // Tests.
        [
            ("src/a.rs", "use crate::b::f; fn g() {}"),
            ("src/b.rs", "#[cfg(test)] mod tests { use crate::a::g; }"),
        ],
        [
            ("src/a.rs", "use crate::b::f; fn g() {}"),
            ("src/b.rs", "#[cfg(test)] use crate::a::{g}; fn f() {}"),
        ],
        [("src/a.rs", "#[cfg(test)] mod b; fn g() { b::f() }"), ("src/a/b.rs", "use super::g; fn f() {}")],
        // Comments, text, fields and methods.
        [
            ("src/a.rs", "use crate::b::f;"),
            ("src/b.rs", "/// [`crate::a::T`]\nfn f() { h(\"crate::a::T\", x.a, x.a()) }"),
        ],
        // Other crates.
        [
            ("src/a.rs", "use crate::b::f; use std::fmt;"),
            ("src/b.rs", "use other::a::T; fn f() { std::a::g() }"),
        ],
    ] {
        assert_eq!(check(&files), [""; 0], "{files:?}");
    }
}
