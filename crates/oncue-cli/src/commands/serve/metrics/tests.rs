//! The formats, the table of metrics against its page and the dashboard, and a server that is read.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use oncue::demand::{OnDemandStats, RouteStats};
use oncue::{Engine, OnDemand, Options, SocketStats, Sub};

use oncue_observe::schema::{Mesh, Phase as SitePhase, Site};

use super::families::FAMILIES;
use super::snapshot::{Route, Server, Snapshot, Source};
use super::write;
use crate::commands::serve::produce::counts::{Counts, Totals};
use crate::commands::serve::program::verdict::Reason;
use crate::metrics::family::{Family, Read};
use crate::metrics::pages::{self, Answer, Phase};
use crate::metrics::text::{Format, Kind, Text};
use crate::metrics::{mesh, process, socket};

mod scraped;

const PATIENCE: Duration = Duration::from_secs(20);
/// Set to rewrite the table of docs/METRICS.md.
const WRITE: &str = "ONCUE_WRITE_DOCS";
/// What Prometheus 2 sends.
const PROMETHEUS_ACCEPTS: &str = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                                  text/plain;version=0.0.4;q=0.5,*/*;q=0.1";

/// The answer of a server with the routes of `on_demand`, of which one may be called `own`.
fn answer_of(on_demand: &OnDemand, path: &str, accept: &str) -> Answer {
    let source = Source {
        meter: &on_demand.meter(),
        counts: &Counts::default(),
        server: &Server { phase: Phase::Serving, ..Server::starting() },
        is_own: &|pattern| pattern == "own",
        mesh: Some(mesh()),
    };
    let write = |text: &mut Text| write(&source.snapshot(), text);
    pages::answer(path, accept, Phase::Serving, write, || on_demand.responds_within(PATIENCE))
}

fn page_of(on_demand: &OnDemand, accept: &str) -> String {
    answer_of(on_demand, "/metrics", accept).body
}

fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// A family without the place where its samples come from.
struct Shown {
    name: &'static str,
    kind: Kind,
    unit: Option<&'static str>,
    help: &'static str,
    labels: Vec<&'static str>,
}

fn shown<S, R: Read<S>>(families: &[Family<R>]) -> impl Iterator<Item = Shown> {
    families.iter().map(|family| {
        let &Family { name, kind, unit, help, ref read } = family;
        Shown { name, kind, unit, help, labels: read.labels() }
    })
}

/// All families, in the order in which they are written.
fn all() -> Vec<Shown> {
    let mut all: Vec<_> = shown(process::FAMILIES).chain(shown(FAMILIES)).collect();
    all.extend(shown(socket::FAMILIES).chain(shown(mesh::FAMILIES)));
    all
}

/// A mesh with two other sites, of which one has not been asked anything.
fn mesh() -> Mesh {
    let tokyo = Site {
        name: "tokyo".into(),
        phase: SitePhase::Live,
        heard_seconds: Some(0.5),
        round_trip_seconds: Some(0.0025),
        prefixes: 7,
        ..Site::default()
    };
    let lima = Site { name: "lima".into(), ..Site::default() };
    Mesh { site: "paris".into(), sites: vec![lima, tokyo], ..Mesh::default() }
}

/// The names of the samples of a family.
fn sample_names(family: &Shown) -> Vec<String> {
    match family.kind {
        Kind::Histogram => ["_bucket", "_sum", "_count"].map(|end| format!("{}{end}", family.name)).to_vec(),
        kind => vec![format!("{}{}", family.name, kind.suffix())],
    }
}

#[test]
fn the_reader_gets_the_format_that_it_prefers() {
    for (accept, expected) in [
        (PROMETHEUS_ACCEPTS, Format::OpenMetrics),
        ("", Format::Prometheus),
        ("*/*", Format::Prometheus),
        ("text/plain", Format::Prometheus),
        ("text/html,application/openmetrics-text;q=0.2", Format::OpenMetrics),
        ("text/plain;q=0.9, application/openmetrics-text;version=1.0.0;q=0.8", Format::Prometheus),
        ("text/plain;q=0.3, Application/OpenMetrics-Text; version=1.0.0; q=0.8", Format::OpenMetrics),
        ("application/openmetrics-text;q=x,\0,;;q=", Format::OpenMetrics),
    ] {
        assert_eq!(Format::accepted(accept), expected, "{accept:?}");
    }
}

