//! The rules for the structure of the sources, and their tables.
//!
//! - Packages depend only on lower ones, and so do the floors of a folder that has a table.
//! - Imports name the items (no glob imports).
//! - A file has `impl` blocks only for types that its own folder defines.
//! - No file has `unsafe` code, but for those of a table.
//! - No import circle has more than two files, and each circle of two has a stated reason.
//!
//! Test code is ignored: a test may import anything.

use std::collections::BTreeSet;

use super::circles::circles;
use super::package::{File, FileId, Package, Use};

/// The packages of the product, the lowest first, and the dependencies of each on the others.
pub(super) const PACKAGES: &[(&str, &[&str])] = &[
    ("oncue-pattern", &[]),
    ("oncue-core", &["oncue-pattern"]),
    ("oncue", &["oncue-core", "oncue-pattern"]),
    // Only the public interface of the library.
    ("oncue-observe", &["oncue"]),
    // The demand log of the core, and the public interface of the library.
    ("oncue-mesh", &["oncue", "oncue-core"]),
    ("oncue-cli", &["oncue", "oncue-mesh", "oncue-observe"]),
    ("oncue-py", &["oncue"]),
];

/// A folder whose modules form floors.
pub(super) struct Folder {
    pub(super) package: &'static str,
    /// The module that the folder is, from the crate's root.
    pub(super) module: &'static [&'static str],
    /// The lowest first.
    pub(super) floors: &'static [Floor],
}

/// Modules that may import from each other and from all floors below.
pub(super) struct Floor {
    pub(super) name: &'static str,
    /// The modules; [`OWN`] for the file of the folder itself.
    pub(super) rooms: &'static [&'static str],
    /// The floors below from which it must not import, except by public re-exports of the crate's root.
    hidden: &'static [&'static str],
}

/// The room of the file of the folder itself: mod.rs.
pub(super) const OWN: &str = "mod";

