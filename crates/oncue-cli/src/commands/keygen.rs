//! `oncue keygen`: a new pair of keys, as certificate files.

use std::fs;
use std::path::PathBuf;

use clap::{ArgMatches, Command, arg, value_parser};
use oncue::curve::{self, Certificate};

use crate::fail::Fail;
use crate::signals::Stop;
use crate::{args, stdio};

pub(crate) fn command() -> Command {
    Command::new("keygen")
        .about("Make a pair of keys for encrypted connections (CURVE)")
        .after_help(
            "Writes DIR/NAME.key with the public key, which others may see, and DIR/NAME.key_secret with both keys, which only its \
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
    fs::create_dir_all(&directory)
        .map_err(|error| Fail::Runtime(format!("{} cannot be made: {error}", directory.display())))?;
    let keys = curve::generate();
    let certificate = Certificate {
        public: *keys.public(),
        secret: Some(keys.secret().clone()),
        metadata: vec![("name".to_owned(), name.clone())],
    };
    curve::save(&certificate, &directory, &name, "Made by oncue keygen")?;
    stdio::line(format!("{}", keys.public()).into_bytes());
    Ok(())
}
