use std::{collections::BTreeSet, fs, path::Path, process::Command};

use rustix::process::Signal;
use stateroom_tests::{Child, Client, Directory, Output, request};

use crate::tool::{is_installed, run};

/// The exposure that `systemd-analyze security` may find, of 100. A service without a sandbox has 96.
const EXPOSURE: &str = "--threshold=15";

/// Checks the units: systemd understands them, the sandbox is as tight as it is meant to be, and the server needs nothing that it forbids.
pub(crate) fn check(units: &Path, binary: &Path, dist: &Path) {
    println!("the units of systemd");
    if !is_installed("systemd-analyze", "systemd") {
        return;
    }
    let read = |unit: &str| fs::read_to_string(units.join(unit)).expect("the unit is there");
    let service = read("stateroom.service");
    // The binary is not installed here, and `verify` looks for it.
    let here = service.replace("ExecStart=stateroom ", &format!("ExecStart={} ", binary.display()));
    assert_ne!(here, service, "the unit starts `stateroom`");
    let copies =
        Directory::new().with("stateroom.service", here).with("stateroom.socket", read("stateroom.socket"));
    let analyze = || {
        let mut command = Command::new("systemd-analyze");
        command.current_dir(copies.path());
        command
    };
    let said =
        analyze().args(["verify", "--man=no", "./stateroom.service", "./stateroom.socket"]).output().unwrap();
    let said = String::from_utf8_lossy(&said.stdout).into_owned() + &String::from_utf8_lossy(&said.stderr);
    assert!(!said.contains("stateroom."), "systemd-analyze verify: {said}");
    let table =
        run(analyze().args(["security", "--offline=true", "--no-pager", EXPOSURE, "./stateroom.service"]));
    println!("  {}", table.lines().last().unwrap_or_default());

    if is_installed("strace", "strace") {
        stays_inside(&service, binary, dist);
    }
}

/// Runs the server with the options of the unit, and compares what it asks of the system with what the unit allows.
fn stays_inside(service: &str, binary: &Path, dist: &Path) {
    let directory = Directory::new();
    let path = |name: &str| directory.path().join(name).display().to_string();
    let (trace, admin, data) = (path("trace"), path("admin.sock"), path("data"));
    let mut strace = Command::new("strace");
    // With `-D`, the server is the process that we start, and gets our signals.
    strace.args(["-D", "-f", "-o", &trace]).arg(binary);
    strace.args(["serve", "--listen", "127.0.0.1:0", "--admin", &admin, "--data", &data]).arg(dist);
    let mut server = Child::of(&mut strace);
    let address = server.line(Output::Stderr, "serving on ").parse().expect("an address");
    let mut client = Client::connect(address, "/ws/lobby").expect("it upgrades");
    assert_eq!(client.ask("hello"), "hello");
    assert_eq!(request(address, "GET", "/", &[]).status, 200);
    let answer = run(Command::new("curl").args(["-sS", "--unix-socket", &admin, "http://localhost/rooms"]));
    assert!(answer.contains("lobby"), "{answer}");
    server.signal(Signal::HUP);
    server.line(Output::Stderr, "replaced the module");
    assert_eq!(client.ask("hello again"), "hello again");
    server.signal(Signal::TERM);
    assert_eq!(server.exit().0, Some(0));

    let trace = fs::read_to_string(trace).expect("strace has written it");
    // After the program itself was started: `PID execve(…) = 0`.
    let lines: Vec<_> = trace.lines().skip_while(|line| !line.contains("execve(")).skip(1).collect();
    let calls: BTreeSet<_> = lines.iter().filter_map(|line| call(line)).collect();
    assert!(calls.contains("epoll_wait") || calls.contains("epoll_pwait"), "{calls:?}");
    let allowed = allowed(service);
    let forbidden: Vec<_> = calls.iter().filter(|call| !allowed.contains(**call)).collect();
    assert!(forbidden.is_empty(), "the unit forbids {forbidden:?}");

    // `MemoryDenyWriteExecute`, and `RestrictAddressFamilies`.
    let families = value(service, "RestrictAddressFamilies").next().unwrap_or_default();
    for line in lines {
        assert!(!line.contains("PROT_WRITE|PROT_EXEC"), "{line}");
        if call(line) == Some("socket") {
            let family = line.split(['(', ',']).nth(1).unwrap_or_default();
            assert!(families.split(' ').any(|allowed| allowed == family), "{line}");
        }
    }
    println!("  {} system calls of {} that are allowed", calls.len(), allowed.len());
}

/// Returns the name of the system call in a line of strace.
fn call(line: &str) -> Option<&str> {
    let (_, rest) = line.split_once(' ')?;
    let (name, _) = rest.trim_start().split_once('(')?;
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_').then_some(name)
}

/// Returns the values of a setting of the unit.
fn value<'a>(service: &'a str, key: &'a str) -> impl Iterator<Item = &'a str> {
    service.lines().filter_map(move |line| line.strip_prefix(key)?.strip_prefix('='))
}

/// Returns the system calls that the unit allows.
fn allowed(service: &str) -> BTreeSet<String> {
    let mut allowed = BTreeSet::new();
    for list in value(service, "SystemCallFilter") {
        let (forbids, list) = list.strip_prefix('~').map_or((false, list), |list| (true, list));
        for set in list.split(' ') {
            for call in members(set) {
                if forbids {
                    allowed.remove(&call);
                } else {
                    allowed.insert(call);
                }
            }
        }
    }
    allowed
}

/// Returns the system calls of a set, and of the sets in it.
fn members(set: &str) -> Vec<String> {
    if !set.starts_with('@') {
        return vec![set.to_owned()];
    }
    let listed = run(Command::new("systemd-analyze").args(["syscall-filter", "--no-pager", set]));
    let lines =
        listed.lines().skip(1).map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.flat_map(members).collect()
}