#[test]
fn any_pattern_is_a_label() {
    let pattern = "a/{x:/[\\\\\"\n]+/}";
    let (meter_routes, mut stats) = (&["a\\\"\n\u{0}ä", pattern], RouteStats::default());
    let route = |pattern: &&str| {
        stats.pattern = (*pattern).to_owned();
        stats.done.produced = 7;
        Route { stats: stats.clone(), failures: [0; Reason::ALL.len()] }
    };
    let snapshot = Snapshot {
        server: Server::starting(),
        on_demand: OnDemandStats::default(),
        socket: SocketStats::default(),
        programs: Totals::default(),
        routes: meter_routes.iter().map(route).collect(),
        mesh: None,
    };
    for (format, family) in
        [(Format::Prometheus, "oncue_values_total"), (Format::OpenMetrics, "oncue_values")]
    {
        let mut text = Text::new(format);
        write(&snapshot, &mut text);
        let text = text.finish();
        assert!(!text.contains("oncue_mesh"), "it is not a site of a mesh");
        let expected = format!(
            "# TYPE {family} counter\n# HELP {family} Values sent.\noncue_values_total{{route=\"a\\\\\\\"\\n\0ä\"}} 7\n\
             oncue_values_total{{route=\"a/{{x:/[\\\\\\\\\\\"\\n]+/}}\"}} 7\n"
        );
        assert!(text.contains(&expected), "{text}");
    }
}

#[test]
fn the_names_of_metrics_are_unmistakable() {
    let mut names = BTreeSet::new();
    for family in &all() {
        assert!(family.name.starts_with("oncue_"), "{}", family.name);
        assert!(names.insert(family.name.to_owned()), "{} stands there twice", family.name);
        let unit = family.unit.is_none_or(|unit| family.name.ends_with(&format!("_{unit}")));
        assert!(unit, "{} does not end in its unit", family.name);
        assert!(!family.help.contains(['\\', '"', '\n']) && family.help.ends_with('.'), "{}", family.name);
    }
    // The names of samples may not be those of other families.
    for name in all().iter().filter(|family| family.kind != Kind::Gauge).flat_map(sample_names) {
        assert!(names.insert(name.clone()), "{name} is ambiguous");
    }
}

#[test]
fn the_page_counts_what_is_served() {
    let calls = AtomicUsize::new(0);
    let builder = OnDemand::bind("tcp://127.0.0.1:0").expect("a socket").route("n/{x:int}");
    let on_demand = builder
        .backoff(Duration::from_secs(3600), Duration::from_secs(3600))
        .thread(move |feed| {
            feed.spent(Duration::from_millis(30));
            feed.publish("value")?;
            match calls.fetch_add(1, SeqCst) {
                0 => panic!("on purpose"),
                _ => {
                    feed.wait_stopped();
                    Ok(())
                }
            }
        })
        .route("own")
        .manual(|_| ())
        .start()
        .expect("a server");
    let sub = Sub::new(&Engine::start().expect("an engine"), Options::new()).expect("a subscriber");
    sub.connect(&on_demand.endpoint().expect("an endpoint").to_string()).expect("a connection");
    sub.subscribe("n/1").expect("a subscription");
    sub.subscribe("n/2").expect("a subscription");
    let route = "route=\"n/{x:int}\"";
    let expected = [
        format!("oncue_values_total{{{route}}} 2"),
        format!("oncue_feeds{{{route},state=\"running\"}} 1"),
        format!("oncue_feeds{{{route},state=\"failing\"}} 1"),
        format!("oncue_failures_total{{{route},reason=\"panic\"}} 1"),
        format!("oncue_production_seconds_bucket{{{route},le=\"0.025\"}} 0"),
        format!("oncue_production_seconds_bucket{{{route},le=\"0.05\"}} 2"),
        format!("oncue_production_seconds_bucket{{{route},le=\"+Inf\"}} 2"),
        format!("oncue_production_seconds_sum{{{route}}} 0.06"),
        format!("oncue_first_value_seconds_count{{{route}}} 2"),
        "oncue_deliveries_total 2".to_owned(),
        "oncue_peers 1".to_owned(),
        "oncue_mesh_site_up{site=\"tokyo\"} 1".to_owned(),
        "oncue_mesh_site_up{site=\"lima\"} 0".to_owned(),
        "oncue_mesh_prefixes{site=\"tokyo\"} 7".to_owned(),
        "oncue_mesh_round_trip_seconds{site=\"tokyo\"} 0.0025".to_owned(),
        format!("oncue_build_info{{version=\"{}\"}} 1", env!("CARGO_PKG_VERSION")),
    ];
    let start = Instant::now();
    let text = loop {
        let text = page_of(&on_demand, "");
        let lines: BTreeSet<_> = text.lines().collect();
        if expected.iter().all(|line| lines.contains(line.as_str())) {
            break text;
        }
        assert!(start.elapsed() < PATIENCE, "{text}");
        std::thread::sleep(Duration::from_millis(5));
    };
    assert!(!text.contains("\"own\""), "{text}");
    // Each family has samples, and all are of it.
    let mut lines = text.lines();
    for family in &all() {
        let names = sample_names(family);
        let begins = [lines.next(), lines.next()].map(Option::unwrap_or_default);
        assert!(begins[0].starts_with("# TYPE ") && begins[1].starts_with("# HELP "), "{begins:?}");
        let of_it = |line: &&str| names.iter().any(|name| line.split(['{', ' ']).next() == Some(name));
        let samples = lines.clone().take_while(of_it).count();
        assert!(samples > 0, "{} has no sample", family.name);
        lines.nth(samples - 1);
    }
    assert_eq!(lines.next(), None);
    let open = page_of(&on_demand, PROMETHEUS_ACCEPTS);
    assert!(
        open.ends_with("\n# EOF\n") && open.contains("# UNIT oncue_production_seconds seconds\n"),
        "{open}"
    );
}

