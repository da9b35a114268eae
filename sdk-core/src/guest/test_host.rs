//! A host for the tests of this module. It keeps its promises, and does with the guest's memory what real hosts do.

use core::{ptr, slice, str};
use std::{
    cell::RefCell,
    string::String,
    sync::{Mutex, MutexGuard, PoisonError},
    thread_local,
    vec::Vec,
};

use crate::{MessagePayload, SaveState, abi::ALLOC_FAILED};

use super::{Address, Guest, Place, Room, RoomId};

/// An effect that a guest has asked for.
#[derive(Debug, PartialEq)]
pub(super) enum Asked {
    Text(i32, String),
    Bytes(i32, Vec<u8>),
    Timer(u32),
    Log(u32, String),
    Close(i32, u32, String),
    Printed(usize, String),
    Saved(Vec<u8>),
}

thread_local! {
    static ASKED: RefCell<Vec<Asked>> = const { RefCell::new(Vec::new()) };
}

fn ask(asked: Asked) {
    ASKED.with_borrow_mut(|list| list.push(asked));
}

/// # Safety
/// The guest lends these bytes for as long as `'a`.
unsafe fn bytes<'a>(at: *const u8, len: usize) -> &'a [u8] {
    // SAFETY: the caller's promise.
    unsafe { slice::from_raw_parts(at, len) }
}

/// # Safety
/// The guest lends these bytes.
unsafe fn text(at: *const u8, len: usize) -> String {
    // SAFETY: the caller's promise.
    let bytes = unsafe { bytes(at, len) };
    str::from_utf8(bytes).expect("the guest sends UTF-8 as text").into()
}

pub(super) mod env {
    use super::{Asked, ask, bytes, text};

    pub(in super::super) unsafe fn send_message(recipient: i32, at: *const u8, len: usize) {
        // SAFETY: lent by the guest.
        ask(Asked::Text(recipient, unsafe { text(at, len) }));
    }

    pub(in super::super) unsafe fn send_binary(recipient: i32, at: *const u8, len: usize) {
        // SAFETY: lent by the guest.
        ask(Asked::Bytes(recipient, unsafe { bytes(at, len) }.into()));
    }

    pub(in super::super) unsafe fn set_timer(ms_delay: u32) {
        ask(Asked::Timer(ms_delay));
    }
}

pub(super) mod extensions {
    use core::ptr;

    use super::{Asked, ask, bytes, text};

    pub(in super::super) unsafe fn save(at: *const u8, len: usize) {
        // SAFETY: lent by the guest.
        ask(Asked::Saved(unsafe { bytes(at, len) }.into()));
    }

    pub(in super::super) unsafe fn log(level: u32, at: *const u8, len: usize) {
        // SAFETY: lent by the guest.
        ask(Asked::Log(level, unsafe { text(at, len) }));
    }

    pub(in super::super) unsafe fn now_ms() -> i64 {
        1_700_000_000_000
    }

    pub(in super::super) unsafe fn random(at: *mut u8, len: usize) {
        // SAFETY: lent by the guest, to be written.
        unsafe { ptr::write_bytes(at, 7, len) };
    }

    pub(in super::super) unsafe fn close(recipient: i32, code: u32, at: *const u8, len: usize) {
        // SAFETY: lent by the guest.
        ask(Asked::Close(recipient, code, unsafe { text(at, len) }));
    }

    /// The client 1 has brought `name`, which is `Zoë`.
    pub(in super::super) unsafe fn client_info(
        client: u32,
        key_at: *const u8,
        key_len: usize,
        out: *mut u8,
        capacity: usize,
    ) -> usize {
        // SAFETY: lent by the guest.
        if client != 1 || unsafe { text(key_at, key_len) } != "name" {
            return usize::MAX;
        }
        let name = "Zoë".as_bytes();
        if name.len() <= capacity {
            // SAFETY: lent by the guest, to be written.
            unsafe { ptr::copy_nonoverlapping(name.as_ptr(), out, name.len()) };
        }
        name.len()
    }
}

#[cfg(feature = "std")]
pub(super) mod wasi {
    use super::{super::print::Piece, Asked, ask, text};

    /// The number of bytes that it takes at a time.
    const TAKEN: usize = 8;

    /// Takes the first bytes of the first piece, as a host may. Only standard output and error exist.
    pub(in super::super) unsafe fn fd_write(
        stream: usize,
        pieces: *const Piece,
        _: usize,
        written: *mut usize,
    ) -> usize {
        if !(1..=2).contains(&stream) {
            return 8;
        }
        // SAFETY: lent by the guest.
        let (piece, mut words) = unsafe { (&*pieces, text((*pieces).at, (*pieces).len)) };
        words.truncate(words.floor_char_boundary(piece.len.min(TAKEN)));
        // SAFETY: lent by the guest, to be written.
        unsafe { *written = words.len() };
        ask(Asked::Printed(stream, words));
        0
    }
}

