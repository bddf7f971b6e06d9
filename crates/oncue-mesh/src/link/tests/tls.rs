//! Links with certificates: only sites whose certificates the authority has signed are let in, and each is heard in its own name alone.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use zenoh::Wait;

use super::super::keys::Keys;
use super::super::{Hooks, Link, RUNTIME_FOR_TLS, RUNTIME_VARIABLE, session};
use super::{Arrival, Site, bytes, edge, endpoint, options, router};
use crate::error::MeshErrorKind;
use crate::options::{MeshOptions, Tls};
use crate::topology::Topology;

/// Whether this process has one thread of Zenoh for reading and writing, with which encrypted links last. If not, the test has been run by one that
/// has.
fn alone() -> bool {
    let test = std::thread::current().name().filter(|name| name.contains("tls::")).map(str::to_owned);
    let Some(test) = test.filter(|_| std::env::var_os(RUNTIME_VARIABLE).is_none()) else { return true };
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    child.args([&test, "--exact", "--nocapture"]).env(RUNTIME_VARIABLE, RUNTIME_FOR_TLS);
    let ran = child.output().unwrap();
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success(), "{said}{}", String::from_utf8_lossy(&ran.stderr));
    assert!(said.contains("1 passed"), "{said}");
    false
}

/// A folder that is removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("oncue-mesh-tls-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        Folder(folder)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

struct Authority {
    certificate: rcgen::Certificate,
    key: KeyPair,
    file: PathBuf,
}

impl Authority {
    fn new(folder: &Folder, name: &str) -> Authority {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let file = folder.write(&format!("{name}.pem"), &certificate.pem());
        Authority { certificate, key, file }
    }

    /// A certificate for a name or an address, both to listen and to dial with. `trusted` is the authority that its site trusts.
    fn sign(&self, folder: &Folder, site: &str, host: &str, trusted: &Path) -> Tls {
        let mut params = CertificateParams::new(vec![host.to_owned()]).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, site);
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.certificate, &self.key).unwrap();
        Tls {
            authority: trusted.to_owned(),
            certificate: folder.write(&format!("{site}.pem"), &certificate.pem()),
            key: folder.write(&format!("{site}.key"), &key.serialize_pem()),
            names: Vec::new(),
            routers: Vec::new(),
        }
    }
}

fn tls_endpoint() -> String {
    endpoint().replace("tcp/", "tls/")
}

fn with(options: MeshOptions, tls: Tls) -> MeshOptions {
    MeshOptions { tls: Some(tls), ..options }
}

/// The files of a router, and who may be linked with it.
fn listing(tls: Tls, names: &[&str], routers: &[&str]) -> Tls {
    let [names, routers] = [names, routers].map(|list| list.iter().map(|&name| name.to_owned()).collect());
    Tls { names, routers, ..tls }
}

#[test]
fn sites_with_certificates_of_one_authority_are_linked() {
    if !alone() {
        return;
    }
    let folder = Folder::new();
    let ours = Authority::new(&folder, "ours");
    let at = tls_endpoint();
    let sign = |site| ours.sign(&folder, site, "127.0.0.1", &ours.file);
    let a = Site::open(&with(router("a", &at, None), listing(sign("a"), &["b"], &[])));
    let b = Site::open(&with(edge("b", &[&at]), sign("b")));
    a.wait_token("b", true);
    b.wait_token("a", true);
    b.link.data_to("a").unwrap().put(vec![1; 100_000]).unwrap();
    assert_eq!(a.wait_data("b").len(), 100_000);
}

#[test]
fn a_certificate_of_another_authority_is_refused() {
    if !alone() {
        return;
    }
    let folder = Folder::new();
    let (ours, theirs) = (Authority::new(&folder, "ours"), Authority::new(&folder, "theirs"));
    let at = tls_endpoint();
    let tls = ours.sign(&folder, "a", "127.0.0.1", &ours.file);
    let _a = Site::open(&with(router("a", &at, None), listing(tls, &["b", "c"], &[])));
    // It trusts our authority, so it is the router that refuses.
    let stranger = with(edge("b", &[&at]), theirs.sign(&folder, "b", "127.0.0.1", &ours.file));
    assert_refused(&stranger);
    // The router's certificate is not of the authority that this one trusts.
    let distrustful = with(edge("c", &[&at]), ours.sign(&folder, "c", "127.0.0.1", &theirs.file));
    assert_refused(&distrustful);
}

