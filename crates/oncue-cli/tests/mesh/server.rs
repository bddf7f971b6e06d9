//! A server as a site.

use std::process::Command;

use oncue_interop::program::Program;

use super::{Mesh, eventually, free_port, line_with, oncue, received, said, site, status};

const LOAD: &str = "[[route]]\ntopic = \"n/{n:int}\"\ncommand = [\"echo\", \"{n}\"]\nevery = \"100ms\"\n";

/// A server as this site, and where it is bound.
fn serve(mesh: &Mesh, name: &str, text: &str) -> (Program, String) {
    let text = format!("bind = \"tcp://127.0.0.1:0\"\n{text}");
    let path = mesh.directory.write(format!("{name}.toml"), &text);
    let mut program = Program::start(&mut oncue(&["serve", path.to_str().expect("text")]));
    let line = line_with(&mut program, "serve: bound to ");
    let endpoint = line.split_once("bound to ").expect("an endpoint").1.to_owned();
    (program, endpoint)
}

/// `[mesh]` of paris in this mesh.
fn section(mesh: &Mesh) -> String {
    format!("[mesh]\nsite = \"paris\"\n{}", mesh.link("mesh.link"))
}

#[test]
fn an_encrypted_server_gives_its_topics_to_other_sites() {
    let mesh = Mesh::of(&["paris", "tokyo"]);
    let keys = Command::new(env!("CARGO_BIN_EXE_oncue"))
        .args(["keygen", "--name", "server", "--dir"])
        .arg(mesh.directory.path(""))
        .output()
        .expect("it runs");
    assert!(keys.status.success(), "{keys:?}");
    let curve = "[curve]\nsecret_key_file = \"server.key_secret\"\nclients = \"any\"\n";
    let (_server, _) = serve(&mesh, "paris", &format!("{LOAD}{curve}{}", section(&mesh)));
    let tokyo = mesh.start("tokyo");
    assert_eq!(received(&mesh.subscriber(&tokyo.subscribers, &["n/7"])), ["n/7", "7"]);
}

#[test]
fn rules_that_deny_hold_for_sites_and_a_reload_leaves_the_mesh_alone() {
    let mesh = Mesh::of(&["paris", "tokyo"]);
    let rules = "[[rule]]\ndeny = \"n/1\"\n";
    let (mut server, endpoint) = serve(&mesh, "paris", &format!("{LOAD}{rules}{}", section(&mesh)));
    let tokyo = mesh.start("tokyo");
    let denied = mesh.subscriber(&tokyo.subscribers, &["n/1"]);
    let allowed = mesh.subscriber(&tokyo.subscribers, &["n/2"]);
    assert_eq!(received(&allowed), ["n/2", "2"]);
    assert_eq!(server.line(), "+ n/2", "n/1 is not produced");
    server.signal("HUP");
    line_with(&mut server, "config read again: 1 route kept, 0 added, 0 removed");
    received(&allowed);
    assert_eq!(site(&status(&endpoint), "tokyo")["phase"], "live");
    assert!(denied.try_recv().expect("it is open").is_none());
}

#[test]
fn a_server_reads_its_section_again() {
    let mesh = Mesh::of(&["paris", "tokyo"]);
    let (mut server, endpoint) = serve(&mesh, "paris", &format!("{LOAD}{}", section(&mesh)));
    let tokyo = mesh.start("tokyo");
    let [one, two] = ["n/1", "n/2"].map(|topic| mesh.subscriber(&tokyo.subscribers, &[topic]));
    let local = mesh.subscriber(&endpoint, &["n/3"]);
    received(&one);
    received(&local);
    let text = format!("{LOAD}{}[mesh.export]\nallow = \"n/2\"\n", section(&mesh));
    mesh.directory.write("paris.toml", &format!("bind = \"tcp://127.0.0.1:0\"\n{text}"));
    server.signal("HUP");
    line_with(&mut server, "left the mesh, and joins it again with the new [mesh]");
    line_with(&mut server, "config read again: 1 route kept, 0 added, 0 removed");
    while server.line() != "- n/1" {}
    received(&two);
    received(&local);
    // What tells about the mesh has followed.
    eventually(|| {
        let status = status(&endpoint);
        (site(&status, "tokyo")["phase"] == "live").then_some(()).ok_or(status)
    });
    server.signal("TERM");
    assert_eq!(server.end().code, Some(0));
}

#[test]
fn a_server_that_another_process_takes_the_name_of_goes_on_without_the_mesh() {
    let mesh = Mesh::of(&[]);
    let (router, metrics) = (format!("tcp/127.0.0.1:{}", free_port()), format!("127.0.0.1:{}", free_port()));
    let _root = mesh.start_linked("root", &format!("role = \"router\"\nlisten = \"{router}\""));
    let edge = format!("role = \"edge\"\nrouters = \"{router}\"");
    let text = format!("metrics = \"{metrics}\"\n{LOAD}[mesh]\nsite = \"paris\"\n[mesh.link]\n{edge}\n");
    let (mut server, endpoint) = serve(&mesh, "server", &text);
    line_with(&mut server, "site root joined");
    assert!(oncue_interop::http::get(&metrics, "/metrics").contains("\noncue_mesh_joined 1\n"));
    let _new = mesh.start_linked("paris", &edge);
    let line = line_with(&mut server, "left the mesh for good: ");
    assert!(line.contains("another process"), "{line}");
    assert_eq!(received(&mesh.subscriber(&endpoint, &["n/7"])), ["n/7", "7"]);
    let table = said(&["mesh", "status", &endpoint]);
    assert!(table.starts_with("paris is not in the mesh"), "{table}");
    assert!(oncue_interop::http::get(&metrics, "/metrics").contains("\noncue_mesh_joined 0\n"));
    server.signal("TERM");
    assert_eq!(server.end().code, Some(0));
}
