//! TLS on top of TCP: certificates, and connections.

mod certificate;
mod connection;
mod error;
mod plain_http;
mod validity;

pub use certificate::Tls;
pub use error::TlsError;
