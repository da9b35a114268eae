//! Admits connections and rooms: how many there may be, in all and from one address, and which silent ones make place.

mod address_rates;
mod permits;
mod rate;

pub(crate) use permits::{Permit, Permits, TooManyOfAddress};
pub(crate) use rate::{Rate, TooFast};
