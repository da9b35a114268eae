use std::{io, net::TcpListener};

use crate::{
    admin_address::{AdminAddress, NOT_LOOPBACK},
    listen::Listener,
};

/// Listens on the operator's address.
///
/// # Errors
/// The system refuses it, or others than this machine could reach it and need no token.
pub(super) fn bind(address: &AdminAddress, needs_token: bool) -> io::Result<Listener> {
    let listener = match address {
        AdminAddress::Tcp(address) if !address.ip().is_loopback() && !needs_token => {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, NOT_LOOPBACK));
        }
        AdminAddress::Tcp(address) => Listener::tcp(TcpListener::bind(address)?),
        // For this user alone.
        #[cfg(unix)]
        AdminAddress::Unix(path) => Listener::bind_unix(path, 0o600)?,
        #[cfg(not(unix))]
        AdminAddress::Unix(_) => return Err(crate::listen::no_unix_sockets()),
    };
    listener.set_nonblocking()?;
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_others_could_reach_is_refused_without_a_token() {
        let everywhere = AdminAddress::Tcp(([0, 0, 0, 0], 0).into());
        let error = bind(&everywhere, false).unwrap_err();
        assert!(error.to_string().contains("loopback"), "{error}");
        assert!(bind(&everywhere, true).is_ok());
    }
}
