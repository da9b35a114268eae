use core::cell::Cell;

use cortex_m::{
    interrupt::{self, Mutex},
    peripheral::{SYST, syst::SystClkSource},
};
use cortex_m_rt::exception;

/// The processor's cycles in a millisecond, at 25 MHz.
const CYCLES: u32 = 25_000;

static NOW_MS: Mutex<Cell<u64>> = Mutex::new(Cell::new(0));

/// Starts the clock at 0. The board does not know the date.
pub fn start(mut timer: SYST) {
    timer.set_clock_source(SystClkSource::Core);
    timer.set_reload(CYCLES - 1);
    timer.clear_current();
    timer.enable_counter();
    timer.enable_interrupt();
}

/// Returns the milliseconds since the start.
pub fn now_ms() -> u64 {
    interrupt::free(|token| NOW_MS.borrow(token).get())
}

#[exception]
fn SysTick() {
    interrupt::free(|token| {
        let now = NOW_MS.borrow(token);
        now.set(now.get() + 1);
    });
}