#[test]
fn a_certificate_for_another_name_is_refused_by_the_one_that_dials() {
    if !alone() {
        return;
    }
    let folder = Folder::new();
    let ours = Authority::new(&folder, "ours");
    let at = tls_endpoint();
    let tls = ours.sign(&folder, "a", "other.example", &ours.file);
    let _a = Site::open(&with(router("a", &at, None), listing(tls, &["b"], &[])));
    assert_refused(&with(edge("b", &[&at]), ours.sign(&folder, "b", "127.0.0.1", &ours.file)));
}

#[test]
fn a_session_without_a_certificate_is_refused() {
    if !alone() {
        return;
    }
    let folder = Folder::new();
    let ours = Authority::new(&folder, "ours");
    let at = tls_endpoint();
    let tls = ours.sign(&folder, "a", "127.0.0.1", &ours.file);
    let a = Site::open(&with(router("a", &at, None), listing(tls.clone(), &["b"], &[])));
    let mut config = super::super::config::session(&with(edge("b", &[&at]), tls)).unwrap();
    for (key, value) in
        [("connect_certificate", "null"), ("connect_private_key", "null"), ("enable_mtls", "false")]
    {
        config.insert_json5(&format!("transport/link/tls/{key}"), value).unwrap();
    }
    assert!(zenoh::open(config).wait().is_err());
    assert_eq!(a.link.links(), 0);
}

/// An edge that is refused does not start, and does not wait for long.
fn assert_refused(options: &MeshOptions) {
    let start = Instant::now();
    let error = Site::try_open(options, 0).err().unwrap();
    assert_eq!(error.kind(), MeshErrorKind::Unreachable);
    println!("refused after {:?}: {error}", start.elapsed());
    assert!(start.elapsed() < Duration::from_secs(5));
}

/// The epoch of a liar: higher than any clock's.
const LIE: u64 = u64::MAX / 2;

/// Opens a site that does not check its own certificate, and says all that a site can say in its name to `to`.
fn lie(options: &MeshOptions, to: &str) -> Site {
    let (arrived, arrivals) = channel();
    let hooks = Hooks {
        arrived: Arc::new(move |arrival| drop(arrived.send(arrival))),
        snapshot: Arc::new(|| b"a lie".to_vec()),
    };
    let keys = Keys::new(&options.mesh, &options.site);
    let session = session::open(options).unwrap();
    let Site { link, arrivals } = Site::of(Link::join(session, options, keys, LIE, hooks).unwrap(), arrivals);
    link.announce().unwrap();
    let data = link.data_to(to).unwrap();
    // More than once: what is said before others are heard is lost anyway.
    for _ in 0..20 {
        link.heartbeat(b"a lie".to_vec()).unwrap();
        link.delta(b"a lie".to_vec()).unwrap();
        data.put(b"a lie".to_vec()).unwrap();
        link.tell_newer(to, LIE).unwrap();
        link.tell_past(to, LIE).unwrap();
        std::thread::sleep(Duration::from_millis(20));
    }
    Site { link, arrivals }
}

/// What has come until now.
fn heard(site: &Site) -> Vec<Arrival> {
    site.arrivals.try_iter().collect()
}

/// The lies in what a site has heard, in words, each once.
fn lies(heard: &[Arrival], in_name: &str) -> Vec<String> {
    let is_lie = |payload: &super::Payload| bytes(payload) == b"a lie";
    let mut heard: Vec<String> = heard
        .iter()
        .filter_map(|arrival| match arrival {
            Arrival::Token { site, epoch: LIE, .. } if site == in_name => Some("token"),
            Arrival::Heartbeat { site, payload } if site == in_name && is_lie(payload) => Some("heartbeat"),
            Arrival::Delta { site, payload } if site == in_name && is_lie(payload) => Some("delta"),
            Arrival::Data { site, payload } if site == in_name && is_lie(payload) => Some("data"),
            Arrival::Newer { by, epoch: LIE } if by == in_name => Some("newer"),
            Arrival::Past { by, epoch: LIE } if by == in_name => Some("past"),
            _ => None,
        })
        .map(str::to_owned)
        .collect();
    heard.sort_unstable();
    heard.dedup();
    heard
}

/// The answer of a site to a question for its snapshot.
fn snapshot(asking: &Site, name: &str) -> Option<Vec<u8>> {
    asking.link.ask_snapshot(name);
    asking.wait("the snapshot", |arrival| match arrival {
        Arrival::Snapshot { answer, .. } => Some(answer.as_ref().map(bytes)),
        _ => None,
    })
}

