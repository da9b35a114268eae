use core::convert::Infallible;

use embedded_io::{ErrorType, Read, ReadReady, Write};

/// The first UART of the board, a CMSDK APB UART. It is read and written without interrupts.
#[derive(Debug)]
pub struct Uart(());

/// A register of the UART.
#[derive(Debug, Clone, Copy)]
enum Register {
    Data = 0x4000_4000,
    State = 0x4000_4004,
    Control = 0x4000_4008,
    Divider = 0x4000_4010,
}

/// The bits of [`Register::State`].
const IS_FULL_FOR_WRITES: u32 = 1 << 0;
const HAS_BYTE_TO_READ: u32 = 1 << 1;
/// The bits of [`Register::Control`].
const CAN_WRITE_AND_READ: u32 = 0b11;

impl Uart {
    /// Turns it on. Calling this again changes nothing.
    pub fn new() -> Self {
        // 115,200 baud, from the clock of 25 MHz.
        Register::Divider.write(25_000_000 / 115_200);
        Register::Control.write(CAN_WRITE_AND_READ);
        Self(())
    }
}

#[expect(unsafe_code, reason = "registers are addresses")]
impl Register {
    fn read(self) -> u32 {
        // SAFETY: The board has an aligned register of 32 bits at this address.
        unsafe { (self as usize as *const u32).read_volatile() }
    }

    fn write(self, value: u32) {
        // SAFETY: As above. No register of the UART makes it write to memory.
        unsafe { (self as usize as *mut u32).write_volatile(value) }
    }
}

impl ErrorType for Uart {
    type Error = Infallible;
}

impl ReadReady for Uart {
    fn read_ready(&mut self) -> Result<bool, Infallible> {
        Ok(Register::State.read() & HAS_BYTE_TO_READ != 0)
    }
}

impl Read for Uart {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Infallible> {
        let Some(first) = buffer.first_mut() else {
            return Ok(0);
        };
        while !self.read_ready()? {}
        // The register's upper 24 bits are not used.
        *first = Register::Data.read() as u8;
        Ok(1)
    }
}

impl Write for Uart {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        for byte in bytes {
            while Register::State.read() & IS_FULL_FOR_WRITES != 0 {}
            Register::Data.write(u32::from(*byte));
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        while Register::State.read() & IS_FULL_FOR_WRITES != 0 {}
        Ok(())
    }
}
