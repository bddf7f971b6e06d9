//! What is refused before a site starts: names, endpoints, durations and files that cannot work, and topologies that lose
//! state by measurement (docs/DECISIONS.md, "Mesh"). What only shows between sites is found by `link::neighbours`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use x509_parser::pem::Pem;

use crate::endpoint::Endpoint;
use crate::error::MeshError;
use crate::options::{MeshOptions, NAME_BYTES_MAX, Tls};
use crate::topology::Topology;

type Checked = Result<(), MeshError>;

/// The shortest timeout. Below it a busy machine looks like a dead site.
const TIMEOUT_MIN: Duration = Duration::from_millis(100);

/// The longest timeout.
const TIMEOUT_MAX: Duration = Duration::from_secs(3600);

/// The most endpoints that a router listens at.
const LISTEN_MAX: usize = 8;

/// The largest file of a certificate or a key, in bytes.
const PEM_BYTES_MAX: u64 = 1 << 20;

/// Whether a text may be the name of a site or of a mesh. It then is a chunk of a Zenoh key, without wildcards.
pub(crate) fn is_name(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=NAME_BYTES_MAX).contains(&text.len()) && text.bytes().all(allowed)
}

impl MeshOptions {
    /// Whether a site can start with these options: names, endpoints, durations and the files of TLS are looked at, the network is not.
    ///
    /// # Errors
    /// [`MeshErrorKind::Config`](crate::MeshErrorKind::Config), with the option's name and the remedy.
    pub fn check(&self) -> Result<(), MeshError> {
        name("site", &self.site)?;
        name("mesh", &self.mesh)?;
        durations(self.heartbeat, self.timeout)?;
        match &self.topology {
            Topology::Edge { routers } => self.check_edge(routers),
            Topology::Router { listen, parent } => self.check_router(listen, parent.as_deref()),
            Topology::Peer { sites, listen } => self.check_peer(sites, listen.as_deref()),
        }?;
        self.tls.as_ref().map_or(Ok(()), |tls| self.check_tls(tls))
    }

    fn check_tls(&self, tls: &Tls) -> Checked {
        pem("tls.authority", &tls.authority, "CERTIFICATE-----")?;
        pem("tls.certificate", &tls.certificate, "CERTIFICATE-----")?;
        pem("tls.key", &tls.key, "PRIVATE KEY-----")?;
        self.check_names(tls)?;
        let shown = tls.certificate.display();
        match common_name(&tls.certificate) {
            Ok(name) if name == self.site => fits(&tls.key, &tls.certificate),
            Ok(name) => Err(MeshError::config(format!(
                "`tls.certificate`: `{shown}` has the common name {name:?}, and this site is `{}`: others hear a site in the name of its \
                 certificate alone, so give it a certificate of its own name",
                self.site
            ))),
            Err(why) => Err(MeshError::config(format!("`tls.certificate`: `{shown}` {why}"))),
        }
    }

    /// The lists of a router, which no other site has.
    fn check_names(&self, tls: &Tls) -> Checked {
        for (option, list) in [("tls.names", &tls.names), ("tls.routers", &tls.routers)] {
            list.iter().try_for_each(|listed| name(option, listed))?;
        }
        match &self.topology {
            Topology::Router { parent: Some(parent), .. } if tls.routers.is_empty() => {
                Err(MeshError::config(format!(
                    "`tls.routers` is empty: name the router at `{parent}`, or nothing is heard of it"
                )))
            }
            Topology::Router { .. } if tls.names.is_empty() && tls.routers.is_empty() => {
                Err(MeshError::config(
                    "`tls.names` and `tls.routers` are empty: list the sites that may be linked with this router, or nobody is heard",
                ))
            }
            Topology::Edge { .. } | Topology::Peer { .. }
                if !(tls.names.is_empty() && tls.routers.is_empty()) =>
            {
                Err(MeshError::config("`tls.names` and `tls.routers` are for routers: remove them"))
            }
            _ => Ok(()),
        }
    }

    fn check_edge(&self, routers: &[String]) -> Checked {
        for router in routers {
            self.dialled("routers", router)?;
        }
        match routers {
            [_] => Ok(()),
            [one, other] if one != other => Ok(()),
            [_, _] => {
                Err(MeshError::config("`routers` lists the same router twice: list another one, or it alone"))
            }
            _ => Err(MeshError::config(format!(
                "`routers` lists {} routers: list one, or two that are linked with each other",
                routers.len()
            ))),
        }
    }

