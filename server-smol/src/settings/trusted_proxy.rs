use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

/// Proxies that say for which client they send a request; see
/// [`Settings::trusted_proxies`](crate::Settings::trusted_proxies).
///
/// It is written as an IP address, as a network such as `10.0.0.0/8`, or as `unix` for the programs that connect to the server's
/// Unix sockets.
///
/// ```
/// use stateroom_server_smol::TrustedProxy;
///
/// for text in ["127.0.0.1", "::1", "10.0.0.0/8", "2001:db8::/32", "unix"] {
///     assert_eq!(text.parse::<TrustedProxy>().map(|proxy| proxy.to_string()).as_deref(), Ok(text));
/// }
/// assert!("10.0.0.1/8".parse::<TrustedProxy>().is_err());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrustedProxy(Rule);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// The addresses that have these leading bits in common with this one.
    Network(IpAddr, u32),
    Unix,
}

const UNIX: &str = "unix";

impl TrustedProxy {
    /// The programs that connect to Unix sockets of the server: `unix`.
    pub const UNIX: Self = Self(Rule::Unix);

    /// Returns whether an address is one of these.
    pub(crate) fn has(self, address: IpAddr) -> bool {
        // An IPv4 address looks like one on a socket that takes IPv6, too.
        match (self.0, address.to_canonical()) {
            (Rule::Network(IpAddr::V4(network), bits), IpAddr::V4(address)) => {
                (network.to_bits() ^ address.to_bits()).leading_zeros() >= bits
            }
            (Rule::Network(IpAddr::V6(network), bits), IpAddr::V6(address)) => {
                (network.to_bits() ^ address.to_bits()).leading_zeros() >= bits
            }
            _ => false,
        }
    }
}

impl FromStr for TrustedProxy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == UNIX {
            return Ok(Self::UNIX);
        }
        let (address, bits) =
            text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let unknown =
            || "is not an IP address such as 127.0.0.1, a network such as 10.0.0.0/8, or `unix`".to_owned();
        let address: IpAddr = address.parse().map_err(|_| unknown())?;
        if address != address.to_canonical() {
            return Err(format!(
                "is an IPv4 address in the form of IPv6: write {} for it",
                address.to_canonical()
            ));
        }
        let most = if address.is_ipv4() { u32::BITS } else { u128::BITS };
        let bits = match bits {
            None => most,
            Some(bits) => bits.parse().ok().filter(|bits| *bits <= most).ok_or_else(unknown)?,
        };
        let network = first_of_network(address, bits);
        if network != address {
            return Err(format!(
                "is not the first address of its network: write {network}/{bits} for all of it"
            ));
        }
        Ok(Self(Rule::Network(address, bits)))
    }
}

/// Returns an address with only so many of its leading bits.
fn first_of_network(address: IpAddr, bits: u32) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(u32::BITS - bits).unwrap_or(0);
            Ipv4Addr::from_bits(address.to_bits() & mask).into()
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(u128::BITS - bits).unwrap_or(0);
            Ipv6Addr::from_bits(address.to_bits() & mask).into()
        }
    }
}

impl fmt::Display for TrustedProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Rule::Unix => f.write_str(UNIX),
            Rule::Network(address @ IpAddr::V4(_), u32::BITS) => address.fmt(f),
            Rule::Network(address @ IpAddr::V6(_), u128::BITS) => address.fmt(f),
            Rule::Network(address, bits) => write!(f, "{address}/{bits}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has(proxy: &str, address: &str) -> bool {
        proxy.parse::<TrustedProxy>().unwrap().has(address.parse().unwrap())
    }

    #[test]
    fn a_network_has_its_addresses_and_no_others() {
        for (proxy, inside, outside) in [
            (
                "10.0.0.0/8",
                ["10.0.0.0", "10.255.255.255", "::ffff:10.1.2.3"],
                ["9.255.255.255", "11.0.0.0", "::a00:1"],
            ),
            (
                "127.0.0.1",
                ["127.0.0.1", "::ffff:127.0.0.1", "127.0.0.1"],
                ["127.0.0.2", "::1", "::127.0.0.1"],
            ),
            (
                "192.0.2.128/25",
                ["192.0.2.128", "192.0.2.255", "192.0.2.200"],
                ["192.0.2.127", "192.0.3.128", "::"],
            ),
            (
                "2001:db8::/32",
                ["2001:db8::", "2001:db8:ffff::1", "2001:db8::1"],
                ["2001:db9::", "2001:db7:ffff::", "10.0.0.1"],
            ),
            ("::1", ["::1", "::1", "::1"], ["::2", "127.0.0.1", "::"]),
        ] {
            for address in inside {
                assert!(has(proxy, address), "{address} is in {proxy}");
            }
            for address in outside {
                assert!(!has(proxy, address), "{address} is not in {proxy}");
            }
        }
        assert!(has("0.0.0.0/0", "255.1.2.3") && !has("0.0.0.0/0", "::1") && has("::/0", "ffff::"));
        assert!(!has("unix", "127.0.0.1"), "not all programs of this machine");
    }

    #[test]
    fn what_names_no_network_is_refused_with_what_to_write() {
        for (text, part) in [
            ("", "10.0.0.0/8"),
            ("localhost", "127.0.0.1"),
            ("10.0.0.0/", "10.0.0.0/8"),
            ("10.0.0.0/33", "10.0.0.0/8"),
            ("10.0.0.0/-1", "10.0.0.0/8"),
            ("::/129", "10.0.0.0/8"),
            ("10.0.0.1:80", "10.0.0.0/8"),
            ("unix:/run/a.sock", "`unix`"),
            ("10.1.2.3/8", "write 10.0.0.0/8"),
            ("2001:db8::1/64", "write 2001:db8::/64"),
            ("::ffff:10.0.0.1", "write 10.0.0.1"),
        ] {
            let error = text.parse::<TrustedProxy>().unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
