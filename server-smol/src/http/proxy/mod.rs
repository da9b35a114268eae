//! Believes proxies which clients they speak for, and nobody else: see [`Settings::trusted_proxies`].
//!
//! [`Settings::trusted_proxies`]: crate::Settings::trusted_proxies

mod forwarded;
mod header;

use std::{
    io,
    net::{IpAddr, SocketAddr},
    rc::Rc,
    time::Duration,
};

use hyper::{Request, Response, StatusCode};
use smol::future::{FutureExt as _, or};
use stateroom_core::engine::EngineFactory;

use crate::{
    admission::TooManyOfAddress,
    log_line::{ClientAddress, ConnectionId, debug_about},
    memory::OutOfMemory,
    reactor::{AnyTransport, Stream, Timer},
    requests::{Body, later, text},
    settings::TrustedProxy,
};

use super::{
    Site,
    peer::Peer,
    refusal::{LATER, OF_ADDRESS, Why},
    unless_given_up,
};
use header::Fault;

/// The time that a proxy has for its header. It sends one as soon as it has the connection.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The names in the metrics and in the log for connections without a valid header.
const NO_HEADER: (&str, &str) = (
    "no_proxy_header",
    "connections of a trusted proxy did not begin with a header of version 2 (`--proxy-protocol`)",
);

/// The same for requests.
const UNCLEAR: (&str, &str) =
    ("unclear_client", "requests of a trusted proxy did not say clearly for whom (`--trusted-proxy`)");

impl<F: EngineFactory> Site<F> {
    /// Returns whether a connection from this address, or from a Unix socket, is one of a trusted proxy.
    pub(super) fn is_proxy(&self, address: IpAddr, is_unix: bool) -> bool {
        let trusted = &self.shared.settings.trusted_proxies;
        if is_unix { trusted.contains(&TrustedProxy::UNIX) } else { self.is_trusted(address) }
    }

    fn is_trusted(&self, address: IpAddr) -> bool {
        self.shared.settings.trusted_proxies.iter().any(|proxy| proxy.has(address))
    }

    /// Serves a connection of a trusted proxy, beside everything else.
    ///
    /// # Errors
    /// The system has no memory to watch it.
    pub(super) fn serve_proxy(
        self: &Rc<Self>,
        transport: AnyTransport,
        address: SocketAddr,
        connection: ConnectionId,
        leads_to_tls: bool,
    ) -> io::Result<()> {
        let has_header = self.shared.settings.proxy_protocol;
        // TLS begins behind the header.
        let transport =
            if has_header { transport } else { self.with_tls(transport, connection, leads_to_tls) };
        let stream = Stream::new(transport)?;
        let permit = self.shared.permits.take_for_proxy(address.ip());
        match self.new_peer(address, connection, permit, leads_to_tls) {
            Ok(peer) => {
                peer.set_address(address, true);
                let site = Rc::clone(self);
                match has_header {
                    true => self.spawn(site.attend_behind_header(stream, peer).boxed_local()),
                    false => self.spawn(site.attend(stream, peer)),
                }
            }
            // Whoever reads the answer expects what follows the header.
            Err(OutOfMemory) if has_header => {
                self.shared.permits.evict();
                self.here.0.thread().refuse(Why::out_of_memory().label, Why::out_of_memory().limit);
            }
            Err(OutOfMemory) => self.refuse_for_memory(stream),
        }
        Ok(())
    }

    /// Serves a connection that begins with a header.
    async fn attend_behind_header(self: Rc<Self>, stream: Stream, peer: Rc<Peer>) {
        let late = async {
            Timer::after(TIMEOUT).await;
            Err(Fault::Io(io::ErrorKind::TimedOut.into()))
        };
        let client = match unless_given_up(&peer, or(header::read(&stream), late)).await {
            Some(Ok(client)) => client,
            Some(Err(fault)) => return self.refuse_header(&peer, &fault),
            // Others need its space.
            None => return,
        };
        let mut is_counted = Ok(());
        // Headers of a client that the proxy does not know may be the client's own.
        peer.set_address(peer.address().0, false);
        if let Some(client) = client {
            let is_proxy = self.is_trusted(client.ip());
            debug_about!(peer.about(), "{} connects through {}", ClientAddress(client), peer.address());
            peer.set_address(client, is_proxy);
            if !is_proxy {
                is_counted = peer.count();
            }
        }
        let transport =
            stream.into_inner().map(|transport| self.with_tls(transport, peer.connection, peer.leads_to_tls));
        let stream = match transport.and_then(Stream::new) {
            Ok(stream) => stream,
            Err(error) => return debug_about!(peer.about(), "{} cannot be served: {error}", peer.address()),
        };
        match is_counted {
            Ok(()) => Box::pin(self.attend(stream, peer)).await,
            Err(TooManyOfAddress) => self.refuse(stream, OF_ADDRESS),
        }
    }

    fn refuse_header(&self, peer: &Peer, fault: &Fault) {
        let proxy = peer.address();
        match fault {
            // Programs that only look whether the port is open.
            Fault::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return debug_about!(
                    peer.about(),
                    "{proxy} has closed a connection before the end of its header"
                );
            }
            Fault::Io(error) => {
                debug_about!(peer.about(), "the header of a connection from {proxy} cannot be read: {error}")
            }
            Fault::Missing => {
                debug_about!(peer.about(), "a connection from {proxy} does not begin with a header")
            }
            Fault::Invalid(reason) => {
                debug_about!(peer.about(), "the header of a connection from {proxy} is not valid: {reason}");
            }
        }
        let (label, limit) = NO_HEADER;
        self.here.0.thread().refuse(label, limit);
    }

    /// Finds out which client a request comes from, if it comes from a trusted proxy. Returns the answer to a request that does not
    /// say that clearly.
    pub(super) fn find_client<B>(&self, request: &Request<B>, peer: &Peer) -> Option<Response<Body>> {
        let proxy = peer.proxy()?;
        match forwarded::client(request.headers(), proxy, |address| self.is_trusted(address)) {
            Ok(client) => {
                peer.set_client(client);
                None
            }
            Err(unclear) => {
                debug_about!(peer.about(), "a request from the proxy {proxy}: {}", unclear.words());
                let (label, limit) = UNCLEAR;
                self.here.0.thread().refuse(label, limit);
                Some(text(StatusCode::BAD_REQUEST, unclear.words()))
            }
        }
    }

    /// Counts a WebSocket for its client, if it has come through a trusted proxy. Returns the answer to a client that has too many.
    pub(super) fn count_client(&self, peer: &Peer) -> Option<Response<Body>> {
        peer.proxy()?;
        let TooManyOfAddress = peer.count().err()?;
        debug_about!(peer.about(), "{}: there are as many from there as there may be", peer.address());
        self.here.0.thread().refuse(OF_ADDRESS.label, OF_ADDRESS.limit);
        Some(later(StatusCode::TOO_MANY_REQUESTS, OF_ADDRESS.words, LATER))
    }
}
