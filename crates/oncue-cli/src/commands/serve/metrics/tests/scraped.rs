//! A real Prometheus reads the pages of a server, and answers the queries of the dashboard and the alerts. `cargo xtask ship`
//! provides it, and runs these tests.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};

use oncue::{Page, Web};
use oncue_interop::directory::Directory;
use oncue_interop::{http, until};
use serde_json::Value;

use super::*;

/// A program that `cargo xtask ship` has unpacked; None, with a word, if it could not.
fn tool(variable: &str) -> Option<PathBuf> {
    let path = std::env::var_os(variable).unwrap_or_else(|| panic!("no {variable}: run `cargo xtask ship`"));
    if path.is_empty() {
        eprintln!("{variable} is empty: NOT tested");
        return None;
    }
    Some(path.into())
}

/// A Prometheus that reads a server again and again.
struct Prometheus {
    program: Child,
    at: SocketAddr,
    _directory: Directory,
}

impl Prometheus {
    fn start(program: &Path, server: &str) -> Prometheus {
        let directory = Directory::new();
        let config = format!(
            "global: {{ scrape_interval: 200ms, scrape_timeout: 200ms }}\nscrape_configs:\n  - job_name: oncue\n    \
             static_configs: [{{ targets: ['{server}'] }}]\n"
        );
        let config = directory.write("prometheus.yml", &config);
        // It takes no port that the system chooses: this one is free now.
        let free = TcpListener::bind("127.0.0.1:0").expect("a port");
        let at = free.local_addr().expect("an address");
        drop(free);
        let mut command = Command::new(program);
        command.arg(format!("--config.file={}", config.display()));
        command.arg(format!("--storage.tsdb.path={}", directory.path("data").display()));
        command.arg(format!("--web.listen-address={at}")).arg("--log.level=error");
        let program = command.stdout(Stdio::null()).spawn().expect("prometheus");
        Prometheus { program, at, _directory: directory }
    }

    /// The results of a query; None if there is no answer.
    fn query(&self, query: &str) -> Option<Vec<Value>> {
        let escaped: String = query.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let mut stream = TcpStream::connect(self.at).ok()?;
        write!(stream, "GET /api/v1/query?query={escaped} HTTP/1.0\r\n\r\n").ok()?;
        let mut reply = String::new();
        stream.read_to_string(&mut reply).ok()?;
        let (_, body) = reply.split_once("\r\n\r\n")?;
        let value: Value = serde_json::from_str(body).ok()?;
        assert_ne!(value["errorType"], "bad_data", "{query}: {value}");
        value["data"]["result"].as_array().cloned()
    }

    /// The value of the only result.
    fn value(&self, query: &str) -> Option<f64> {
        match &self.query(query)?[..] {
            [only] => only["value"][1].as_str()?.parse().ok(),
            _ => None,
        }
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

/// The queries of the dashboard, with values for its variables; and those of the alerts.
fn queries() -> Vec<String> {
    let read = |name: &str| fs::read_to_string(repository().join(name)).expect(name);
    let dashboard: Value = serde_json::from_str(&read("packaging/grafana-oncue.json")).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels").clone();
    let targets = panels.into_iter().filter_map(|panel| panel["targets"].as_array().cloned()).flatten();
    let filled = targets.map(|target| {
        let query = target["expr"].as_str().expect("a query").to_owned();
        query.replace("$__rate_interval", "1m").replace("$instance", ".*").replace("$route", ".*")
    });
    let alerts = read("packaging/alerts-oncue.yml");
    let alerts = alerts.lines().filter_map(|line| line.trim_start().strip_prefix("expr: "));
    filled.chain(alerts.map(str::to_owned)).collect()
}

#[test]
#[ignore = "it needs promtool: cargo xtask ship"]
fn promtool_has_nothing_to_say_about_names_and_alerts() {
    let Some(promtool) = tool("ONCUE_PROMTOOL") else { return };
    let on_demand = OnDemand::bind("tcp://127.0.0.1:0").expect("a socket").route("a\"\\{x}").manual(|_| ());
    let on_demand = on_demand.start().expect("a server");
    let mut lint = Command::new(&promtool);
    lint.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut lint = lint.spawn().expect("promtool");
    lint.stdin.take().expect("its input").write_all(page_of(&on_demand, "").as_bytes()).expect("a reader");
    let said = lint.wait_with_output().expect("its end");
    let text = [&said.stdout[..], &said.stderr].concat();
    assert!(said.status.success() && text.is_empty(), "{}", String::from_utf8_lossy(&text));
    let alerts = repository().join("packaging/alerts-oncue.yml");
    let said = Command::new(&promtool).args(["check", "rules"]).arg(alerts).output().expect("promtool");
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
}

#[test]
#[ignore = "it needs prometheus: cargo xtask ship"]
fn prometheus_reads_the_pages_and_answers_every_query_of_the_dashboard() {
    let Some(program) = tool("ONCUE_PROMETHEUS") else { return };
    let builder =
        OnDemand::bind("tcp://127.0.0.1:0").expect("a socket").route("n/{x}").catalogue(["n/1", "n/2"]);
    let on_demand = builder.every(Duration::from_millis(10), |_| "value").start().expect("a server");
    let sub = Sub::new(&Engine::start().expect("an engine"), Options::new()).expect("a subscriber");
    sub.connect(&on_demand.endpoint().expect("an endpoint").to_string()).expect("a connection");
    sub.subscribe("n/1").expect("a subscription");
    let (tell, told) = channel();
    let (tell, on_demand) = (Mutex::new(tell), Arc::new(on_demand));
    let answering = on_demand.clone();
    let web = Web::new().only_pages(true).pages(move |request| {
        let Answer { content_type, body, .. } = answer_of(&answering, request.path(), request.accept());
        // The test may be over.
        let _ = tell.lock().expect("no panic").send(content_type);
        request.answer(Page::new(content_type, body));
    });
    let endpoint = on_demand.xpub().bind_web("ws://127.0.0.1:0", web).expect("a port").to_string();
    let prometheus = Prometheus::start(&program, http::place(&endpoint));
    until("it reads the server", || prometheus.value("up{job=\"oncue\"}") == Some(1.0));
    assert_eq!(told.recv(), Ok(Format::OpenMetrics.content_type()), "it prefers this one");
    until("values come", || prometheus.value("oncue_values_total{route=\"n/{x}\"}") > Some(10.0));
    until("values are avoided", || prometheus.value("oncue_values_avoided_total") > Some(10.0));
    until("rates are known", || {
        let rate = "histogram_quantile(0.5, sum by (le) (rate(oncue_production_seconds_bucket[1m])))";
        prometheus.value(rate).is_some_and(|median| median > 0.0)
    });
    assert_eq!(prometheus.value("oncue_first_value_seconds_count"), Some(1.0));
    assert_eq!(prometheus.value("oncue_feeds{state=\"running\"}"), Some(1.0));
    let queries = queries();
    assert!(queries.len() > 20, "{queries:?}");
    let answers = queries.iter().map(|query| prometheus.query(query).expect(query).len());
    assert!(answers.sum::<usize>() >= 15, "most of them have something to show");
}
