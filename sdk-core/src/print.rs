//! `print!`, `println!`, `eprint!`, `eprintln!` and `dbg!` that reach the host's log on every target.
//!
//! The standard library's own macros write nothing on `wasm32-unknown-unknown`. Import these by their names, in each
//! module that prints, and they take the place of the others:
//!
//! ```
//! use stateroom_sdk_core::{print::println, *};
//!
//! #[stateroom_wasm]
//! #[derive(Default)]
//! struct Echo;
//!
//! impl StateroomService for Echo {
//!     fn message(&mut self, client: ClientId, message: MessagePayload, ctx: &impl StateroomContext) {
//!         println!("{client:?} says {message:?}");
//!         ctx.send_message(client, message);
//!     }
//! }
//! ```
//!
//! (The compiler takes an import with `*` for ambiguous.)
//!
//! Each line becomes a line of the log: information from `print!` and `println!`, a warning from `eprint!`, `eprintln!` and
//! `dbg!`. A line ends with the event at the latest. All of it counts as the lines of [`log`](crate::StateroomContext::log)
//! do, and a guest that prints also runs only on hosts of this project. On `wasm32-wasip1` and outside of WebAssembly, these
//! are the standard library's macros.

#[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
pub use std::{dbg, eprint, eprintln, print, println};

#[cfg(all(target_family = "wasm", target_os = "unknown"))]
pub use crate::{
    __dbg as dbg, __eprint as eprint, __eprintln as eprintln, __print as print, __println as println,
};

// Exported macros are in the crate's root. With their own names, they would be ambiguous for all who import the crate with
// `*` and print.
#[cfg(all(target_family = "wasm", target_os = "unknown"))]
mod macros {
    #[doc(hidden)]
    #[macro_export]
    macro_rules! __print {
        ($($words:tt)*) => {
            $crate::guest::print($crate::guest::OUT, ::core::format_args!($($words)*))
        };
    }

    #[doc(hidden)]
    #[macro_export]
    macro_rules! __println {
        () => {
            $crate::__print!("\n")
        };
        ($($words:tt)*) => {
            $crate::__print!("{}\n", ::core::format_args!($($words)*))
        };
    }

    #[doc(hidden)]
    #[macro_export]
    macro_rules! __eprint {
        ($($words:tt)*) => {
            $crate::guest::print($crate::guest::ERR, ::core::format_args!($($words)*))
        };
    }

    #[doc(hidden)]
    #[macro_export]
    macro_rules! __eprintln {
        () => {
            $crate::__eprint!("\n")
        };
        ($($words:tt)*) => {
            $crate::__eprint!("{}\n", ::core::format_args!($($words)*))
        };
    }

    #[doc(hidden)]
    #[macro_export]
    macro_rules! __dbg {
        () => {
            $crate::__eprintln!("[{}:{}:{}]", ::core::file!(), ::core::line!(), ::core::column!())
        };
        ($value:expr $(,)?) => {
            // In a `match`, the temporary values of the expression live as long as with the standard library's macro.
            match $value {
                value => {
                    $crate::__eprintln!(
                        "[{}:{}:{}] {} = {:#?}",
                        ::core::file!(),
                        ::core::line!(),
                        ::core::column!(),
                        ::core::stringify!($value),
                        &value,
                    );
                    value
                }
            }
        };
        ($($value:expr),+ $(,)?) => {
            ($($crate::__dbg!($value)),+,)
        };
    }
}