    fn check_router(&self, listen: &[String], parent: Option<&str>) -> Checked {
        if listen.is_empty() || listen.len() > LISTEN_MAX {
            return Err(MeshError::config(format!(
                "`listen` has {} endpoints: a router listens at 1 to {LISTEN_MAX}",
                listen.len()
            )));
        }
        let mut own = Vec::new();
        for endpoint in listen {
            own.push(self.endpoint("listen", endpoint)?);
        }
        distinct("listen", listen.iter())?;
        let Some(parent) = parent else { return Ok(()) };
        let above = self.dialled("parent", parent)?;
        if own.iter().any(|own| own.is_reached_at(&above)) {
            return Err(MeshError::config(format!(
                "`parent` is `{parent}`, where this router itself listens: name the router above it, or remove `parent` from the root"
            )));
        }
        Ok(())
    }

    fn check_peer(&self, sites: &BTreeMap<String, String>, listen: Option<&str>) -> Checked {
        for (site, endpoint) in sites {
            name("sites", site)?;
            self.dialled(&format!("sites.{site}"), endpoint)?;
        }
        if !sites.contains_key(&self.site) {
            return Err(MeshError::config(format!(
                "`sites` does not list this site, `{}`: list all sites, the same list at each",
                self.site
            )));
        }
        if sites.len() < 2 {
            return Err(MeshError::config("`sites` lists only this site: list all sites of the mesh"));
        }
        distinct("sites", sites.values())?;
        listen.map_or(Ok(()), |listen| self.endpoint("listen", listen).map(drop))
    }

    /// An endpoint with the protocol that `tls` asks for.
    fn endpoint<'a>(&self, option: &str, text: &'a str) -> Result<Endpoint<'a>, MeshError> {
        let endpoint = Endpoint::parse(text)
            .map_err(|what| MeshError::config(format!("`{option}`: `{text}` {what}")))?;
        match (endpoint.tls, &self.tls) {
            (true, None) => Err(MeshError::config(format!(
                "`{option}`: `{text}` needs certificates: set `tls`, or write `tcp/` for a link without encryption"
            ))),
            (false, Some(_)) => Err(MeshError::config(format!(
                "`{option}`: `{text}` would not be encrypted although `tls` is set: write `tls/`"
            ))),
            _ => Ok(endpoint),
        }
    }

    /// An endpoint that can be dialled.
    fn dialled<'a>(&self, option: &str, text: &'a str) -> Result<Endpoint<'a>, MeshError> {
        let endpoint = self.endpoint(option, text)?;
        if endpoint.is_wildcard() {
            return Err(MeshError::config(format!(
                "`{option}`: nobody can dial `{text}`: write the address or name by which other sites reach it"
            )));
        }
        Ok(endpoint)
    }
}

fn name(option: &str, text: &str) -> Checked {
    if is_name(text) {
        return Ok(());
    }
    Err(MeshError::config(format!(
        "`{option}`: {text:?} is not a name: write 1 to {NAME_BYTES_MAX} of the characters A-Z a-z 0-9 - _ ."
    )))
}

fn distinct<'a>(option: &str, endpoints: impl Iterator<Item = &'a String>) -> Checked {
    let mut seen = BTreeSet::new();
    for endpoint in endpoints {
        if !seen.insert(endpoint) {
            return Err(MeshError::config(format!(
                "`{option}` has `{endpoint}` twice: each endpoint belongs to one listener"
            )));
        }
    }
    Ok(())
}

fn durations(heartbeat: Duration, timeout: Duration) -> Checked {
    if !(TIMEOUT_MIN..=TIMEOUT_MAX).contains(&timeout) {
        return Err(MeshError::config(format!("`timeout` is {timeout:?}: set it from 100 ms to 1 hour")));
    }
    if heartbeat.is_zero() || heartbeat * 2 > timeout {
        return Err(MeshError::config(format!(
            "`heartbeat` is {heartbeat:?} and `timeout` {timeout:?}: the timeout must be two heartbeats or more"
        )));
    }
    Ok(())
}

