use std::net::{Ipv4Addr, SocketAddr};

use crate::{
    listen::ListenAddress,
    settings::{RoomIds, Settings},
};

/// Returns the host and the port by which programs on this machine reach a server that listens on `address`.
pub(super) fn local_host(address: SocketAddr) -> String {
    match address.ip() {
        // Not every system takes `localhost` for `::1`.
        ip if ip.is_unspecified() || ip == Ipv4Addr::LOCALHOST => format!("localhost:{}", address.port()),
        _ => address.to_string(),
    }
}

/// Returns the first TCP address.
pub(super) fn tcp_address(addresses: &[ListenAddress]) -> Option<SocketAddr> {
    addresses.iter().find_map(|address| match address {
        ListenAddress::Tcp(address) => Some(*address),
        _ => None,
    })
}

/// Logs the server's addresses.
pub(super) fn announce(settings: &Settings, addresses: &[ListenAddress], redirects: &[ListenAddress]) {
    for address in addresses {
        log::info!("serving on {address}");
    }
    let host = tcp_address(addresses).map(local_host);
    // Programs that connect to a Unix socket need no name for it.
    let at = |scheme: &str| host.as_ref().map_or(String::new(), |host| format!("{scheme}://{host}"));
    #[cfg(feature = "tls")]
    let has_tls = settings.tls.is_some();
    #[cfg(not(feature = "tls"))]
    let has_tls = false;
    let (http, ws) = if has_tls { (at("https"), at("wss")) } else { (at("http"), at("ws")) };
    for address in redirects {
        log::info!("redirecting clients from {address} to {http}");
    }
    let page = match settings.static_files {
        Some(_) => format!(", the page is at {http}/"),
        None => String::new(),
    };
    if settings.single_page && settings.static_files.is_none() {
        log::warn!("there are no static files, so there is no page for unknown paths (`--spa`)");
    }
    #[cfg(feature = "built-in")]
    if settings.playground.as_ref().is_some_and(crate::settings::Playground::is_public) {
        log::info!("the playground is at {http}/_/");
    }
    log::info!("guests, clients and requests may take {} MiB of memory", settings.total_memory >> 20);
    match settings.room_ids {
        RoomIds::Implicit => log::info!("rooms are at {ws}/ws and {ws}/ws/<room>{page}"),
        RoomIds::Explicit => {
            log::info!("POST {http}/ws/<room> makes a room, which is then at {ws}/ws/<room>{page}");
        }
        RoomIds::Generated(_) => {
            log::info!("POST {http}/new_room makes a room, which is then at {ws}/ws/<its id>{page}");
        }
    }
}
