//! Links with certificates: only sites whose certificates the authority has signed are let in.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use zenoh::Wait;

use super::{Site, edge, endpoint, router};
use crate::error::MeshErrorKind;
use crate::options::{MeshOptions, Tls};

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
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.certificate, &self.key).unwrap();
        Tls {
            authority: trusted.to_owned(),
            certificate: folder.write(&format!("{site}.pem"), &certificate.pem()),
            key: folder.write(&format!("{site}.key"), &key.serialize_pem()),
        }
    }
}

fn tls_endpoint() -> String {
    endpoint().replace("tcp/", "tls/")
}

fn with(options: MeshOptions, tls: Tls) -> MeshOptions {
    MeshOptions { tls: Some(tls), ..options }
}

#[test]
fn sites_with_certificates_of_one_authority_are_linked() {
    let folder = Folder::new();
    let ours = Authority::new(&folder, "ours");
    let at = tls_endpoint();
    let sign = |site| ours.sign(&folder, site, "127.0.0.1", &ours.file);
    let a = Site::open(&with(router("a", &at, None), sign("a")));
    let b = Site::open(&with(edge("b", &[&at]), sign("b")));
    a.wait_token("b", true);
    b.wait_token("a", true);
    b.link.data_to("a").unwrap().put(vec![1; 100_000]).unwrap();
    assert_eq!(a.wait_data("b").len(), 100_000);
}

#[test]
fn a_certificate_of_another_authority_is_refused() {
    let folder = Folder::new();
    let (ours, theirs) = (Authority::new(&folder, "ours"), Authority::new(&folder, "theirs"));
    let at = tls_endpoint();
    let _a = Site::open(&with(router("a", &at, None), ours.sign(&folder, "a", "127.0.0.1", &ours.file)));
    // It trusts our authority, so it is the router that refuses.
    let stranger = with(edge("b", &[&at]), theirs.sign(&folder, "b", "127.0.0.1", &ours.file));
    assert_refused(&stranger);
    // The router's certificate is not of the authority that this one trusts.
    let distrustful = with(edge("c", &[&at]), ours.sign(&folder, "c", "127.0.0.1", &theirs.file));
    assert_refused(&distrustful);
}

#[test]
fn a_certificate_for_another_name_is_refused_by_the_one_that_dials() {
    let folder = Folder::new();
    let ours = Authority::new(&folder, "ours");
    let at = tls_endpoint();
    let _a = Site::open(&with(router("a", &at, None), ours.sign(&folder, "a", "other.example", &ours.file)));
    assert_refused(&with(edge("b", &[&at]), ours.sign(&folder, "b", "127.0.0.1", &ours.file)));
}

#[test]
fn a_session_without_a_certificate_is_refused() {
    let folder = Folder::new();
    let ours = Authority::new(&folder, "ours");
    let at = tls_endpoint();
    let tls = ours.sign(&folder, "a", "127.0.0.1", &ours.file);
    let a = Site::open(&with(router("a", &at, None), tls.clone()));
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
