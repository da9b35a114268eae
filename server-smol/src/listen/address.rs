use std::{fmt, net::SocketAddr, path::PathBuf, str::FromStr};

use crate::tcp_address::tcp_address;

/// An address to listen on; see [`Settings::listen`](crate::Settings::listen).
///
/// It is written as `0.0.0.0:8080`, `[::]:8080` or `localhost:8080`, as `unix:` and the path of a Unix socket, or as `systemd`.
///
/// ```
/// use stateroom_server_smol::ListenAddress;
///
/// let socket = ListenAddress::Unix { path: "/run/rooms.sock".into(), mode: 0o666 };
/// assert_eq!("unix:/run/rooms.sock,mode=666".parse(), Ok(socket));
/// assert_eq!("127.0.0.1:8080".parse(), Ok(ListenAddress::Tcp(([127, 0, 0, 1], 8080).into())));
/// assert_eq!("systemd".parse(), Ok(ListenAddress::Systemd));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ListenAddress {
    /// An IP address and a port. Port 0 lets the system choose.
    Tcp(SocketAddr),
    /// A Unix socket, for programs on this machine, such as a proxy. The server removes it at the end.
    Unix {
        /// Its path. A socket that nobody listens on any more is replaced.
        path: PathBuf,
        /// Its permissions: who may write to it can connect.
        mode: u32,
    },
    /// The sockets that systemd passes to the process (`LISTEN_FDS`): for a unit with a `.socket`. They stay open when the
    /// process ends, so clients that connect meanwhile wait for the next process.
    Systemd,
}

/// The permissions of a Unix socket: for the user and the group of the server.
const MODE: u32 = 0o660;

impl FromStr for ListenAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "systemd" {
            return Ok(Self::Systemd);
        }
        if let Some(path) = text.strip_prefix("unix:").filter(|path| !path.is_empty()) {
            let Some((path, mode)) = path.rsplit_once(",mode=") else {
                return Ok(Self::Unix { path: path.into(), mode: MODE });
            };
            let mode = u32::from_str_radix(mode, 8).ok().filter(|mode| *mode <= 0o777);
            let mode = mode.ok_or("has a mode that is no octal number from 0 to 777, such as 660")?;
            return Ok(Self::Unix { path: path.into(), mode });
        }
        tcp_address(text).map(Self::Tcp).ok_or_else(|| {
            "is neither an address with a port from 0 to 65535, such as `0.0.0.0:8080` or `[::]:8080`, nor the path of a Unix \
             socket, such as `unix:/run/rooms.sock`, nor `systemd`"
                .to_owned()
        })
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix { path, .. } => write!(f, "unix:{}", path.display()),
            Self::Systemd => f.write_str("systemd"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_they_are_written() {
        for text in ["0.0.0.0:80", "[::1]:0", "unix:/run/a.sock", "unix:a.sock", "systemd"] {
            assert_eq!(text.parse::<ListenAddress>().unwrap().to_string(), text);
        }
        let unix = |path: &str, mode| Ok(ListenAddress::Unix { path: path.into(), mode });
        assert_eq!("unix:/run/a.sock".parse(), unix("/run/a.sock", 0o660));
        assert_eq!("unix:/a,b,mode=600".parse(), unix("/a,b", 0o600));
        assert_eq!("localhost:1".parse(), Ok(ListenAddress::Tcp(([127, 0, 0, 1], 1).into())));
    }

    #[test]
    fn what_is_no_address_is_refused_with_examples() {
        for text in
            ["", "unix:", "8080", "0.0.0.0", "example.com:80", "/run/a.sock", "0.0.0.0:65536", "Systemd"]
        {
            let error = text.parse::<ListenAddress>().unwrap_err();
            assert!(
                error.contains("unix:/run/rooms.sock") && error.contains("0.0.0.0:8080"),
                "{text}: {error}"
            );
        }
        for text in ["unix:/a,mode=", "unix:/a,mode=888", "unix:/a,mode=1777"] {
            assert!(text.parse::<ListenAddress>().unwrap_err().contains("octal"), "{text}");
        }
    }
}
