//! `oncue keygen` and `passwd`, and the options and sections that use what they write: with programs, as a user types them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use oncue_interop::directory::Directory;
use oncue_interop::program::Program;
use oncue_interop::{until, within_a_minute};

fn oncue(args: &[&str]) -> Program {
    Program::start(Command::new(env!("CARGO_BIN_EXE_oncue")).args(args))
}

/// Runs to the end. Returns status, standard output and standard error.
fn run(args: &[&str], input: &str) -> (Option<i32>, String, String) {
    use std::io::Write;
    let mut child = Command::new(env!("CARGO_BIN_EXE_oncue"))
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn keygen(place: &Directory, name: &str) -> String {
    let directory = place.path("").to_string_lossy().into_owned();
    let (status, out, err) = run(&["keygen", "--name", name, "--dir", &directory], "");
    assert_eq!((status, &err[..]), (Some(0), ""));
    out.trim().to_owned()
}

fn at(place: &Directory, name: &str) -> String {
    place.path(name).to_string_lossy().into_owned()
}

/// The next line of standard error with this text.
fn said(program: &mut Program, text: &str) -> String {
    loop {
        let line = program.error_line();
        if line.contains(text) {
            return line;
        }
    }
}

/// The endpoint that a program says it is bound to.
fn bound(program: &mut Program) -> String {
    let line = said(program, "bound to ");
    line.split("bound to ").nth(1).expect("an endpoint").trim().to_owned()
}

/// A publisher of counters on a free port, with these options, and its endpoint.
fn counter(options: &[&str]) -> (Program, String) {
    let mut publisher =
        oncue(&[&["serve", "--bind", "tcp://127.0.0.1:0", "--every", "20ms"], options].concat());
    let endpoint = bound(&mut publisher);
    (publisher, endpoint)
}

#[test]
fn keys_are_written_once_and_the_secret_is_for_its_owner() {
    let place = Directory::new();
    let key = keygen(&place, "ann");
    assert_eq!(key.len(), 40);
    let mode = |name| fs::metadata(place.path(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("ann.key_secret"), mode("ann.key") & 0o700), (0o600, 0o600));
    let text = |name| fs::read_to_string(place.path(name)).unwrap();
    assert!(text("ann.key").contains(&key) && !text("ann.key").contains("secret-key"));
    assert!(text("ann.key_secret").contains("secret-key"));
    let before = text("ann.key_secret");
    let (status, _, err) = run(&["keygen", "--name", "ann", "--dir", &at(&place, "")], "");
    assert!(status == Some(2) && err.contains("exists; choose another name"), "{err}");
    assert_eq!(text("ann.key_secret"), before);
    let (status, _, err) = run(&["keygen", "--name", "a/b"], "");
    assert!(status == Some(2) && err.contains("cannot be the name of a file"), "{err}");
}

#[test]
fn a_known_subscriber_is_served_and_a_stranger_is_refused_and_both_are_told() {
    within_a_minute(|| {
        let (place, clients) = (Directory::new(), Directory::new());
        let server_key = keygen(&place, "server");
        keygen(&clients, "ann");
        keygen(&place, "eve");
        let (server, dir) = (at(&place, "server.key_secret"), at(&clients, ""));
        let (mut publisher, endpoint) = counter(&["--curve-key", &server, "--curve-clients", &dir]);
        let (ann, server_file) = (at(&clients, "ann.key_secret"), at(&place, "server.key"));
        for server in [&server_key, &server_file] {
            let end = oncue(&[
                "sub",
                &endpoint,
                "-t",
                "a",
                "-n",
                "2",
                "--curve-key",
                &ann,
                "--curve-server",
                server,
            ])
            .end();
            assert_eq!((end.code, end.output.len()), (Some(0), 2), "{:?}", end.errors);
        }
        let eve = at(&place, "eve.key_secret");
        let stranger: [&[&str]; 3] =
            [&["--curve-key", &eve, "--curve-server", &server_key], &["--curve-server", &server_key], &[]];
        let causes = ["it says \"400\" (access denied)", "it says \"400\" (access denied)", "it wants CURVE"];
        for (options, cause) in stranger.into_iter().zip(causes) {
            let args = [&["sub", &endpoint, "-t", "a", "--timeout", "1s"], options].concat();
            let end = oncue(&args).end();
            assert_eq!((end.code, end.output.len()), (Some(3), 0), "{:?}", end.errors);
            assert!(end.errors.join("\n").contains(cause), "{:?}", end.errors);
        }
        said(&mut publisher, "it was not let in");
        // A server closes the connection without a word.
        let other = keygen(&place, "other");
        let end = oncue(&["sub", &endpoint, "--timeout", "1s", "--curve-server", &other]).end();
        let refused = end.errors.iter().find(|line| line.contains("refused by")).expect("a refusal");
        assert!(refused.contains("perhaps this side has another server key than the peer's"), "{refused}");
        // A new certificate counts at once.
        fs::copy(place.path("eve.key"), clients.path("eve.key")).unwrap();
        said(&mut publisher, "now let in: eve");
        let end = oncue(&[
            "sub",
            &endpoint,
            "-t",
            "a",
            "-n",
            "1",
            "--curve-key",
            &eve,
            "--curve-server",
            &server_key,
        ])
        .end();
        assert_eq!(end.code, Some(0), "{:?}", end.errors);
    });
}

#[test]
fn options_that_do_not_fit_together_are_refused_with_the_remedy() {
    let place = Directory::new();
    let key = keygen(&place, "a");
    let (secret, public) = (at(&place, "a.key_secret"), at(&place, "a.key"));
    let endpoint = "tcp://127.0.0.1:1";
    // A key may begin with a dash.
    let dashed = format!("-{}", "0".repeat(39));
    let (status, _, err) = run(&["sub", endpoint, "--timeout", "1ms", "--curve-server", &dashed], "");
    assert_eq!(status, Some(3), "{err}");
    let cases: [(&[&str], &str); 7] = [
        (&["--curve-clients", "any"], "oncue keygen --name server"),
        (&["--curve-key", &secret], "as the client give --curve-server"),
        (&["--curve-key", &public, "--curve-server", &key], "has only the public key"),
        (&["--curve-key", "nowhere", "--curve-server", &key], "nowhere cannot be read"),
        (&["--curve-server", "nokey"], "is not a key of 40 characters, and there is no such file"),
        (&["--curve-key", &secret, "--curve-server", &key, "--curve-clients", "any"], "not both"),
        (&["--curve-server", &key, "--plain-login", "x"], "cannot be used with"),
    ];
    for (options, said) in cases {
        let (status, _, err) = run(&[&["pub", endpoint, "--connect"], options].concat(), "");
        assert!(status == Some(2) && err.contains(said), "{options:?}: {err}");
    }
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o644)).unwrap();
    let (_, _, err) =
        run(&["sub", endpoint, "--timeout", "1ms", "--curve-key", &secret, "--curve-server", &key], "");
    assert!(err.contains("other users can read") && err.contains("chmod 600"), "{err}");
}

