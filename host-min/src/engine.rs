use wasmi::{CompilationMode, Config, CustomFuelCosts, Engine, OperatorCost};

use crate::Limits;

/// The interpreter, set up so that a run depends on nothing but the module and its events.
pub(crate) fn engine(limits: &Limits) -> Engine {
    let mut config = Config::default();
    config
        .consume_fuel(true)
        .operator_cost(operators())
        .fuel_cost(bulk())
        // Lazy translation would charge its fuel to whichever room calls a function first.
        .compilation_mode(CompilationMode::Eager)
        // Small guests have pages of one byte; see `sdk-core`.
        .wasm_custom_page_sizes(true)
        .wasm_multi_memory(false)
        // See `module/admission.rs`.
        .wasm_multi_value(false)
        .wasm_extended_const(false)
        .ignore_custom_sections(true)
        .set_max_recursion_depth(limits.call_depth.min(DEEPEST));
    Engine::new(&config)
}

/// How deep calls may nest at most. Each takes 32 bytes, beside its variables, which have a limit of their
/// own.
const DEEPEST: usize = 100_000;

/// Fuel stands for time, and some instructions take more of it than others.
fn operators() -> OperatorCost {
    OperatorCost {
        // They make frames, and set local variables to zero.
        call: 10,
        call_indirect: 10,
        return_call: 10,
        return_call_indirect: 10,
        // For a reason that stands in `module/prepare.rs`. Allocators ask for the size once, if at all.
        memory_grow: u8::MAX,
        memory_size: u8::MAX,
        ..OperatorCost::default()
    }
}

/// The largest slice that is used, in units of fuel: 10 ms or more. It takes up to half a megabyte of native
/// stack, for a reason that stands in `module/prepare.rs`.
const LARGEST_SLICE: u64 = 10_000_000;

/// How much a guest computes at a stretch.
pub(crate) fn slice(limits: &Limits) -> u64 {
    limits.slice.min(LARGEST_SLICE)
}

/// Moving bytes takes more time than the engine assumes.
fn bulk() -> CustomFuelCosts {
    CustomFuelCosts { bytes_copied_per_fuel: 8, fuel_per_bytes_translated: 0, fuel_per_bytes_validated: 0 }
}
