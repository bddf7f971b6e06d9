//! The rules on samples, and on this checkout.

use super::lines::Count;
use super::package::Package;
use super::rules::{breaches, wrong_circles};
use super::source::Source;

#[test]
fn the_house_stands() {
    let (report, broken) = super::inspect(&crate::workspace::root()).expect("the sources can be read");
    println!("{report}");
    assert_eq!(broken, 0, "rules of the house are broken:\n{report}");
}

/// A root file like that of the library.
const ROOT: &str = "
    mod demand; pub mod engine; mod error; mod msg; mod net; mod socket; mod sync;
    #[cfg(test)]
    mod simulation;
    pub use engine::Engine;
    pub use error::{Error, Result};
    pub use socket::{XPub, XSub};
";

/// The violations with one more file, without those about missing modules.
fn check(name: &str, text: &str) -> Vec<String> {
    let mut files = vec![
        ("lib.rs", ROOT),
        ("demand/mod.rs", "mod runner;"),
        ("engine/mod.rs", "mod inbox; mod shard; pub use shard::Shard; pub struct Engine; pub fn start() {}"),
        ("engine/inbox.rs", "pub struct Inbox;"),
        ("engine/shard.rs", "pub struct Shard;"),
        ("error.rs", "pub enum Error {} pub type Result = ();"),
        ("msg.rs", "pub struct Msg;"),
        ("net/mod.rs", "mod os; pub struct Net;"),
        ("net/os.rs", ""),
        ("socket.rs", "pub struct XPub; pub struct XSub;"),
        ("sync.rs", "pub fn lock() {}"),
    ];
    files.retain(|(known, _)| *known != name);
    files.push((name, text));
    let package = Package::of("oncue", &files);
    let below = ["oncue-core", "oncue-pattern"].map(str::to_owned);
    breaches(&package, &below).into_iter().filter(|found| !found.contains("table")).collect()
}

#[test]
fn an_import_against_the_floors_is_found_however_it_is_written() {
    let cases = [
        ("net/os.rs", "use crate::engine::Shard;"),
        ("net/os.rs", "use crate::{msg::Msg, engine::{inbox::Inbox}};"),
        ("net/os.rs", "fn f() { crate::engine::start(); }"),
        ("net/os.rs", "fn f() { vec![crate::engine::start()]; }"),
        ("net/os.rs", "use crate::engine; fn f() { engine::start(); }"),
        ("net/os.rs", "use crate::engine as other; fn f() -> other::Engine { g() }"),
        ("net/os.rs", "fn f() { use super::super::engine::{Engine, inbox as other}; other::f() }"),
        ("net/mod.rs", "fn f() { super::engine::start(); }"),
        ("demand/runner.rs", "use crate::net::Net;"),
        ("demand/runner.rs", "use crate::engine::Engine;"),
        ("engine/shard.rs", "use crate::XPub;"),
        ("msg.rs", "use crate::somewhere::Else; use crate::net::Net;"),
    ];
    for (file, text) in cases {
        let found = check(file, text);
        assert!(
            !found.is_empty() && found.iter().all(|found| found.contains("must not import")),
            "{file}: {text}: {found:?}"
        );
    }
    assert!(check("net/os.rs", "use oncue_cli::serve;")[0].contains("oncue_cli"));
    assert!(check("net/os.rs", "use super::super::engine::*;")[0].contains("`use super::super::engine::*`"));
}

#[test]
fn imports_along_the_floors_pass() {
    let cases = [
        ("engine/shard.rs", "use crate::{net::Net, msg::Msg, Error}; use super::inbox::Inbox;"),
        ("demand/runner.rs", "use crate::socket::XPub; // not crate::engine"),
        ("demand/runner.rs", "use crate::{Engine, sync::lock}; fn f() { crate::Engine::new(); }"),
        ("simulation.rs", "#![cfg(test)] use super::*;"),
        ("net/os.rs", "#[cfg(test)] mod tests { use super::*; use crate::engine::Shard; }"),
        ("net/os.rs", "#[cfg(any(test, fuzzing))] fn f() { crate::engine::start() }"),
        ("net/os.rs", "enum Kind { A } fn f() { use Kind::*; A }"),
        ("net/os.rs", "const HELP: &str = \"use crate::engine;\";"),
        ("net/os.rs", "fn f<'a>(c: &'a str) { g('\"'); /* crate::engine:: */ h('\\''); }"),
    ];
    for (file, text) in cases {
        assert_eq!(check(file, text), Vec::<String>::new(), "{file}: {text}");
    }
}

