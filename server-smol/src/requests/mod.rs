//! Reads requests and writes answers on a connection, whoever gives the answers. So the HTTP library is compiled once, for one
//! type of connection.

mod body;
mod download;
mod downloads;
mod exchange;
mod query;
mod socket;

pub(crate) use body::{Body, ending, json, later, not_allowed, object, text};
pub(crate) use download::Download;
pub(crate) use downloads::{DownloadPermit, Downloads};
pub(crate) use exchange::{Protocol, serve};
pub(crate) use query::parameters;
pub(crate) use socket::{Peer, Socket};
