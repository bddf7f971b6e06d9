//! The table of packages and layers in DESIGN.md, held against what the sources import.
//!
//! Only `use` declarations and paths are looked at, of code that is not a test: a test may reach anywhere.

mod paths;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::workspace::root;
use paths::Source;

/// The top-level modules of `oncue`, and what each may import of its siblings. Imports run downwards only; the
/// on-demand layer stands on the sockets as any user would.
const LAYERS: &[(&str, Layer)] = &[
    ("sync", Layer::Data),
    ("permission", Layer::Data),
    ("buffer", Layer::Data),
    ("batch", Layer::Data),
    ("descriptors", Layer::Data),
    ("endpoint", Layer::Data),
    ("error", Layer::Data),
    ("events", Layer::Data),
    ("msg", Layer::Data),
    ("op", Layer::Data),
    ("options", Layer::Data),
    ("peer_address", Layer::Data),
    ("stats", Layer::Data),
    ("net", Layer::Net),
    ("engine", Layer::Engine),
    ("socket", Layer::Socket),
    ("demand", Layer::Demand),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layer {
    Data,
    Net,
    Engine,
    Socket,
    Demand,
}

impl Layer {
    fn may_import(self, other: Layer) -> bool {
        match self {
            Layer::Data => matches!(other, Layer::Data),
            Layer::Net => matches!(other, Layer::Data | Layer::Net),
            Layer::Engine => matches!(other, Layer::Data | Layer::Net | Layer::Engine),
            Layer::Socket => other != Layer::Demand,
            Layer::Demand => matches!(other, Layer::Data | Layer::Socket | Layer::Demand),
        }
    }
}

fn layer_of(module: &str) -> Option<Layer> {
    LAYERS.iter().find(|(name, _)| *name == module).map(|(_, layer)| *layer)
}

/// What `source`, a file of `oncue`, imports against the table. Modules that exist for tests alone may reach anywhere.
fn violations(source: &Source, root: &Root) -> Vec<String> {
    let Some(own) = source.module.first().filter(|own| root.modules.contains(*own)) else {
        return Vec::new();
    };
    let Some(layer) = layer_of(own) else {
        return vec![format!("{}: module `{own}` has no layer: give it one in the table", source.name)];
    };
    let mut found = Vec::new();
    for path in source.crate_paths() {
        let Some(first) = path.first() else { continue };
        let exported = root.exports.get(first);
        // What any user may name, the on-demand layer may.
        if layer == Layer::Demand && exported.is_some() {
            continue;
        }
        let target = exported.unwrap_or(first);
        let allowed = layer_of(target).map(|other| layer.may_import(other));
        if allowed == Some(false) {
            found.push(format!("{}: {layer:?} must not import crate::{}", source.name, path.join("::")));
        }
        if allowed.is_none() {
            found.push(format!("{}: crate::{} belongs to no layer", source.name, path.join("::")));
        }
    }
    found
}

/// What the crate's root declares.
struct Root {
    /// The names it gives on, each with its module.
    exports: BTreeMap<String, String>,
    /// Its modules, without those for tests alone.
    modules: Vec<String>,
}

impl Root {
    fn read(lib: &Source) -> Root {
        let mut exports = BTreeMap::new();
        for mut path in lib.local_uses() {
            path.retain(|part| part != "crate" && part != "self");
            if let (Some(first), Some(last)) = (path.first(), path.last())
                && path.len() > 1
            {
                exports.insert(last.clone(), first.clone());
            }
        }
        Root { exports, modules: lib.declared("mod") }
    }
}

/// The sources of one package, without files that hold only tests.
fn sources(package: &str) -> Vec<Source> {
    let src = root().join("crates").join(package).join("src");
    let mut files = Vec::new();
    collect(&src, &mut files);
    files.sort();
    assert!(!files.is_empty(), "no sources under {}", src.display());
    files.iter().map(|file| read(&src, file)).collect()
}

fn read(src: &Path, file: &Path) -> Source {
    let text = std::fs::read_to_string(file).expect("a source file is readable text");
    Source::parse(file.strip_prefix(src).expect("a file found under src"), &text)
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).expect("a directory of sources") {
        let path = entry.expect("an entry of the directory").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() && name != "tests" {
            collect(&path, files);
        } else if name.ends_with(".rs") && name != "tests.rs" {
            files.push(path);
        }
    }
}

