//! Counts and bounds the memory that the server holds for guests, clients and requests.

mod buffer;
mod ledger;
mod system;
#[cfg(feature = "tls")]
mod thread_charge;

pub(crate) use buffer::{Buffer, Incoming};
pub(crate) use ledger::{Charge, Ledger, Need, OutOfMemory, Purpose, Reclaim, Stage};
pub(crate) use system::default_total;
#[cfg(feature = "tls")]
pub(crate) use thread_charge::ThreadCharge;