/// Whether a file can be read and has a PEM section with this label's end.
fn pem(option: &str, path: &Path, label: &str) -> Checked {
    let shown = path.display();
    // Zenoh writes paths into the parameters of an endpoint, which these characters separate.
    if path.to_str().is_none_or(|path| path.contains([';', '#', '?', '|'])) {
        return Err(MeshError::config(format!(
            "`{option}`: Zenoh cannot take the path `{shown}`: use one in UTF-8 without `;`, `#`, `?` and `|`"
        )));
    }
    let unreadable = |why: std::io::Error| {
        MeshError::config(format!(
            "`{option}`: cannot read `{shown}`: {why}; give a PEM file that this user may read"
        ))
    };
    let size = std::fs::metadata(path).map_err(unreadable)?.len();
    if size > PEM_BYTES_MAX {
        return Err(MeshError::config(format!("`{option}`: `{shown}` has {size} bytes: give a PEM file")));
    }
    let text = std::fs::read(path).map_err(unreadable)?;
    let has = |text: &str| {
        text.lines().any(|line| line.starts_with("-----BEGIN ") && line.trim_end().ends_with(label))
    };
    if !std::str::from_utf8(&text).is_ok_and(has) {
        return Err(MeshError::config(format!(
            "`{option}`: `{shown}` has no section `-----BEGIN … {label}`: give a PEM file"
        )));
    }
    Ok(())
}

/// Whether a key is that of a certificate. Zenoh would find out when it dials, and say only that nobody answers.
fn fits(key: &Path, certificate: &Path) -> Checked {
    let wrong = |why: String| Err(MeshError::config(format!("`tls.key`: `{}` {why}", key.display())));
    let parsed = PrivateKeyDer::from_pem_file(key);
    let Ok(private) = parsed else { return wrong("has no private key that can be read".to_owned()) };
    let chain = CertificateDer::pem_file_iter(certificate).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let Ok(chain) = chain else { return wrong("cannot be compared with the certificate".to_owned()) };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let client = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let client = client.map(|client| client.with_root_certificates(RootCertStore::empty()));
    match client.and_then(|client| client.with_client_auth_cert(chain, private)) {
        Ok(_) => Ok(()),
        Err(why) => wrong(format!("does not belong to the certificate `{}`: {why}", certificate.display())),
    }
}

