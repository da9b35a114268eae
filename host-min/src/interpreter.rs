use wasmi::{CompilationMode, Config, CustomFuelCosts, Engine, OperatorCost};

use crate::Limits;

/// Returns the interpreter. Its settings make a run depend only on the module and its events.
pub(crate) fn engine(limits: &Limits) -> Engine {
    let mut config = Config::default();
    config
        .consume_fuel(true)
        .operator_cost(operators())
        .fuel_cost(bulk())
        // With lazy translation, the first room that calls a function would pay the fuel for its translation.
        .compilation_mode(CompilationMode::Eager)
        // Small guests have pages of one byte; see `sdk-core`.
        .wasm_custom_page_sizes(true)
        .wasm_multi_memory(false)
        // See `module/admission.rs`.
        .wasm_multi_value(false)
        .wasm_extended_const(false)
        .ignore_custom_sections(true)
        .set_max_recursion_depth(limits.call_depth);
    Engine::new(&config)
}

/// Fuel is meant to be proportional to time, and some instructions take more time than others.
fn operators() -> OperatorCost {
    OperatorCost {
        // They create frames, and set local variables to zero.
        call: 10,
        call_indirect: 10,
        return_call: 10,
        return_call_indirect: 10,
        // Growing takes native stack: see `grow` in `module/pieces.rs`. Allocators ask for the size at most
        // once.
        memory_grow: u8::MAX,
        memory_size: u8::MAX,
        ..OperatorCost::default()
    }
}

/// Moving bytes takes more time than the engine assumes.
fn bulk() -> CustomFuelCosts {
    CustomFuelCosts { bytes_copied_per_fuel: 8, fuel_per_bytes_translated: 0, fuel_per_bytes_validated: 0 }
}
