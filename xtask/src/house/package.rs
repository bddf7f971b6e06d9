//! One package: its files as a tree of modules, and which file imports what of which other.
//!
//! An import counts for the file that defines the item, whichever modules re-export it: if `engine/mod.rs` has
//! `pub use hub::Hub`, then `use crate::engine::Hub` imports from `engine/hub.rs`. For the same reason a `pub use` alone is
//! not an import. It counts when the file's own code uses the name.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{self, PathBuf};

use super::lines::Lines;
use super::source::{Module, Path, Source};

pub(super) struct Package {
    pub(super) name: String,
    pub(super) files: Vec<File>,
    /// By their paths from the root, without test modules.
    modules: BTreeMap<Path, (FileId, Module)>,
    /// The lines of all files.
    pub(super) lines: Lines,
}

pub(super) type FileId = usize;

/// A file of the product.
pub(super) struct File {
    /// The path from src on, with `/`.
    pub(super) name: String,
    /// The module that the file is; empty for the root.
    pub(super) module: Path,
    pub(super) is_unsafe: bool,
}

/// One item that a file uses of another.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Use {
    pub(super) from: FileId,
    pub(super) to: FileId,
    /// The path from the crate's root.
    pub(super) item: Path,
    /// Whether the item is named by a public re-export of the crate's root.
    pub(super) of_root: bool,
}

/// The longest chain of re-exports that is followed.
const STEPS_MAX: usize = 16;

impl Package {
    /// Reads the package in `directory`. Files that its roots do not reach through product modules count as tests.
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

    /// A package of these files: paths from src on, and texts.
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

    /// Moves a product file, if it exists, from `sources` to the package, and the files of the modules that it declares.
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
        self.files.push(File { name, module: module.clone(), is_unsafe: source.is_unsafe });
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

    /// Which items the files use of one another, without duplicates.
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

    /// Glob imports from other files: the file, and the path. A glob import of an enum of the same file is not one of them.
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

    /// Where code names one of these packages: the file, and the package's name.
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

    /// Resolves a path in the module `at` to an item and its file. `None` for modules, variables, and names from other
    /// packages.
    fn resolve(&self, at: &[String], path: &[String], steps: usize) -> Option<(FileId, Path)> {
        let supers = path.iter().take_while(|word| *word == "super").count();
        match path.first()?.as_str() {
            "crate" => self.find(&[], &path[1..], true, steps),
            "self" => self.find(at, &path[1..], true, steps),
            "super" => self.find(&at[..at.len().checked_sub(supers)?], &path[supers..], true, steps),
            _ => self.find(at, path, false, steps),
        }
    }

    /// Resolves a path from the module `at` on. If it `must` exist, a name that is not a module or import is the module's own.
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

/// All Rust files of a package, without its target directory.
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