/// The same, asked for again until it comes: a busy machine may take longer than a question waits.
fn snapshot_in_time(asking: &Site, name: &str) -> Vec<u8> {
    (0..3).find_map(|_| snapshot(asking, name)).expect("a snapshot")
}

/// The first warning in what was heard, or that comes.
fn warning(site: &Site, heard: Vec<Arrival>) -> String {
    let text = |arrival| match arrival {
        Arrival::Warning(text) => Some(text),
        _ => None,
    };
    heard.into_iter().find_map(text).unwrap_or_else(|| site.wait("a warning", text))
}

/// `a` joins once more after the process of this epoch, and `c` believes it and not a liar.
fn begins_again(to_a: &MeshOptions, first: u64, c: &Site) {
    let again = Site::open(to_a);
    let epoch = c.wait_token("a", true);
    assert!(epoch > first && epoch < LIE && epoch == again.link.epoch(), "{epoch}");
    again.link.data_to("c").unwrap().put(b"truth".to_vec()).unwrap();
    assert_eq!(c.wait_data("a"), b"truth");
}

#[test]
fn without_certificates_a_name_can_be_taken_by_anybody() {
    if !alone() {
        return;
    }
    // So what the other tests expect to be refused does come otherwise.
    let at = endpoint();
    let _r = Site::open(&router("r", &at, None));
    let a = Site::open(&edge("a", &[&at]));
    let c = Site::open(&edge("c", &[&at]));
    c.wait_token("a", true);
    let liar = lie(&edge("a", &[&at]), "c");
    assert_eq!(lies(&heard(&c), "a"), ["data", "delta", "heartbeat", "newer", "past", "token"]);
    assert_eq!(lies(&heard(&a), "a"), ["heartbeat", "token"]);
    c.link.data_to("a").unwrap().put(b"secret".to_vec()).unwrap();
    assert_eq!((a.wait_data("c"), liar.wait_data("c")), (b"secret".to_vec(), b"secret".to_vec()));
    a.link.close();
    assert_eq!(snapshot(&c, "a").as_deref(), Some(&b"a lie"[..]));
    drop(liar);
}

#[test]
fn at_a_router_a_certificate_speaks_in_its_own_name_alone() {
    if !alone() {
        return;
    }
    let folder = Folder::new();
    let ours = Authority::new(&folder, "ours");
    let at = tls_endpoint();
    let sign = |site| ours.sign(&folder, site, "127.0.0.1", &ours.file);
    let r = Site::open(&with(router("r", &at, None), listing(sign("r"), &["a", "b", "c"], &[])));
    let to_a = with(edge("a", &[&at]), sign("a"));
    let a = Site::open(&to_a);
    let c = Site::open(&with(edge("c", &[&at]), sign("c")));
    c.wait_token("a", true);
    let first = a.link.epoch();
    let liar = lie(&with(edge("a", &[&at]), sign("b")), "c");
    for site in [&a, &c] {
        assert_eq!(lies(&heard(site), "a"), [""; 0]);
    }
    let of_r = heard(&r);
    assert_eq!(lies(&of_r, "a"), [""; 0]);
    let text = warning(&r, of_r);
    assert!(text.contains("a certificate of `b` says that it is `a`"), "{text}");
    assert_eq!(snapshot_in_time(&c, "a"), b"snapshot of a");
    // What is for `a` does not come to the liar, though it has asked for it.
    let to_a_alone = c.link.data_to("a").unwrap();
    for _ in 0..5 {
        to_a_alone.put(b"secret".to_vec()).unwrap();
        assert_eq!(a.wait_data("c"), b"secret");
    }
    std::thread::sleep(Duration::from_millis(200));
    let overheard = |arrival: &Arrival| matches!(arrival, Arrival::Data { .. });
    assert!(!heard(&liar).iter().any(overheard));
    // `a` goes on, and begins again.
    a.link.heartbeat(b"truth".to_vec()).unwrap();
    assert_eq!(c.wait_heartbeat("a"), b"truth");
    a.link.close();
    assert_eq!(c.wait_token("a", false), first);
    assert_eq!(snapshot(&c, "a"), None, "the liar's was asked");
    begins_again(&to_a, first, &c);
    drop(liar);
}