#[test]
fn a_proxy_is_a_client_of_publishers_and_a_server_of_subscribers() {
    within_a_minute(|| {
        let place = Directory::new();
        let publishers_key = keygen(&place, "publisher");
        let proxys_key = keygen(&place, "proxy");
        let (publisher, proxy) = (at(&place, "publisher.key_secret"), at(&place, "proxy.key_secret"));
        let (_publisher, first) = counter(&["--curve-key", &publisher, "--curve-clients", "any"]);
        let mut proxy = oncue(&[
            "proxy",
            "--frontend-connect",
            &first,
            "--backend-bind",
            "tcp://127.0.0.1:0",
            "--curve-key",
            &proxy,
            "--curve-server",
            &publishers_key,
            "--curve-clients",
            "any",
        ]);
        let second = bound(&mut proxy);
        let end = oncue(&["sub", &second, "-t", "a", "-n", "2", "--curve-server", &proxys_key]).end();
        assert_eq!((end.code, end.output.len()), (Some(0), 2), "{:?}", end.errors);
    });
}

#[test]
fn a_removed_client_is_gone_from_the_capture_of_a_proxy_too() {
    within_a_minute(|| {
        let (place, clients) = (Directory::new(), Directory::new());
        let proxys_key = keygen(&place, "proxy");
        keygen(&place, "bob");
        fs::copy(place.path("bob.key"), clients.path("bob.key")).unwrap();
        let (_publisher, first) = counter(&[]);
        let (key, dir) = (at(&place, "proxy.key_secret"), at(&clients, ""));
        let mut proxy = oncue(&[
            "proxy",
            "--frontend-connect",
            &first,
            "--backend-bind",
            "tcp://127.0.0.1:0",
            "--capture-bind",
            "tcp://127.0.0.1:0",
            "--curve-key",
            &key,
            "--curve-clients",
            &dir,
        ]);
        let capture = bound(&mut proxy);
        let bob = at(&place, "bob.key_secret");
        let mut reader =
            oncue(&["sub", &capture, "-t", "", "--curve-key", &bob, "--curve-server", &proxys_key]);
        said(&mut reader, "connected to");
        fs::remove_file(clients.path("bob.key")).unwrap();
        said(&mut proxy, "no longer let in: bob");
        said(&mut reader, "access denied");
    });
}

