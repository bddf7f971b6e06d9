//! `http`, `metrics` and `ws` endpoints of a config: what HTTP gets.

use std::collections::BTreeSet;
use std::process::Command;

use oncue_interop::http::{self, get};
use oncue_interop::leftovers::{Holdings, check};
use oncue_interop::{until, within_a_minute};

use super::{Directory, Server};

const ROUTE: &str = "[[route]]\ntopic = \"n/{n:int}\"\ncommand = [\"echo\", \"{n}\"]\nevery = \"50ms\"\ncatalogue = [\"n/1\"]\n";

/// HOST:PORT of a URL in the next line of standard error with this text.
fn place_of(server: &mut Server, text: &str) -> String {
    http::place(&server.error_with(text)).to_owned()
}

fn serve(place: &Directory, keys: &str) -> Server {
    let config = place.write("oncue.toml", &format!("bind = \"tcp://127.0.0.1:0\"\n{keys}{ROUTE}"));
    let program = place.oncue(&["serve", config.to_str().expect("a path")]);
    Server { program, endpoint: String::new() }
}

#[test]
fn metrics_are_scraped_and_the_server_is_alive_and_ready() {
    within_a_minute(|| {
        let place = Directory::new();
        let mut server = serve(&place, "metrics = \"127.0.0.1:0\"\n");
        let at = place_of(&mut server, "metrics at ");
        server.endpoint = server.error_with("bound to ").split("bound to ").nth(1).unwrap().trim().to_owned();
        until("it is ready", || get(&at, "/readyz").ends_with("\r\n\r\nready\n"));
        assert!(get(&at, "/healthz").ends_with("\r\n\r\nalive\n"));
        server.subscriber(&["n/7"]).next();
        let value = |line: &str| {
            let metrics = get(&at, "/metrics");
            let line = metrics.lines().find_map(|found| found.strip_prefix(line)).expect("a sample");
            line.trim().parse::<f64>().expect("a number")
        };
        // A value is counted after it was sent.
        until("the value is counted", || value("oncue_values_total{route=\"n/{n:int}\"}") >= 1.0);
        until("its time is", || value("oncue_first_value_seconds_count{route=\"n/{n:int}\"}") >= 1.0);
        let metrics = get(&at, "/metrics");
        assert!(metrics.contains("Content-Type: text/plain; version=0.0.4"), "{metrics}");
        assert!(
            !metrics.contains("oncue/") && !metrics.contains("n/7"),
            "no topics, and none of its own routes"
        );
        assert!(get(&at, "/sub/n/1").contains("404 Not Found"), "there are metrics only");
        place.write("oncue.toml", "not TOML");
        server.program.signal("HUP");
        server.error_with("stays in force");
        assert!(get(&at, "/metrics").contains("oncue_config_in_force 0\n"));
    });
}

#[test]
fn the_page_is_one_file_and_topics_are_beside_it() {
    within_a_minute(|| {
        let place = Directory::new();
        let mut server = serve(&place, "http = \"127.0.0.1:0\"\n");
        let at = place_of(&mut server, "page at ");
        server.error_with("bound to ");
        let page = get(&at, "/");
        assert!(
            page.starts_with("HTTP/1.1 200 OK\r\nContent-Type: text/html")
                && page.contains("<title>Oncue</title>")
        );
        assert!(page.contains("Content-Security-Policy: default-src 'none'"), "{page}");
        assert!(get(&at, "/last/n/3").ends_with("\r\n\r\n3"));
        let routes = get(&at, "/routes");
        assert!(
            routes.contains("application/json") && routes.contains("\"pattern\":\"n/{n:int}\""),
            "{routes}"
        );
        assert!(get(&at, "/favicon.ico").contains("404 Not Found"));
    });
}

