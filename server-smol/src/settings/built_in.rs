/// A file that is a part of the program. A server answers requests for it at `/_/` and its name.
///
/// ```
/// use stateroom_server_smol::{BuiltIn, Server};
///
/// const FILES: &[BuiltIn] = &[BuiltIn::new("hello.txt", b"hello")];
///
/// // `GET /_/hello.txt` answers `hello`.
/// let server = Server::new().with_built_in(FILES);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BuiltIn {
    name: &'static str,
    content: &'static [u8],
    tag: [u8; TAG],
}

/// The length of an entity tag: 16 hexadecimal digits between quotes.
const TAG: usize = 18;

impl BuiltIn {
    /// Returns a file with a name and a content. The media type depends on the extension of the name.
    #[must_use]
    pub const fn new(name: &'static str, content: &'static [u8]) -> Self {
        Self { name, content, tag: tag(content) }
    }

    /// Returns the name, which is the path below `/_/`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Returns the content.
    #[must_use]
    pub const fn content(&self) -> &'static [u8] {
        self.content
    }

    /// Returns the entity tag (RFC 9110, section 8.8.3), with its quotes. Another content has another tag.
    pub(crate) fn tag(&self) -> &[u8] {
        &self.tag
    }
}

/// Computes a hash of the content (FNV-1a, with 64 bits), and writes it as an entity tag.
const fn tag(content: &[u8]) -> [u8; TAG] {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    let mut index = 0;
    while index < content.len() {
        hash = (hash ^ content[index] as u64).wrapping_mul(0x0100_0000_01b3);
        index += 1;
    }
    let mut tag = [b'"'; TAG];
    let mut digit = 0;
    while digit < TAG - 2 {
        tag[1 + digit] = b"0123456789abcdef"[(hash >> (60 - 4 * digit)) as usize & 0xf];
        digit += 1;
    }
    tag
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_tells_contents_apart() {
        let tag = |content| String::from_utf8(BuiltIn::new("a", content).tag().to_vec()).unwrap();
        // These are test vectors of the hash.
        assert_eq!(tag(b""), "\"cbf29ce484222325\"");
        assert_eq!(tag(b"a"), "\"af63dc4c8601ec8c\"");
        assert_eq!(tag(b"foobar"), "\"85944171f73967e8\"");
    }
}