#[test]
fn a_server_is_ready_between_its_start_and_its_end_and_alive_while_its_threads_respond() {
    let on_demand = OnDemand::bind("tcp://127.0.0.1:0").expect("a socket").route("a").manual(|_| ());
    let on_demand = on_demand.start().expect("a server");
    let meter = on_demand.meter();
    let status = |path: &str, phase: Phase| {
        let time = if phase == Phase::Stopping { Duration::from_millis(20) } else { PATIENCE };
        let server = Server { phase, ..Server::starting() };
        let (counts, is_own) = (&Counts::default(), &|_: &str| false);
        let source = Source { meter: &meter, counts, server: &server, is_own, mesh: None };
        let write = |text: &mut Text| write(&source.snapshot(), text);
        pages::answer(path, "", phase, write, || on_demand.responds_within(time)).status
    };
    assert_eq!((status("/readyz", Phase::Starting), status("/healthz", Phase::Starting)), (503, 200));
    assert_eq!((status("/readyz", Phase::Serving), status("/metrics", Phase::Serving)), (200, 200));
    assert_eq!((status("/", Phase::Serving), status("/metrics/", Phase::Serving)), (404, 404));
    on_demand.stop();
    assert_eq!((status("/readyz", Phase::Stopping), status("/healthz", Phase::Stopping)), (503, 503));
}

#[test]
fn the_page_of_metrics_has_the_table_of_metrics() {
    let path = repository().join("docs/METRICS.md");
    let page = std::fs::read_to_string(&path).expect("the page");
    let (begin, end) = ("<!-- metrics -->\n", "<!-- end of metrics -->");
    let mut table = "| name | kind | labels | meaning |\n|---|---|---|---|\n".to_owned();
    for family in &all() {
        let labels: Vec<_> = family.labels.iter().map(|label| format!("`{label}`")).collect();
        let (name, kind) =
            (format!("{}{}", family.name, family.kind.suffix()), family.kind.name(Format::OpenMetrics));
        table += &format!("| `{name}` | {kind} | {} | {} |\n", labels.join(", "), family.help);
    }
    let (before, after) = page.split_once(begin).expect(begin);
    let (_, after) = after.split_once(end).expect(end);
    let right = [before, begin, &table, end, after].concat();
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(&path, right).expect("the page");
    } else if page != right {
        panic!(
            "docs/METRICS.md differs from the table; run {WRITE}=1 cargo test -p oncue-cli table_of_metrics"
        );
    }
}

/// All words that begin as metrics do.
fn named(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("oncue_")).collect()
}

#[test]
fn the_dashboard_and_the_alerts_name_metrics_that_exist() {
    let known: BTreeSet<_> = all().iter().flat_map(sample_names).collect();
    let read = |name: &str| std::fs::read_to_string(repository().join(name)).expect(name);
    let dashboard: serde_json::Value =
        serde_json::from_str(&read("packaging/grafana-oncue.json")).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let targets = panels.iter().filter_map(|panel| panel["targets"].as_array()).flatten();
    let queries: Vec<_> =
        targets.map(|target| target["expr"].as_str().expect("a query").to_owned()).collect();
    assert!(queries.len() >= 10 && queries.iter().all(|query| !named(query).is_empty()), "{queries:?}");
    let alerts = read("packaging/alerts-oncue.yml");
    let alerts = alerts.lines().filter(|line| line.trim_start().starts_with("expr:")).map(str::to_owned);
    for query in queries.into_iter().chain(alerts) {
        for name in named(&query) {
            assert!(known.contains(name), "no metric is called {name}: {query}");
        }
    }
}
