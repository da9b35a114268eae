use core::str;

use embedded_io::{Read, ReadReady};

/// The largest line, in bytes.
pub const SIZE: usize = 512;

/// A line that is being read. Lines end with `\n` or `\r\n`.
#[derive(Debug)]
pub struct Line {
    bytes: [u8; SIZE],
    len: usize,
    is_too_long: bool,
    is_complete: bool,
}

impl Default for Line {
    fn default() -> Self {
        Self {
            bytes: [0; SIZE],
            len: 0,
            is_too_long: false,
            is_complete: false,
        }
    }
}

impl Line {
    /// Reads what has arrived, up to the end of the line. Returns `None` if the line is not complete yet, and
    /// `Some(None)` if it is too long or not UTF-8.
    pub fn poll<R: Read + ReadReady>(&mut self, reader: &mut R) -> Option<Option<&str>> {
        if self.is_complete {
            (self.len, self.is_too_long, self.is_complete) = (0, false, false);
        }
        while !self.is_complete && reader.read_ready().unwrap_or(false) {
            let mut byte = [0];
            if !matches!(reader.read(&mut byte), Ok(1)) {
                break;
            }
            self.push(byte[0]);
        }
        if !self.is_complete {
            return None;
        }
        let line = self.bytes[..self.len]
            .strip_suffix(b"\r")
            .unwrap_or(&self.bytes[..self.len]);
        Some(str::from_utf8(line).ok().filter(|_| !self.is_too_long))
    }

    fn push(&mut self, byte: u8) {
        if byte == b'\n' {
            self.is_complete = true;
        } else if let Some(place) = self.bytes.get_mut(self.len) {
            *place = byte;
            self.len += 1;
        } else {
            self.is_too_long = true;
        }
    }
}
