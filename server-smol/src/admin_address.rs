use std::{fmt, net::SocketAddr, path::PathBuf, str::FromStr};

use crate::tcp_address::tcp_address;

/// The address at which the operator reaches the server; see [`Settings::admin`](crate::Settings::admin).
///
/// It is written as `127.0.0.1:9000`, `[::1]:9000` or `localhost:9000`, or as the path of a Unix socket, which has a slash
/// in it.
///
/// ```
/// use stateroom_server_smol::AdminAddress;
///
/// assert_eq!("./admin.sock".parse(), Ok(AdminAddress::Unix("./admin.sock".into())));
/// assert!("127.0.0.1:9000".parse::<AdminAddress>().is_ok());
/// assert!("admin.example.com".parse::<AdminAddress>().is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum AdminAddress {
    /// The path of a Unix socket. Only the user that runs the server can open it.
    Unix(PathBuf),
    /// A loopback address. Everybody on this machine can reach it. Port 0 lets the system choose. With a token, it may be
    /// any other address (feature `rooms`).
    Tcp(SocketAddr),
}

/// The message for an address that other machines could reach, without a token.
#[cfg(feature = "rooms")]
pub(crate) const NOT_LOOPBACK: &str = "is no loopback address, and whoever reaches the operator's may end rooms; use `127.0.0.1`, a Unix socket, or a token (`--admin-token-file`)";
#[cfg(not(feature = "rooms"))]
pub(crate) const NOT_LOOPBACK: &str = "is no loopback address, and whoever reaches the operator's may end rooms; use `127.0.0.1` or a Unix socket";

impl FromStr for AdminAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some((_, address)) = text.split_once("://") {
            return Err(format!("is a URL; give the address alone: `{}`", address.trim_end_matches('/')));
        }
        if text.contains('/') {
            return Ok(Self::Unix(text.into()));
        }
        match tcp_address(text) {
            // Whether others may reach it is known when there is a token or not.
            Some(address) if cfg!(feature = "rooms") || address.ip().is_loopback() => Ok(Self::Tcp(address)),
            Some(_) => Err(NOT_LOOPBACK.to_owned()),
            None => {
                Err("is neither an address with a port from 0 to 65535, such as `127.0.0.1:9000`, nor the path of a Unix \
                     socket, such as `/run/stateroom.sock` or `./admin.sock`"
                    .to_owned())
            }
        }
    }
}

impl fmt::Display for AdminAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => path.display().fmt(f),
            Self::Tcp(address) => address.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_paths_are_for_the_operator() {
        let tcp = |text: &str| Ok(AdminAddress::Tcp(text.parse().unwrap()));
        assert_eq!("127.0.0.1:0".parse(), tcp("127.0.0.1:0"));
        assert_eq!("[::1]:9000".parse(), tcp("[::1]:9000"));
        assert_eq!("localhost:9000".parse(), tcp("127.0.0.1:9000"));
        assert_eq!("/run/a.sock".parse(), Ok(AdminAddress::Unix("/run/a.sock".into())));
        for text in ["0.0.0.0:9000", "[::]:9000", "192.168.1.2:80", "[::ffff:10.0.0.1]:1"] {
            match text.parse::<AdminAddress>() {
                Ok(address) => assert_eq!((Ok(address), cfg!(feature = "rooms")), (tcp(text), true)),
                Err(error) => assert!(error.contains("loopback"), "{text}"),
            }
        }
        for url in ["http://localhost:9000", "http://localhost:9000/"] {
            assert!(url.parse::<AdminAddress>().unwrap_err().ends_with("`localhost:9000`"), "{url}");
        }
        for text in ["", "9000", "admin.sock", "localhost", "localhost:port", "example.com:9000"] {
            assert!(text.parse::<AdminAddress>().unwrap_err().contains("./admin.sock"), "{text}");
        }
    }
}
