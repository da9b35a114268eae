//! The least possible WebSocket server: `raw PORT echo|broadcast`. It is one thread that waits, reads, changes frames
//! in place and writes. It checks nothing, has no limits, and knows one client's key (that of `stateroom load`). No
//! server that does more can take less, so this is the end of the scale.
#![forbid(unsafe_code)]

#[cfg(target_os = "linux")]
mod server;

#[cfg(target_os = "linux")]
fn main() -> std::io::Result<()> {
    let words: Vec<_> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [port, mode @ ("echo" | "broadcast")] if port.parse::<u16>().is_ok() => {
            server::run(port.parse().unwrap_or_default(), mode == "echo")
        }
        _ => Err(std::io::Error::other("usage: raw PORT echo|broadcast")),
    }
}

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("this waits for sockets as only Linux can");
}