const fn floor(name: &'static str, rooms: &'static [&'static str]) -> Floor {
    Floor { name, rooms, hidden: &[] }
}

pub(super) const FOLDERS: &[Folder] = &[
    Folder {
        package: "oncue",
        module: &[],
        floors: &[
            floor(
                "data",
                &[
                    "account",
                    "authentication",
                    "batch",
                    "bucket",
                    "buffer",
                    "connection",
                    "curve",
                    "descriptors",
                    "endpoint",
                    "error",
                    "events",
                    "hashing",
                    "home",
                    "missed",
                    "msg",
                    "op",
                    "options",
                    "peer_address",
                    "peers",
                    "permission",
                    "stats",
                    "sync",
                    "user",
                ],
            ),
            floor("net", &["net"]),
            // Uses what is public.
            Floor { name: "authenticators", rooms: &["authenticators"], hidden: &["net"] },
            floor("engine", &["engine"]),
            floor("socket", &["socket"]),
            // Uses the sockets like any user.
            Floor { name: "demand", rooms: &["demand"], hidden: &["net", "engine"] },
            // From the boxes of one socket to those of another.
            Floor { name: "proxy", rooms: &["proxy"], hidden: &["net", "demand"] },
        ],
    },
    Folder {
        package: "oncue",
        module: &["engine"],
        floors: &[
            floor("wire", &["wire"]),
            floor("hub", &["hub"]),
            floor("peer", &["peer"]),
            floor("shard", &["shard"]),
            floor("threads", &["station", OWN]),
        ],
    },
    Folder {
        package: "oncue",
        module: &["demand"],
        floors: &[
            floor("feed", &["feed"]),
            floor("producers", &["producers"]),
            floor("runner", &["runner"]),
            floor("routes", &["routes", OWN]),
        ],
    },
    Folder {
        package: "oncue",
        module: &["proxy"],
        floors: &[
            floor("parts", &["demand", "questions", "stats", "task"]),
            floor("pump", &["pump"]),
            floor("proxy", &[OWN]),
        ],
    },
    Folder {
        package: "oncue-mesh",
        module: &[],
        floors: &[
            floor(
                "data",
                &["bell", "border", "check", "endpoint", "error", "event", "options", "status", "topology"],
            ),
            // The only part that knows Zenoh.
            floor("link", &["link"]),
            floor("ways", &["export", "hall", "import", "letters", "wanted"]),
            floor("keeper", &["keeper"]),
            floor("mesh", &["mesh", OWN]),
        ],
    },
    Folder {
        package: "oncue-cli",
        module: &[],
        floors: &[
            floor("text", &["args", "fail", "json", "lines", "nearest", "output", "pace", "record", "table"]),
            floor("process", &["asked", "notify", "progress", "signals", "stdio", "wait"]),
            floor("sockets", &["connections", "metrics", "page", "publisher", "security", "ticks", "viewer"]),
            floor("config", &["config"]),
            floor("mesh", &["mesh"]),
            floor("commands", &["commands"]),
            floor("main", &[OWN]),
        ],
    },
    Folder {
        package: "oncue-cli",
        module: &["commands", "serve"],
        floors: &[
            floor("program", &["program"]),
            floor("produce", &["produce"]),
            floor(
                "server",
                &[
                    "count", "metrics", "missing", "no_site", "passed", "report", "routes", "server", "site",
                    "unserved", "web", OWN,
                ],
            ),
        ],
    },
];

/// Two files that import each other, and why: package, files in alphabetical order, reason.
pub(super) type Pair = (&'static str, [&'static str; 2], &'static str);

const PAIRS: &[Pair] = &[];

/// The files that have `unsafe` code: package, file.
const UNSAFE: &[(&str, &str)] = &[("oncue-py", "ffi.rs")];

/// All violations of the rules in a package.
pub(super) fn breaches(package: &Package, dependencies: &[String]) -> Vec<String> {
    let uses = package.uses();
    let mut found = packages(package, dependencies);
    let folders = FOLDERS.iter().filter(|folder| folder.package == package.name);
    found.extend(folders.flat_map(|folder| floors(package, &uses, folder)));
    found.extend(package.globs().map(|(file, path)| {
        format!("{}: `use {}::*` hides what is imported", package.files[file].name, path.join("::"))
    }));
    found.extend(foreign_impls(package));
    found.extend(unsafe_files(package));
    found.extend(wrong_circles(package, &uses, PAIRS));
    found
}

/// Checks the product packages that the manifest and the sources name.
fn packages(package: &Package, dependencies: &[String]) -> Vec<String> {
    let below = PACKAGES.iter().find(|(name, _)| *name == package.name).map_or(&[][..], |(_, below)| *below);
    let mut found = Vec::new();
    if dependencies != below {
        found.push(format!("depends on {dependencies:?}, not on {below:?}"));
    }
    let others = PACKAGES.iter().map(|(name, _)| *name);
    let others: Vec<String> = others
        .filter(|name| *name != package.name && !below.contains(name))
        .map(|name| name.replace('-', "_"))
        .collect();
    found.extend(
        package.mentions(&others).map(|(file, name)| format!("{}: {name}", package.files[file].name)),
    );
    found
}

impl Folder {
    /// The room of a file; `None` for files outside of the folder.
    pub(super) fn room<'a>(&self, file: &'a File) -> Option<&'a str> {
        let outside = file.module.len() < self.module.len();
        if outside || file.module.iter().zip(self.module).any(|(file, own)| file != own) {
            return None;
        }
        Some(file.module.get(self.module.len()).map_or(OWN, String::as_str))
    }

    /// The index of a room's floor.
    fn height(&self, room: &str) -> Option<usize> {
        self.floors.iter().position(|floor| floor.rooms.contains(&room))
    }
}

