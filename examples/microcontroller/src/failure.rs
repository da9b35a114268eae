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

/// No guest can cause a panic. What can is a heap that is too small.
#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    let _ = writeln!(Uart::new(), "{info}");
    end(debug::EXIT_FAILURE)
}

#[exception]
#[expect(unsafe_code, reason = "the handler may interrupt anything")]
unsafe fn HardFault(frame: &ExceptionFrame) -> ! {
    let _ = writeln!(Uart::new(), "{frame:?}");
    end(debug::EXIT_FAILURE)
}
