//! Certificates, and clients with TLS.

mod certificates;
mod client;

pub use certificates::{Authority, Issued, write_key};
pub use client::{Stream, TlsClient, connect, get};
