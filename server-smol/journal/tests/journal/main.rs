//! Tests of the journal on files, and on a simulated disk with faults.

mod basics;
mod crashes;
mod damage;
mod files;
mod format;
mod schedules;
mod simulated;
