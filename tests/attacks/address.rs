use std::net::Ipv4Addr;

/// The innocent client's own address.
pub(crate) const INNOCENT: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
/// The address of the client that comes last.
pub(crate) const NEWCOMER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);

/// The number of addresses of those attackers that come from several.
const ADDRESSES: usize = 64;

/// Returns one of the attackers' addresses.
pub(crate) fn attacker(index: usize) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 1, 1 + (index % ADDRESSES) as u8)
}
