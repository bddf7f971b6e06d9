//! TLS for `wss://` endpoints: certificates and trusted roots, read from PEM.

use std::io;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use crate::error::{Error, Result};

/// What is spoken inside of TLS.
const INSIDE: &[u8] = b"http/1.1";

/// What a listener needs, from its certificate with its chain, and the key.
///
/// # Errors
/// No certificate is set, or it does not fit to the key.
pub(super) fn server(certificate: Option<(&[u8], &[u8])>) -> Result<Arc<ServerConfig>> {
    let Some((chain, key)) = certificate else {
        return Err(Error::misuse("a wss:// endpoint needs a certificate and its key; set Web::certificate"));
    };
    let chain = certificates(chain, "the certificate (Web::certificate)")?;
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|e| {
        Error::misuse(format!("the key of the certificate (Web::certificate) is not a key in PEM: {e}"))
    })?;
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().map_err(unusable)?.with_no_client_auth();
    let mut config = builder.with_single_cert(chain, key).map_err(|e| {
        Error::misuse(format!("the certificate and its key (Web::certificate) cannot be used: {e}"))
            .because(e)
    })?;
    config.alpn_protocols = vec![INSIDE.to_vec()];
    Ok(Arc::new(config))
}

/// What a client needs, from the roots that it trusts; without any, from those of the system.
///
/// # Errors
/// The roots are no certificates, or the system has none.
pub(super) fn client(roots_pem: Option<&[u8]>) -> Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    match roots_pem {
        Some(pem) => {
            for root in certificates(pem, "the trusted roots (Web::roots)")? {
                roots.add(root).map_err(|e| {
                    Error::misuse(format!("a trusted root (Web::roots) cannot be used: {e}")).because(e)
                })?;
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if roots.is_empty() {
                let missing = io::ErrorKind::NotFound.into();
                return Err(Error::io(
                    "the system has no trusted roots; install them, or set Web::roots",
                    missing,
                ));
            }
        }
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().map_err(unusable)?;
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![INSIDE.to_vec()];
    Ok(Arc::new(config))
}

fn certificates(pem: &[u8], what: &str) -> Result<Vec<CertificateDer<'static>>> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match read {
        Ok(chain) if !chain.is_empty() => Ok(chain),
        Ok(_) => {
            Err(Error::misuse(format!("{what} has no certificate in PEM (-----BEGIN CERTIFICATE-----)")))
        }
        Err(e) => Err(Error::misuse(format!("{what} is not in PEM: {e}"))),
    }
}

fn unusable(e: rustls::Error) -> Error {
    Error::misuse(format!("TLS cannot be used: {e}")).because(e)
}