/// Imports from a higher or hidden floor.
fn floors(package: &Package, uses: &BTreeSet<Use>, folder: &Folder) -> Vec<String> {
    let rooms: BTreeSet<&str> = package.files.iter().filter_map(|file| folder.room(file)).collect();
    let mut found = Vec::new();
    let is_root = |room: &str| room == OWN && folder.module.is_empty();
    let unknown = rooms.iter().filter(|room| folder.height(room).is_none() && !is_root(room));
    found.extend(unknown.map(|room| format!("module `{room}` has no floor: add it to the table")));
    let listed = folder.floors.iter().flat_map(|floor| floor.rooms);
    let stale = listed.filter(|room| !rooms.contains(*room));
    found.extend(
        stale.map(|room| format!("the table's `{room}` is not a module of {}", folder.module.join("::"))),
    );
    for used in uses {
        let (from, to) = (&package.files[used.from], &package.files[used.to]);
        let heights = |file| Some(folder.room(file)).flatten().and_then(|room| folder.height(room));
        let (Some(here), Some(there)) = (heights(from), heights(to)) else { continue };
        let (here_floor, there_floor) = (&folder.floors[here], &folder.floors[there]);
        let hidden = here_floor.hidden.contains(&there_floor.name) && !used.of_root;
        if there > here || hidden {
            found.push(format!(
                "{}: `{}` must not import {} of `{}`",
                from.name,
                here_floor.name,
                used.item.join("::"),
                there_floor.name
            ));
        }
    }
    found
}

/// `impl` blocks for types of another folder.
fn foreign_impls(package: &Package) -> Vec<String> {
    let impls = package.impls().into_iter().map(|(file, home, item)| {
        (&package.files[file].name, &package.files[home].name, item.last().cloned().unwrap_or_default())
    });
    let foreign = impls.filter(|(file, home, _)| !share_a_folder(file, home));
    foreign.map(|(file, home, item)| format!("{file}: an `impl` for {item}, which is of {home}")).collect()
}

/// Files with `unsafe` code that the table does not have, and files of the table without any.
fn unsafe_files(package: &Package) -> Vec<String> {
    let listed = |file: &File| UNSAFE.contains(&(&package.name, &file.name));
    let wrong = package.files.iter().filter(|file| file.is_unsafe != listed(file));
    let said = |file: &File| match file.is_unsafe {
        true => format!("{}: it has `unsafe` code", file.name),
        false => format!("{}: it has no `unsafe` code: remove it from the table", file.name),
    };
    wrong.map(said).collect()
}

/// A file belongs to its directory. A file `x.rs` belongs to the folder `x` beside it too.
fn share_a_folder(a: &str, b: &str) -> bool {
    let directory =
        |file: &str| file.rsplit_once('/').map_or(String::new(), |(directory, _)| directory.to_owned());
    let folders = |file: &str| [directory(file), file.trim_end_matches(".rs").to_owned()];
    folders(a).iter().any(|folder| folders(b).contains(folder))
}

/// Circles without a reason, circles that are too large, and reasons without a circle.
pub(super) fn wrong_circles(package: &Package, uses: &BTreeSet<Use>, pairs: &[Pair]) -> Vec<String> {
    let known: Vec<_> = pairs.iter().filter(|(name, ..)| *name == package.name).map(|pair| pair.1).collect();
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for circle in file_circles(package, uses) {
        match known.iter().find(|pair| circle == **pair) {
            Some(pair) => _ = seen.insert(pair),
            None => found.push(format!("a circle of {}: {}", circle.len(), circle.join(", "))),
        }
    }
    let stale = known.iter().filter(|pair| !seen.contains(pair));
    found.extend(stale.map(|[a, b]| format!("the table's circle of {a} and {b} is gone: remove it there")));
    found
}

/// The circles of a package, by the names of the files in order.
pub(super) fn file_circles<'a>(package: &'a Package, uses: &BTreeSet<Use>) -> Vec<Vec<&'a str>> {
    let imports: BTreeSet<(FileId, FileId)> = uses.iter().map(|used| (used.from, used.to)).collect();
    let name = |file: FileId| package.files[file].name.as_str();
    let named = circles(&imports).into_iter().map(|circle| {
        let mut names: Vec<&str> = circle.into_iter().map(name).collect();
        names.sort_unstable();
        names
    });
    named.collect()
}
