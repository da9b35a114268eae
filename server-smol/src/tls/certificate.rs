use std::{
    fmt, fs, io,
    net::TcpStream,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use rustls::{
    ServerConfig,
    crypto::{CryptoProvider, ring},
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject as _},
    },
    server::{NoServerSessionStorage, ProducesTickets},
    sign::CertifiedKey,
};

use super::{connection::Connection, error::TlsError, validity::Validity};
use crate::{log_line::ConnectionId, reactor::AnyTransport};

/// The certificate of a server and its private key, in files that are read again when a server is told to.
///
/// ```no_run
/// use stateroom_server_smol::{Server, Tls};
///
/// let tls = Tls::from_files("fullchain.pem", "privkey.pem")?;
/// let server = Server::new().with_port(443).with_redirect_http(Some(80)).with_tls(Some(tls.clone()));
/// // When the files have changed:
/// tls.reload()?;
/// # Ok::<(), stateroom_server_smol::TlsError>(())
/// ```
///
/// Clones are the same certificate. With it, a server accepts TLS 1.3 and 1.2 on its TCP sockets, for HTTP/1.1.
#[derive(Clone)]
pub struct Tls(Arc<Inner>);

struct Inner {
    certificate: PathBuf,
    key: PathBuf,
    provider: Arc<CryptoProvider>,
    /// Encrypts the state of sessions for clients that come back, so that the server keeps none.
    tickets: Arc<dyn ProducesTickets>,
    current: Mutex<Current>,
}

/// A certificate that was read.
struct Current {
    config: Arc<ServerConfig>,
    /// Nothing if it cannot be found out.
    validity: Option<Validity>,
    /// The time of the next warning that it ends, in seconds since the Unix epoch.
    next_warning: u64,
}

/// The time between two such warnings, in seconds.
const WARNING_INTERVAL: u64 = 86_400;

impl Current {
    /// Warns that the certificate ends, at most once a day.
    fn warn_of_end(&mut self, path: &Path, now: u64) {
        let Some(validity) = self.validity.filter(|validity| validity.is_ending(now)) else { return };
        if now < self.next_warning {
            return;
        }
        self.next_warning = now + WARNING_INTERVAL;
        let path = path.display();
        if validity.has_ended(now) {
            log::warn!(
                "the certificate in `{path}` has expired, and clients refuse it: renew it, and send SIGHUP"
            );
        } else {
            let hours = validity.end().saturating_sub(now) / 3_600;
            log::warn!(
                "the certificate in `{path}` expires in {} days and {} hours: renew it, and send SIGHUP",
                hours / 24,
                hours % 24
            );
        }
    }
}

/// Returns the time, in seconds since the Unix epoch. A clock that was not set may show one before that.
fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

