//! The end of the program, also where something fails.
#![expect(unsafe_code, reason = "a handler that may interrupt anything")]

use core::panic::PanicInfo;

use cortex_m::asm;
use cortex_m_rt::{ExceptionFrame, exception};
use cortex_m_semihosting::debug::{self, ExitStatus};
use embedded_io::Write as _;

use crate::uart::Uart;

/// Ends QEMU with an exit status. Without a debugger there is nobody to tell.
pub fn end(status: ExitStatus) -> ! {
    debug::exit(status);
    loop {
        asm::wfi();
    }
}

/// Does not print the message: without it, the linker removes the messages of all panics, which are a sixth of the
/// program. No guest can cause a panic, but a heap that is too small can.
#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    let _ = Uart::new().write_all(b"panic, for example because the heap is full\n");
    end(debug::EXIT_FAILURE)
}

#[exception]
unsafe fn HardFault(frame: &ExceptionFrame) -> ! {
    let _ = writeln!(Uart::new(), "{frame:?}");
    end(debug::EXIT_FAILURE)
}
