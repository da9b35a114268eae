//! `println!`, `eprintln!` and their like for guests with the standard library on `wasm32-unknown-unknown`. There the
//! library's own macros write nothing. The SDK's write with `fd_write` of WASI, as guests for `wasm32-wasip1` do, so the host
//! makes the same lines of the log from both.

use core::fmt::{self, Write as _};

#[cfg(not(target_family = "wasm"))]
use super::test_host::wasi;

#[cfg(target_family = "wasm")]
mod wasi {
    use super::Piece;

    #[link(wasm_import_module = "wasi_snapshot_preview1")]
    unsafe extern "C" {
        pub(super) fn fd_write(
            stream: usize,
            pieces: *const Piece,
            count: usize,
            written: *mut usize,
        ) -> usize;
    }
}

/// A piece of what `fd_write` writes.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Piece {
    pub(super) at: *const u8,
    pub(super) len: usize,
}

/// Standard output. The host makes information of it.
pub const OUT: usize = 1;
/// Standard error. The host makes warnings of it.
pub const ERR: usize = 2;

/// Writes to [`OUT`] or [`ERR`]. A line becomes a line of the log.
pub fn print(stream: usize, words: fmt::Arguments<'_>) {
    // A `Display` that fails leaves its line unfinished. That is no reason to end the room.
    let _ = Stream(stream).write_fmt(words);
}

struct Stream(usize);

impl fmt::Write for Stream {
    fn write_str(&mut self, mut words: &str) -> fmt::Result {
        while !words.is_empty() {
            let mut written = 0;
            let piece = Piece { at: words.as_ptr(), len: words.len() };
            // SAFETY: `piece` and its bytes are *lent*, and `written` to be written.
            let error = unsafe { wasi::fd_write(self.0, &raw const piece, 1, &raw mut written) };
            if error != 0 {
                return Err(fmt::Error);
            }
            // The host takes the first part of a long text, whole characters of it.
            words = words.get(written..).ok_or(fmt::Error)?;
        }
        Ok(())
    }
}
