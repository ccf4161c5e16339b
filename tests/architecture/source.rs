//! The paths in a Rust file with their lines.

use std::collections::HashMap;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

use super::{NAMELESS, PURE, PURE_RULE, UNSAFE, is_nameless};

/// A path from `crate` or from the name of another crate on.
pub(super) fn absolute(
    segments: &[String],
    module: &[String],
    aliases: &HashMap<String, Vec<String>>,
) -> Vec<String> {
    match segments[0].as_str() {
        "self" => [module, &segments[1..]].concat(),
        "super" => {
            let ups = segments.iter().take_while(|segment| *segment == "super").count();
            let left = module.len().saturating_sub(ups).max(1);
            [&module[..left], &segments[ups..]].concat()
        }
        name => match aliases.get(name) {
            Some(known) => [known, &segments[1..]].concat(),
            None => segments.to_vec(),
        },
    }
}

/// The paths and names of a file.
pub(super) struct File<'a> {
    path: &'a str,
    module: Vec<String>,
    pub(super) paths: Vec<Named>,
    /// The names that `use` declarations bring into the file, and their paths.
    pub(super) aliases: HashMap<String, Vec<String>>,
    pub(super) violations: Vec<String>,
    in_reexport: bool,
}

/// A path as written, and the module that contains it.
pub(super) struct Named {
    pub(super) segments: Vec<String>,
    pub(super) module: Vec<String>,
    pub(super) line: usize,
    /// Whether it is in a `pub use`.
    pub(super) is_reexport: bool,
}

impl<'a> File<'a> {
    pub(super) fn new(path: &'a str) -> Self {
        let inner = path.split_once("src/").map_or(path, |(_, inner)| inner).trim_end_matches(".rs");
        let parts = inner.split('/').filter(|part| !["mod", "lib", "main"].contains(part));
        let module = std::iter::once("crate").chain(parts).map(String::from).collect();
        Self {
            path,
            module,
            paths: Vec::new(),
            aliases: HashMap::new(),
            violations: Vec::new(),
            in_reexport: false,
        }
    }

    pub(super) fn module(&self) -> &[String] {
        &self.module
    }

    /// Reads tokens. `inside` is the path of the inline module that contains them.
    pub(super) fn read(&mut self, tokens: TokenStream, inside: &[String]) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut at = 0;
        while at < tokens.len() {
            match &tokens[at] {
                TokenTree::Group(group) => self.read(group.stream(), inside),
                TokenTree::Ident(word) => match word.to_string().as_str() {
                    // `impl Trait + use<T>` is not an import.
                    "use" if !is_mark(&tokens, at + 1, '<') => {
                        self.in_reexport = is_public(&tokens, at);
                        at = self.import(&tokens, at + 1, &[], inside);
                        self.in_reexport = false;
                    }
                    "mod" => {
                        if let Some(TokenTree::Ident(name)) = tokens.get(at + 1) {
                            if is_nameless(&name.to_string()) {
                                self.report(word.span().start().line, &format!("mod {name}"), NAMELESS);
                            }
                            if let Some(TokenTree::Group(body)) = tokens.get(at + 2) {
                                self.read(body.stream(), &[inside, &[name.to_string()]].concat());
                                at += 2;
                            } else {
                                at += 1;
                            }
                        }
                    }
                    keyword @ ("unsafe" | "async" | "await") => {
                        self.keyword(keyword, word.span().start().line)
                    }
                    _ if !follows_dot(&tokens, at) => at = self.path(&tokens, at, inside),
                    _ => {}
                },
                TokenTree::Punct(_) | TokenTree::Literal(_) => {}
            }
            at += 1;
        }
    }

    fn report(&mut self, line: usize, what: &str, rule: &str) {
        self.violations.push(format!("{}:{line}: {what}: {rule}", self.path));
    }

    fn keyword(&mut self, keyword: &str, line: usize) {
        if keyword == "unsafe" {
            if !self.path.starts_with("kafka-admin/") {
                self.report(line, keyword, UNSAFE);
            }
        } else if PURE.iter().any(|pure| self.path.starts_with(pure)) {
            self.report(line, keyword, PURE_RULE);
        }
    }

    fn names(&mut self, segments: Vec<String>, inside: &[String], line: usize) {
        let module = [&self.module, inside].concat();
        self.paths.push(Named { segments, module, line, is_reexport: self.in_reexport });
    }

    /// Reads a path in code, such as `kube::Client::try_default`. Returns the index of its last token.
    fn path(&mut self, tokens: &[TokenTree], start: usize, inside: &[String]) -> usize {
        let mut segments = Vec::new();
        let mut at = start;
        while let Some(TokenTree::Ident(word)) = tokens.get(at) {
            segments.push(word.to_string());
            if !is_colons(tokens, at + 1) || !matches!(tokens.get(at + 3), Some(TokenTree::Ident(_))) {
                break;
            }
            at += 3;
        }
        self.names(segments, inside, tokens[start].span().start().line);
        at
    }

    /// Reads the tree of a `use` declaration. Returns the index of its end.
    fn import(&mut self, tokens: &[TokenTree], start: usize, prefix: &[String], inside: &[String]) -> usize {
        let mut segments = prefix.to_vec();
        let mut alias = None;
        let mut at = start;
        while let Some(token) = tokens.get(at) {
            match token {
                TokenTree::Ident(word) if word == "as" => {
                    at += 1;
                    alias = tokens.get(at).map(ToString::to_string);
                }
                // `a::{self}` is `a`.
                TokenTree::Ident(word) if word == "self" && !segments.is_empty() => {}
                TokenTree::Ident(word) => segments.push(word.to_string()),
                TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => {
                    let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                    let mut next = 0;
                    while next < inner.len() {
                        next = self.import(&inner, next, &segments, inside) + 1;
                    }
                    return at + 1;
                }
                TokenTree::Punct(mark) if mark.as_char() == '*' => segments.push("*".into()),
                TokenTree::Punct(mark) if mark.as_char() == ',' || mark.as_char() == ';' => break,
                _ => {}
            }
            at += 1;
        }
        if let Some(name) = alias.or_else(|| segments.last().cloned()) {
            let module = [&self.module, inside].concat();
            let known = absolute(&segments, &module, &self.aliases);
            self.aliases.entry(name).or_insert(known);
            self.names(segments, inside, tokens[start].span().start().line);
        }
        at
    }
}

fn is_mark(tokens: &[TokenTree], at: usize, character: char) -> bool {
    matches!(tokens.get(at), Some(TokenTree::Punct(mark)) if mark.as_char() == character)
}

fn is_colons(tokens: &[TokenTree], at: usize) -> bool {
    is_mark(tokens, at, ':') && is_mark(tokens, at + 1, ':')
}

/// `x.now` is a field or a method, not a path.
fn follows_dot(tokens: &[TokenTree], at: usize) -> bool {
    at > 0 && is_mark(tokens, at - 1, '.')
}

/// Whether `pub` or `pub(…)` stands before a token.
fn is_public(tokens: &[TokenTree], at: usize) -> bool {
    let is_pub = |back: usize| {
        at.checked_sub(back).is_some_and(|at| matches!(&tokens[at], TokenTree::Ident(word) if word == "pub"))
    };
    let is_scope = at > 0
        && matches!(&tokens[at - 1], TokenTree::Group(group) if group.delimiter() == Delimiter::Parenthesis);
    is_pub(1) || (is_scope && is_pub(2))
}
