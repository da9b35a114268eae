use std::{
    process::{Command, Stdio},
    thread,
};

/// The program that opens an address, with the arguments before it.
const OPEN: (&str, &[&str]) = if cfg!(target_os = "macos") {
    ("open", &[])
} else if cfg!(windows) {
    ("rundll32", &["url.dll,FileProtocolHandler"])
} else {
    ("xdg-open", &[])
};

/// Opens a page in the browser, and does not wait for it.
pub(crate) fn open(url: &str) {
    let (program, arguments) = OPEN;
    let mut command = Command::new(program);
    command.args(arguments).arg(url).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    match command.spawn() {
        Ok(mut child) => {
            log::info!("opening {url}");
            // Else its entry in the system's table of processes would stay.
            thread::spawn(move || child.wait());
        }
        Err(error) => {
            log::warn!("cannot run `{program}`, which opens the browser ({error}): open {url} yourself")
        }
    }
}
