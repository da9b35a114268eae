//! Compresses messages (permessage-deflate, RFC 7692), each by itself: neither side refers to earlier messages. So a connection
//! between two messages takes no memory for it, and a message to many clients is compressed once.

mod deflater;
mod inflater;
mod inflation;
mod offer;

pub(crate) use deflater::Deflater;
pub(crate) use inflater::Inflaters;
pub(super) use inflation::Inflation;
pub(crate) use offer::Agreement;

/// What each compressed message ends with, and what is not sent (RFC 7692, section 7.2.1).
const END: [u8; 4] = [0, 0, 0xff, 0xff];