#[test]
fn among_peers_a_certificate_speaks_in_its_own_name_alone() {
    if !alone() {
        return;
    }
    let folder = Folder::new();
    let ours = Authority::new(&folder, "ours");
    let sign = |site| ours.sign(&folder, site, "127.0.0.1", &ours.file);
    let sites: std::collections::BTreeMap<_, _> =
        ["a", "b", "c"].map(|name| (name.to_owned(), tls_endpoint())).into();
    let peer = |name: &str, listen| options(name, Topology::Peer { sites: sites.clone(), listen });
    let to_a = with(peer("a", None), sign("a"));
    let a = Site::open(&to_a);
    let c = Site::open(&with(peer("c", None), sign("c")));
    c.wait_token("a", true);
    let first = a.link.epoch();
    let liar = lie(&with(peer("a", Some(tls_endpoint())), sign("b")), "c");
    let of_c = heard(&c);
    assert_eq!(lies(&of_c, "a"), [""; 0]);
    let text = warning(&c, of_c);
    assert!(text.contains("a certificate of `b` says that it is `a`"), "{text}");
    assert_eq!(snapshot_in_time(&c, "a"), b"snapshot of a");
    a.link.heartbeat(b"truth".to_vec()).unwrap();
    assert_eq!(c.wait_heartbeat("a"), b"truth");
    a.link.close();
    begins_again(&to_a, first, &c);
    drop(liar);
}

#[test]
fn a_site_that_is_not_listed_is_not_heard() {
    if !alone() {
        return;
    }
    let folder = Folder::new();
    let ours = Authority::new(&folder, "ours");
    let at = tls_endpoint();
    let sign = |site| ours.sign(&folder, site, "127.0.0.1", &ours.file);
    let r = Site::open(&with(router("r", &at, None), listing(sign("r"), &["a"], &[])));
    let x = lie(&with(edge("x", &[&at]), sign("x")), "r");
    let of_r = heard(&r);
    assert_eq!(lies(&of_r, "x"), [""; 0]);
    let text = warning(&r, of_r);
    assert!(text.contains("a certificate of \"x\"") && text.contains("does not list it"), "{text}");
    r.link.heartbeat(b"secret".to_vec()).unwrap();
    let of_x = x.arrivals.recv_timeout(Duration::from_secs(10)).unwrap();
    let Arrival::Warning(text) = of_x else { panic!("it hears {of_x:?}") };
    assert!(text.contains("`x` must be among its `names`"), "{text}");
}

#[test]
fn what_a_listed_router_passes_on_is_heard() {
    if !alone() {
        return;
    }
    let folder = Folder::new();
    let ours = Authority::new(&folder, "ours");
    let (above, below) = (tls_endpoint(), tls_endpoint());
    let sign = |site| ours.sign(&folder, site, "127.0.0.1", &ours.file);
    let _r = Site::open(&with(router("r", &above, None), listing(sign("r"), &["a"], &["s"])));
    let _s = Site::open(&with(router("s", &below, Some(&above)), listing(sign("s"), &["b"], &["r"])));
    let a = Site::open(&with(edge("a", &[&above]), sign("a")));
    let b = Site::open(&with(edge("b", &[&below]), sign("b")));
    b.wait_token("a", true);
    a.wait_token("b", true);
    a.link.data_to("b").unwrap().put(b"1".to_vec()).unwrap();
    assert_eq!(b.wait_data("a"), b"1");
    assert_eq!(snapshot(&a, "b").as_deref(), Some(&b"snapshot of b"[..]));
    // `b` is behind `s` alone: with its certificate at `r` it is a stranger.
    let liar = lie(&with(edge("b", &[&above]), sign("b")), "a");
    assert_eq!(lies(&heard(&a), "b"), [""; 0]);
    drop(liar);
}

