//! `oncue completions` and `oncue man`: what the definition of the command line says, for shells and for man.

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser, ValueHint};
use clap::{ArgMatches, Command, arg, value_parser};
use clap_complete::Shell;

use crate::fail::Fail;
use crate::signals::Stop;
use crate::{args, stdio};

pub(crate) fn completions() -> Command {
    let shells = PossibleValuesParser::new(["bash", "zsh", "fish"]);
    Command::new("completions")
        .about("Print what completes the words of this command in a shell")
        .after_help(
            "Examples: for each new shell of one user\n  \
             oncue completions bash >~/.local/share/bash-completion/completions/oncue\n  \
             oncue completions zsh >~/.zfunc/_oncue    # a directory of fpath\n  \
             oncue completions fish >~/.config/fish/completions/oncue.fish",
        )
        .arg(arg!(<SHELL> "The shell").id("shell").value_parser(
            shells.map(|name| name.parse::<Shell>().expect("the names are those of clap_complete")),
        ))
}

pub(crate) fn run_completions(mut cli: Command, args: &ArgMatches, stop: &Stop) -> Result<(), Fail> {
    let mut script = Vec::new();
    clap_complete::generate(args::given::<Shell>(args, "shell"), &mut cli, "oncue", &mut script);
    print(&script, stop);
    Ok(())
}

pub(crate) fn man() -> Command {
    Command::new("man")
        .about("Write the man pages of this command and its subcommands")
        .after_help(
            "Without DIR the page of the command itself is printed. With DIR oncue.1, oncue-sub.1 and so on are written there, \
             which is made if it is missing; files of these names are overwritten.\n\n\
             Examples: read a page; install all\n  \
             oncue man pages && man pages/oncue-sub.1\n  \
             oncue man ~/.local/share/man/man1",
        )
        .arg(
            arg!([DIR] "Where to write the pages")
                .id("dir")
                .value_parser(value_parser!(PathBuf))
                .value_hint(ValueHint::DirPath),
        )
}

pub(crate) fn run_man(cli: Command, args: &ArgMatches, stop: &Stop) -> Result<(), Fail> {
    // It has no page of its own.
    let cli = cli.disable_help_subcommand(true);
    let Some(directory) = args.get_one::<PathBuf>("dir") else {
        let mut page = Vec::new();
        clap_mangen::Man::new(cli).render(&mut page).expect("memory can be written");
        print(&page, stop);
        return Ok(());
    };
    std::fs::create_dir_all(directory)
        .and_then(|()| clap_mangen::generate_to(cli, directory))
        .map_err(|error| Fail::Runtime(format!("{}: {error}", directory.display())))
}

/// Prints text that ends in a line break.
fn print(text: &[u8], stop: &Stop) {
    stdio::print(text.trim_ascii_end().to_vec(), stop, None);
}
