//! The journal of a server whose rooms are kept on disk: a thread that writes what happens in rooms, and its handles on the
//! threads of the rooms. `docs/durability.md` describes what it promises.

mod directory;
mod files;
mod handle;
mod inquiry;
#[cfg(feature = "rooms")]
mod listing;
#[cfg(feature = "wasm")]
mod modules;
#[cfg(feature = "rooms")]
mod offline;
mod opener;
mod progress;
#[cfg(feature = "rooms")]
mod read_only;
mod requests;
mod thread;
mod writer;

pub(crate) use directory::DataDirectory;
pub use directory::DataError;
pub(crate) use handle::{Journal, RoomNumber, Ticket};
pub(crate) use inquiry::KeptRooms;
#[cfg(feature = "rooms")]
pub(crate) use inquiry::RoomOnDisk;
#[cfg(feature = "wasm")]
pub(crate) use modules::{Modules, hex};
#[cfg(feature = "rooms")]
pub(crate) use offline::{JournalEditor, JournalReader};
pub(crate) use thread::JournalThread;
pub(crate) use writer::{History, LoadError};

/// Returns the size of the largest entry of a journal, in bytes.
pub(crate) fn max_entry(journal_size: u64) -> u64 {
    // At most half of what the format allows.
    (journal_size / 4).min(512 << 20)
}

/// Returns whether histories of so many bytes leave no space for more rooms.
pub(crate) fn is_filling(live: u64, journal_size: u64) -> bool {
    live / 3 > journal_size / 8
}

/// Returns whether an event in a history is a note of the server: see `docs/reference/sessions.md`. All others are one or more records
/// of the room's events, which begin with their length, and that is never zero.
pub(crate) fn is_note(event: &[u8]) -> bool {
    event.first() == Some(&NOTE)
}

/// The first byte of a note.
pub(crate) const NOTE: u8 = 0;

/// Returns the number of records: each begins with its length, as a varint (LEB128).
fn count_records(mut records: &[u8]) -> u32 {
    let mut count = 0;
    while !records.is_empty() {
        let (mut length, mut shift) = (0, 0);
        while let Some((&byte, rest)) = records.split_first() {
            records = rest;
            length |= usize::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
            shift += 7;
            if byte < 0x80 {
                break;
            }
        }
        records = records.get(length..).unwrap_or(&[]);
        count += 1;
    }
    count
}

#[cfg(test)]
mod tests {
    use super::count_records;

    #[test]
    fn records_are_counted_by_their_lengths() {
        let long = [&[0x80, 1][..], &[0; 128]].concat();
        for (records, count) in [
            (&b""[..], 0),
            (b"\x01a", 1),
            (b"\x01a\x02bc", 2),
            (&[b"\x01a", &long[..], b"\x01a"].concat(), 3),
            // These are damaged: it ends nevertheless.
            (b"\x09a", 1),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 1),
        ] {
            assert_eq!(count_records(records), count, "{records:?}");
        }
    }
}