/// The violations in a package of these files.
fn found(files: &[(&str, &str)]) -> Vec<String> {
    breaches(&Package::of("oncue-pattern", files), &[])
}

#[test]
fn an_impl_block_stands_in_the_folder_of_its_type() {
    let root = ("lib.rs", "mod a; mod b; struct Top;");
    let a = ("a.rs", "pub mod part; pub struct Whole;");
    let part = ("a/part.rs", "use super::Whole; pub struct Part; impl Whole {} impl Part {}");
    let kept =
        "struct Own; trait Own2 {} impl Own2 for u8 {} impl<T> Own2 for Vec<T> {} impl Own2 for Own {}";
    assert_eq!(found(&[root, a, part, ("b.rs", kept)]), Vec::<String>::new());
    let broken = [
        "use crate::a::part::Part; impl Part {}",
        "use crate::a; trait Own {} impl Own for a::part::Part {}",
        "trait Own {} impl<'a> Own for &'a crate::a::part::Part {}",
    ];
    for text in broken {
        let found = found(&[root, a, part, ("b.rs", text)]);
        assert_eq!(found, ["b.rs: an `impl` for Part, which is of a/part.rs"], "{text}");
    }
}

#[test]
fn a_circle_is_of_the_files_that_define_what_is_imported() {
    let root = ("lib.rs", "mod a; mod b;");
    let b = ("b.rs", "use crate::a::Part; pub struct B;");
    let part = ("a/part.rs", "pub struct Part;");
    // A re-export is neither an import, nor is it imported.
    assert_eq!(
        found(&[root, ("a/mod.rs", "mod part; pub use part::Part; use crate::b::B;"), b, part]),
        [""; 0]
    );
    // The same re-export in a file whose own code uses the name.
    let own = ("a/mod.rs", "mod part; pub use part::Part; pub struct A(Part);");
    let user = ("a/part.rs", "use super::A; pub struct Part;");
    assert_eq!(found(&[root, own, b, user]), ["a circle of 2: a/mod.rs, a/part.rs"]);
    let user = ("a/part.rs", "pub struct Part(crate::b::B, super::A);");
    assert_eq!(found(&[root, own, b, user]), ["a circle of 3: a/mod.rs, a/part.rs, b.rs"]);
}

#[test]
fn a_circle_of_two_needs_a_reason_and_a_reason_needs_the_circle() {
    let a = ("a.rs", "use crate::b::B; pub struct A;");
    let pair = ("oncue-pattern", ["a.rs", "b.rs"], "a reason");
    let wrong = |b: &str, pairs: &[_]| {
        let package = Package::of("oncue-pattern", &[("lib.rs", "mod a; mod b;"), a, ("b.rs", b)]);
        wrong_circles(&package, &package.uses(), pairs)
    };
    assert_eq!(wrong("pub struct B(crate::a::A);", &[]), ["a circle of 2: a.rs, b.rs"]);
    assert_eq!(wrong("pub struct B(crate::a::A);", &[pair]), [""; 0]);
    assert_eq!(
        wrong("pub struct B;", &[pair]),
        ["the table's circle of a.rs and b.rs is gone: remove it there"]
    );
}

#[test]
fn lines_of_tests_comments_and_blanks_are_told_apart() {
    let text = "//! A file.\n\n/// A function.\n#[inline]\nfn f() {\n    // Nothing.\n}\n\n\
                #[cfg(test)]\nmod tests {\n    const TEXT: &str = \"a\nb\";\n}\n";
    let lines = Source::parse(text).expect("it is Rust").lines;
    assert_eq!(lines.product, Count { total: 8, code: 3 });
    assert_eq!(lines.test, Count { total: 5, code: 5 });
}

#[test]
fn unsafe_code_is_only_in_the_files_of_the_table() {
    assert_eq!(
        check("msg.rs", "pub struct Msg; fn f() { unsafe { g() } }"),
        ["msg.rs: it has `unsafe` code"]
    );
    assert_eq!(check("msg.rs", "pub struct Msg; #[allow(unsafe_code)] const T: &str = \"unsafe\";"), [""; 0]);
    let found =
        breaches(&Package::of("oncue-py", &[("lib.rs", "mod ffi;"), ("ffi.rs", "")]), &["oncue".to_owned()]);
    assert!(found.iter().any(|found| found.contains("ffi.rs: it has no `unsafe` code")), "{found:?}");
}
