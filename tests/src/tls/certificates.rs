use std::{
    fs,
    sync::Arc,
    time::{Duration, SystemTime},
};

use rcgen::{BasicConstraints, Certificate, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion, pki_types::CertificateDer};

use crate::Directory;

/// An authority that issues certificates for `localhost`.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Its own certificate.
    pub certificate: Certificate,
}

/// A certificate and its key, as they are in files.
#[derive(Debug)]
pub struct Issued {
    /// The certificate, as PEM.
    pub certificate: String,
    /// Its key, as PEM.
    pub key: String,
    /// The certificate as it is sent.
    pub der: CertificateDer<'static>,
}

impl Authority {
    /// Makes a new one.
    #[must_use]
    #[allow(clippy::new_without_default, reason = "each is another one")]
    pub fn new() -> Self {
        let key = KeyPair::generate().expect("random numbers");
        let mut params = CertificateParams::new([]).expect("no names");
        params.distinguished_name.push(DnType::CommonName, "an authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).expect("a certificate");
        Self { issuer: Issuer::new(params, key), certificate }
    }

    /// Issues a certificate that is valid until the end of this year.
    #[must_use]
    pub fn issue_until(&self, year: i32) -> Issued {
        self.issue_with(|params| {
            params.not_before = date_time_ymd(2000, 1, 1);
            params.not_after = date_time_ymd(year, 12, 31);
        })
    }

    /// Issues a certificate that began as long ago as the first time says, and is still valid for the second.
    #[must_use]
    pub fn issue_around_now(&self, ago: Duration, left: Duration) -> Issued {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("a clock that is set");
        let epoch = date_time_ymd(1970, 1, 1);
        self.issue_with(|params| {
            (params.not_before, params.not_after) = (epoch + (now - ago), epoch + (now + left));
        })
    }

    fn issue_with(&self, set_validity: impl FnOnce(&mut CertificateParams)) -> Issued {
        let key = KeyPair::generate().expect("random numbers");
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let mut params = CertificateParams::new(names).expect("names");
        set_validity(&mut params);
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        Issued { certificate: certificate.pem(), key: key.serialize_pem(), der: certificate.der().clone() }
    }

    /// Issues a certificate that is valid.
    #[must_use]
    pub fn issue(&self) -> Issued {
        self.issue_until(2999)
    }

    /// Returns the rules of a client that trusts this authority.
    #[must_use]
    pub fn client(&self, versions: &[&'static SupportedProtocolVersion]) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.der().clone()).expect("a certificate");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions);
        let mut config = builder.expect("versions").with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        config
    }
}

impl Issued {
    /// Writes both files: `cert.pem` and `key.pem`.
    pub fn write(&self, directory: &Directory) {
        let path = directory.path();
        fs::write(path.join("cert.pem"), &self.certificate).expect("a disk");
        write_key(directory, &self.key);
    }
}

/// Writes a key to `key.pem`, which only its owner can read.
pub fn write_key(directory: &Directory, key: &str) {
    let path = directory.path().join("key.pem");
    fs::write(&path, key).expect("a disk");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;

        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("it is ours");
    }
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").finish_non_exhaustive()
    }
}
