//! The command as it is shipped: a static program in an empty root, as packaging/Dockerfile makes an image of it, and the
//! Debian package. `cargo xtask ship` provides both; what it could not make is an empty path, and its test says so.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use oncue::{Engine, Options, Sub};
use oncue_interop::PATIENCE;
use oncue_interop::directory::Directory;
use oncue_interop::program::Program;

const CONFIG: &str =
    "bind = \"tcp://127.0.0.1:0\"\n[[route]]\ntopic = \"file\"\nfile = \"value\"\nmode = \"content\"\n";

/// What `cargo xtask ship` has made; None, with a word, if it could not.
fn made(variable: &str) -> Option<PathBuf> {
    let path = std::env::var_os(variable).unwrap_or_else(|| panic!("no {variable}: run `cargo xtask ship`"));
    if path.is_empty() {
        eprintln!("{variable} is empty: NOT tested");
        return None;
    }
    Some(path.into())
}

fn repository() -> PathBuf {
    std::env::var_os("ONCUE_ROOT").expect("the repository").into()
}

/// The last image of a Dockerfile, instruction by instruction: its name and the rest.
fn image(dockerfile: &str) -> Vec<(String, String)> {
    let text = dockerfile.replace("\\\n", " ");
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let all = lines.map(|line| {
        let (name, rest) = line.split_once(' ').expect("an instruction and its arguments");
        (name.to_owned(), rest.trim().to_owned())
    });
    let all: Vec<_> = all.collect();
    let begin = all.iter().rposition(|(name, _)| name == "FROM").expect("an image");
    all[begin..].to_vec()
}

/// The words of an instruction in its JSON form.
fn words(list: &str) -> Vec<String> {
    serde_json::from_str(list).unwrap_or_else(|why| panic!("{why}: {list}"))
}

/// A value that comes from a server whose line tells where it is bound.
fn served(program: &mut Program, topic: &str) -> String {
    let endpoint = program.endpoint();
    let socket = Sub::new(&Engine::start().expect("an engine"), Options::new()).expect("a subscriber");
    socket.subscribe(topic).expect("a subscription");
    socket.connect(&endpoint).expect("an endpoint");
    let message = socket.recv().wait_timeout(PATIENCE).expect("a message in time").expect("a message");
    String::from_utf8_lossy(message.frame(1).expect("two frames")).into_owned()
}

#[test]
fn the_image_of_the_dockerfile_is_enough_for_a_server() {
    let Some(built) = made("ONCUE_STATIC") else { return };
    let dockerfile = fs::read_to_string(repository().join("packaging/Dockerfile")).expect("the Dockerfile");
    let image = image(&dockerfile);
    assert_eq!(image[0], ("FROM".to_owned(), "scratch".to_owned()));
    let of = |wanted: &str| {
        image.iter().filter(|(name, _)| name == wanted).map(|(_, rest)| rest.as_str()).collect::<Vec<_>>()
    };
    // What is copied from the stage that builds is the program; nothing else is.
    let copied = of("COPY");
    let [from, source, place] = copied[0].split(' ').collect::<Vec<_>>()[..] else { panic!("{copied:?}") };
    assert_eq!((copied.len(), from), (1, "--from=build"));
    assert!(dockerfile.contains(&format!("release/oncue\" {source}")), "{source} is not what was built");
    let known = ["FROM", "COPY", "USER", "EXPOSE", "STOPSIGNAL", "ENTRYPOINT", "CMD"];
    assert!(image.iter().all(|(name, _)| known.contains(&name.as_str())), "{image:?}");
    let root = Directory::new();
    let place = root.path(place.trim_start_matches('/'));
    fs::create_dir_all(place.parent().expect("a directory")).expect("a directory");
    fs::copy(&built, &place).expect("the program");
    // A container has both.
    fs::create_dir(root.path("proc")).expect("a directory");
    root.write("dev/null", "");
    let (entry, arguments) = (words(of("ENTRYPOINT")[0]), words(of("CMD")[0]));
    let config = Path::new(arguments.last().expect("a config"));
    let directory = config.parent().expect("a directory").strip_prefix("/").expect("a path").to_owned();
    root.write(config.strip_prefix("/").expect("a path"), CONFIG);
    root.write(directory.join("value"), "from an empty root\n");
    let enter =
        "cd \"$0\" && mount --bind /dev/null dev/null && mount -t proc proc proc && exec chroot . \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["--map-root-user", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", enter]);
    command.arg(root.path("")).args(&entry).args(&arguments).env_clear();
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    let mut program = Program::start(&mut command);
    assert_eq!(served(&mut program, "file"), "from an empty root");
    assert_eq!(program.line(), "+ file");
}

#[test]
fn the_debian_package_has_a_command_that_serves_and_units_that_start_it() {
    let Some(package) = made("ONCUE_DEB") else { return };
    let run = |command: &mut Command| {
        let output = command.output().unwrap_or_else(|why| panic!("{command:?}: {why}"));
        assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let control = run(Command::new("dpkg-deb").arg("--field").arg(&package));
    let field = |name: &str| {
        let line = control.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        line.unwrap_or_default().to_owned()
    };
    assert_eq!((field("Package"), field("Depends")), ("oncue".to_owned(), String::new()), "{control}");
    let unpacked = Directory::new();
    run(Command::new("dpkg-deb").arg("--extract").arg(&package).arg(unpacked.path("")));
    let command = unpacked.path("usr/bin/oncue");
    assert_eq!(command.metadata().expect("the command").permissions().mode() & 0o777, 0o755);
    let version = run(Command::new(&command).arg("--version"));
    assert!(field("Version").starts_with(version.trim().trim_start_matches("oncue ")), "{version} {control}");
    // The units start what is in the package.
    let units = ["usr/lib/systemd/system", "lib/systemd/system"].map(|path| unpacked.path(path));
    let units = units.iter().find(|path| path.is_dir()).expect("the directory of the units");
    let unit = fs::read_to_string(units.join("oncue.service")).expect("the unit");
    let start = unit.lines().find_map(|line| line.strip_prefix("ExecStart=/")).expect("a command");
    assert!(unpacked.path(start.split(' ').next().expect("a program")).is_file(), "{start}");
    assert!(units.join("oncue.socket").is_file());
    for file in ["doc/oncue/SERVE.md", "oncue/grafana-oncue.json", "oncue/alerts-oncue.yml"] {
        assert!(unpacked.path("usr/share").join(file).is_file(), "{file}");
    }
    let example = unpacked.path("usr/share/doc/oncue/examples/host.toml");
    run(Command::new(&command).arg("serve").arg(&example).arg("--check"));
    let config = unpacked.write("etc/oncue/oncue.toml", CONFIG);
    unpacked.write("etc/oncue/value", "from a package\n");
    let mut program = Program::start(Command::new(&command).arg("serve").arg(config));
    assert_eq!(served(&mut program, "file"), "from a package");
    program.signal("TERM");
    assert_eq!(program.end().code, Some(0));
}
