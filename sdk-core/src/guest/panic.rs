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

/// The panics of the standard library for what a guest does not have, and what to use.
#[cfg(all(feature = "std", debug_assertions))]
const MENDS: [(&str, &str); 3] = [
    (
        "\ntime not implemented on this platform",
        ": in place of `std::time` use `ctx.now_ms()`, or write `target = \"wasm32-wasip1\"` under `[service]` in `stateroom.toml`",
    ),
    ("\ncan't sleep", ": a room cannot wait; use `ctx.set_timer`"),
    ("\nfailed to spawn thread: ", ": a room has no threads; for work at a later time use `ctx.set_timer`"),
];

#[cfg(debug_assertions)]
fn report(info: &dyn core::fmt::Display) {
    use core::fmt::Write;

    use crate::{LogLevel, guest::imports::log};

    let mut words = heapless::String::<1024>::new();
    // What does not fit is left out.
    let _ = write!(words, "{info}");
    // The place is in the standard library, and does not show who wants it.
    #[cfg(feature = "std")]
    if let Some((_, mend)) = MENDS.iter().find(|(missing, _)| words.contains(missing)) {
        let _ = words.push_str(mend);
    }
    log(LogLevel::Error, &words);
}
