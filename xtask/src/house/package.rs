//! One package: its files as a tree of modules, and which file imports what of which other.
//!
//! An import is of the file that defines the item, whatever modules give it on: `use crate::engine::Hub` where
//! `engine/mod.rs` has `pub use hub::Hub` is an import of `engine/hub.rs`. For the same reason a `pub use` alone imports
//! nothing: it is the face of its folder. It counts when the file's own code uses the name.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{self, PathBuf};

use super::lines::Lines;
use super::source::{Module, Path, Source};

pub(super) struct Package {
    pub(super) name: String,
    pub(super) files: Vec<File>,
    /// By their paths from the root. Modules for tests alone are not among them.
    modules: BTreeMap<Path, (FileId, Module)>,
    /// Of its files under src, and of all others: tests, examples.
    pub(super) lines: Lines,
}

pub(super) type FileId = usize;

/// A file of the product.
pub(super) struct File {
    /// From src on, with `/`.
    pub(super) name: String,
    /// The module that the file is; empty for the root.
    pub(super) module: Path,
}

/// One item that a file uses of another.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Use {
    pub(super) from: FileId,
    pub(super) to: FileId,
    /// From the root on.
    pub(super) item: Path,
    /// The item is named by what the crate's root gives to any user.
    pub(super) of_root: bool,
}

/// Re-exports of re-exports are followed this far.
const STEPS_MAX: usize = 16;

impl Package {
    /// Reads the package in `directory`. Files that its roots do not reach by modules of the product are of tests.
    ///
    /// # Errors
    /// When a source cannot be read or is not Rust, with its path.
    pub(super) fn read(name: &str, directory: &path::Path) -> Result<Package, String> {
        let src = directory.join("src");
        let mut files = Vec::new();
        collect(directory, &mut files)?;
        let mut sources = BTreeMap::new();
        for file in files {
            let text = std::fs::read_to_string(&file).map_err(|why| format!("{}: {why}", file.display()))?;
            let source = Source::parse(&text).map_err(|why| format!("{}: {why}", file.display()))?;
            sources.insert(file, source);
        }
        let mut package = Package::empty(name);
        for root in ["lib.rs", "main.rs"] {
            package.add(&mut sources, &src, &src.join(root), Path::new());
        }
        for (file, source) in sources {
            let of_product = file.starts_with(src.join("bin"));
            package.lines += if of_product { source.lines } else { source.lines.as_test() };
        }
        Ok(package)
    }

    /// A package of these files: names from src on, and texts.
    #[cfg(test)]
    pub(super) fn of(name: &str, files: &[(&str, &str)]) -> Package {
        let parse = |text| Source::parse(text).expect("a source of a test is Rust");
        let mut sources = files.iter().map(|(name, text)| (PathBuf::from(name), parse(text))).collect();
        let mut package = Package::empty(name);
        package.add(&mut sources, path::Path::new(""), path::Path::new("lib.rs"), Path::new());
        package
    }

    fn empty(name: &str) -> Package {
        let (files, modules) = (Vec::new(), BTreeMap::new());
        Package { name: name.to_owned(), files, modules, lines: Lines::default() }
    }

    /// Takes a file of the product out of `sources`, if it is there, and those of the modules that it declares.
    fn add(
        &mut self,
        sources: &mut BTreeMap<PathBuf, Source>,
        src: &path::Path,
        file: &path::Path,
        module: Path,
    ) {
        let Some(source) = sources.remove(file) else { return };
        self.lines += source.lines;
        let name = file.strip_prefix(src).unwrap_or(file).to_string_lossy().into_owned();
        let is_face = matches!(&*name, "lib.rs" | "main.rs") || name.ends_with("/mod.rs");
        let folder = if is_face { file.with_file_name("") } else { file.with_extension("") };
        let id = self.files.len();
        self.files.push(File { name, module: module.clone() });
        for inner in source.modules {
            let path = [&module[..], &inner.name].concat();
            let folder = inner.name.iter().fold(folder.clone(), |folder, name| folder.join(name));
            for child in &inner.declared {
                let path = [&path[..], std::slice::from_ref(child)].concat();
                self.add(sources, src, &folder.join(format!("{child}.rs")), path.clone());
                self.add(sources, src, &folder.join(child).join("mod.rs"), path);
            }
            self.modules.insert(path, (id, inner));
        }
    }

