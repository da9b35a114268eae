use std::{fs, net::SocketAddr, path::Path, process::Command};

use stateroom_tests::{Child, Client, Directory, Output, eventually, request};

use crate::{root, tool::run};

/// Builds the image and serves from it. Without a Docker daemon, the files of the image are a root directory, and the server runs in it with the rights and
/// the command of the image.
pub(crate) fn check(binary: &Path, dist: &Path) {
    println!("the image");
    let file = fs::read_to_string(root().join("Dockerfile")).expect("it is there");
    let copied = "COPY dist-release/stateroom-*-${TARGET}-${FLAVOUR} /stateroom";
    assert!(file.lines().any(|line| line == copied), "the Dockerfile copies one file: `{copied}`");
    let context = Directory::new().with("Dockerfile", &file);
    let place = context.path().join("dist-release");
    fs::create_dir(&place).expect("a disk");
    fs::copy(binary, place.join("stateroom-0-x86_64-unknown-linux-musl-full")).expect("a disk");
    let has_daemon = Command::new("docker").arg("info").output().is_ok_and(|output| output.status.success());
    if has_daemon { in_docker(context.path(), dist) } else { in_root(&file, binary, dist) }
}

fn in_docker(context: &Path, dist: &Path) {
    let docker = |arguments: &[&str]| run(Command::new("docker").args(arguments));
    let image = docker(&["build", "--quiet", context.to_str().expect("UTF-8")]);
    let mount = format!("{}:/dist:ro", dist.display());
    let container = docker(&[
        "run",
        "--detach",
        "--rm",
        "--read-only",
        "--cap-drop",
        "ALL",
        "--publish",
        "127.0.0.1::8080",
        "--volume",
        &mount,
        image.trim(),
    ]);
    let address = docker(&["port", container.trim(), "8080"]);
    let address: SocketAddr = address.lines().next().unwrap_or_default().parse().expect("an address");
    eventually("the server answers", || std::net::TcpStream::connect(address).is_ok());
    serves(address);
    docker(&["stop", container.trim()]);
    docker(&["rmi", image.trim()]);
    println!("  was built, and serves in Docker");
}

fn in_root(file: &str, binary: &Path, dist: &Path) {
    assert!(rustix::process::geteuid().is_root(), "without Docker, this needs root, for `chroot`");
    let place = Directory::new();
    let path = place.path();
    fs::copy(binary, path.join("stateroom")).expect("a disk");
    // The directory that is mounted, in which no other file is.
    let place_of_dist = path.join("dist");
    run(Command::new("cp").arg("-r").arg(dist).arg(&place_of_dist));
    run(Command::new("chmod").args(["-R", "a+rX,a-w"]).arg(path));
    let words = |instruction: &str| -> Vec<String> {
        let line = file.lines().find_map(|line| line.strip_prefix(instruction)).expect("an instruction");
        serde_json::from_str(line).expect("the form of a list")
    };
    let user = file.lines().find_map(|line| line.strip_prefix("USER ")).expect("a user without rights");
    let mut chroot = Command::new("chroot");
    chroot.args([&format!("--userspec={user}"), "--groups="]).arg(path);
    chroot.args(words("ENTRYPOINT ")).args(words("CMD ")).args(["--ip", "127.0.0.1", "--port", "0"]);
    let mut server = Child::of(&mut chroot);
    serves(server.line(Output::Stderr, "serving on ").parse().expect("an address"));
    server.signal(rustix::process::Signal::TERM);
    assert_eq!(server.exit().0, Some(0));
    println!("  there is no Docker here: its files are a root directory, and the server serves in it");
}

#[track_caller]
fn serves(address: SocketAddr) {
    let mut client = Client::connect(address, "/ws/lobby").expect("it upgrades");
    assert_eq!(client.ask("hello"), "hello");
    assert_eq!(request(address, "GET", "/", &[]).text(), "<title>Rooms</title>");
}
