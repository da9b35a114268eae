use std::net::SocketAddr;

use super::{AnyTransport, Spare};

/// A connection that has been accepted.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub(crate) transport: AnyTransport,
    /// Its address. A program that connects to a Unix socket is on this machine, and this is its address.
    pub(crate) address: SocketAddr,
    /// Set if the process may have no more open files. Then the connection has taken a spare descriptor, and is to be refused.
    pub(crate) spare: Option<Spare>,
}