#[test]
fn users_say_a_password_whose_hash_is_in_a_file() {
    within_a_minute(|| {
        let place = Directory::new();
        let (status, line, _) = run(&["passwd", "ann"], "secret\n");
        assert!(status == Some(0) && line.starts_with("ann:$argon2id$"), "{line}");
        fs::write(place.path("users"), line).unwrap();
        let write = |name, text| {
            fs::write(place.path(name), text).unwrap();
            fs::set_permissions(place.path(name), fs::Permissions::from_mode(0o600)).unwrap();
        };
        write("good", "ann:secret\n");
        write("bad", "ann:guess\n");
        let users = at(&place, "users");
        let (_publisher, endpoint) = counter(&["--plain-users", &users]);
        let end =
            oncue(&["sub", &endpoint, "-t", "a", "-n", "1", "--plain-login", &at(&place, "good")]).end();
        assert_eq!(end.code, Some(0), "{:?}", end.errors);
        let end =
            oncue(&["sub", &endpoint, "-t", "a", "--timeout", "3s", "--plain-login", &at(&place, "bad")])
                .end();
        assert!(end.code == Some(3) && end.errors.join("\n").contains("access denied"), "{:?}", end.errors);
        for (name, input, said) in
            [("a:b", "x", "cannot be a name"), ("ann", "", "no password on standard input")]
        {
            let (status, _, err) = run(&["passwd", name], input);
            assert!(status == Some(2) && err.contains(said), "{err}");
        }
    });
}

#[test]
fn a_config_names_keys_and_rules_name_users_and_a_withdrawn_permission_ends_within_a_second() {
    within_a_minute(|| {
        let place = Directory::new();
        fs::create_dir(place.path("keys")).unwrap();
        let server = keygen(&place, "server");
        keygen(&place, "ann");
        fs::copy(place.path("ann.key"), place.path("keys/ann.key")).unwrap();
        let config = |allowed: &str| {
            let text = format!(
                "bind = \"tcp://127.0.0.1:0\"\n[curve]\nsecret_key_file = \"server.key_secret\"\nclients = \"keys\"\n\
                 [[rule]]\nallow = \"{allowed}\"\nfrom = \"user:ann\"\n[[rule]]\ndeny = \"\"\nstatus = \"not yours\"\n\
                 [[route]]\ntopic = \"a/{{name}}\"\ncommand = [\"sh\", \"-c\", \"while echo x; do sleep 0.05; done\"]\nmode = \"stream\"\n"
            );
            fs::write(place.path("serve.toml"), text).unwrap();
        };
        config("a/");
        let file = at(&place, "serve.toml");
        let mut serve = oncue(&["serve", &file]);
        let endpoint = bound(&mut serve);
        let ann = at(&place, "ann.key_secret");
        let mut subscriber =
            oncue(&["sub", &endpoint, "-t", "a/1", "--curve-key", &ann, "--curve-server", &server]);
        subscriber.line();
        // The permission is withdrawn: the running program ends.
        config("b/");
        serve.signal("HUP");
        said(&mut serve, "config read again");
        let begun = std::time::Instant::now();
        serve.signal("USR1");
        until("nothing is produced any more", || {
            serve.signal("USR1");
            said(&mut serve, "produced now").contains(" 0 produced now")
        });
        assert!(begun.elapsed().as_secs_f64() < 1.5, "{:?}", begun.elapsed());
    });
}

#[test]
fn a_server_that_everybody_can_reach_says_so_once() {
    within_a_minute(|| {
        let place = Directory::new();
        keygen(&place, "server");
        let warnings = |bind: &str, more: &str| {
            let text = format!(
                "bind = \"{bind}\"\n{more}\n[[route]]\ntopic = \"a\"\ncommand = [\"echo\", \"x\"]\nevery = \"1s\"\n"
            );
            fs::write(place.path("c.toml"), text).unwrap();
            let mut serve = oncue(&["serve", &at(&place, "c.toml")]);
            bound(&mut serve);
            serve.signal("TERM");
            serve.end().errors.join("\n").matches("may subscribe to everything").count()
        };
        assert_eq!(warnings("tcp://*:0", ""), 1);
        assert_eq!(warnings("tcp://127.0.0.1:0", ""), 0);
        assert_eq!(warnings("tcp://*:0", "[[rule]]\ndeny = \"b\""), 0);
        assert_eq!(
            warnings("tcp://*:0", "[curve]\nsecret_key_file = \"server.key_secret\"\nclients = \"any\""),
            0
        );
    });
}