/// The linear memory, of which the guest gets more and more.
#[cfg(any(feature = "alloc", not(feature = "heap")))]
pub(super) mod linear_memory {
    use core::{
        cell::UnsafeCell,
        sync::atomic::{AtomicUsize, Ordering::Relaxed},
    };

    const CAPACITY: usize = 1 << 19;
    /// The guest's memory at first, in bytes.
    const INITIAL: usize = 1024;

    #[repr(align(16))]
    struct Memory(UnsafeCell<[u8; CAPACITY]>);

    // SAFETY: tests take turns; see `TestHost`.
    unsafe impl Sync for Memory {}

    static MEMORY: Memory = Memory(UnsafeCell::new([0xa5; CAPACITY]));

    /// The guest's memory, its maximum, and the size of its pages, in bytes.
    static SIZE: AtomicUsize = AtomicUsize::new(INITIAL);
    static LIMIT: AtomicUsize = AtomicUsize::new(CAPACITY);
    static PAGE: AtomicUsize = AtomicUsize::new(1);

    pub(in super::super) const HEAP_BASE: *mut u8 = MEMORY.0.get().cast();
    #[cfg(not(feature = "heap"))]
    pub(in super::super) const HEAP_END: *mut u8 = HEAP_BASE.wrapping_add(INITIAL);

    pub(in super::super) fn end() -> usize {
        HEAP_BASE.addr() + SIZE.load(Relaxed)
    }

    pub(in super::super) fn grow(bytes: usize) -> usize {
        let page = PAGE.load(Relaxed);
        let size = SIZE.load(Relaxed);
        let pages = bytes / page + 1;
        if pages.checked_mul(page).is_none_or(|more| more > LIMIT.load(Relaxed) - size) {
            return usize::MAX.wrapping_mul(page);
        }
        SIZE.store(size + pages * page, Relaxed);
        HEAP_BASE.addr() + size
    }

    /// Makes a new memory, in pages of so many bytes, that may grow by so many.
    pub(super) fn reset(page: usize, more: usize) {
        assert!(INITIAL + more <= CAPACITY, "the tests want more memory than there is");
        SIZE.store(INITIAL, Relaxed);
        PAGE.store(page, Relaxed);
        LIMIT.store(INITIAL + more, Relaxed);
        #[cfg(not(feature = "heap"))]
        super::super::incoming::reset();
    }
}

/// The place of the id of all rooms in tests, which take turns.
pub(super) struct Here;

impl Place for Here {
    fn id() -> &'static RoomId {
        static ID: RoomId = RoomId::new();
        &ID
    }
}

/// A host with one instance. Tests take turns, as there is one memory; its guest finds what it left there.
pub(super) struct TestHost(#[expect(dead_code, reason = "it is held")] MutexGuard<'static, ()>);

impl TestHost {
    pub(super) fn new() -> Self {
        Self::with_memory(1, 256 << 10)
    }

    /// Makes a host whose guest has memory in pages of so many bytes, which may grow by so many pages.
    pub(super) fn with_memory(_page: usize, _more: usize) -> Self {
        static TURN: Mutex<()> = Mutex::new(());
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        #[cfg(any(feature = "alloc", not(feature = "heap")))]
        linear_memory::reset(_page, _more);
        Self(turn)
    }

    pub(super) fn initialize<G: Guest>(&self, room: &Room<G, Here>, room_id: &str) {
        assert!(self.hand_over(room, room_id.as_bytes(), |at, len| room.initialize(at, len)));
    }

    /// Returns whether the guest had room for it.
    pub(super) fn message<G: Guest>(
        &self,
        room: &Room<G, Here>,
        client: u32,
        message: MessagePayload<'_>,
    ) -> bool {
        self.hand_over(room, message.data(), |at, len| match message {
            MessagePayload::Text(_) => room.message(client, at, len),
            MessagePayload::Bytes(_) => room.binary(client, at, len),
        })
    }

    /// Hands over a state that another room has saved.
    pub(super) fn load<G: Guest<Service: SaveState>>(&self, room: &Room<G, Here>, saved: &[u8]) {
        assert!(self.hand_over(room, saved, |at, len| room.load(at, len)));
    }

    fn hand_over<G: Guest>(
        &self,
        room: &Room<G, Here>,
        data: &[u8],
        event: impl FnOnce(Address, usize),
    ) -> bool {
        let at = room.malloc(data.len()).0;
        if at.addr() == ALLOC_FAILED as usize {
            return false;
        }
        #[cfg(not(feature = "heap"))]
        assert!(at.addr() + data.len() <= linear_memory::end(), "this is not in the guest's memory");
        // SAFETY: the guest has room for these bytes here.
        unsafe { ptr::copy_nonoverlapping(data.as_ptr(), at, data.len()) };
        event(Address(at), data.len());
        room.free(Address(at), data.len());
        true
    }

    /// Returns what the guest has asked for since the last time.
    pub(super) fn asked(&self) -> Vec<Asked> {
        ASKED.take()
    }
}