/// The common name of the first certificate of a file, as the other side of a link reads it; or what is wrong.
fn common_name(path: &Path) -> Result<String, String> {
    let text = std::fs::read(path).map_err(|why| format!("cannot be read: {why}"))?;
    let mut sections = Pem::iter_from_buffer(&text).flatten();
    let certificate = sections.find(|section| section.label == "CERTIFICATE");
    let certificate = certificate.ok_or("has no certificate in PEM")?;
    let certificate = certificate.parse_x509().map_err(|why| format!("has no X.509 certificate: {why}"))?;
    let validity = certificate.validity();
    if !validity.is_valid() {
        return Err(format!("is valid from {} to {} only", validity.not_before, validity.not_after));
    }
    let name = certificate.subject().iter_common_name().next().and_then(|name| name.as_str().ok());
    name.map(str::to_owned).ok_or_else(|| "has no common name: give it that of this site".to_owned())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{MeshOptions, Tls, Topology};
    use crate::error::MeshErrorKind;

    fn edge(routers: &[&str]) -> MeshOptions {
        MeshOptions::new(
            "a",
            Topology::Edge { routers: routers.iter().map(|&router| router.into()).collect() },
        )
    }

    fn router(listen: &[&str], parent: Option<&str>) -> MeshOptions {
        let listen = listen.iter().map(|&listen| listen.into()).collect();
        MeshOptions::new("a", Topology::Router { listen, parent: parent.map(Into::into) })
    }

    fn peer(sites: &[(&str, &str)], listen: Option<&str>) -> MeshOptions {
        let sites = sites.iter().map(|&(name, at)| (name.into(), at.into())).collect();
        MeshOptions::new("a", Topology::Peer { sites, listen: listen.map(Into::into) })
    }

    fn timed(heartbeat: u64, timeout: u64) -> MeshOptions {
        let [heartbeat, timeout] = [heartbeat, timeout].map(Duration::from_millis);
        MeshOptions { heartbeat, timeout, ..edge(&["tcp/r:1"]) }
    }

    #[track_caller]
    fn refused(options: &MeshOptions, part: &str) {
        let error = options.check().unwrap_err();
        assert_eq!(error.kind(), MeshErrorKind::Config);
        assert!(error.to_string().contains(part), "{error}");
        assert!(error.option().is_some(), "{error}");
    }

    #[test]
    fn what_can_work_is_allowed() {
        for options in [
            edge(&["tcp/r:1"]),
            edge(&["tcp/r:1", "tcp/s:1"]),
            router(&["tcp/0.0.0.0:1"], None),
            router(&["tcp/0.0.0.0:1", "tcp/[::1]:2"], Some("tcp/parent:1")),
            peer(&[("a", "tcp/a:1"), ("b", "tcp/b:1")], None),
            peer(&[("a", "tcp/a:1"), ("b", "tcp/b:1")], Some("tcp/0.0.0.0:7")),
            timed(50, 100),
        ] {
            assert_eq!(options.check(), Ok(()), "{options:?}");
        }
    }

    #[test]
    fn names_that_are_no_part_of_a_key_are_refused() {
        for name in ["", "a/b", "a*", "$a", "ä", "a b", "x".repeat(65).as_str()] {
            refused(&MeshOptions { site: name.into(), ..edge(&["tcp/r:1"]) }, "`site`");
            refused(&MeshOptions { mesh: name.into(), ..edge(&["tcp/r:1"]) }, "`mesh`");
        }
    }

    #[test]
    fn edges_dial_one_or_two_different_routers() {
        refused(&edge(&[]), "0 routers");
        refused(&edge(&["tcp/r:1", "tcp/r:1"]), "twice");
        refused(&edge(&["tcp/r:1", "tcp/s:1", "tcp/t:1"]), "3 routers");
        refused(&edge(&["tcp/0.0.0.0:1"]), "nobody can dial");
        refused(&edge(&["udp/r:1"]), "is not an endpoint");
    }

    #[test]
    fn routers_listen_and_are_not_their_own_parent() {
        refused(&router(&[], None), "0 endpoints");
        refused(&router(&["tcp/r:1", "tcp/r:1"], None), "twice");
        refused(&router(&["tcp/r:1"], Some("tcp/r:1")), "this router itself");
        refused(&router(&["tcp/0.0.0.0:1"], Some("tcp/localhost:1")), "this router itself");
        refused(&router(&["tcp/r:1"], Some("tcp/[::]:1")), "nobody can dial");
    }

    #[test]
    fn peers_list_themselves_and_others() {
        refused(&peer(&[("a", "tcp/a:1")], None), "only this site");
        refused(&peer(&[("b", "tcp/b:1"), ("c", "tcp/c:1")], None), "does not list this site");
        refused(&peer(&[("a", "tcp/a:1"), ("b", "tcp/a:1")], None), "twice");
        refused(&peer(&[("a", "tcp/0.0.0.0:1"), ("b", "tcp/b:1")], None), "nobody can dial");
        refused(&peer(&[("a", "tcp/a:1"), ("b/", "tcp/b:1")], None), "is not a name");
    }

    #[test]
    fn the_timeout_is_two_heartbeats_or_more() {
        refused(&timed(500, 999), "two heartbeats");
        refused(&timed(0, 1000), "two heartbeats");
        refused(&timed(10, 99), "`timeout`");
    }

    #[test]
    fn endpoints_and_files_of_tls_are_checked() {
        let file = |name: &str| std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
        let tls = |path: &str| {
            let (names, routers) = (Vec::new(), Vec::new());
            Tls { authority: file(path), certificate: file(path), key: file(path), names, routers }
        };
        let with = |endpoint, path| MeshOptions { tls: Some(tls(path)), ..edge(&[endpoint]) };
        refused(&edge(&["tls/r:1"]), "needs certificates");
        refused(&with("tcp/r:1", "Cargo.toml"), "would not be encrypted");
        refused(&with("tls/r:1", "none.pem"), "cannot read");
        refused(&with("tls/r:1", "Cargo.toml"), "has no section");
        refused(&with("tls/r:1", "a;b.pem"), "Zenoh cannot take the path");
    }
}