#[test]
fn a_certificate_that_nobody_would_accept_is_refused_before_anybody_is_asked() {
    if !alone() {
        return;
    }
    let folder = Folder::new();
    let ours = Authority::new(&folder, "ours");
    let refused = |tls: Tls, part: &str| {
        let why = with(edge("a", &["tls/r:1"]), tls).check().unwrap_err().to_string();
        assert!(why.contains(part), "{why}");
    };
    let good = ours.sign(&folder, "a", "127.0.0.1", &ours.file);
    with(edge("a", &["tls/r:1"]), good.clone()).check().unwrap();
    let other = KeyPair::generate().unwrap();
    let key = folder.write("other.key", &other.serialize_pem());
    refused(Tls { key, ..good.clone() }, "does not belong to the certificate");
    let key = folder.write("broken.key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
    refused(Tls { key, ..good.clone() }, "`tls.key`");
    let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    params.distinguished_name.push(rcgen::DnType::CommonName, "a");
    params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    let old = params.signed_by(&other, &ours.certificate, &ours.key).unwrap();
    let certificate = folder.write("old.pem", &old.pem());
    refused(Tls { certificate, ..good }, "is valid from");
}

#[test]
fn a_site_with_the_certificate_of_another_one_does_not_start() {
    if !alone() {
        return;
    }
    let folder = Folder::new();
    let ours = Authority::new(&folder, "ours");
    let tls = ours.sign(&folder, "b", "127.0.0.1", &ours.file);
    let why = with(edge("a", &["tls/r:1"]), tls.clone()).check().unwrap_err().to_string();
    assert!(why.contains("has the common name \"b\"") && why.contains("this site is `a`"), "{why}");
    let refused = |options: MeshOptions, part: &str| {
        let why = options.check().unwrap_err().to_string();
        assert!(why.contains(part), "{why}");
    };
    let at = "tls/127.0.0.1:1";
    refused(with(router("b", at, None), tls.clone()), "`tls.names` and `tls.routers` are empty");
    refused(
        with(router("b", at, Some("tls/r:1")), listing(tls.clone(), &["a"], &[])),
        "`tls.routers` is empty",
    );
    refused(with(router("b", at, None), listing(tls.clone(), &["a/"], &[])), "`tls.names`");
    refused(with(edge("b", &[at]), listing(tls, &["a"], &[])), "are for routers");
}

/// The processor time of this process so far, in ticks of 10 ms.
fn ticks() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

/// Processor time of a router and two edges for each message from one edge to the other, in microseconds.
fn cost(tls: &[Tls; 3], has_names: bool, count: usize, size: usize) -> f64 {
    let at = tls_endpoint();
    let open = |options: MeshOptions, tls: &Tls| {
        let options = MeshOptions { timeout: Duration::from_secs(20), ..with(options, tls.clone()) };
        let mut config = super::super::config::session(&options).unwrap();
        if !has_names {
            let none = "{enabled: false, default_permission: \"allow\"}";
            config.insert_json5("access_control", none).unwrap();
        }
        let session = zenoh::open(config).wait().unwrap();
        let (arrived, arrivals) = channel();
        let hooks = Hooks {
            arrived: Arc::new(move |arrival| drop(arrived.send(arrival))),
            snapshot: Arc::new(Vec::new),
        };
        let keys = Keys::new(&options.mesh, &options.site);
        let link = Link::join(session, &options, keys, 1, hooks).unwrap();
        link.announce().unwrap();
        Site { link, arrivals }
    };
    let _r = open(router("r", &at, None), &tls[0]);
    let a = open(edge("a", &[&at]), &tls[1]);
    let b = open(edge("b", &[&at]), &tls[2]);
    b.wait_token("a", true);
    a.wait_token("b", true);
    let data = a.link.data_to("b").unwrap();
    data.put(vec![0; size]).unwrap();
    b.wait_data("a");
    let before = ticks();
    let (mut sent, mut came) = (0, 0);
    while came < count {
        while sent < count && sent < came + 8 {
            data.put(vec![0; size]).unwrap();
            sent += 1;
        }
        b.wait_data("a");
        came += 1;
    }
    (ticks() - before) as f64 * 10_000.0 / count as f64
}

#[test]
#[ignore = "a measurement, of a release build"]
fn what_names_cost() {
    let folder = Folder::new();
    let ours = Authority::new(&folder, "ours");
    let sign = |site| ours.sign(&folder, site, "127.0.0.1", &ours.file);
    // A large router: the list is looked at when a link comes up and a key is declared, and not for each message.
    let names: Vec<String> = (0..200).map(|index| format!("site-{index}")).collect();
    let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
    names.extend(["a", "b"]);
    let tls = [listing(sign("r"), &names, &[]), sign("a"), sign("b")];
    for (count, size) in [(100_000, 64), (20_000, 32 << 10)] {
        for round in 1..=3 {
            let [without, with] = [false, true].map(|has_names| cost(&tls, has_names, count, size));
            println!(
                "{size} bytes, round {round}: without names {without:.2} us, with {with:.2} us a message"
            );
        }
    }
}
