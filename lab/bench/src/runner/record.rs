//! The saved results of a run: every row as a line of JSON, with the machine and the versions it was measured on. Nothing here
//! interprets a figure.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Serialize;

use super::Row;
use super::run::Figures;
use crate::Outcome;

/// The machine and the versions of a run: the first line of its file.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    pub date: String,
    /// The commit, with a `+` if the files differ from it.
    pub commit: String,
    pub processor: String,
    pub processors: usize,
    pub memory_gib: f64,
    pub kernel: String,
    pub compiler: String,
    pub versions: BTreeMap<String, String>,
    pub repetitions: usize,
    pub seconds: f64,
}

/// One run of one case by one implementation.
#[derive(Clone, Debug, Serialize)]
pub struct Record {
    workload: &'static str,
    case: String,
    implementation: &'static str,
    io_threads: usize,
    repetition: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    failed: Option<String>,
    #[serde(flatten)]
    figures: Figures,
}

impl Record {
    /// The latest result of `row`.
    pub fn of(row: &Row, repetition: usize) -> Record {
        let figures = if row.failed.is_none() { row.runs.last().cloned() } else { None };
        Record {
            workload: row.case.workload,
            case: row.case.name.clone(),
            implementation: row.player.name,
            io_threads: row.player.threads,
            repetition,
            failed: row.failed.clone(),
            figures: figures.unwrap_or_default(),
        }
    }
}

impl Machine {
    /// Describes this machine.
    pub fn look(repetitions: usize, seconds: f64) -> Machine {
        let first = |path: &str, key: &str| {
            let text = std::fs::read_to_string(path).unwrap_or_default();
            let line = text.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default();
            line.trim_matches([' ', '\t', ':']).to_owned()
        };
        let kib: f64 = first("/proc/meminfo", "MemTotal:").trim_end_matches(" kB").parse().unwrap_or(0.0);
        let changed = if said("git", &["status", "--porcelain"]).is_empty() { "" } else { "+" };
        Machine {
            date: said("date", &["-u", "+%Y-%m-%d %H:%M"]),
            commit: said("git", &["rev-parse", "--short=10", "HEAD"]) + changed,
            processor: first("/proc/cpuinfo", "model name"),
            processors: std::thread::available_parallelism().map_or(0, usize::from),
            memory_gib: (kib / f64::from(1 << 20) * 10.0).round() / 10.0,
            kernel: first("/proc/sys/kernel/osrelease", ""),
            compiler: said("rustc", &["--version"]),
            versions: versions(),
            repetitions,
            seconds,
        }
    }

    /// The same as a sentence, without its end.
    pub fn sentence(&self) -> String {
        let versions: Vec<String> =
            self.versions.iter().map(|(name, version)| format!("{name} {version}")).collect();
        format!(
            "Commit {}, {} UTC; {} processors ({}), {} GiB, Linux {}; {}; {}; medians of {} runs of {} s",
            self.commit,
            self.date,
            self.processors,
            self.processor,
            self.memory_gib,
            self.kernel,
            self.compiler,
            versions.join(", "),
            self.repetitions,
            self.seconds,
        )
    }
}

/// The output of a command, or nothing if it cannot be run: a missing tool must not prevent a measurement.
fn said(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).current_dir(env!("CARGO_MANIFEST_DIR")).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
}

/// The versions of the rivals, as they were built.
fn versions() -> BTreeMap<String, String> {
    let (major, minor, patch) = zmq::version();
    let mut versions = BTreeMap::from([("libzmq".to_owned(), format!("{major}.{minor}.{patch}"))]);
    let mut lines = include_str!("../../Cargo.lock").lines();
    while let Some(line) = lines.next() {
        let Some(name) = line.strip_prefix("name = ").map(|name| name.trim_matches('"')) else { continue };
        if ["omq-tokio", "rzmq", "zeromq"].contains(&name) {
            let version = lines.next().unwrap_or_default().trim_start_matches("version = ").trim_matches('"');
            versions.insert(name.to_owned(), version.to_owned());
        }
    }
    versions
}

/// The directory docs/ of the repository.
pub fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs")
}

/// Writes all rows of a run to a separate file, whose name begins with `kind`.
pub fn write(kind: &str, machine: &Machine, records: &[impl Serialize]) -> Outcome<PathBuf> {
    let folder = docs().join("benchmarks");
    std::fs::create_dir_all(&folder)?;
    let day = machine.date.split(' ').next().unwrap_or_default();
    let path = folder.join(format!("{kind}{day}-{}.jsonl", machine.commit.trim_end_matches('+')));
    let mut text = serde_json::to_string(machine)? + "\n";
    for record in records {
        text += &(serde_json::to_string(record)? + "\n");
    }
    std::fs::write(&path, text)?;
    Ok(path)
}
