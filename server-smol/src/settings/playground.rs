use super::{BuiltIn, Notices};

/// A page at `/_/` that shows what happens in rooms, and takes part in them.
///
/// Who can open the page sees the ids of all rooms and what is said in them, and may create and end rooms. So the server answers
/// only at the operator's address, unless the page is made [public](Self::with_public).
///
/// ```
/// use stateroom_server_smol::{BuiltIn, Playground, Server};
///
/// const FILES: &[BuiltIn] = &[BuiltIn::new("index.html", b"<!DOCTYPE html>")];
///
/// // At `/_/` of the public address.
/// let server = Server::new().with_playground(Some(Playground::new(FILES).with_public(true)));
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct Playground {
    files: &'static [BuiltIn],
    notices: Notices,
    is_public: bool,
}

impl Playground {
    /// Returns a playground that consists of these files. `index.html` among them is the page at `/_/`.
    pub fn new(files: &'static [BuiltIn]) -> Self {
        Self { files, notices: Notices::default(), is_public: false }
    }

    /// Sets the values that the program shows to the page.
    pub fn with_notices(mut self, notices: Notices) -> Self {
        self.notices = notices;
        self
    }

    /// Sets whether the page is at the public address, too: for a server that only its author reaches.
    pub fn with_public(mut self, is_public: bool) -> Self {
        self.is_public = is_public;
        self
    }

    pub(crate) fn files(&self) -> &'static [BuiltIn] {
        self.files
    }

    pub(crate) fn notices(&self) -> &Notices {
        &self.notices
    }

    pub(crate) fn is_public(&self) -> bool {
        self.is_public
    }
}
