//! Names threads without the C library's `printf`, which nothing else in the smallest command needs: 10 KB.
#![expect(unsafe_code, reason = "a function of the C library is replaced")]

use std::ffi::{CStr, c_char, c_int};

/// Names the current thread, and takes the place of the function of this name in the C library.
///
/// The other one can also name other threads. It prints the path of their files for that. The standard library names only the thread that it
/// runs on.
// SAFETY: it has the signature of the function in the C library. Nothing but the standard library calls it.
#[unsafe(no_mangle)]
extern "C" fn pthread_setname_np(_current: *const (), name: *const c_char) -> c_int {
    // SAFETY: the standard library passes a string with a zero at its end, which lives longer than this call.
    let name = unsafe { CStr::from_ptr(name) };
    rustix::thread::set_name(name).map_or_else(rustix::io::Errno::raw_os_error, |()| 0)
}
