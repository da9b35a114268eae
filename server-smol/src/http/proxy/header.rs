//! The header of the PROXY protocol, version 2: <https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt>, section 2.2.

use std::{
    future::poll_fn,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use crate::reactor::Stream;

/// The first bytes of each header, which begin no other protocol.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// The size of the part that each header has.
const HEAD_SIZE: usize = SIGNATURE.len() + 4;

/// The size of the addresses of two IPv6 sockets.
const ADDRESSES_SIZE: usize = 36;

/// The most bytes that may follow the first part: addresses, and what else the proxy knows of the connection.
const MOST: usize = 4 << 10;

/// The reason why a header is not accepted.
#[derive(Debug)]
pub(super) enum Fault {
    /// The connection has ended, or fails.
    Io(io::Error),
    /// There is none, or not this version.
    Missing,
    /// It is not valid.
    Invalid(&'static str),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Reads a header, and no byte more. Returns the client's address, or nothing if the proxy has opened the connection for itself or does
/// not know the address.
pub(super) async fn read(stream: &Stream) -> Result<Option<SocketAddr>, Fault> {
    let mut head = [0; HEAD_SIZE];
    let mut size = 0;
    while size < HEAD_SIZE {
        size += read_some(stream, &mut head[size..]).await?;
        let begin = &head[..size.min(SIGNATURE.len())];
        if !SIGNATURE.starts_with(begin) {
            return Err(Fault::Missing);
        }
    }
    let Head { source, mut rest } = Head::parse(head)?;
    let mut addresses = [0; ADDRESSES_SIZE];
    let addresses = &mut addresses[..source.size()];
    let mut size = 0;
    while size < addresses.len() {
        size += read_some(stream, &mut addresses[size..]).await?;
    }
    rest -= size;
    while rest > 0 {
        let mut skipped = [0; 64];
        let most = rest.min(skipped.len());
        rest -= read_some(stream, &mut skipped[..most]).await?;
    }
    Ok(source.client(addresses))
}

async fn read_some(stream: &Stream, bytes: &mut [u8]) -> io::Result<usize> {
    loop {
        match stream.try_read(bytes) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                poll_fn(|cx| stream.poll_readable(cx)).await;
            }
            read => return read,
        }
    }
}

/// The first part of a header.
#[derive(Debug, PartialEq, Eq)]
struct Head {
    source: Source,
    /// The number of bytes that follow.
    rest: usize,
}

/// The kind of the addresses in a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    /// The proxy itself (`LOCAL`), or something that has no IP address.
    Unknown,
    Ipv4,
    Ipv6,
}

impl Head {
    fn parse(head: [u8; HEAD_SIZE]) -> Result<Self, Fault> {
        let [.., command, family, high, low] = head;
        let rest = usize::from(u16::from_be_bytes([high, low]));
        let source = match (command, family) {
            (0x20, _) => Source::Unknown,
            (0x21, 0x11) => Source::Ipv4,
            (0x21, 0x21) => Source::Ipv6,
            // No protocol, and Unix sockets.
            (0x21, 0x00 | 0x31) => Source::Unknown,
            (0x21, _) => return Err(Fault::Invalid("its protocol is not TCP")),
            _ => return Err(Fault::Invalid("its version or its command is unknown")),
        };
        if rest > MOST {
            return Err(Fault::Invalid("it is larger than 4 KiB"));
        }
        if rest < source.size() {
            return Err(Fault::Invalid("it is too small for its addresses"));
        }
        Ok(Self { source, rest })
    }
}

impl Source {
    /// Returns the size of the addresses that are read, in bytes.
    fn size(self) -> usize {
        match self {
            Self::Unknown => 0,
            Self::Ipv4 => 12,
            Self::Ipv6 => ADDRESSES_SIZE,
        }
    }

