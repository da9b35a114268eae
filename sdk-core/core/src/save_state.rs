use core::fmt;

use crate::StateroomContext;

/// Saves and loads the state of a service. So a room continues, with its clients, when its module is replaced by another version.
///
/// `#[stateroom_wasm(save)]` makes a guest of such a service. For types that implement serde's traits,
/// `#[stateroom_wasm(save = "json")]` and `#[stateroom_wasm(save = "postcard")]` implement this trait, with the feature of that name. JSON
/// takes fields that were added (with `#[serde(default)]`) or removed. Postcard is smaller, and takes only the same fields.
///
/// ```
/// use stateroom_sdk_core::*;
/// # use stateroom_core::SaveState;
///
/// #[stateroom_wasm(save)]
/// #[derive(Default)]
/// struct Counter(i32);
///
/// impl StateroomService for Counter {}
///
/// impl SaveState for Counter {
///     type Error = &'static str;
///
///     fn save(&self, write: &mut impl FnMut(&[u8])) {
///         write(&self.0.to_le_bytes());
///     }
///
///     fn load(&mut self, saved: &[u8], _: &impl StateroomContext) -> Result<(), &'static str> {
///         self.0 = i32::from_le_bytes(saved.try_into().map_err(|_| "a number has four bytes")?);
///         Ok(())
///     }
/// }
/// ```
pub trait SaveState {
    /// The reason why a state cannot be loaded. The host logs it.
    type Error: fmt::Display;

    /// Passes the state to `write`, in one piece or in several.
    fn save(&self, write: &mut impl FnMut(&[u8]));

    /// Restores a state that another version saved. The host calls it once: after [`init`](crate::StateroomService::init), whose
    /// effects are dropped, and before any other event. Its own effects happen. The clients of the room are not reported again. The
    /// timer stays as it was, unless this sets or cancels it.
    ///
    /// # Errors
    /// The state cannot be read. The host then keeps the old room.
    fn load(&mut self, saved: &[u8], context: &impl StateroomContext) -> Result<(), Self::Error>;
}
