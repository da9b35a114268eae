//! Admits connections and rooms: how many there may be, in all and from one address, and which silent ones make place.

mod permits;
mod room_rates;
mod subnet;

pub(crate) use permits::{Permit, Permits, TooManyOfAddress};
pub(crate) use room_rates::TooFast;
pub(crate) use subnet::Subnet;
