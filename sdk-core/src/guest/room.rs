use core::{cell::UnsafeCell, marker::PhantomData, mem::MaybeUninit, slice, str};

use crate::{ClientId, MessagePayload, SaveState, StateroomService};

use super::{
    Guest, Place,
    imports::{self, Host},
    incoming,
};

/// The one room of this instance, empty until `initialize`. Each of its methods is an export.
///
/// Builds with debug assertions note what it is at, and so whether the host keeps its promises. The others do not: a
/// check in every event would cost a small guest a tenth of its code, and a host that breaks its word hurts
/// nothing but its own copy of the guest.
#[derive(Debug)]
pub struct Room<G: Guest, P> {
    service: UnsafeCell<MaybeUninit<G::Service>>,
    #[cfg(debug_assertions)]
    state: core::cell::Cell<State>,
    place: PhantomData<fn() -> P>,
}

#[cfg_attr(not(debug_assertions), allow(dead_code, reason = "nobody looks at it"))]
#[derive(Debug, Clone, Copy, PartialEq)]
enum State {
    Empty,
    Busy,
    Ready,
}

// SAFETY: *one at a time*, and so never two threads at a time.
unsafe impl<G: Guest, P> Sync for Room<G, P> {}

impl<G: Guest, P: Place> Room<G, P> {
    /// Returns a room before `initialize`.
    ///
    /// # Safety
    /// Nobody but the host calls the room's methods, and the host keeps its [promises](super). `P` is the place of no other
    /// room that exists.
    #[must_use]
    pub const unsafe fn new() -> Self {
        Self {
            service: UnsafeCell::new(MaybeUninit::uninit()),
            #[cfg(debug_assertions)]
            state: core::cell::Cell::new(State::Empty),
            place: PhantomData,
        }
    }

    /// `jam_malloc`
    pub fn malloc(&self, size: usize) -> Address {
        Address(incoming::malloc(size))
    }

    /// `jam_free`
    pub fn free(&self, at: Address, size: usize) {
        // SAFETY: *given back*.
        unsafe { incoming::free(at.0, size) }
    }

    /// `initialize`
    pub fn initialize(&self, at: Address, len: usize) {
        #[cfg(all(feature = "std", target_os = "unknown", target_family = "wasm", debug_assertions))]
        super::panic::watch();
        self.begin(State::Empty);
        // SAFETY: *handed over*, as text.
        let id = unsafe { at.text(len) };
        // SAFETY: *first*, so no event has asked for it.
        unsafe { P::id().keep(id) };
        let service = G::create(id, &Host::<P>::new());
        // SAFETY: *one at a time*, and what made the service has returned: nobody has a reference into the cell.
        unsafe { (*self.service.get()).write(service) };
        self.end();
    }

    /// `connect`
    pub fn connect(&self, client: u32) {
        self.event(|service| service.connect(ClientId(client), &Host::<P>::new()));
    }

    /// `disconnect`
    pub fn disconnect(&self, client: u32) {
        self.event(|service| service.disconnect(ClientId(client), &Host::<P>::new()));
    }

    /// `timer`
    pub fn timer(&self) {
        self.event(|service| service.timer(&Host::<P>::new()));
    }

    /// `message`
    pub fn message(&self, client: u32, at: Address, len: usize) {
        // SAFETY: *handed over*, as text.
        let text = unsafe { at.text(len) };
        self.event(|service| {
            service.message(ClientId(client), MessagePayload::Text(text), &Host::<P>::new())
        });
    }

    /// `binary`
    pub fn binary(&self, client: u32, at: Address, len: usize) {
        // SAFETY: *handed over*.
        let bytes = unsafe { at.bytes(len) };
        self.event(|service| {
            service.message(ClientId(client), MessagePayload::Bytes(bytes), &Host::<P>::new())
        });
    }

    /// `stateroom_save`
    pub fn save(&self)
    where
        G::Service: SaveState,
    {
        self.event(|service| service.save(&mut |bytes| imports::save(bytes)));
    }

    /// `stateroom_load`
    ///
    /// # Panics
    /// The service cannot load the state. This is how the host learns of it.
    pub fn load(&self, at: Address, len: usize)
    where
        G::Service: SaveState,
    {
        // SAFETY: *handed over*.
        let saved = unsafe { at.bytes(len) };
        self.event(|service| {
            if let Err(error) = service.load(saved, &Host::<P>::new()) {
                panic!("this version cannot load the saved state: {error}");
            }
        });
    }

    /// Begins an export, in a room that should be in this state.
    fn begin(&self, _wanted: State) {
        #[cfg(debug_assertions)]
        assert_eq!(self.state.replace(State::Busy), _wanted, "the host breaks its promises");
    }

    fn end(&self) {
        #[cfg(debug_assertions)]
        self.state.set(State::Ready);
    }

    fn event(&self, event: impl FnOnce(&mut G::Service)) {
        self.begin(State::Ready);
        // SAFETY: *first*, so there is a service; *one at a time*, so this is the only reference to it.
        event(unsafe { (*self.service.get()).assume_init_mut() });
        self.end();
    }
}

/// Rooms of modules are never dropped. Those of tests are, so that Miri finds what else is not.
#[cfg(all(test, debug_assertions))]
impl<G: Guest, P> Drop for Room<G, P> {
    fn drop(&mut self) {
        if self.state.get() == State::Ready {
            // SAFETY: there is a service, and no event is using it.
            unsafe { self.service.get_mut().assume_init_drop() };
        }
    }
}

/// An address that the host has from `jam_malloc`. Nobody else can make one.
#[derive(Debug)]
#[repr(transparent)]
pub struct Address(pub(super) *mut u8);

impl Address {
    /// # Safety
    /// `len` bytes have been *handed over* here. `'a` is over when the export returns.
    unsafe fn bytes<'a>(self, len: usize) -> &'a [u8] {
        // SAFETY: they are there and have been written, and *given back* comes later.
        unsafe { slice::from_raw_parts(self.0, len) }
    }

    /// # Safety
    /// As for [`bytes`](Self::bytes), and they are text.
    unsafe fn text<'a>(self, len: usize) -> &'a str {
        // SAFETY: the caller's promise. To check UTF-8 once more would cost every small guest a kilobyte.
        unsafe { str::from_utf8_unchecked(self.bytes(len)) }
    }
}
