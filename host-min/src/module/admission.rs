use alloc::format;

use wasmparser::{Validator, WasmFeatures};

use super::outline::Outline;
use crate::{LoadError, load_error::clip};

/// The features of WebAssembly that a module may use: no more than the engine is set up for.
///
/// Not among it is what wasmi 2.0 has wrong, and compilers make no use of (what they do make use of is put
/// right in `prepare.rs`):
///
/// - Before a block that takes parameters it may forget to save a local variable, and what it finds in its
///   place later is stale (so no `MULTI_VALUE`).
/// - It keeps constant expressions as closures in closures, and overflows the native stack with a long one
///   (so no `EXTENDED_CONST`).
const FEATURES: WasmFeatures = WasmFeatures::MUTABLE_GLOBAL
    .union(WasmFeatures::SATURATING_FLOAT_TO_INT)
    .union(WasmFeatures::SIGN_EXTENSION)
    .union(WasmFeatures::BULK_MEMORY)
    // For the way in which compilers write the table of a `call_indirect`.
    .union(WasmFeatures::REFERENCE_TYPES)
    .union(WasmFeatures::GC_TYPES)
    .union(WasmFeatures::TAIL_CALL)
    .union(WasmFeatures::FLOATS)
    .union(WasmFeatures::CUSTOM_PAGE_SIZES);

/// Lets pass what is valid, and what the engine can be trusted with.
///
/// The engine validates as it translates, and panics at operators behind the end of a function. So this comes
/// before. References stay in tables: a stale one in a variable would be undefined behaviour, and a
/// `table.grow` that has run out of fuel goes on at the wrong place.
pub(crate) fn admit(outline: &Outline<'_>, module: &[u8]) -> Result<(), LoadError> {
    let valid = Validator::new_with_features(FEATURES).validate_all(module);
    valid.map_err(|error| LoadError::Invalid(clip(&format!("{error}"))))?;
    if outline.references {
        return Err(LoadError::Invalid("it has references as values, not only in its tables".into()));
    }
    Ok(())
}
