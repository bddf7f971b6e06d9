//! Every history, played to Oncue: all that it tells its user is true.

use std::time::Duration;

use oncue_interop::raw::Version;
use oncue_truth::driver::Launch;
use oncue_truth::histories::ALL;
use oncue_truth::stage::Stage;
use oncue_truth::verdict::Verdict;

/// A loaded machine needs long; nothing waits for that time if all is true.
const PATIENCE: Duration = Duration::from_secs(20);

fn all_is_true(version: Version) {
    let launch = Launch { command: vec![env!("CARGO_BIN_EXE_truth-oncue").to_owned()] };
    let stage = Stage { launch, patience: PATIENCE, version };
    for history in ALL {
        let found = history.play(&stage);
        assert_eq!(found.verdict, Verdict::True, "{}: {found:#?}", history.name);
    }
}

#[test]
fn what_is_told_is_true_when_subscriptions_are_messages() {
    all_is_true(Version::V3_0);
}

#[test]
fn what_is_told_is_true_when_subscriptions_are_commands() {
    all_is_true(Version::V3_1);
}

/// The verdict on a history whose user hears what `filter`, a command of the shell, lets through.
fn verdict_through(filter: &str, name: &str) -> Verdict {
    verdict_of(&format!("{} | {filter}", env!("CARGO_BIN_EXE_truth-oncue")), name)
}

/// The verdict on what a command of the shell tells.
fn verdict_of(command: &str, name: &str) -> Verdict {
    let launch = Launch { command: vec!["sh".to_owned(), "-c".to_owned(), command.to_owned()] };
    let stage = Stage { launch, patience: Duration::from_secs(2), version: Version::V3_0 };
    let history = ALL.iter().find(|history| history.name == name).expect("a history of this name");
    history.play(&stage).verdict
}

#[test]
fn a_missing_end_is_false_and_a_repeated_edge_is_seen() {
    assert_eq!(verdict_through("cat", "reset"), Verdict::True);
    assert_eq!(verdict_through("sed -u '/^- /d'", "reset"), Verdict::False);
    assert_eq!(verdict_through("sed -u '/^+ /p'", "reset"), Verdict::Edges);
    assert_eq!(verdict_through("sed -u 's/^ok [0-9]*$/ok 0/'", "past the mark"), Verdict::False);
}

#[test]
fn a_program_that_ends_is_told_from_one_that_lies() {
    assert_eq!(verdict_of("read about; echo ok; read new; exit 1", "reset"), Verdict::Ended);
}
