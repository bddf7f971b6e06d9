//! What may pass, and how much.

use super::{Mesh, Told, eventually, received, site};

#[test]
fn topics_that_may_not_leave_do_not_and_other_sites_are_not_concerned() {
    let mesh = Mesh::of(&["lima", "paris", "tokyo"]);
    let export = "[export]\nallow = [\"open/\", \"secret/\"]\n[export.sites.tokyo]\nallow = \"open/\"\ndeny = \"open/not\"\n";
    let paris = mesh.start_with("paris", "", export);
    let (tokyo, lima) = (mesh.start("tokyo"), mesh.start("lima"));
    [&paris, &tokyo, &lima].iter().for_each(|node| node.knows(2));
    let publisher = mesh.publisher(&paris);
    let mut told = Told::of(&publisher);
    let at_tokyo = mesh.subscriber(&tokyo.subscribers, &["open/", "secret/", "other/"]);
    told.becomes(&["open/"], "of tokyo's prefixes one may leave");
    let at_lima = mesh.subscriber(&lima.subscribers, &["open/", "secret/"]);
    told.becomes(&["open/", "secret/"], "lima may have both");
    for topic in ["secret/1", "open/not", "open/1"] {
        publisher.send((topic, "")).expect("it is sent");
    }
    assert_eq!(received(&at_tokyo)[0], "open/1");
    let of_lima: Vec<_> = (0..3).map(|_| received(&at_lima)[0].clone()).collect();
    assert_eq!(of_lima, ["secret/1", "open/not", "open/1"]);
    eventually(|| {
        let status = paris.status();
        let tokyo = site(&status, "tokyo");
        let counted = tokyo["prefixes"] == 1 && tokyo["prefixes_refused"] == 2 && tokyo["forbidden"] == 1;
        counted.then_some(()).ok_or(status)
    });
}

#[test]
fn topics_that_are_not_taken_are_not_asked_for() {
    let mesh = Mesh::of(&["paris", "tokyo"]);
    let paris = mesh.start("paris");
    let tokyo = mesh.start_with("tokyo", "", "[import]\nallow = \"a\"\n");
    [&paris, &tokyo].iter().for_each(|node| node.knows(1));
    let publisher = mesh.publisher(&paris);
    let mut told = Told::of(&publisher);
    let subscriber = mesh.subscriber(&tokyo.subscribers, &["a", "b"]);
    let other = mesh.subscriber(&paris.subscribers, &["b"]);
    told.becomes(&["a", "b"], "b is wanted at its own site");
    publisher.send(("b", "")).expect("it is sent");
    assert_eq!(received(&other)[0], "b");
    publisher.send(("a", "")).expect("it is sent");
    assert_eq!(received(&subscriber)[0], "a");
}

#[test]
fn prefixes_beyond_the_quota_of_a_site_are_refused() {
    let mesh = Mesh::of(&["lima", "paris", "tokyo"]);
    let paris = mesh.start_with("paris", "", "[quotas]\nprefixes_max = 2\n");
    let (tokyo, lima) = (mesh.start("tokyo"), mesh.start("lima"));
    [&paris, &tokyo, &lima].iter().for_each(|node| node.knows(2));
    let publisher = mesh.publisher(&paris);
    let mut told = Told::of(&publisher);
    let greedy = mesh.subscriber(&tokyo.subscribers, &["a", "b", "c"]);
    eventually(|| {
        let status = paris.status();
        let tokyo = site(&status, "tokyo");
        (tokyo["prefixes"] == 2 && tokyo["prefixes_refused"] == 1).then_some(()).ok_or(status)
    });
    let modest = mesh.subscriber(&lima.subscribers, &["x", "y"]);
    eventually(|| {
        let status = paris.status();
        let lima = site(&status, "lima");
        (lima["prefixes"] == 2 && lima["prefixes_refused"] == 0).then_some(()).ok_or(status)
    });
    drop(greedy);
    told.becomes(&["x", "y"], "those of tokyo are gone");
    drop(modest);
}
