//! The panic handler: a panic is a trap, which ends the room. `stateroom dev` builds guests with debug assertions,
//! and then the handler first writes the message to the host's log. The host makes it a part of the line about the room
//! that has failed. Other builds leave the message out, because its code is larger than many a guest.
#![forbid(unsafe_code)]

#[cfg(not(feature = "std"))]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    #[cfg(debug_assertions)]
    report(_info);
    core::arch::wasm32::unreachable()
}

/// Reports panics from now on. The standard library would write them to where nobody reads.
#[cfg(all(feature = "std", debug_assertions))]
pub(super) fn watch() {
    std::panic::set_hook(std::boxed::Box::new(|info| report(info)));
}

#[cfg(debug_assertions)]
fn report(info: &dyn core::fmt::Display) {
    use core::fmt::Write;

    use crate::{LogLevel, guest::imports::log};

    let mut words = heapless::String::<1024>::new();
    // What does not fit is left out.
    let _ = write!(words, "{info}");
    // The place is in the standard library, and does not show who wants the time.
    #[cfg(feature = "std")]
    if words.ends_with("time not implemented on this platform") {
        let _ = words.push_str(
            ": in place of `std::time` use `ctx.now_ms()`, or write `target = \"wasm32-wasip1\"` under `[service]` in `stateroom.toml`",
        );
    }
    log(LogLevel::Error, &words);
}
