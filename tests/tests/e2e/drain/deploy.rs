//! A new process takes over while the previous one closes its clients.

use std::{
    io::{BufReader, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    os::fd::OwnedFd,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
};

use rustix::process::Signal;
use stateroom_tests::{Answer, Child, Client, Directory, Message, Output, PATIENCE, binary, eventually};

use super::{address, arguments, client, dist};

/// Starts a server that gets a socket as systemd passes it.
fn start_with(socket: OwnedFd, directory: &Directory) -> Child {
    let script = "exec 3<&0 </dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec \"$0\" \"$@\"";
    let mut command = Command::new("sh");
    command.arg("-c").arg(script).arg(binary("stateroom"));
    command.args(arguments(directory, &["--listen", "systemd", "--drain", "4"]));
    Child::of_stdin(&mut command, socket)
}

/// Clients that come and go all the time.
struct Load {
    stop: Arc<AtomicBool>,
    /// The number of those that were served.
    served: Arc<AtomicUsize>,
    clients: Vec<JoinHandle<usize>>,
}

impl Load {
    fn on(at: SocketAddr) -> Self {
        let (stop, served) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let come = |number: usize| {
            let (stop, served) = (Arc::clone(&stop), Arc::clone(&served));
            thread::spawn(move || {
                let mut resets = 0;
                while !stop.load(Ordering::Relaxed) {
                    match visit(at, number) {
                        Visit::Served => _ = served.fetch_add(1, Ordering::Relaxed),
                        Visit::Reset => resets += 1,
                    }
                }
                resets
            })
        };
        let clients = (0..4).map(come).collect();
        Self { stop, served, clients }
    }

    /// Waits until more clients have been served.
    #[track_caller]
    fn wait(&self) {
        let before = self.served.load(Ordering::Relaxed);
        eventually("clients come", || self.served.load(Ordering::Relaxed) > before + 20);
    }

    /// Returns how many connections were reset before they were answered.
    fn stop(self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        let resets = self.clients.into_iter().map(|client| client.join().expect("nobody was refused"));
        resets.sum()
    }
}

enum Visit {
    Served,
    /// The connection was reset before it was answered.
    Reset,
}

/// Opens a page, or a WebSocket. A WebSocket may be told to connect again (1012), and nothing is refused.
fn visit(at: SocketAddr, number: usize) -> Visit {
    let Ok(mut stream) = TcpStream::connect(at) else { return Visit::Reset };
    stream.set_read_timeout(Some(PATIENCE)).expect("not zero");
    if number == 0 {
        let mut answer = BufReader::new(stream.try_clone().expect("a socket can be shared"));
        let request = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        let has_come = stream.write_all(request).is_ok();
        if !has_come || std::io::BufRead::fill_buf(&mut answer).map_or(true, <[u8]>::is_empty) {
            return Visit::Reset;
        }
        let answer = Answer::read(&mut answer, "GET");
        assert_eq!((answer.status, answer.text()), (200, "a page"));
        return Visit::Served;
    }
    drop(stream);
    // It panics if the connection does not stand, which is what is to be seen here.
    let opened = std::panic::catch_unwind(|| Client::connect(at, "/ws/room"));
    let Ok(opened) = opened else { return Visit::Reset };
    let mut client = opened.unwrap_or_else(|answer| panic!("refused: {answer:?}"));
    client.text("hello");
    match client.message() {
        Message::Text(text) => assert_eq!(text, "hello"),
        other => assert_eq!(other, Message::Close(1012)),
    }
    Visit::Served
}

/// Fills a server with clients that stay.
#[track_caller]
fn stay(at: SocketAddr) -> Vec<Client> {
    (0..10).map(|_| client(at, "stay")).collect()
}

/// Lets a server end that another one has replaced. Its clients are closed one after the other, and served until then.
#[track_caller]
fn replace(mut server: Child, mut clients: Vec<Client>, load: &Load) {
    server.signal(Signal::TERM);
    server.line(Output::Stderr, "shutting down");
    load.wait();
    let mut last = clients.pop().expect("there are some");
    let mut answers = 0;
    for client in &mut clients {
        last.text("hello");
        assert_eq!(last.message(), Message::Text("hello".to_owned()));
        answers += 1;
        assert_eq!(client.closed(), 1012);
    }
    assert_eq!((last.closed(), answers), (1012, 9));
    assert_eq!(server.exit().0, Some(0));
}

#[test]
fn a_socket_of_systemd_goes_from_process_to_process_under_load_and_nobody_is_refused() {
    let directory = dist();
    let socket = TcpListener::bind("127.0.0.1:0").expect("a port");
    let at = socket.local_addr().expect("it has one");
    let start = || {
        let server = start_with(socket.try_clone().expect("a descriptor").into(), &directory);
        assert_eq!(address(&server), at);
        server
    };
    let mut server = start();
    let mut clients = stay(at);
    let load = Load::on(at);
    for _ in 0..2 {
        load.wait();
        let next = start();
        replace(server, clients, &load);
        clients = stay(at);
        server = next;
    }
    load.wait();
    assert_eq!(load.stop(), 0, "no connection was reset");
    drop(clients);
}

#[test]
fn a_shared_port_goes_from_process_to_process_under_load() {
    let directory = dist();
    let start = |listen: &str| {
        let more = ["--listen", listen, "--reuse-port", "--drain", "4"];
        Child::start("stateroom", &arguments(&directory, &more))
    };
    let mut server = start("127.0.0.1:0");
    let at = address(&server);
    let mut clients = stay(at);
    let load = Load::on(at);
    for _ in 0..2 {
        load.wait();
        let next = start(&at.to_string());
        assert_eq!(address(&next), at);
        replace(server, clients, &load);
        clients = stay(at);
        server = next;
    }
    load.wait();
    let served = load.served.load(Ordering::Relaxed);
    let resets = load.stop();
    let migrates = std::fs::read_to_string("/proc/sys/net/ipv4/tcp_migrate_req");
    let most = if migrates.is_ok_and(|value| value.trim() == "1") { 0 } else { 2 * 4 };
    // At most those connections that begin in the moment in which a socket is closed.
    assert!(resets <= most, "{resets} of {served} connections were reset");
    drop(clients);
}
