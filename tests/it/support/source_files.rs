//! The service's source files, and which of them names items that another one defines.
//!
//! Paths are resolved as the compiler does it, through `use`, `super` and re-exports, so that an arrow always ends at
//! the file with the definition. Methods, macros and globs are not followed. Code under `#[cfg(test)]` is left out.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use syn::visit::{self, Visit};
use syn::{Attribute, Item, ItemUse, Macro, UseTree, Visibility};

/// A module's path below the crate, or a path in code: its names.
type Names = Vec<String>;

/// The names by which code calls the crate itself.
const CRATE: [&str; 2] = ["crate", "agent_heartbeat"];

/// One source file.
pub struct SourceFile {
    /// Below `src`.
    pub path: PathBuf,
    /// Its text.
    pub text: String,
    module: Names,
    /// What `use` brings into it: the local name, and the path as it is written.
    imported: BTreeMap<String, Names>,
    /// Every path that its code names.
    named: BTreeSet<Names>,
}

impl SourceFile {
    /// Reads a file with this path below `src`.
    pub fn parse(path: &Path, text: &str) -> Self {
        let mut module: Names =
            path.with_extension("").iter().map(|part| part.to_string_lossy().into_owned()).collect();
        if ["mod", "lib"].contains(&module.last().expect("a name").as_str()) {
            module.pop();
        }
        let mut file = Self {
            path: path.to_owned(),
            text: text.to_owned(),
            module,
            imported: BTreeMap::new(),
            named: BTreeSet::new(),
        };
        file.visit_file(&syn::parse_file(text).unwrap_or_else(|error| panic!("{}: {error}", path.display())));
        file
    }

    /// The top module it belongs to: `app` for `app.rs`, `pass` for `pass/plan.rs`.
    pub fn room(&self) -> &str {
        self.module.first().map_or("lib", String::as_str)
    }

    /// Whether its code names an item of a crate whose name starts with this.
    pub fn names_crate(&self, start: &str) -> bool {
        let is_module = |name: &String| self.imported.get(name).is_some_and(|import| import[0] != *name);
        let mut outside = self.named.iter().filter(|path| !is_module(&path[0]));
        outside.any(|path| path[0].starts_with(start))
    }

    fn import(&mut self, tree: &UseTree, mut before: Names) {
        match tree {
            UseTree::Path(path) => {
                before.push(path.ident.to_string());
                self.import(&path.tree, before);
            }
            UseTree::Name(name) if name.ident == "self" => self.add_import(before.last().cloned(), before),
            UseTree::Name(name) => {
                before.push(name.ident.to_string());
                self.add_import(Some(name.ident.to_string()), before);
            }
            UseTree::Rename(rename) => {
                before.push(rename.ident.to_string());
                self.add_import(Some(rename.rename.to_string()), before);
            }
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.import(tree, before.clone())),
            UseTree::Glob(_) => self.add_import(None, before),
        }
    }

    fn add_import(&mut self, name: Option<String>, path: Names) {
        self.named.insert(path.clone());
        self.imported.extend(name.map(|name| (name, path)));
    }
}