impl Tls {
    /// Reads a certificate and its key from PEM files. In the file of the certificate, those of its issuers follow it.
    ///
    /// Warnings go to the log: a certificate that has expired or soon will, and a key that other users can read. The first of these may
    /// also come later, once a day, when a client connects.
    ///
    /// # Errors
    /// A file cannot be read, it has something else in it, or the key is not that of the certificate.
    pub fn from_files(certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Result<Self, TlsError> {
        let (certificate, key) = (certificate.into(), key.into());
        let provider = Arc::new(ring::default_provider());
        let tickets = ring::Ticketer::new();
        let tickets =
            tickets.map_err(|_| TlsError::new(&key, "is of no use without random numbers of the system"))?;
        let current = Mutex::new(load(&certificate, &key, &provider, &tickets)?);
        Ok(Self(Arc::new(Inner { certificate, key, provider, tickets, current })))
    }

    /// Reads the files again. Connections that exist go on, and clients that come back continue their TLS sessions.
    ///
    /// # Errors
    /// The same as at first. The previous certificate stays.
    pub fn reload(&self) -> Result<(), TlsError> {
        let Inner { certificate, key, provider, tickets, current } = &*self.0;
        let loaded = load(certificate, key, provider, tickets)?;
        *current.lock().unwrap_or_else(PoisonError::into_inner) = loaded;
        Ok(())
    }

    /// Returns a connection with TLS. The handshake begins with the first read.
    pub(crate) fn accept(&self, socket: TcpStream, id: ConnectionId) -> AnyTransport {
        let mut current = self.0.current.lock().unwrap_or_else(PoisonError::into_inner);
        current.warn_of_end(&self.0.certificate, now());
        Box::new(Connection::new(socket, Arc::clone(&current.config), id)).into()
    }

    /// Returns the time at which the certificate expires, in seconds since the Unix epoch.
    #[cfg(feature = "metrics")]
    pub(crate) fn expiry(&self) -> Option<u64> {
        let current = self.0.current.lock().unwrap_or_else(PoisonError::into_inner);
        current.validity.map(Validity::end)
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { certificate, key, .. } = &*self.0;
        f.debug_struct("Tls").field("certificate", certificate).field("key", key).finish_non_exhaustive()
    }
}

fn load(
    certificate: &Path,
    key: &Path,
    provider: &Arc<CryptoProvider>,
    tickets: &Arc<dyn ProducesTickets>,
) -> Result<Current, TlsError> {
    let chain = read_chain(certificate)?;
    let private = read_key(key)?;
    let unusable = |error| TlsError::new(key, format!("has a key of a kind that cannot be used: {error}"));
    let signer = provider.key_provider.load_private_key(private).map_err(unusable)?;
    let fits = |der: &CertificateDer<'static>| {
        CertifiedKey::new(vec![der.clone()], Arc::clone(&signer)).keys_match()
    };
    match chain.first().map(fits) {
        Some(Ok(())) => {}
        Some(Err(rustls::Error::InvalidCertificate(error))) => {
            return Err(TlsError::new(certificate, format!("has a certificate that is damaged: {error:?}")));
        }
        _ if chain.iter().skip(1).any(|der| fits(der).is_ok()) => {
            let reason = "has the certificates in the wrong order: that of the server comes first, and its issuers follow";
            return Err(TlsError::new(certificate, reason));
        }
        _ => {
            let reason =
                format!("is the key of another certificate than that in `{}`", certificate.display());
            return Err(TlsError::new(key, reason));
        }
    }
    let validity = chain.first().and_then(|der| Validity::of(der));
    let resolver = Arc::new(rustls::sign::SingleCertAndKey::from(CertifiedKey::new(chain, signer)));
    let builder = ServerConfig::builder_with_provider(Arc::clone(provider));
    let builder = builder.with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| TlsError::new(key, format!("cannot be used: {error}")))?;
    let mut config = builder.with_no_client_auth().with_cert_resolver(resolver);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.ticketer = Arc::clone(tickets);
    let mut current = Current { config: Arc::new(config), validity, next_warning: 0 };
    let now = now();
    if validity.is_some_and(|validity| !validity.has_begun(now)) {
        log::warn!(
            "the certificate in `{}` is not valid yet, and clients refuse it: is the clock of this machine right?",
            certificate.display()
        );
    }
    current.warn_of_end(certificate, now);
    warn_of_readers(key);
    Ok(current)
}

fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let pem = read(path)?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let chain = chain.map_err(|error| TlsError::new(path, format!("is damaged: {}", words(&error))))?;
    if !chain.is_empty() {
        return Ok(chain);
    }
    let reason = match PrivateKeyDer::from_pem_slice(&pem) {
        Ok(_) => "has a key and no certificate; are the two files swapped?",
        Err(_) => "has no certificate in it: it is a PEM file with a line `-----BEGIN CERTIFICATE-----`",
    };
    Err(TlsError::new(path, reason))
}

fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let pem = read(path)?;
    let reason = match PrivateKeyDer::from_pem_slice(&pem) {
        Ok(key) => return Ok(key),
        Err(pem::Error::NoItemsFound) if has(&pem, "-----BEGIN ENCRYPTED PRIVATE KEY-----") => {
            "has a key with a passphrase, which nobody can enter here; `openssl pkey -in OLD -out NEW` writes one without"
                .to_owned()
        }
        Err(pem::Error::NoItemsFound) if has(&pem, "-----BEGIN CERTIFICATE-----") => {
            "has a certificate and no key; are the two files swapped?".to_owned()
        }
        Err(pem::Error::NoItemsFound) => {
            "has no private key in it: it is a PEM file with a line `-----BEGIN PRIVATE KEY-----`".to_owned()
        }
        Err(error) => format!("is damaged: {}", words(&error)),
    };
    Err(TlsError::new(path, reason))
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|error| {
        let reason = match error.kind() {
            io::ErrorKind::NotFound => "does not exist".to_owned(),
            io::ErrorKind::PermissionDenied => "cannot be read by this user".to_owned(),
            _ => format!("cannot be read: {error}"),
        };
        TlsError::new(path, reason)
    })
}

fn has(pem: &[u8], line: &str) -> bool {
    pem.windows(line.len()).any(|window| window == line.as_bytes())
}

fn words(error: &pem::Error) -> &'static str {
    match error {
        pem::Error::MissingSectionEnd { .. } => "a line `-----END …-----` is missing",
        pem::Error::IllegalSectionStart { .. } => "a line `-----BEGIN …-----` is not whole",
        _ => "it is not base64 between its first and its last line",
    }
}

/// Warns of a key that all users can read.
fn warn_of_readers(key: &Path) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;

        if fs::metadata(key).is_ok_and(|metadata| metadata.permissions().mode() & 0o004 != 0) {
            log::warn!("all users of this machine can read the key in `{0}`: `chmod o= {0}`", key.display());
        }
    }
    #[cfg(not(unix))]
    let _ = key;
}
