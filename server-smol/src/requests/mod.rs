//! Reads requests and writes answers on a connection, whoever gives the answers. So the HTTP library is compiled once, for one
//! type of connection.

mod body;
#[cfg(feature = "built-in")]
mod built_in;
mod codings;
mod download;
mod downloads;
#[cfg(feature = "built-in")]
mod event_stream;
mod exchange;
mod host;
mod list;
mod media_types;
mod query;
mod range;
mod socket;
mod validators;

pub(crate) use body::{Body, ending, json, later, not_allowed, object, redirect, text, typed};
#[cfg(feature = "built-in")]
pub(crate) use built_in::built_in;
pub(crate) use codings::{CODINGS, Weights, weights};
pub(crate) use download::Download;
pub(crate) use downloads::{DownloadPermit, Downloads};
#[cfg(feature = "built-in")]
pub(crate) use event_stream::{EventSender, MOST_EVENT, encode_event, event_stream};
pub(crate) use exchange::{Protocol, serve};
pub(crate) use host::has_one_host;
pub(crate) use list::{lists, names_type};
pub(crate) use media_types::media_type;
pub(crate) use query::{all_parameters, parameters};
pub(crate) use range::{Part, wanted_part};
pub(crate) use socket::{Peer, Socket};
pub(crate) use validators::Validators;
