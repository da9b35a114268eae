use std::fmt;

use data_encoding::BASE64;
use ed25519_compact::{KeyPair, PublicKey, Seed, Signature};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// A key with which tokens are checked. It decides about the algorithm of its tokens, and they do not.
///
/// It is a secret of at least 32 bytes (HS256), or a public key (Ed25519) in the form `-----BEGIN PUBLIC KEY-----` (EdDSA).
#[derive(Clone)]
pub struct TokenKey {
    pub(super) name: Option<Box<str>>,
    key: Check,
}

#[derive(Clone)]
enum Check {
    Secret(Box<[u8]>),
    Public(PublicKey),
}

/// A key with which tokens are made: for tests, and for programs that are both. It is a secret, or a private key (Ed25519) in the form
/// `-----BEGIN PRIVATE KEY-----`.
pub struct SigningKey {
    pub(super) name: Option<Box<str>>,
    key: Sign,
}

enum Sign {
    Secret(Box<[u8]>),
    Private(Box<KeyPair>),
}

/// The fewest bytes of a secret (RFC 7518, section 3.2).
const SECRET: usize = 32;

/// The bytes before the 32 bytes of a key (RFC 8410).
const PUBLIC: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
const PRIVATE: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

const PUBLIC_LABEL: &str = "PUBLIC KEY";
const PRIVATE_LABEL: &str = "PRIVATE KEY";

const OTHER: &str =
    "is a key of another kind: make one with `openssl genpkey -algorithm ed25519`, or use a secret (HS256)";

impl TokenKey {
    /// Reads a key. Tokens may name it in `kid`.
    ///
    /// # Errors
    /// Says what is wrong with it and how it is mended, but nothing of the key.
    pub fn read(content: &[u8], name: Option<&str>) -> Result<Self, String> {
        let key = match Pem::find(content)? {
            None => Check::Secret(secret(content)?),
            Some(Pem { label: PRIVATE_LABEL, .. }) => {
                return Err("is a private key, which the server does not need: give it the public one (`openssl pkey -in FILE -pubout`)".to_owned());
            }
            Some(Pem { label, der }) => {
                let key =
                    Some(&*der).filter(|_| label == PUBLIC_LABEL).and_then(|der| der.strip_prefix(&PUBLIC));
                let key = key.and_then(|key| PublicKey::from_slice(key).ok());
                Check::Public(key.ok_or(OTHER)?)
            }
        };
        Ok(Self { name: name.map(Box::from), key })
    }

    /// Returns whether the key is for an algorithm, as tokens name it.
    pub(super) fn is_for(&self, algorithm: &str) -> bool {
        match self.key {
            Check::Secret(_) => algorithm == "HS256",
            // RFC 9864 has given it the second name.
            Check::Public(_) => algorithm == "EdDSA" || algorithm == "Ed25519",
        }
    }

    /// Returns whether a signature is that of this key. For a secret, this takes as long for all signatures.
    pub(super) fn has_signed(&self, content: &[u8], signature: &[u8]) -> bool {
        match &self.key {
            Check::Secret(secret) => {
                mac(secret, content).is_some_and(|mac| mac.verify_slice(signature).is_ok())
            }
            Check::Public(key) => Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify(content, &signature).is_ok()),
        }
    }
}

impl SigningKey {
    /// Reads a key, which its tokens name in `kid`.
    ///
    /// # Errors
    /// Says what is wrong with it and how it is mended, but nothing of the key.
    pub fn read(content: &[u8], name: Option<&str>) -> Result<Self, String> {
        let key = match Pem::find(content)? {
            None => Sign::Secret(secret(content)?),
            Some(Pem { label: PUBLIC_LABEL, .. }) => {
                return Err("is a public key: a token is made with the private one".to_owned());
            }
            Some(Pem { label, der }) => {
                let seed =
                    Some(&*der).filter(|_| label == PRIVATE_LABEL).and_then(|der| der.strip_prefix(&PRIVATE));
                let seed = seed.and_then(|seed| Seed::from_slice(seed).ok()).ok_or(OTHER)?;
                Sign::Private(Box::new(KeyPair::from_seed(seed)))
            }
        };
        Ok(Self { name: name.map(Box::from), key })
    }

    pub(super) fn algorithm(&self) -> &'static str {
        match self.key {
            Sign::Secret(_) => "HS256",
            Sign::Private(_) => "EdDSA",
        }
    }

    pub(super) fn sign(&self, content: &[u8]) -> Vec<u8> {
        match &self.key {
            Sign::Secret(secret) => {
                mac(secret, content).map_or_else(Vec::new, |mac| mac.finalize().into_bytes().to_vec())
            }
            Sign::Private(pair) => pair.sk.sign(content, None).to_vec(),
        }
    }
}

fn mac(secret: &[u8], content: &[u8]) -> Option<Hmac<Sha256>> {
    // A secret of any length will do.
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).ok()?;
    mac.update(content);
    Some(mac)
}

/// Returns the secret in a file, without the line break that editors put behind it.
fn secret(content: &[u8]) -> Result<Box<[u8]>, String> {
    let content = content.strip_suffix(b"\n").unwrap_or(content);
    let content = content.strip_suffix(b"\r").unwrap_or(content);
    if content.len() < SECRET {
        return Err(format!(
            "has {} bytes: a secret has at least {SECRET}, such as those of `openssl rand -hex 32`",
            content.len()
        ));
    }
    Ok(content.into())
}

/// A key in a text.
struct Pem<'a> {
    label: &'a str,
    der: Vec<u8>,
}

impl<'a> Pem<'a> {
    /// Finds the first key in a text. Returns `None` if it has none.
    fn find(content: &'a [u8]) -> Result<Option<Self>, &'static str> {
        const BEGIN: &str = "-----BEGIN ";
        const DASHES: &str = "-----";
        let Some(begin) = content.windows(BEGIN.len()).position(|bytes| bytes == BEGIN.as_bytes()) else {
            return Ok(None);
        };
        let broken = "is a key in PEM that is damaged";
        let text = str::from_utf8(&content[begin + BEGIN.len()..]).map_err(|_| broken)?;
        let (label, rest) = text.split_once(DASHES).ok_or(broken)?;
        let (base64, _) = rest.split_once("-----END ").ok_or(broken)?;
        let base64: String = base64.split_whitespace().collect();
        let der = BASE64.decode(base64.as_bytes()).map_err(|_| broken)?;
        Ok(Some(Self { label, der }))
    }
}

/// Keeps keys out of logs.
impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenKey").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Keeps keys out of logs.
impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("name", &self.name).finish_non_exhaustive()
    }
}
