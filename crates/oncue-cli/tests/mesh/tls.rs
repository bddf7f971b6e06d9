//! TLS with client certificates between sites, with certificates as docs/MESH.md makes them.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use oncue_interop::directory::Directory;
use oncue_interop::program::Program;

use super::{Mesh, Node, Told, free_port, line_with, oncue, received};

/// Makes an authority and the certificate of a site on this machine, by the commands of the page. False, with a word, without openssl.
fn certificates(directory: &Directory, site: &str) -> bool {
    if Command::new("openssl").arg("version").output().is_err() {
        eprintln!("openssl is not there: NOT tested");
        return false;
    }
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/MESH.md");
    let page = fs::read_to_string(page).expect("the page");
    let block = |name: &str| {
        let (_, after) = page.split_once(&format!("<!-- {name} -->\n```sh\n")).expect(name);
        after.split_once("```").expect("its end").0.to_owned()
    };
    let mut script = block("certificate of a site").replace("paris", site).replace("10.0.0.1", "127.0.0.1");
    if !directory.path("ca.pem").exists() {
        script.insert_str(0, &block("authority"));
    }
    let run =
        Command::new("sh").args(["-ec", &script]).current_dir(directory.path("")).output().expect("a shell");
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    true
}

#[test]
fn sites_with_certificates_of_one_authority_are_a_mesh_and_strangers_are_not() {
    let mesh = Mesh::of(&[]);
    if !certificates(&mesh.directory, "paris") || !certificates(&mesh.directory, "tokyo") {
        return;
    }
    let other = Directory::new();
    certificates(&other, "lima");
    let router = format!("tls/127.0.0.1:{}", free_port());
    let node = |name: &str, link: &str, files: &Directory| {
        let file = |end: &str| files.path(format!("{name}.{end}"));
        let text = format!(
            "site = \"{name}\"\npublishers_bind = \"tcp://127.0.0.1:0\"\nsubscribers = \"tcp://127.0.0.1:0\"\n[link]\n{link}\n\
             authority = {:?}\ncertificate = {:?}\nkey = {:?}\n",
            files.path("ca.pem"),
            file("pem"),
            file("key")
        );
        let path = mesh.directory.write(format!("{name}.toml"), &text);
        let mut program = Program::start(&mut oncue(&["mesh", path.to_str().expect("text")]));
        let mut at = |side: &str| {
            let line = line_with(&mut program, side);
            line.split_once("bound to ").expect("an endpoint").1.to_owned()
        };
        let (publishers, subscribers) = (at("publishers: bound to "), at("subscribers: bound to "));
        Node { program, publishers, subscribers }
    };
    let listen = format!("role = \"router\"\nlisten = \"{router}\"\nnames = [\"lima\", \"tokyo\"]");
    let paris = node("paris", &listen, &mesh.directory);
    let edge = format!("role = \"edge\"\nrouters = \"{router}\"");
    let tokyo = node("tokyo", &edge, &mesh.directory);
    let lima = node("lima", &edge, &other);
    paris.knows(1);
    let publisher = mesh.publisher(&paris);
    let mut told = Told::of(&publisher);
    let stranger = mesh.subscriber(&lima.subscribers, &["b"]);
    let subscriber = mesh.subscriber(&tokyo.subscribers, &["a"]);
    told.becomes(&["a"], "tokyo wants it");
    publisher.send(("a", "sealed")).expect("it is sent");
    assert_eq!(received(&subscriber), ["a", "sealed"]);
    // Another authority has signed its certificate.
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(paris.status()["sites"].as_array().map(Vec::len), Some(1));
    assert!(!publisher.wanted("b"), "a stranger wants nothing");
    drop((stranger, lima));
}

#[test]
fn an_encrypted_site_has_one_thread_of_zenoh_that_reads_and_writes() {
    let mesh = Mesh::of(&[]);
    if !certificates(&mesh.directory, "a") || !certificates(&mesh.directory, "b") {
        return;
    }
    let link = |name: &str, role: &str| {
        let file = |end: &str| mesh.directory.path(format!("{name}.{end}"));
        let ca = mesh.directory.path("ca.pem");
        format!("{role}\nauthority = {ca:?}\ncertificate = {:?}\nkey = {:?}", file("pem"), file("key"))
    };
    let router = format!("tls/127.0.0.1:{}", free_port());
    let listen = format!("role = \"router\"\nlisten = \"{router}\"\nnames = \"b\"");
    let _a = mesh.start_linked("a", &link("a", &listen));
    let mut b = mesh.start_linked("b", &link("b", &format!("role = \"edge\"\nrouters = \"{router}\"")));
    line_with(&mut b.program, "site a joined");
    let threads = fs::read_dir(format!("/proc/{}/task", b.program.id())).expect("threads");
    let names = threads.flatten().filter_map(|thread| fs::read_to_string(thread.path().join("comm")).ok());
    let names: Vec<String> = names.map(|name| name.trim().to_owned()).collect();
    assert!(names.iter().any(|name| name == "tx-0"), "{names:?}");
    assert!(!names.iter().any(|name| name.starts_with("rx-")), "{names:?}");
}

