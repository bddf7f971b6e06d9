//! `oncue passwd`: a line for a file of users, with the hash of a password.

use std::io::{Read, stdin};

use clap::{ArgMatches, Command, arg};
use oncue::authenticators::hash_password;

use crate::fail::Fail;
use crate::signals::Stop;
use crate::{args, stdio};

/// PLAIN carries no longer password.
const PASSWORD_BYTES_MAX: u64 = 255;

pub(crate) fn command() -> Command {
    Command::new("passwd")
        .about("Hash a password for a file of users (PLAIN)")
        .after_help(
            "Reads the password from standard input, without the end of its line, and prints NAME:HASH: a line for the file of \
             --plain-users, or of `users` in the section [plain] of a config. The hash is Argon2id with a random salt.\n\n\
             PLAIN encrypts nothing: everybody on the way can read the password. See oncue keygen.\n\n\
             Example:\n  oncue passwd ann <password.txt >>users",
        )
        .arg(arg!(<NAME> "The user's name").id("name"))
}

pub(crate) fn run(args: &ArgMatches, _stop: &Stop) -> Result<(), Fail> {
    let name: String = args::given(args, "name");
    if name.is_empty() || name.contains([':', '\n', '\r']) || name.starts_with('#') || name.trim() != name {
        return Err(Fail::Usage(format!(
            "`{name}` cannot be a name: no colon, no `#` at the start, no space around it"
        )));
    }
    let mut password = Vec::new();
    stdin()
        .take(PASSWORD_BYTES_MAX + 3)
        .read_to_end(&mut password)
        .map_err(|error| Fail::Runtime(format!("standard input cannot be read: {error}")))?;
    while password.last().is_some_and(|byte| b"\r\n".contains(byte)) {
        password.pop();
    }
    if password.is_empty() {
        return Err(Fail::Usage("there is no password on standard input".to_owned()));
    }
    stdio::line(format!("{name}:{}", hash_password(&password)?).into_bytes());
    Ok(())
}
