use wasmi::{CompilationMode, Config, EnforcedLimits, Engine};

use crate::Limits;

/// The interpreter, set up so that a run depends on nothing but the module and its events.
pub(crate) fn engine(limits: &Limits) -> Engine {
    let mut config = Config::default();
    config
        .consume_fuel(true)
        // Lazy translation would charge its fuel to whichever room calls a function first.
        .compilation_mode(CompilationMode::Eager)
        // Small guests have pages of one byte; see `sdk-core`.
        .wasm_custom_page_sizes(true)
        .wasm_multi_memory(false)
        .ignore_custom_sections(true)
        // What a module may have of things that take memory in each room and are not in its linear memory.
        .enforced_limits(EnforcedLimits::strict())
        .set_max_recursion_depth(limits.call_depth);
    Engine::new(&config)
}
