//! What the drivers of tokio's implementations share: orders from standard input, answers and events on standard output.
//! lab/truth/src/driver.rs describes the lines.

use std::io::{BufRead, Write};

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// An error of either implementation, as text.
pub type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// The lines of standard input, read by a thread of their own.
pub fn orders() -> UnboundedReceiver<String> {
    let (sender, receiver) = unbounded_channel();
    std::thread::spawn(move || {
        let lines = std::io::stdin().lock().lines();
        let _ = lines.map_while(Result::ok).try_for_each(|line| sender.send(line));
    });
    receiver
}

/// Prints one line at once.
pub fn say(line: &str) {
    let mut output = std::io::stdout().lock();
    // The other side may have gone: then the end of standard input ends this program.
    let _ = writeln!(output, "{line}").and_then(|()| output.flush());
}

/// Answers an order.
pub fn answer(outcome: Outcome<String>) {
    match outcome {
        Ok(text) => say(format!("ok {text}").trim_end()),
        Err(error) => say(&format!("no {error}").replace('\n', " ")),
    }
}

/// Prints what an XPUB's user receives: a message of one frame that begins with 1 or 0 is a subscription or its end.
pub fn event(frames: &[Vec<u8>]) {
    match frames {
        [one] if one.first() == Some(&1) => say(&format!("+ {}", hex(&one[1..]))),
        [one] if one.first() == Some(&0) => say(&format!("- {}", hex(&one[1..]))),
        _ => {
            let words: Vec<String> = frames.iter().map(|frame| hex(frame)).collect();
            say(&format!("message {}", words.join(" ")));
        }
    }
}

/// Bytes as hexadecimal digits; an empty slice as `-`.
pub fn hex(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "-".to_owned();
    }
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The same, read.
pub fn unhex(text: &str) -> Outcome<Vec<u8>> {
    if text == "-" {
        return Ok(Vec::new());
    }
    let pairs = (0..text.len() / 2).map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16));
    Ok(pairs.collect::<Result<_, _>>()?)
}

/// A word of an order as a number.
pub fn number(word: Option<&&str>) -> Outcome<usize> {
    Ok(word.ok_or("a number is missing")?.parse()?)
}

/// One of the topics of `subscribe_many`.
pub fn topic(number: usize) -> String {
    format!("t/{number:06}")
}

/// The exact version of a dependency, from this package's lock file.
pub fn version_of(package: &str) -> &'static str {
    let lock = include_str!("../Cargo.lock");
    let start = lock.split(&format!("name = \"{package}\"\nversion = \"")).nth(1);
    start.and_then(|rest| rest.split('"').next()).unwrap_or("of an unknown version")
}