/// The names under `[dependencies]` of a package's manifest, without those for tests alone.
fn dependencies(package: &str) -> Vec<String> {
    let manifest = root().join("crates").join(package).join("Cargo.toml");
    let text = std::fs::read_to_string(&manifest).expect("the package has a manifest");
    let section = text.split("\n[").find(|section| section.starts_with("dependencies]")).unwrap_or_default();
    let names = section.lines().skip(1).filter_map(|line| line.split(['=', '.', ' ']).next());
    names.filter(|name| !name.is_empty() && !name.starts_with('#')).map(str::to_owned).collect()
}

#[test]
fn imports_in_the_library_run_downwards() {
    let sources = sources("oncue");
    let lib = sources.iter().find(|source| source.module.is_empty()).expect("the library has a lib.rs");
    let root = Root::read(lib);
    for (module, _) in LAYERS {
        assert!(
            root.modules.iter().any(|declared| declared == module),
            "the table's {module} is no module of oncue"
        );
    }
    let found: Vec<String> = sources.iter().flat_map(|source| violations(source, &root)).collect();
    assert!(found.is_empty(), "imports against the layers:\n  {}", found.join("\n  "));
}

/// The packages of the product, and which of the others each depends on.
const PACKAGES: &[(&str, &[&str])] = &[
    ("oncue-pattern", &[]),
    ("oncue-core", &["oncue-pattern"]),
    ("oncue", &["oncue-core", "oncue-pattern"]),
    // The public face of the library alone.
    ("oncue-cli", &["oncue"]),
];

#[test]
fn packages_depend_downwards() {
    for (package, below) in PACKAGES {
        let ours = dependencies(package).into_iter().filter(|name| name.starts_with("oncue"));
        assert_eq!(ours.collect::<Vec<_>>(), *below, "what {package} depends on");
        let others =
            PACKAGES.iter().map(|(name, _)| name).filter(|name| *name != package && !below.contains(name));
        let others: Vec<String> = others.map(|name| name.replace('-', "_")).collect();
        let others: Vec<&str> = others.iter().map(String::as_str).collect();
        let found: Vec<String> =
            sources(package).iter().flat_map(|source| source.mentions(&others)).collect();
        assert!(found.is_empty(), "{package}: {found:?}");
    }
}

/// A root file as the library's is.
const ROOT: &str = "
    mod demand; pub mod engine; mod error; mod msg; mod net; mod socket; mod surprise; mod sync;
    #[cfg(test)]
    mod simulation;
    #[cfg(any(test, fuzzing))]
    pub mod stage;
    pub use engine::Engine;
    pub use error::{Error, Result};
    pub use socket::{XPub, XSub};
";

#[test]
fn an_import_against_the_layers_is_found_however_it_is_written() {
    let root = Root::read(&Source::parse(Path::new("lib.rs"), ROOT));
    let check = |file: &str, text: &str| violations(&Source::parse(Path::new(file), text), &root).len();
    assert_eq!(check("net/os.rs", "use crate::engine::Shard;"), 1);
    assert_eq!(check("net/os.rs", "use crate::{msg::Msg, engine::{Shard, Inbox}};"), 2);
    assert_eq!(check("net/os.rs", "fn f() { crate::engine::start(); }"), 1);
    assert_eq!(check("net/mod.rs", "use super::engine;"), 1);
    assert_eq!(check("net/os.rs", "use super::super::engine;"), 1);
    assert_eq!(check("demand/runner.rs", "use crate::net::Net;"), 1);
    assert_eq!(check("engine/shard.rs", "use crate::XPub;"), 1);
    assert_eq!(check("msg.rs", "use crate::somewhere::Else;"), 1);
    assert_eq!(check("surprise.rs", ""), 1);
}

#[test]
fn imports_along_the_layers_pass() {
    let root = Root::read(&Source::parse(Path::new("lib.rs"), ROOT));
    let check = |file: &str, text: &str| violations(&Source::parse(Path::new(file), text), &root).len();
    assert_eq!(
        check("engine/shard.rs", "use crate::{net::Net, msg::Msg, Error};\nuse super::inbox::Inbox;"),
        0
    );
    assert_eq!(check("demand/runner.rs", "use crate::socket::XPub; // not crate::engine"), 0);
    assert_eq!(check("demand/runner.rs", "use crate::{Engine, sync::lock};"), 0);
    assert_eq!(check("simulation.rs", "use crate::engine::Shard; use crate::demand::Runner;"), 0);
    assert_eq!(check("net/os.rs", "#[cfg(test)] mod tests { use super::*; use crate::engine::Shard; }"), 0);
    assert_eq!(check("net/os.rs", "const HELP: &str = \"use crate::engine;\";"), 0);
    assert_eq!(check("net/os.rs", "fn f<'a>(c: &'a str) { g('\"'); /* crate::engine:: */ h('\\''); }"), 0);
}
