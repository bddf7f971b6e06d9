//! Import circles: files that reach one another.

use std::collections::{BTreeMap, BTreeSet};

use super::package::FileId;

/// The strongly connected components of more than one file, the largest first.
pub(super) fn circles(imports: &BTreeSet<(FileId, FileId)>) -> Vec<Vec<FileId>> {
    let mut next: BTreeMap<FileId, Vec<FileId>> = BTreeMap::new();
    imports.iter().for_each(|&(from, to)| next.entry(from).or_default().push(to));
    let reached: BTreeMap<FileId, BTreeSet<FileId>> =
        next.keys().map(|&file| (file, reached_from(file, &next))).collect();
    let reaches = |a: FileId, b: FileId| reached.get(&a).is_some_and(|files| files.contains(&b));
    let mut circles: Vec<Vec<FileId>> = Vec::new();
    for &file in next.keys().filter(|&&file| reaches(file, file)) {
        match circles.iter_mut().find(|circle| reaches(circle[0], file) && reaches(file, circle[0])) {
            Some(circle) => circle.push(file),
            None => circles.push(vec![file]),
        }
    }
    circles.sort_by_key(|circle| std::cmp::Reverse(circle.len()));
    circles
}

fn reached_from(file: FileId, next: &BTreeMap<FileId, Vec<FileId>>) -> BTreeSet<FileId> {
    let mut reached = BTreeSet::new();
    let mut open = vec![file];
    while let Some(at) = open.pop() {
        let new = next.get(&at).into_iter().flatten().filter(|&&to| reached.insert(to));
        open.extend(new);
    }
    reached
}
