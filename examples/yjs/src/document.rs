//! The document, as `yrs` keeps it.

use std::{cell::RefCell, mem, rc::Rc};

use yrs::{
    ClientID, Doc, OffsetKind, Options, ReadTxn, StateVector, Transact, Update,
    updates::{decoder::Decode, encoder::Encode},
};

use crate::check;

/// The largest document, as an update in bytes. In memory it takes several times as much.
const MAX_DOCUMENT: usize = 1 << 20;
/// After so many bytes of updates, the document is measured again.
const MEASURE_AFTER: usize = 64 << 10;

/// The reason why an update is not applied.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Malformed,
    TooLarge,
}

pub(crate) struct Document {
    doc: Doc,
    /// The changes of the last transaction as an update; empty if there were none.
    news: Rc<RefCell<Vec<u8>>>,
    /// The size at the last measurement, and the bytes of updates since then.
    size: usize,
    grown: usize,
}

impl Default for Document {
    fn default() -> Self {
        // The room edits nothing, so no edit has this id. Lengths are those of JavaScript's strings.
        let mut options = Options::with_guid_and_client_id("room".into(), ClientID::new(0));
        options.offset_kind = OffsetKind::Utf16;
        let doc = Doc::with_options(options);
        let news = Rc::new(RefCell::new(Vec::new()));
        let slot = Rc::clone(&news);
        doc.observe_update_v1("room", move |_, event| {
            slot.borrow_mut().clone_from(&event.update)
        })
        .expect("no transaction is open");
        Self {
            doc,
            news,
            size: 0,
            grown: 0,
        }
    }
}

impl Document {
    /// Returns the state vector.
    pub(crate) fn state(&self) -> Vec<u8> {
        self.doc.transact().state_vector().encode_v1()
    }

    /// Returns what somebody with this state vector does not have; nothing if it is no state vector.
    pub(crate) fn news_since(&self, state: &[u8]) -> Option<Vec<u8>> {
        if !check::is_state_vector(state) {
            return None;
        }
        let state = StateVector::decode_v1(state).ok()?;
        Some(self.doc.transact().encode_state_as_update_v1(&state))
    }

    /// Applies an update. Returns what it has changed, if it has changed something.
    pub(crate) fn apply(&mut self, update: &[u8]) -> Result<Option<Vec<u8>>, Refusal> {
        if !check::is_update(update) {
            return Err(Refusal::Malformed);
        }
        let decoded = Update::decode_v1(update).map_err(|_| Refusal::Malformed)?;
        if !self.has_space(update.len()) {
            return Err(Refusal::TooLarge);
        }
        let applied = self.doc.transact_mut().apply_update(decoded);
        applied.map_err(|_| Refusal::Malformed)?;
        let news = mem::take(&mut *self.news.borrow_mut());
        Ok((!news.is_empty()).then_some(news))
    }

    fn has_space(&mut self, more: usize) -> bool {
        self.grown += more;
        if self.grown > MEASURE_AFTER {
            // What waits for other updates counts, too.
            self.size = self
                .doc
                .transact()
                .encode_state_as_update_v1(&StateVector::default())
                .len();
            self.grown = more;
        }
        self.size + self.grown <= MAX_DOCUMENT
    }
}
