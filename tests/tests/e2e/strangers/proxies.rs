//! Proxies that people use, where they are installed: what the guide says of them.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
};

use rustix::net::{AddressFamily, SocketType, bind, connect, socket};
use stateroom_tests::{Directory, PATIENCE, TestServer, eventually, services::bouncer};

use super::{address_on, behind};

/// The address that clients of the proxies have. The proxies have another one.
const CLIENT: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// A proxy that runs, and ends when it is dropped.
struct Proxy {
    process: Child,
    address: SocketAddr,
    _files: Directory,
}

impl Proxy {
    /// Starts a program with a configuration, in which `PORT` is the port that it listens on. Returns `None` if it is not installed.
    fn start(program: &str, arguments: &[&str], configuration: &str) -> Option<Self> {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = free.local_addr().expect("it has one");
        drop(free);
        let files = Directory::new();
        let path = files.path().join("configuration");
        let place = files.path().display().to_string();
        let text = configuration.replace("PORT", &address.port().to_string()).replace("PLACE", &place);
        fs::write(&path, text).expect("a disk");
        let mut command = Command::new(program);
        command.args(arguments).arg(&path).env("HOME", files.path()).env("PATH", "/usr/sbin:/usr/bin:/bin");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let Ok(process) = command.spawn() else {
            println!("{program} is not installed");
            return None;
        };
        let mut proxy = Self { process, address, _files: files };
        eventually("the proxy listens", || {
            let has_ended = proxy.process.try_wait().expect("it is a child");
            assert!(has_ended.is_none(), "{program}: {has_ended:?}");
            TcpStream::connect(address).is_ok()
        });
        Some(proxy)
    }

    /// Connects from the address of clients.
    fn connect(&self) -> TcpStream {
        let socket = socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
        bind(&socket, &SocketAddr::from((CLIENT, 0))).expect("an address of this machine");
        connect(&socket, &self.address).expect("it listens");
        let stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(PATIENCE)).expect("not zero");
        stream
    }

    /// Returns what a room knows of the address of a client that sends these headers.
    #[track_caller]
    fn known(&self, headers: &[&str]) -> String {
        address_on(self.connect(), &[], headers).0
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The headers that clients send to have another address.
const SPOOFED: [&[&str]; 3] =
    [&[], &["X-Forwarded-For: 203.0.113.7"], &["Forwarded: for=203.0.113.7", "X-Forwarded-For: unknown"]];

#[test]
fn haproxy_sends_the_proxy_protocol() {
    let server = TestServer::with(behind(&["127.0.0.1"]).with_proxy_protocol(true), bouncer());
    let configuration = format!(
        "defaults\n mode tcp\n timeout connect 60s\n timeout client 60s\n timeout server 60s\n\
         listen rooms\n bind 127.0.0.1:PORT\n server rooms {} send-proxy-v2\n",
        server.address()
    );
    let Some(proxy) = Proxy::start("haproxy", &["-db", "-f"], &configuration) else { return };
    for headers in SPOOFED {
        assert_eq!(proxy.known(headers), CLIENT.to_string(), "{headers:?}");
    }
}

#[test]
fn haproxy_sends_headers() {
    let server = TestServer::with(behind(&["127.0.0.1"]), bouncer());
    let configuration = format!(
        "defaults\n mode http\n timeout connect 60s\n timeout client 60s\n timeout server 60s\n timeout tunnel 60s\n\
         listen rooms\n bind 127.0.0.1:PORT\n option forwardfor\n http-request del-header Forwarded\n server rooms {}\n",
        server.address()
    );
    let Some(proxy) = Proxy::start("haproxy", &["-db", "-f"], &configuration) else { return };
    for headers in SPOOFED {
        assert_eq!(proxy.known(headers), CLIENT.to_string(), "{headers:?}");
    }
}

/// Returns the configuration of nginx that the guide shows, for a server at this address.
fn documented(address: SocketAddr) -> String {
    let guide = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/guide/deploy.md");
    let guide = fs::read_to_string(guide).expect("it is there");
    let location = guide.split("```nginx\n").nth(1).and_then(|rest| rest.split("```").next());
    location.expect("a configuration").replace("127.0.0.1:8080", &address.to_string())
}

#[test]
fn nginx_sends_headers() {
    let server = TestServer::with(behind(&["127.0.0.1"]), bouncer());
    let configuration = format!(
        "daemon off; master_process off; pid PLACE/pid; error_log PLACE/error.log;\nevents {{}}\nhttp {{\n\
         access_log off; client_body_temp_path PLACE/a; proxy_temp_path PLACE/b; fastcgi_temp_path PLACE/c;\n\
         uwsgi_temp_path PLACE/d; scgi_temp_path PLACE/e;\nserver {{ listen 127.0.0.1:PORT;\n{}}}\n}}\n",
        documented(server.address())
    );
    let Some(proxy) = Proxy::start("nginx", &["-c"], &configuration) else { return };
    for headers in SPOOFED {
        assert_eq!(proxy.known(headers), CLIENT.to_string(), "{headers:?}");
    }
}

#[test]
fn caddy_sends_headers() {
    let server = TestServer::with(behind(&["127.0.0.1"]), bouncer());
    let configuration = format!(
        "{{\n admin off\n auto_https off\n}}\nhttp://127.0.0.1:PORT, http://localhost:PORT {{\n\
         reverse_proxy {} {{\n header_up -Forwarded\n }}\n}}\n",
        server.address()
    );
    let arguments = ["run", "--adapter", "caddyfile", "--config"];
    let Some(proxy) = Proxy::start("caddy", &arguments, &configuration) else { return };
    for headers in SPOOFED {
        assert_eq!(proxy.known(headers), CLIENT.to_string(), "{headers:?}");
    }
}
