//! `cargo xtask house`: which modules import from which, import circles, violations of the rules, and lines per package.

mod circles;
mod lines;
mod package;
mod rules;
mod source;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::Path;

use crate::workspace::root;
use crate::{Trouble, nothing_left, take_text};
use lines::{Count, Lines};
use package::{Package, Use};
use rules::{FOLDERS, Folder, PACKAGES, breaches, file_circles};

pub(crate) fn run(args: &[String]) -> Result<(), Trouble> {
    let mut args = args.to_vec();
    let other = take_text(&mut args, "--at")?;
    nothing_left(&args)?;
    let at = other.as_ref().map_or_else(root, |at| Path::new(at).to_path_buf());
    let (report, broken) = inspect(&at).map_err(Trouble::Cannot)?;
    print!("{report}");
    // For another checkout, violations are only shown.
    if broken == 0 || other.is_some() { Ok(()) } else { Err(Trouble::Failed) }
}

/// A report on the checkout `at`, and how many rules are broken in it.
///
/// # Errors
/// When sources cannot be read.
fn inspect(at: &Path) -> Result<(String, usize), String> {
    let mut report = String::new();
    let mut broken = Vec::new();
    let mut lines = Vec::new();
    for (name, _) in PACKAGES {
        let directory = at.join("crates").join(name);
        // An older checkout may have fewer packages.
        if directory.is_dir() {
            let package = Package::read(name, &directory)?;
            let found = breaches(&package, &dependencies(&directory)?);
            broken.extend(found.into_iter().map(|found| format!("   {name}: {found}\n")));
            lines.push((*name, package.lines));
            add_package(&mut report, &package);
        }
    }
    let _ = write!(report, "== rules broken: {}\n{}", broken.len(), broken.concat());
    let mut product = Lines::default();
    lines.iter().for_each(|(_, lines)| product += *lines);
    lines.push(("all of these", product));
    for name in ["crates/oncue-testing", "lab/bench", "lab/costs", "lab/interop", "lab/mesh", "fuzz", "xtask"]
    {
        if at.join(name).is_dir() {
            lines.push((name, Package::read(name, &at.join(name))?.lines));
        }
    }
    add_lines(&mut report, &lines);
    Ok((report, broken.len()))
}

/// The names of our own packages under `[dependencies]` of a manifest.
fn dependencies(package: &Path) -> Result<Vec<String>, String> {
    let manifest = package.join("Cargo.toml");
    let text = std::fs::read_to_string(&manifest).map_err(|why| format!("{}: {why}", manifest.display()))?;
    let section = text.split("\n[").find(|section| section.starts_with("dependencies]")).unwrap_or_default();
    let names = section.lines().skip(1).filter_map(|line| line.split(['=', '.', ' ']).next());
    Ok(names.filter(|name| name.starts_with("oncue")).map(str::to_owned).collect())
}

/// Adds the floors of each folder that has a table, or the modules of the root, and the circles.
fn add_package(report: &mut String, package: &Package) {
    let uses = package.uses();
    let files = package.files.len();
    let _ = writeln!(
        report,
        "== {}: {files} files; the lowest module first; how many items it imports from which",
        package.name
    );
    let root = Folder { package: "", module: &[], floors: &[] };
    let mut folders: Vec<&Folder> = FOLDERS.iter().filter(|folder| folder.package == package.name).collect();
    if folders.is_empty() {
        folders.push(&root);
    }
    for folder in folders {
        add_arrows(report, package, &uses, folder);
    }
    for circle in file_circles(package, &uses) {
        let _ = writeln!(report, "   circle of {}: {}", circle.len(), circle.join(" "));
    }
}

fn add_arrows(report: &mut String, package: &Package, uses: &BTreeSet<Use>, folder: &Folder) {
    let mut arrows: BTreeMap<&str, BTreeMap<&str, usize>> = BTreeMap::new();
    // In the table of the root, a floor is shown as one.
    let floor_of = |room| {
        let floor = folder.floors.iter().find(|floor| floor.rooms.contains(&room));
        floor.filter(|_| folder.module.is_empty()).map_or(room, |floor| floor.name)
    };
    let room = |file: usize| folder.room(&package.files[file]).map(floor_of);
    for file in 0..package.files.len() {
        room(file).map(|room| arrows.entry(room).or_default());
    }
    for used in uses {
        if let (Some(from), Some(to)) = (room(used.from), room(used.to))
            && from != to
        {
            *arrows.entry(from).or_default().entry(to).or_default() += 1;
        }
    }
    if !folder.module.is_empty() {
        let _ = writeln!(report, "   {}/", folder.module.join("/"));
    }
    for room in from_the_ground(&arrows) {
        let shown = arrows[room].iter().map(|(to, count)| format!("{to} {count}")).collect::<Vec<_>>();
        let arrow = if shown.is_empty() { String::new() } else { format!("-> {}", shown.join(", ")) };
        let _ = writeln!(report, "   {}", format!("{room:<16} {arrow}").trim_end());
    }
}

/// Sorts the rooms so that each comes after all from which it imports, as far as possible.
fn from_the_ground<'a>(arrows: &BTreeMap<&'a str, BTreeMap<&'a str, usize>>) -> Vec<&'a str> {
    let mut left: BTreeSet<&str> = arrows.keys().copied().collect();
    let mut ordered = Vec::new();
    while !left.is_empty() {
        let blocked = |room: &&str| arrows[room].keys().filter(|to| left.contains(*to)).count();
        let least = left.iter().map(blocked).min();
        let next: Vec<&str> = left.iter().copied().filter(|room| Some(blocked(room)) == least).collect();
        next.iter().for_each(|room| _ = left.remove(room));
        ordered.extend(next);
    }
    ordered
}

fn add_lines(report: &mut String, lines: &[(&str, Lines)]) {
    let _ = writeln!(report, "== lines (without comments and blank lines)    product           tests");
    let shown = |count: Count| format!("{:>6} ({:>5})", count.total, count.code);
    for (name, Lines { product, test }) in lines {
        let _ = writeln!(report, "   {name:<42} {}   {}", shown(*product), shown(*test));
    }
}