#[test]
fn a_page_for_others_than_this_machine_needs_a_token() {
    within_a_minute(|| {
        let place = Directory::new();
        let check = |keys: &str| {
            let config = place.write("c.toml", &format!("bind = \"tcp://127.0.0.1:0\"\n{keys}{ROUTE}"));
            let words = ["serve", config.to_str().expect("a path"), "--check"];
            let output = Command::new(env!("CARGO_BIN_EXE_oncue")).args(words).output().expect("it runs");
            (output.status.code(), String::from_utf8(output.stderr).expect("text"))
        };
        for (keys, why) in [
            ("http = \"0.0.0.0:9180\"\n", "2:8: "),
            ("http = \"0.0.0.0:9180\"\n", "add http_token"),
            ("http = \"nowhere\"\n", "write HOST:PORT"),
            ("metrics = \"127.0.0.1:99999\"\n", "99999"),
            ("http = \"127.0.0.1:1\"\nhttp_token = \"a b\"\n", "letters"),
            ("http = \"127.0.0.1:1\"\norigins = \"example.org\"\n", "https://example.org"),
        ] {
            let (status, said) = check(keys);
            assert!(status == Some(2) && said.contains(why), "{keys}{said}");
        }
        assert_eq!(check("http = \"0.0.0.0:9180\"\nhttp_token = \"abc\"\n").0, Some(0));
        let mut server = serve(&place, "http = \"*:0\"\nhttp_token = \"s3cret\"\n");
        let line = server.error_with("page at ");
        assert!(!line.contains("s3cret"), "{line}");
        let port = line.trim().trim_end_matches('/').rsplit(':').next().expect("a port").to_owned();
        let at = format!("127.0.0.1:{port}");
        assert!(get(&at, "/").contains("401 Unauthorized") && get(&at, "/?token=s3cret").contains("200 OK"));
        assert!(get(&at, "/last/n/3").contains("401 Unauthorized"));
    });
}

#[cfg(feature = "wss")]
#[test]
fn a_certificate_makes_endpoints_and_the_page_safe_from_those_on_the_way() {
    within_a_minute(|| {
        let place = Directory::new();
        let files = concat!(env!("CARGO_MANIFEST_DIR"), "/../oncue/tests/web/certificates");
        let keys = format!(
            "tls_certificate = \"{files}/certificate.pem\"\ntls_key = \"{files}/key.pem\"\nhttp = \"127.0.0.1:0\"\n"
        );
        let text = format!("bind = \"wss://127.0.0.1:0/live\"\n{keys}{ROUTE}");
        let config = place.write("oncue.toml", &text);
        let program = place.oncue(&["serve", config.to_str().expect("a path")]);
        let mut server = Server { program, endpoint: String::new() };
        assert!(server.error_with("page at ").contains("https://127.0.0.1:"));
        let endpoint = server.error_with("bound to ").split("bound to ").nth(1).unwrap().trim().to_owned();
        let sub = |roots: &str| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_oncue"));
            command.args(["sub", &endpoint, "--topic", "n/4", "--count", "1", "--timeout", "3s"]);
            let output = command.env("SSL_CERT_FILE", format!("{files}/{roots}")).output().expect("it runs");
            (output.status.code(), output.stdout, String::from_utf8(output.stderr).expect("text"))
        };
        let (status, out, err) = sub("authority.pem");
        assert_eq!((status, &out[..]), (Some(0), &b"n/4\t4\n"[..]), "{err}");
        let (status, _, err) = sub("key.pem");
        assert!(status == Some(3) && err.contains("certificate"), "{err}");
        let half =
            place.write("half.toml", &format!("bind = \"tcp://127.0.0.1:0\"\ntls_key = \"k\"\n{ROUTE}"));
        let words = ["serve", half.to_str().expect("a path"), "--check"];
        let output = Command::new(env!("CARGO_BIN_EXE_oncue")).args(words).output().expect("it runs");
        assert!(String::from_utf8_lossy(&output.stderr).contains("write both"));
    });
}

#[test]
fn those_that_look_at_a_server_leave_nothing_behind() {
    within_a_minute(|| {
        let place = Directory::new();
        let mut server = serve(&place, "metrics = \"127.0.0.1:0\"\n");
        let at = place_of(&mut server, "metrics at ");
        server.endpoint = server.error_with("bound to ").split("bound to ").nth(1).unwrap().trim().to_owned();
        let round = || {
            let viewer = server.subscriber(&["$oncue/"]);
            // Of events there may be none.
            let mut said = BTreeSet::new();
            while said.len() < 4 {
                said.insert(viewer.next().0);
            }
            drop(viewer);
            for target in ["/metrics", "/healthz", "/readyz", "/none"] {
                get(&at, target);
            }
            until("nobody looks", || get(&at, "/metrics").contains("\noncue_peers 0\n"));
        };
        let look = || Holdings::of(server.program.id());
        check("serve: a viewer, and scrapes", 30, 4 << 20, look, round).unwrap();
    });
}