    /// Returns the address of the client: both addresses, and then both ports.
    fn client(self, addresses: &[u8]) -> Option<SocketAddr> {
        let (ip, port): (IpAddr, _) = match (self, addresses) {
            (Self::Ipv4, [a, b, c, d, _, _, _, _, ports @ ..]) => {
                (Ipv4Addr::new(*a, *b, *c, *d).into(), ports)
            }
            (Self::Ipv6, addresses) => {
                let (ip, rest) = addresses.split_first_chunk::<16>()?;
                (Ipv6Addr::from(*ip).into(), rest.get(16..)?)
            }
            _ => return None,
        };
        let port = port.first_chunk().map(|port| u16::from_be_bytes(*port))?;
        Some(SocketAddr::new(ip.to_canonical(), port))
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::{
        io::{Read as _, Write as _},
        net::Shutdown,
        os::unix::net::UnixStream,
    };

    use smol::future::poll_once;

    use super::*;
    use crate::reactor::block_on;

    /// Returns a header with this command, protocol and content.
    fn header(command: u8, family: u8, content: &[u8]) -> Vec<u8> {
        let size = u16::try_from(content.len()).unwrap().to_be_bytes();
        [&SIGNATURE[..], &[command, family], &size, content].concat()
    }

    fn ipv4() -> Vec<u8> {
        vec![203, 0, 113, 7, 10, 0, 0, 1, 0x12, 0x67, 0, 80]
    }

    /// Reads a header that comes in pieces of this size. Returns the result, and what follows.
    fn read_in(bytes: &[u8], piece: usize) -> (Result<Option<SocketAddr>, Fault>, Vec<u8>) {
        let (server, mut client) = UnixStream::pair().unwrap();
        server.set_nonblocking(true).unwrap();
        let mut follows = server.try_clone().unwrap();
        let result = block_on(async {
            let stream = Stream::new(Box::new(server)).unwrap();
            let mut reading = std::pin::pin!(read(&stream));
            for piece in bytes.chunks(piece) {
                client.write_all(piece).unwrap();
                if let Some(result) = poll_once(reading.as_mut()).await {
                    return Some(result);
                }
            }
            client.shutdown(Shutdown::Write).unwrap();
            None.or(Some(reading.await))
        });
        client.shutdown(Shutdown::Write).unwrap();
        let mut rest = Vec::new();
        follows.set_nonblocking(false).unwrap();
        follows.read_to_end(&mut rest).unwrap();
        (result.unwrap(), rest)
    }

    #[track_caller]
    fn client(bytes: &[u8]) -> Option<String> {
        let with_more = [bytes, b"GET /"].concat();
        let (client, rest) = read_in(&with_more, with_more.len());
        assert_eq!(rest, b"GET /", "nothing of the request is taken");
        client.unwrap().map(|client| client.to_string())
    }

    #[test]
    fn headers_have_the_clients_address() {
        assert_eq!(client(&header(0x21, 0x11, &ipv4())).as_deref(), Some("203.0.113.7:4711"));
        let mut ipv6 = [0; 36];
        ipv6[..16].copy_from_slice(&"2001:db8::1".parse::<Ipv6Addr>().unwrap().octets());
        ipv6[32..34].copy_from_slice(&4711_u16.to_be_bytes());
        assert_eq!(client(&header(0x21, 0x21, &ipv6)).as_deref(), Some("[2001:db8::1]:4711"));
        ipv6[..16].copy_from_slice(&"::ffff:203.0.113.7".parse::<Ipv6Addr>().unwrap().octets());
        assert_eq!(client(&header(0x21, 0x21, &ipv6)).as_deref(), Some("203.0.113.7:4711"));
        // More is known of the connection.
        let more = [ipv4(), vec![0x20; 4_000]].concat();
        assert_eq!(client(&header(0x21, 0x11, &more)).as_deref(), Some("203.0.113.7:4711"));
        // The proxy's own, without a protocol, and by a Unix socket.
        for bytes in [
            header(0x20, 0x00, &[]),
            header(0x20, 0x11, &ipv4()),
            header(0x20, 0xff, &[1, 2, 3]),
            header(0x21, 0x00, &[7; 100]),
            header(0x21, 0x31, &[0; 216]),
        ] {
            assert_eq!(client(&bytes), None);
        }
    }

    #[test]
    fn a_header_may_come_in_pieces() {
        let bytes = header(0x21, 0x11, &[ipv4(), vec![4; 200]].concat());
        for piece in [1, 2, 15, 16, 17, 27, 28, 100] {
            let (client, rest) = read_in(&bytes, piece);
            assert_eq!(client.unwrap().unwrap().port(), 4711, "{piece}");
            assert!(rest.is_empty());
        }
    }

    #[test]
    fn what_is_no_header_is_refused_as_soon_as_that_is_clear() {
        let is_missing = |bytes: &[u8]| matches!(read_in(bytes, bytes.len()).0, Err(Fault::Missing));
        for bytes in [
            &b"G"[..],
            b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n",
            b"\r\n\r\n\0\r\nQUIT\r",
            b"\r\nG",
            &[0x16, 3, 1],
        ] {
            assert!(is_missing(bytes), "{bytes:?}");
        }
        let too_large = header(0x21, 0x11, &vec![0; MOST + 1]);
        for bytes in [
            header(0x11, 0x11, &ipv4()),
            header(0x22, 0x11, &ipv4()),
            header(0x31, 0x11, &ipv4()),
            header(0x21, 0x12, &ipv4()),
            header(0x21, 0x41, &ipv4()),
            header(0x21, 0x11, &ipv4()[..11]),
            header(0x21, 0x21, &ipv4()),
            header(0x21, 0x11, &[]),
            too_large[..HEAD_SIZE].to_vec(),
        ] {
            assert!(matches!(read_in(&bytes, bytes.len()).0, Err(Fault::Invalid(_))), "{bytes:?}");
        }
        let whole = header(0x21, 0x11, &[ipv4(), vec![4; 200]].concat());
        for size in 0..whole.len() {
            assert!(matches!(read_in(&whole[..size], 300).0, Err(Fault::Io(_))), "{size} bytes");
        }
    }
}
