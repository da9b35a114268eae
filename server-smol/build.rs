//! Decides which reactor is built: the loop of our own around epoll, or the runtime's, which every system has.

fn main() {
    println!("cargo::rustc-check-cfg=cfg(epoll)");
    println!("cargo::rerun-if-env-changed=STATEROOM_PORTABLE_REACTOR");
    let is_linux = std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|system| system == "linux");
    // So that the tests, which run on Linux, can run the one that is for other systems.
    let is_portable = std::env::var_os("STATEROOM_PORTABLE_REACTOR").is_some();
    if is_linux && !is_portable {
        println!("cargo::rustc-cfg=epoll");
    }
}