    /// What files use of one another, each item once a file.
    pub(super) fn uses(&self) -> BTreeSet<Use> {
        let mut found = BTreeSet::new();
        for (name, (from, module)) in &self.modules {
            let imports = module.imports.iter().filter(|import| !import.public).map(|import| &import.path);
            let paths = module.paths.iter().map(|path| module.written_out(path));
            for path in imports.cloned().chain(paths) {
                if let Some((to, item)) = self.resolve(name, &path, 0)
                    && to != *from
                {
                    found.insert(Use { from: *from, to, item, of_root: self.is_of_root(&path) });
                }
            }
        }
        found
    }

    /// The `impl` blocks of each file for types of this package: the file, the type's file, the type.
    pub(super) fn impls(&self) -> Vec<(FileId, FileId, Path)> {
        let blocks = self.modules.iter().flat_map(|(name, (file, module))| {
            module.impls.iter().map(move |path| (*file, self.resolve(name, path, 0)))
        });
        blocks.filter_map(|(file, of)| of.map(|(home, item)| (file, home, item))).collect()
    }

    /// Imports of all names of another file: the file, and the path. An enum of the file's own may be opened.
    pub(super) fn globs(&self) -> impl Iterator<Item = (FileId, &Path)> {
        self.modules.iter().flat_map(move |(name, (file, module))| {
            let globs = module.imports.iter().filter(|import| import.name == "*");
            let foreign = globs.filter(move |glob| {
                let any = [&glob.path[..], &["*".to_owned()]].concat();
                self.resolve(name, &any, 0).is_some_and(|(to, _)| to != *file)
            });
            foreign.map(|import| (*file, &import.path))
        })
    }

    /// Where code names another package of this list: the file, and the package's name in Rust.
    pub(super) fn mentions<'a>(&'a self, packages: &'a [String]) -> impl Iterator<Item = (FileId, &'a str)> {
        self.modules.values().flat_map(move |(file, module)| {
            let imports = module.imports.iter().map(|import| &import.path);
            let firsts = imports.chain(&module.paths).filter_map(|path| path.first());
            firsts.filter(|first| packages.contains(first)).map(|first| (*file, first.as_str()))
        })
    }

    fn is_of_root(&self, path: &[String]) -> bool {
        let [first, name, ..] = path else { return false };
        let root = self.modules.get(&[][..]).map(|(_, root)| &root.imports);
        first == "crate" && root.into_iter().flatten().any(|import| import.public && import.name == *name)
    }

    /// The item that a path means in the module `at`, and its file; nothing for modules, names of other packages, of the
    /// language and of variables.
    fn resolve(&self, at: &[String], path: &[String], steps: usize) -> Option<(FileId, Path)> {
        let supers = path.iter().take_while(|word| *word == "super").count();
        match path.first()?.as_str() {
            "crate" => self.find(&[], &path[1..], true, steps),
            "self" => self.find(at, &path[1..], true, steps),
            "super" => self.find(&at[..at.len().checked_sub(supers)?], &path[supers..], true, steps),
            _ => self.find(at, path, false, steps),
        }
    }

    /// The same from the module `at` on. If it `must` be there, what the module does not declare or import is its own.
    fn find(&self, at: &[String], path: &[String], must: bool, steps: usize) -> Option<(FileId, Path)> {
        let (first, rest) = path.split_first()?;
        let inner = [at, std::slice::from_ref(first)].concat();
        if self.modules.contains_key(&inner) {
            return self.find(&inner, rest, true, steps);
        }
        let (file, module) = self.modules.get(at)?;
        match module.imports.iter().find(|import| import.name == *first) {
            Some(_) if steps == STEPS_MAX => None,
            Some(import) => self.resolve(at, &[&import.path[..], rest].concat(), steps + 1),
            None => must.then_some((*file, inner)),
        }
    }
}

/// All Rust files of a package. What is built from them is not among them.
fn collect(directory: &path::Path, files: &mut Vec<PathBuf>) -> Result<(), String> {
    let entries = std::fs::read_dir(directory).map_err(|why| format!("{}: {why}", directory.display()))?;
    let mut paths: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() && !path.ends_with("target") {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(())
}