#[test]
fn a_router_hears_those_that_it_lists_and_reads_its_list_and_its_certificate_again() {
    let mesh = Mesh::of(&[]);
    for name in ["a", "lima", "tokyo"] {
        if !certificates(&mesh.directory, name) {
            return;
        }
    }
    let router = format!("tls/127.0.0.1:{}", free_port());
    let link = |role: &str, name: &str| {
        let file = |end: &str| mesh.directory.path(format!("{name}.{end}"));
        let ca = mesh.directory.path("ca.pem");
        format!("{role}\nauthority = {ca:?}\ncertificate = {:?}\nkey = {:?}\n", file("pem"), file("key"))
    };
    let listing =
        |names: &str| link(&format!("role = \"router\"\nlisten = \"{router}\"\nnames = {names}"), "a");
    let write = |text: &str| mesh.directory.write("a.toml", format!("site = \"a\"\n[link]\n{text}").as_str());
    let mut a = mesh.start_linked("a", &listing("[\"tokyo\"]"));
    line_with(&mut a.program, "in the mesh");
    let edge = format!("role = \"edge\"\nrouters = \"{router}\"");
    let tokyo = mesh.start_linked("tokyo", &link(&edge, "tokyo"));
    line_with(&mut a.program, "site tokyo joined");
    let lima = mesh.start_linked("lima", &link(&edge, "lima"));
    let line = line_with(&mut a.program, "certificate of \"lima\"");
    assert!(line.contains("nothing that it says is heard"), "{line}");
    tokyo.knows(1);
    // A mistake changes nothing.
    write(&listing("[\"to kyo\"]"));
    a.program.signal("HUP");
    line_with(&mut a.program, "the one before stays in force");
    write(&listing("[\"tokyo\"]"));
    a.program.signal("HUP");
    line_with(&mut a.program, "config read again: the mesh stays as it was");
    // Files that are wrong for a while: what Zenoh has dialled with meanwhile is not known.
    let own = fs::read(mesh.directory.path("a.pem")).expect("a certificate");
    fs::copy(mesh.directory.path("lima.pem"), mesh.directory.path("a.pem")).expect("a copy");
    a.program.signal("HUP");
    let line = line_with(&mut a.program, "common name");
    assert!(line.contains("`certificate`") && line.contains("lima"), "{line}");
    line_with(&mut a.program, "the one before stays in force");
    fs::write(mesh.directory.path("a.pem"), own).expect("a certificate");
    a.program.signal("HUP");
    line_with(&mut a.program, "config read again: left the mesh, and joins it again");
    write(&listing("[\"tokyo\", \"lima\"]"));
    a.program.signal("HUP");
    line_with(&mut a.program, "config read again: left the mesh, and joins it again");
    tokyo.knows(2);
    lima.knows(2);
    certificates(&mesh.directory, "a");
    a.program.signal("HUP");
    line_with(&mut a.program, "config read again: left the mesh, and joins it again");
    tokyo.knows(2);
    let subscriber = mesh.subscriber(&tokyo.subscribers, &["x"]);
    let publisher = mesh.publisher(&lima);
    let mut told = Told::of(&publisher);
    told.becomes(&["x"], "tokyo wants it by the router that was read again");
    publisher.send(("x", "1")).expect("it is sent");
    assert_eq!(received(&subscriber), ["x", "1"]);
    // Its certificate is another one's.
    let swapped = mesh.directory.write(
        "wrong.toml",
        format!("site = \"tokyo\"\nsubscribers = \"tcp://127.0.0.1:0\"\n[link]\n{}", link(&edge, "lima"))
            .as_str(),
    );
    let end = oncue(&["mesh", swapped.to_str().expect("text"), "--check"]).output().expect("it runs");
    let why = String::from_utf8_lossy(&end.stderr).into_owned();
    assert!(
        end.status.code() == Some(2)
            && why.contains("wrong.toml:7:15: `certificate`")
            && why.contains("\"lima\""),
        "{why}"
    );
}
