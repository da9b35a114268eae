use std::net::{IpAddr, Ipv6Addr};

/// The network for which connections are counted: an IPv4 address, or the 64 leading bits of an IPv6 address, as a
/// client has all addresses that begin with them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Subnet(IpAddr);

impl Subnet {
    pub(crate) fn of(address: IpAddr) -> Self {
        // An IPv4 address looks like one on a socket that takes IPv6, too.
        Self(match address.to_canonical() {
            IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
            address => address,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_client_has_all_addresses_of_its_subnet() {
        let of = |address: &str| Subnet::of(address.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1:2:3"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:10.0.0.1"), of("10.0.0.1"));
        assert_ne!(of("10.0.0.1"), of("10.0.0.2"));
    }
}
