//! The keys of `stateroom dev`, on a terminal.

use std::{
    fs::{self, File, OpenOptions},
    io::Write as _,
    os::fd::OwnedFd,
    process::Command,
};

use rustix::{
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{LocalModes, tcgetattr},
};

use crate::{
    directory::Directory,
    guests::ECHO,
    programs::with_programs,
    running::{Serving, stateroom},
};

/// A terminal: the end of the person, and the end of the program.
fn terminal() -> (File, File) {
    let person: OwnedFd = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&person).unwrap();
    unlockpt(&person).unwrap();
    let name = ptsname(&person, Vec::new()).unwrap().into_string().unwrap();
    (File::from(person), OpenOptions::new().read(true).write(true).open(name).unwrap())
}

#[test]
fn keys_open_the_page_and_reset_the_rooms_and_end() {
    let here = Directory::new().with_guest("", ECHO);
    let (mut person, program) = terminal();
    let lines = |file: &File| tcgetattr(file).unwrap().local_modes.contains(LocalModes::ICANON);
    assert!(lines(&program));
    let dev = stateroom(&here, &["dev", "--port", "0", "--open"]);
    // Whoever reads from it waits for the browser.
    assert!(Command::new("mkfifo").arg(here.path("opened")).status().unwrap().success());
    let opened = || fs::read_to_string(here.path("opened")).unwrap();
    let path = std::env::var("PATH").unwrap();
    let mut dev = with_programs(&here, dev, &[("xdg-open", "echo \"$1\" > opened".to_owned())]);
    dev.env("PATH", format!("{}:{path}", here.path("bin").display())).stdin(program.try_clone().unwrap());
    let mut server = Serving::start(dev);
    server.wait_for_line("keys: o opens the page, r starts all rooms afresh, q ends");
    let url = opened();
    assert!(
        url.starts_with("http://localhost:") && url.matches('/').count() == 3 && url.ends_with("/\n"),
        "{url}"
    );
    assert!(!lines(&program), "each key is read at once");

    person.write_all(b"xo").unwrap();
    assert_eq!(opened(), url);
    person.write_all(b"r").unwrap();
    server.wait_for_line("no room has changed");
    server.post("/ws/lobby");
    person.write_all(b"r").unwrap();
    server.wait_for_line("room lobby has started afresh");
    person.write_all(b"q").unwrap();
    assert_eq!(server.child.wait().unwrap().code(), Some(0));
    assert!(lines(&program), "the terminal is as it was");
}
