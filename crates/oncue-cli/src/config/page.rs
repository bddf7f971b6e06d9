//! Prints the table of keys: as the help of `oncue serve` and of `oncue mesh`, and as the tables of docs/SERVE.md and docs/MESH.md.

use super::keys::{
    BORDER, CURVE, FILE, KEYS, Key, LAST, LINK, LISTING, LOG, NODE, PLAIN, PROGRAM, Places, QUOTAS, ROUTE,
    RULE, SHARED, SITE, TOP, named,
};
use super::kind::{Kind, Without};

/// Titles, each with the tables below it.
type Sections = [(&'static str, Places)];

/// What a node of a mesh has, and a server that is one. A key that each server has is not shown again.
const MESH_SECTIONS: &Sections = &[
    ("A file for `oncue mesh`, and [mesh] of a server", SITE),
    ("[link]", LINK),
    ("[quotas]", QUOTAS),
    ("[export] and [import]", BORDER),
];
/// The kinds of tables and of routes. A key is shown in each that may have it.
const SECTIONS: &Sections = &[
    ("Outside of routes", TOP),
    ("Each [[route]]", ROUTE),
    ("`keep_last = { ... }`", LAST),
    ("`catalogue = { ... }`", LISTING),
    ("A route with `command`", PROGRAM),
    ("A route with `file`", FILE),
    ("Each [[rule]]", RULE),
    ("[curve]", CURVE),
    ("[plain]", PLAIN),
    ("`log = { ... }`", LOG),
];
/// A key that all these routes may have is shown once, among those of all routes.
const COMMON: Places = ROUTE & !SHARED;

/// Every key of a server, for a terminal: without Markdown.
pub(crate) fn help() -> String {
    help_of(SECTIONS)
}

/// The same of a node of a mesh.
pub(crate) fn mesh_help() -> String {
    format!("{}\n\nAs in oncue serve --help: {}.", help_of(MESH_SECTIONS), shared().join(", "))
}

/// The keys that both have, outside of tables.
fn shared() -> Vec<&'static str> {
    KEYS.iter().filter(|key| key.places & (TOP | NODE) == TOP | NODE).map(|key| key.name).collect()
}

fn help_of(sections: &Sections) -> String {
    let mut text = "The keys of CONFIG:".to_owned();
    for &(title, section) in sections {
        text += &format!("\n\n{title}:");
        for key in keys(section) {
            let (name, doc) = (title_of(key, section), key.doc);
            text += &format!("\n  {name}: {} [default: {}]\n      {doc}", key.kind, default(key));
        }
    }
    text.replace('`', "")
}

fn keys(section: Places) -> impl Iterator<Item = &'static Key> {
    let shows = move |key: &&Key| {
        let is_common = key.places & COMMON == COMMON;
        let is_shared = section == SITE && key.places & TOP != 0;
        key.places & section != 0 && !is_shared && (section & ROUTE == 0 || is_common == (section == ROUTE))
    };
    KEYS.iter().filter(shows)
}

/// The name of a key, and where in the section it may stand if not everywhere.
fn title_of(key: &Key, section: Places) -> String {
    let (name, places) = (key.name, named(key.places & section));
    if section == ROUTE || key.places & section == section || places.contains(name) {
        format!("`{name}`")
    } else {
        format!("`{name}` ({places})")
    }
}

fn default(key: &Key) -> String {
    match (key.without, key.kind) {
        (Without::Required(_), _) => "required".to_owned(),
        (Without::Is(bytes), Kind::Bytes(_)) => {
            let bytes: u64 = bytes.replace('_', "").parse().expect("a number of bytes");
            format!("{} MiB", bytes >> 20)
        }
        (Without::Is(value), _) => format!("`{value}`"),
        (Without::Said(words), _) => words.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// Set to rewrite the tables of the pages.
    const WRITE: &str = "ONCUE_WRITE_DOCS";
    const END: &str = "<!-- end of keys -->";

    fn table(section: Places) -> String {
        let mut text = "| key | value | default | meaning |\n|---|---|---|---|\n".to_owned();
        for key in keys(section) {
            let cells = [title_of(key, section), key.kind.to_string(), default(key), key.doc.to_owned()];
            text += &format!("| {} |\n", cells.join(" | "));
        }
        text
    }

    /// The page with the tables as they should be.
    fn rewritten(page: &str, sections: &Sections) -> String {
        let (mut text, mut rest) = (String::new(), page);
        for &(title, section) in sections {
            let begin = format!("<!-- keys: {title} -->\n");
            let (before, after) = rest.split_once(&begin).expect(&begin);
            let (_, after) = after.split_once(END).expect(&begin);
            text += &[before, &begin, &table(section), END].concat();
            rest = after;
        }
        text + rest
    }

    /// The page with the list of keys that both configs have, if it has one.
    fn sharing(page: &str) -> String {
        let begin = "<!-- keys of both -->\n";
        let Some((before, after)) = page.split_once(begin) else { return page.to_owned() };
        let (_, after) = after.split_once(END).expect(begin);
        let named: Vec<_> = shared().iter().map(|name| format!("`{name}`")).collect();
        [before, begin, &named.join(", "), ".\n", END, after].concat()
    }

    #[test]
    fn the_pages_of_the_configs_have_the_table_of_keys() {
        for (name, sections) in [("SERVE.md", SECTIONS), ("MESH.md", MESH_SECTIONS)] {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name);
            let page = std::fs::read_to_string(&path).expect("the page");
            let right = sharing(&rewritten(&page, sections));
            if std::env::var_os(WRITE).is_some() {
                std::fs::write(&path, right).expect("the page");
            } else if page != right {
                panic!(
                    "docs/{name} differs from the table of keys; run {WRITE}=1 cargo test -p oncue-cli table_of_keys"
                );
            }
        }
    }

    #[test]
    fn every_key_is_in_the_help() {
        let help = help() + &mesh_help();
        for key in KEYS {
            assert!(help.contains(&format!("\n  {}", key.name)), "{}", key.name);
            assert!(help.contains(&key.doc.replace('`', "")), "{}", key.doc);
        }
    }

    #[test]
    fn entries_of_one_name_share_no_place() {
        for (index, key) in KEYS.iter().enumerate() {
            let others = KEYS.iter().skip(index + 1).filter(|other| other.name == key.name);
            assert!(others.fold(0, |all, other| all | other.places) & key.places == 0, "{}", key.name);
        }
    }
}