impl<'ast> Visit<'ast> for SourceFile {
    fn visit_item(&mut self, item: &'ast Item) {
        let attributes: &[Attribute] = match item {
            Item::Fn(item) => &item.attrs,
            Item::Mod(item) => &item.attrs,
            Item::Use(item) => &item.attrs,
            Item::Impl(item) => &item.attrs,
            _ => &[],
        };
        if attributes.iter().any(|attribute| attribute.path().is_ident("cfg")) {
            return;
        }
        visit::visit_item(self, item);
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        // A re-export is no use of its own: whoever uses it is followed to the file with the definition.
        let re_exports = !matches!(item.vis, Visibility::Inherited);
        let named = re_exports.then(|| self.named.clone());
        self.import(&item.tree, Names::new());
        if let Some(named) = named {
            self.named = named;
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        // A single name is defined in this file or was imported, which counts by itself.
        if path.segments.len() > 1 {
            self.named.insert(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, item: &'ast Macro) {
        let tokens = item.tokens.to_string().replace(" :: ", "::");
        let words = tokens.split(|c: char| !c.is_alphanumeric() && c != '_' && c != ':');
        let paths = words.map(|word| word.trim_matches(':')).filter(|word| word.contains("::"));
        self.named.extend(paths.map(|path| path.split("::").map(str::to_owned).collect()));
        visit::visit_macro(self, item);
    }
}

/// All files of the crate.
pub struct SourceTree {
    /// By their module.
    files: BTreeMap<Names, SourceFile>,
}

impl SourceTree {
    /// The tree of these files.
    pub fn new(files: impl IntoIterator<Item = SourceFile>) -> Self {
        Self { files: files.into_iter().map(|file| (file.module.clone(), file)).collect() }
    }

    /// Every `.rs` file below a folder.
    pub fn read(root: &Path) -> Self {
        let mut folders = vec![root.to_owned()];
        let mut files = Vec::new();
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).expect("a folder") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|extension| extension == "rs") {
                    let text = std::fs::read_to_string(&path).expect("a text");
                    files.push(SourceFile::parse(path.strip_prefix(root).expect("below the root"), &text));
                }
            }
        }
        assert!(files.len() > 30, "the sources were found");
        Self::new(files)
    }

    /// The files, in the order of their modules.
    pub fn files(&self) -> impl Iterator<Item = &SourceFile> {
        self.files.values()
    }

    /// The files whose items this file names.
    pub fn used_by(&self, file: &SourceFile) -> Vec<&SourceFile> {
        let used: BTreeSet<&Names> =
            file.named.iter().filter_map(|path| self.resolve(&file.module, path, 0)).collect();
        used.into_iter().filter(|module| **module != file.module).map(|module| &self.files[module]).collect()
    }

    /// The module whose file defines what a path means in a module. `None` for what other crates define.
    fn resolve(&self, module: &Names, path: &[String], depth: usize) -> Option<&Names> {
        assert!(depth < 20, "{path:?} in {module:?} imports itself");
        let (first, rest) = path.split_first()?;
        if rest.is_empty() && (first == "super" || CRATE.contains(&first.as_str())) {
            // Of `pub(super)` and `pub(crate)`.
            return None;
        }
        let mut at = module.clone();
        let rest = match first.as_str() {
            name if CRATE.contains(&name) => {
                at.clear();
                rest
            }
            "self" => rest,
            "super" => {
                at.pop();
                rest
            }
            _ => path,
        };
        if path.len() == rest.len() && !self.knows(&at, first) {
            return None;
        }
        self.follow(at, rest, depth)
    }

    /// The module that a path ends in, when it begins in this one.
    fn follow(&self, mut at: Names, path: &[String], depth: usize) -> Option<&Names> {
        for (place, name) in path.iter().enumerate() {
            if name == "super" {
                at.pop();
                continue;
            }
            let child = [&at[..], std::slice::from_ref(name)].concat();
            let file = self.files.get(&at)?;
            if self.files.contains_key(&child) {
                at = child;
            } else if let Some(import) = file.imported.get(name) {
                let whole = [&import[..], &path[place + 1..]].concat();
                return self.resolve(&at, &whole, depth + 1);
            } else {
                // Its own item, or one that a macro of it defines.
                return Some(&file.module);
            }
        }
        // A whole module: a file's own name counts, a folder's does not, since only what is taken from it says more.
        let file = self.files.get(&at)?;
        (!file.path.ends_with("mod.rs")).then_some(&file.module)
    }

    fn knows(&self, module: &Names, name: &String) -> bool {
        let child = [&module[..], std::slice::from_ref(name)].concat();
        self.files.contains_key(&child) || self.files[module].imported.contains_key(name)
    }

    /// The arrows between files that are part of a circle: `a.rs -> b.rs`.
    pub fn circles(&self) -> Vec<String> {
        let mut arrows: Vec<(&Path, &Path)> = self
            .files()
            .flat_map(|file| self.used_by(file).into_iter().map(|used| (&*file.path, &*used.path)))
            .collect();
        // What nothing uses, or what uses nothing, is in no circle; without it others are not either.
        loop {
            let users: BTreeSet<&Path> = arrows.iter().map(|(user, _)| *user).collect();
            let used: BTreeSet<&Path> = arrows.iter().map(|(_, used)| *used).collect();
            let before = arrows.len();
            arrows.retain(|(from, to)| used.contains(from) && users.contains(to));
            if arrows.len() == before {
                return arrows.iter().map(|(a, b)| format!("{} -> {}", a.display(), b.display())).collect();
            }
        }
    }
}
