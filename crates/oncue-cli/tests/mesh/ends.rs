//! How nodes end, what they say, and what they refuse.

use std::process::Output;

use oncue_interop::program::Program;
use oncue_interop::{http, until};

use super::{Mesh, Told, line_with, oncue, said};

#[test]
fn a_node_that_ends_leaves_at_once_and_sums_up() {
    let mesh = Mesh::of(&["paris", "tokyo"]);
    let mut nodes = mesh.start_all();
    let tokyo = nodes.pop().expect("tokyo");
    line_with(&mut nodes[0].program, "site tokyo joined (epoch ");
    line_with(&mut nodes[0].program, "site tokyo wants 0 prefixes");
    tokyo.program.signal("TERM");
    let end = tokyo.program.end();
    assert_eq!((end.code, end.output), (Some(0), Vec::<String>::new()));
    let last = end.errors.last().expect("a summary");
    assert!(
        last.contains("1 site known; sent 0 messages (0 bytes), received 0 messages (0 bytes)"),
        "{last}"
    );
    line_with(&mut nodes[0].program, "site tokyo left");
}

#[test]
fn the_older_of_two_processes_with_one_name_ends() {
    let mesh = Mesh::of(&[]);
    let router = format!("tcp/127.0.0.1:{}", super::free_port());
    let _root = mesh.start_linked("root", &format!("role = \"router\"\nlisten = \"{router}\""));
    let edge = format!("role = \"edge\"\nrouters = \"{router}\"");
    let old = mesh.start_linked("tokyo", &edge);
    old.knows(1);
    let new = mesh.start_linked("tokyo", &edge);
    let end = old.program.end();
    let why = |line: &String| line.contains("tokyo") && line.contains("another process");
    assert!(end.code == Some(1) && end.errors.iter().any(why), "{end:?}");
    new.knows(1);
}

#[test]
fn an_older_process_that_cannot_see_the_newer_one_is_told_by_another_site() {
    let mesh = Mesh::of(&["lima", "paris"]);
    let nodes = mesh.start_all();
    let [old, paris] = <[_; 2]>::try_from(nodes).unwrap_or_else(|_| panic!("two"));
    let publisher = mesh.publisher(&paris);
    let mut told = Told::of(&publisher);
    let _of_old = mesh.subscriber(&old.subscribers, &["old"]);
    told.becomes(&["old"], "there is one process");
    // It listens elsewhere, as on another machine, and dials paris as the other one does.
    let new = mesh.start_with("lima", "", &format!("listen = \"tcp/127.0.0.1:{}\"\n", super::free_port()));
    let _of_new = mesh.subscriber(&new.subscribers, &["new"]);
    told.becomes(&["new"], "the newer one counts");
    let end = old.program.end();
    assert!(end.code == Some(1), "{end:?}");
    drop(new);
}

#[test]
fn the_status_is_a_table_and_the_metrics_name_the_other_site() {
    let mesh = Mesh::of(&["paris", "tokyo"]);
    let at = format!("127.0.0.1:{}", super::free_port());
    let paris = mesh.start_with("paris", &format!("metrics = \"{at}\""), "");
    let tokyo = mesh.start("tokyo");
    paris.knows(1);
    until("the link is counted", || paris.status()["links"] == 1);
    let table = said(&["mesh", "status", &paris.subscribers]);
    let lines: Vec<_> = table.lines().collect();
    assert!(lines[0].starts_with("paris in the mesh oncue: peer, 1 link, wants 0 prefixes"), "{table}");
    assert!(lines[1].starts_with("SITE ") && lines[2].starts_with("tokyo  live "), "{table}");
    assert!(http::get(&at, "/readyz").contains("200"), "it is ready");
    assert!(http::get(&at, "/healthz").contains("alive"));
    let up = |expected: u8| {
        let metrics = http::get(&at, "/metrics");
        metrics.contains(&format!("oncue_mesh_site_up{{site=\"tokyo\"}} {expected}\n"))
    };
    until("tokyo is up", || up(1));
    let metrics = http::get(&at, "/metrics");
    assert!(metrics.contains("oncue_build_info") && metrics.contains("\noncue_peers "), "{metrics}");
    drop(tokyo);
    until("tokyo is down", || up(0));
}

#[test]
fn a_log_in_json_names_the_site() {
    let mesh = Mesh::of(&["paris", "tokyo"]);
    let mut paris = mesh.start_with("paris", "log = { format = \"json\" }", "");
    let _tokyo = mesh.start("tokyo");
    let line = line_with(&mut paris.program, "site_joined");
    let json: serde_json::Value = serde_json::from_str(&line).expect("JSON");
    assert_eq!(
        (&json["event"], &json["site"], &json["level"]),
        (&"site_joined".into(), &"tokyo".into(), &"info".into())
    );
}

