//! Opens the parsers of clients' text to `tests/fuzz`. It is not part of the interface.

use crate::{requests::parameters, room::RoomId};

/// Decodes the parameters of a query.
#[must_use]
pub fn query_parameters(query: &str) -> Vec<(String, String)> {
    parameters(query).map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
}

/// Returns the room that the last part of a path names, and that part as this server writes it.
///
/// # Errors
/// It names none, and this says why.
pub fn room_id_of_path(encoded: &str) -> Result<(String, String), &'static str> {
    let id = RoomId::from_path(encoded)?;
    Ok((id.as_str().to_owned(), id.to_path().to_string()))
}
