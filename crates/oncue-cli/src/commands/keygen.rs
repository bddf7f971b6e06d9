//! `oncue keygen`: a new pair of keys, as certificate files.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::{ArgMatches, Command, arg, value_parser};
use oncue::curve::{self, Certificate};

use crate::fail::Fail;
use crate::signals::Stop;
use crate::{args, stdio};

pub(crate) fn command() -> Command {
    Command::new("keygen")
        .about("Make a pair of keys for encrypted connections (CURVE)")
        .after_help(
            "Writes DIR/NAME.key with the public key, which others may see, and DIR/NAME.key_secret with both keys, which only its\n\
             owner can read. pyzmq and czmq read these files too. Prints the public key. Nothing is overwritten.\n\n\
             Example: a server that lets in one client\n  \
             oncue keygen --name server; oncue keygen --name ann --dir clients; mv clients/ann.key_secret .\n  \
             oncue pub tcp://127.0.0.1:8888 --curve-key server.key_secret --curve-clients clients\n  \
             oncue sub tcp://127.0.0.1:8888 --curve-key ann.key_secret --curve-server server.key",
        )
        .arg(arg!(--name <N> "The name of the files, and of the user to a server that finds NAME.key").default_value("oncue"))
        .arg(arg!(--dir <D> "Where to write them").default_value(".").value_parser(value_parser!(PathBuf)))
}

pub(crate) fn run(args: &ArgMatches, _stop: &Stop) -> Result<(), Fail> {
    let (name, directory): (String, PathBuf) = (args::given(args, "name"), args::given(args, "dir"));
    if name.is_empty() || name.contains(['/', '\0']) || name.starts_with('.') {
        return Err(Fail::Usage(format!("`{name}` cannot be the name of a file; choose letters and digits")));
    }
    fs::create_dir_all(&directory)
        .map_err(|error| Fail::Runtime(format!("{} cannot be made: {error}", directory.display())))?;
    let keys = curve::generate();
    let certificate = Certificate {
        public: *keys.public(),
        secret: Some(keys.secret().clone()),
        metadata: vec![("name".to_owned(), name.clone())],
    };
    let [public, secret] = ["key", "key_secret"].map(|ending| directory.join(format!("{name}.{ending}")));
    for path in [&public, &secret] {
        if path.exists() {
            return Err(exists(path));
        }
    }
    // The secret one first: a public key without it would be of no use.
    write(&secret, 0o600, &certificate.write("Made by oncue keygen", true))?;
    write(&public, 0o644, &certificate.write("Made by oncue keygen", false))?;
    stdio::line(format!("{}", keys.public()).into_bytes());
    Ok(())
}

fn exists(path: &Path) -> Fail {
    Fail::Usage(format!("{} exists; choose another --name, or remove it first", path.display()))
}

fn write(path: &Path, mode: u32, text: &str) -> Result<(), Fail> {
    let mut file = match OpenOptions::new().write(true).create_new(true).mode(mode).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => return Err(exists(path)),
        Err(error) => return Err(Fail::Runtime(format!("{} cannot be written: {error}", path.display()))),
    };
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(|error| Fail::Runtime(format!("{} cannot be written: {error}", path.display())))
}
