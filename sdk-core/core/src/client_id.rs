/// A client of a room: a positive number, counted from 1 in each room and not reused while the room lives.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(pub u32);

impl ClientId {
    /// The largest id that can be addressed: recipients are signed on the wire.
    pub const MAX: Self = Self(i32::MAX as u32);
}

impl From<ClientId> for u32 {
    fn from(id: ClientId) -> Self {
        id.0
    }
}

impl From<u32> for ClientId {
    fn from(id: u32) -> Self {
        Self(id)
    }
}

impl core::fmt::Display for ClientId {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        core::fmt::Display::fmt(&self.0, f)
    }
}

// As if derived, but for `{:#?}`, which would bring a kilobyte of code along.
impl core::fmt::Debug for ClientId {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "ClientId({})", self.0)
    }
}

#[cfg(feature = "ufmt")]
impl ufmt::uDisplay for ClientId {
    fn fmt<W: ufmt::uWrite + ?Sized>(&self, f: &mut ufmt::Formatter<'_, W>) -> Result<(), W::Error> {
        ufmt::uDisplay::fmt(&self.0, f)
    }
}

#[cfg(feature = "ufmt")]
impl ufmt::uDebug for ClientId {
    fn fmt<W: ufmt::uWrite + ?Sized>(&self, f: &mut ufmt::Formatter<'_, W>) -> Result<(), W::Error> {
        ufmt::uwrite!(f, "ClientId({})", self.0)
    }
}