#[test]
fn wrong_configs_are_refused_with_place_and_remedy() {
    let mesh = Mesh::of(&["paris", "tokyo"]);
    let check = |text: &str| {
        let path = mesh.directory.write("wrong.toml", text);
        let Output { status, stdout, stderr } =
            oncue(&["mesh", path.to_str().expect("text"), "--check"]).output().expect("it runs");
        (status.code(), String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned())
    };
    let right = format!("site = 'paris'\nsubscribers = 'tcp://127.0.0.1:0'\n{}", mesh.link("link"));
    let (code, text) = check(&right);
    assert!(code == Some(0) && text.contains("wrong.toml: ok, site paris"), "{text}");
    for (from, to, why) in [
        (
            "site = 'paris'",
            "site = 'lima'",
            "wrong.toml:5:9: `sites` of `link` of the config: this site, `lima`",
        ),
        ("'paris'", "'pa ris'", "wrong.toml:1:8: `site` of the config"),
        ("subscribers", "subscriber", "did you mean `subscribers`?"),
        ("\"2s\"", "\"150ms\"", "less than two heartbeats"),
        ("\"2s\"", "\"2h\"", "timeout"),
    ] {
        let (code, text) = check(&right.replace(from, to));
        assert!(code == Some(2) && text.contains(why), "{text}");
    }
    let (code, text) = check(
        &format!("{right}authority = 'no.pem'\ncertificate = 'no.pem'\nkey = 'no.key'\n")
            .replace("tcp/", "tls/"),
    );
    assert!(code == Some(2) && text.contains("wrong.toml:8:13: `authority`: cannot read"), "{text}");
    let end = oncue(&["mesh"]).output().expect("it runs");
    assert_eq!(end.status.code(), Some(2));
    let end = oncue(&["mesh", "no-such.toml"]).output().expect("it runs");
    assert!(
        end.status.code() == Some(2)
            && String::from_utf8_lossy(&end.stderr).contains("no-such.toml cannot be read")
    );
}

#[test]
fn a_hangup_reads_the_config_again_and_ends_no_node() {
    let mesh = Mesh::of(&["paris", "tokyo"]);
    let mut nodes = mesh.start_all();
    let [paris, tokyo] = &mut nodes[..] else { unreachable!() };
    let publisher = mesh.publisher(paris);
    let subscriber = mesh.subscriber(&tokyo.subscribers, &["x"]);
    let mut told = super::Told::of(&publisher);
    told.becomes(&["x"], "tokyo wants it");
    let text = |keys: &str, tables: &str| {
        format!(
            "site = \"paris\"\npublishers_bind = \"tcp://127.0.0.1:0\"\nsubscribers = \"tcp://127.0.0.1:0\"\n{keys}\n{}{tables}",
            mesh.link("link")
        )
    };
    let write = |text: String| drop(mesh.directory.write("paris.toml", text.as_str()));
    paris.program.signal("HUP");
    line_with(&mut paris.program, "config read again: the mesh stays as it was");
    write(text("keep_list = true", ""));
    paris.program.signal("HUP");
    line_with(&mut paris.program, "paris.toml:4:1: unknown key `keep_list`");
    line_with(&mut paris.program, "the one before stays in force");
    // What may pass changes, and what counts at the start is named, each time until it is taken back.
    write(text("metrics = \"127.0.0.1:0\"", "[export]\nallow = \"y\"\n"));
    for how in ["left the mesh, and joins it again", "the mesh stays as it was"] {
        paris.program.signal("HUP");
        line_with(&mut paris.program, how);
        let line = line_with(&mut paris.program, "takes effect when oncue is started again");
        assert!(line.contains("`metrics` changed") && !line.contains("`subscribers`"), "{line}");
    }
    told.becomes(&[], "x may not pass any more");
    paris.knows(1);
    let other = mesh.subscriber(&tokyo.subscribers, &["y"]);
    told.becomes(&["y"], "y may pass");
    publisher.send(("y", "1")).expect("it is sent");
    assert_eq!(super::received(&other), ["y", "1"]);
    paris.program.signal("USR1");
    line_with(&mut paris.program, "1 site known");
    drop(subscriber);
    let paris = nodes.swap_remove(0);
    paris.program.signal("TERM");
    assert_eq!(paris.program.end().code, Some(0));
}

#[test]
fn a_status_is_printed_again_and_again() {
    let mesh = Mesh::of(&["paris", "tokyo"]);
    let paris = mesh.start("paris");
    let mut watch = Program::start(&mut oncue(&["mesh", "status", &paris.subscribers, "--watch"]));
    assert!(watch.line().starts_with("paris in the mesh oncue: peer, 0 links"));
    let tokyo = mesh.start("tokyo");
    while !watch.line().starts_with("tokyo  live ") {}
    drop(tokyo);
    while !watch.line().starts_with("tokyo  gone ") {}
    watch.signal("TERM");
    let mut lines = Program::start(&mut oncue(&["mesh", "status", &paris.subscribers, "--watch", "--json"]));
    for _ in 0..2 {
        let json: serde_json::Value = serde_json::from_str(&lines.line()).expect("JSON");
        assert_eq!(json["site"], "paris");
    }
}

#[test]
fn a_server_without_a_mesh_is_told_apart() {
    let mesh = Mesh::of(&[]);
    let path = mesh
        .directory
        .write("plain.toml", "bind = 'tcp://127.0.0.1:0'\n[[route]]\ntopic = 'a'\nfile = 'a'\n");
    let mut server =
        oncue_interop::program::Program::start(&mut oncue(&["serve", path.to_str().expect("text")]));
    let endpoint = server.endpoint();
    let end = oncue(&["mesh", "status", &endpoint]).output().expect("it runs");
    let why = String::from_utf8_lossy(&end.stderr).into_owned();
    assert!(end.status.code() == Some(1) && why.contains("it is not a site of a mesh"), "{why}");
}
