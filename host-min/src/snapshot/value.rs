use wasmi::{F32, F64, Val};

/// Returns the value of a global as a snapshot has it: its type and its bits.
pub(super) fn encode(value: &Val) -> (u8, u64) {
    match value {
        Val::I32(value) => (0, u64::from(value.cast_unsigned())),
        Val::I64(value) => (1, value.cast_unsigned()),
        Val::F32(value) => (2, u64::from(value.to_bits())),
        Val::F64(value) => (3, value.to_bits()),
        // There are no others: see `module/admission.rs`.
        _ => (u8::MAX, 0),
    }
}

/// Returns the value with this type and these bits, if there is one.
pub(super) fn decode(ty: u8, value: u64) -> Option<Val> {
    let narrow = u32::try_from(value);
    Some(match ty {
        0 => Val::I32(narrow.ok()?.cast_signed()),
        1 => Val::I64(value.cast_signed()),
        2 => Val::F32(F32::from_bits(narrow.ok()?)),
        3 => Val::F64(F64::from_bits(value)),
        _ => return None,
    })
}
