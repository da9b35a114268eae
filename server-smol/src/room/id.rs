use std::{fmt, sync::Arc};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::settings::GeneratedIds;

/// The longest id, in bytes.
const LONGEST: usize = 512;

/// The name of a room: any text of 1 to 512 bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct RoomId(Arc<str>);

impl RoomId {
    /// Returns the room of `/ws`.
    pub(crate) fn default_room() -> Self {
        Self("default".into())
    }

    /// Reads an id from a path.
    ///
    /// # Errors
    /// Says in a sentence for the client what is wrong with it.
    pub(crate) fn from_path(encoded: &str) -> Result<Self, &'static str> {
        let id =
            percent_decode_str(encoded).decode_utf8().map_err(|_| "a room's id is UTF-8, percent-encoded")?;
        Self::new(&id)
    }

    /// Checks an id.
    ///
    /// # Errors
    /// Says in a sentence what is wrong with it.
    pub(crate) fn new(id: &str) -> Result<Self, &'static str> {
        match id.len() {
            0 => Err("a room's id has at least one byte; the room of /ws is called \"default\""),
            1..=LONGEST => Ok(Self(id.into())),
            _ => Err("a room's id has at most 512 bytes"),
        }
    }

    /// Makes up an id that nobody can guess.
    pub(crate) fn generate(kind: GeneratedIds) -> Result<Self, getrandom::Error> {
        let mut random = [0; 16];
        getrandom::fill(&mut random)?;
        Ok(Self(match kind {
            GeneratedIds::Short => short(&random).into(),
            GeneratedIds::Uuid => uuid(random).into(),
        }))
    }

    /// Returns the id as a path has it.
    pub(crate) fn to_path(&self) -> impl fmt::Display + '_ {
        // RFC 3986, section 2.3: the unreserved characters need no encoding.
        const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
        utf8_percent_encode(&self.0, RESERVED)
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Ten characters of five bits each, from an alphabet without look-alikes.
fn short(random: &[u8; 16]) -> String {
    const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    random[..10].iter().map(|byte| char::from(ALPHABET[usize::from(byte % 32)])).collect()
}

/// RFC 9562, section 5.4.
fn uuid(mut random: [u8; 16]) -> String {
    random[6] = random[6] & 0x0f | 0x40;
    random[8] = random[8] & 0x3f | 0x80;
    let mut text = String::with_capacity(36);
    for (index, byte) in random.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

/// Formats the id for logs: quoted, with control characters escaped.
impl fmt::Display for RoomId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_text_of_1_to_512_bytes_is_a_room() {
        for (path, id) in [
            ("a", "a"),
            ("%2F", "/"),
            ("a/b", "a/b"),
            ("%00", "\0"),
            ("caf%C3%A9", "café"),
            ("%E2%9C%93", "✓"),
            ("a%20b", "a b"),
            ("100%", "100%"),
        ] {
            assert_eq!(RoomId::from_path(path).unwrap().as_str(), id, "{path}");
        }
        assert!(RoomId::from_path(&"x".repeat(512)).is_ok());
        assert!(RoomId::from_path(&"%41".repeat(512)).is_ok());
        assert!(RoomId::from_path(&"x".repeat(513)).unwrap_err().contains("512"));
        assert!(RoomId::from_path("").unwrap_err().contains("default"));
        assert!(RoomId::from_path("%ff").unwrap_err().contains("UTF-8"));
    }

    #[test]
    fn an_id_survives_its_path() {
        for id in ["a/b?c#d", "100%", "✓ \0", "-._~"] {
            let path = RoomId(id.into()).to_path().to_string();
            assert_eq!(RoomId::from_path(&path).unwrap().as_str(), id);
            assert!(path.is_ascii());
        }
    }

    #[test]
    fn generated_ids_differ_and_look_as_they_should() {
        let short = || RoomId::generate(GeneratedIds::Short).unwrap();
        assert_ne!(short(), short());
        assert_eq!(short().as_str().len(), 10);
        let uuid = RoomId::generate(GeneratedIds::Uuid).unwrap();
        assert_eq!(uuid.as_str().len(), 36);
        assert_eq!(uuid.as_str().as_bytes()[14], b'4');
    }
}
