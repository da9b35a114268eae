#[cfg(feature = "compression")]
use std::cell::OnceCell;
use std::rc::Rc;

use crate::{
    memory::{Buffer, Charge, Ledger, OutOfMemory, Purpose},
    websocket::{Head, Opcode},
};

/// The size in bytes from which a message for several clients is kept once for all of them.
pub(super) const SHARED: usize = 4 << 10;

/// A message on its way out.
#[derive(Debug, Clone)]
pub(crate) enum Frame<'a> {
    /// Its head, and what it carries.
    Parts(Head, &'a [u8]),
    /// The frame as it goes over the network.
    Encoded(&'a [u8]),
    /// The frame as it goes over the network, kept once for all clients.
    Shared(Rc<SharedFrame>),
}

/// A message as it goes over the network, kept once for all clients that get it.
#[derive(Debug)]
pub(crate) struct SharedFrame {
    bytes: Box<[u8]>,
    _charge: Charge,
    /// The same message, compressed, if it is smaller.
    #[cfg(feature = "compression")]
    compressed: OnceCell<Option<Rc<Self>>>,
}

/// The memory of a shared frame without its bytes: its counters, and its place among the deliveries of a room.
const SHARED_OVERHEAD: usize = 128;

impl SharedFrame {
    /// Encodes a message.
    ///
    /// # Errors
    /// There is no memory for it.
    pub(crate) fn new(opcode: Opcode, payload: &[u8], ledger: &Rc<Ledger>) -> Result<Rc<Self>, OutOfMemory> {
        let head = Head::new(opcode, payload.len());
        let size = SHARED_OVERHEAD + head.as_ref().len() + payload.len();
        let purpose = if payload.len() < SHARED { Purpose::Small } else { Purpose::Running };
        let charge = ledger.charge(size, purpose)?;
        Ok(Self::of([head.as_ref(), payload].concat(), charge))
    }

    /// Keeps a frame as it goes over the network.
    ///
    /// # Errors
    /// There is no memory for it.
    #[cfg(feature = "compression")]
    pub(super) fn encoded(frame: &[u8], ledger: &Rc<Ledger>) -> Result<Rc<Self>, OutOfMemory> {
        let charge = ledger.charge(SHARED_OVERHEAD + frame.len(), Purpose::Small)?;
        Ok(Self::of(frame.to_vec(), charge))
    }

    fn of(bytes: Vec<u8>, charge: Charge) -> Rc<Self> {
        Rc::new(Self {
            bytes: bytes.into(),
            _charge: charge,
            #[cfg(feature = "compression")]
            compressed: OnceCell::new(),
        })
    }

    /// Returns the same message, compressed, which is done once.
    #[cfg(feature = "compression")]
    pub(super) fn compressed(&self, compress: impl FnOnce() -> Option<Rc<Self>>) -> Option<Rc<Self>> {
        self.compressed.get_or_init(compress).clone()
    }
}

impl AsRef<[u8]> for SharedFrame {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl<'a> Frame<'a> {
    /// Returns a message for one client.
    pub(crate) fn new(opcode: Opcode, payload: &'a [u8]) -> Self {
        Self::Parts(Head::new(opcode, payload.len()), payload)
    }

    /// Returns a message for several clients, which is encoded once; `buffer` is for that.
    ///
    /// # Errors
    /// There is no memory for it.
    pub(crate) fn for_several(
        opcode: Opcode,
        payload: &[u8],
        buffer: &'a mut Buffer,
        ledger: &Rc<Ledger>,
    ) -> Result<Self, OutOfMemory> {
        if payload.len() >= SHARED {
            return SharedFrame::new(opcode, payload, ledger).map(Self::Shared);
        }
        let head = Head::new(opcode, payload.len());
        buffer.extend(head.as_ref())?;
        buffer.extend(payload)?;
        Ok(Self::Encoded(buffer))
    }

    /// Returns the bytes that go over the network, in two parts. The first one begins with the head.
    pub(super) fn parts(&self) -> [&[u8]; 2] {
        match self {
            Self::Parts(head, payload) => [head.as_ref(), payload],
            Self::Encoded(bytes) => [bytes, &[]],
            Self::Shared(frame) => [&frame.bytes, &[]],
        }
    }

    /// Returns how many bytes it is on the network.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Parts(head, payload) => head.as_ref().len() + payload.len(),
            Self::Encoded(bytes) => bytes.len(),
            Self::Shared(frame) => frame.bytes.len(),
        }
    }
}
