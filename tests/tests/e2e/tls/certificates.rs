use std::{fs, os::unix::fs::PermissionsExt as _, sync::Arc};

use rcgen::{BasicConstraints, Certificate, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion, pki_types::CertificateDer};
use stateroom_tests::Directory;

/// An authority, and a certificate for `localhost` that it has issued.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) certificate: Certificate,
}

/// A certificate and its key, as they are in files.
pub(crate) struct Issued {
    pub(crate) certificate: String,
    pub(crate) key: String,
    pub(crate) der: CertificateDer<'static>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().expect("random numbers");
        let mut params = CertificateParams::new([]).expect("no names");
        params.distinguished_name.push(DnType::CommonName, "an authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).expect("a certificate");
        Self { issuer: Issuer::new(params, key), certificate }
    }

    /// Issues a certificate that is valid until the end of this year.
    pub(crate) fn issue_until(&self, year: i32) -> Issued {
        let key = KeyPair::generate().expect("random numbers");
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let mut params = CertificateParams::new(names).expect("names");
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(year, 12, 31);
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        Issued { certificate: certificate.pem(), key: key.serialize_pem(), der: certificate.der().clone() }
    }

    pub(crate) fn issue(&self) -> Issued {
        self.issue_until(2999)
    }

    /// Returns the rules of a client that trusts this authority.
    pub(crate) fn client(&self, versions: &[&'static SupportedProtocolVersion]) -> ClientConfig {
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
    /// Writes both files.
    pub(crate) fn write(&self, directory: &Directory) {
        let path = directory.path();
        fs::write(path.join("cert.pem"), &self.certificate).expect("a disk");
        write_key(directory, &self.key);
    }
}

/// Writes the key, which only its owner can read.
pub(crate) fn write_key(directory: &Directory, key: &str) {
    let path = directory.path().join("key.pem");
    fs::write(&path, key).expect("a disk");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("it is ours");
}
