//! Where webhooks may go: the public internet, and what the operator allows beside it.
//!
//! Whoever can name an endpoint's address must not make this server speak to its own network: not to this machine,
//! not to private, link-local or special addresses, among which are those where clouds keep credentials. Asked about
//! each address after the name is resolved, and the connection goes to that very address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use url::{Host, Url};

/// A range of addresses that the operator allows although it is not public, such as `10.1.0.0/16` or `127.0.0.1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    base: IpAddr,
    bits: u8,
}

impl Network {
    /// Whether an address is in it.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.base, address) {
            (IpAddr::V4(base), IpAddr::V4(address)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.bits.min(32))).unwrap_or(0);
                u32::from(base) & mask == u32::from(address) & mask
            }
            (IpAddr::V6(base), IpAddr::V6(address)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.bits.min(128))).unwrap_or(0);
                u128::from(base) & mask == u128::from(address) & mask
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("`{text}` is no address and no network such as 10.1.0.0/16");
        let (base, bits) = match text.split_once('/') {
            Some((base, bits)) => (base, Some(bits.parse::<u8>().map_err(|_| bad())?)),
            None => (text, None),
        };
        let base: IpAddr = base.parse().map_err(|_| bad())?;
        let most = if base.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(most);
        if bits > most { Err(bad()) } else { Ok(Self { base, bits }) }
    }
}

/// What may be reached.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reach {
    /// Networks that are allowed although they are not public.
    pub allow: Vec<Network>,
    /// Whether `http://` is allowed; never in live mode.
    pub plain_http: bool,
}

impl Reach {
    /// Whether a connection to this address may be opened.
    #[must_use]
    pub fn allows(&self, address: IpAddr) -> bool {
        let address = canonical(address);
        is_public(address) || self.allow.iter().any(|network| network.contains(address))
    }

    /// Checks an endpoint's address as far as it can be without asking for its name: kind, host, no password.
    ///
    /// # Errors
    /// Says why it cannot be, without repeating it.
    pub fn check(&self, address: &str) -> Result<Url, String> {
        let url = Url::parse(address).map_err(|_| "it is no address".to_owned())?;
        match url.scheme() {
            "https" => {}
            "http" if self.plain_http => {}
            _ => return Err("it must begin with https://".to_owned()),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("it must hold no name and no password".to_owned());
        }
        let literal = match url.host() {
            None => return Err("it names no host".to_owned()),
            Some(Host::Domain(_)) => None,
            Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
            Some(Host::Ipv6(address)) => Some(IpAddr::V6(address)),
        };
        match literal {
            Some(address) if !self.allows(address) => Err(not_public(address)),
            Some(_) | None => Ok(url),
        }
    }
}

/// Why an address may not be reached.
#[must_use]
pub fn not_public(address: IpAddr) -> String {
    format!("{address} is not on the public internet; app_webhooks.allow can allow it")
}

/// An IPv4 address that is written as an IPv6 one is that IPv4 address.
fn canonical(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(six) => six.to_ipv4_mapped().map_or(address, IpAddr::V4),
        IpAddr::V4(_) => address,
    }
}

/// Whether an address is one of the public internet: by the registries of special addresses (RFC 6890 and those after).
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    match canonical(address) {
        IpAddr::V4(four) => is_public_4(four),
        IpAddr::V6(six) => is_public_6(six),
    }
}

fn is_public_4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = match (a, b, c) {
        // This host, private, loopback, shared by carriers (where a cloud keeps its metadata).
        (0 | 10 | 127, _, _) | (100, 64..=127, _) => true,
        // Link-local (where most clouds keep their metadata), private.
        (169, 254, _) | (172, 16..=31, _) | (192, 168, _) => true,
        // Protocol assignments, documentation, relays, benchmarks.
        (192, 0, 0 | 2) | (192, 88, 99) | (198, 18 | 19, _) | (198, 51, 100) | (203, 0, 113) => true,
        // Multicast, reserved, broadcast.
        (224..=255, _, _) => true,
        _ => false,
    };
    !special
}

fn is_public_6(address: Ipv6Addr) -> bool {
    let [a, b, c, d, e, f, g, h] = address.segments();
    let inner = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match (a, b) {
        // Translated to IPv4: what the inner address is.
        (0x0064, 0xff9b) if [c, d, e, f] == [0; 4] => is_public_4(inner(g, h)),
        (0x2002, _) => is_public_4(inner(b, c)),
        // Tunnels and other assignments for protocols, documentation.
        (0x2001, 0x0000..=0x01ff | 0x0db8) | (0x3fff, 0x0000..=0x0fff) => false,
        // The only range that is handed out to the public.
        (0x2000..=0x3fff, _) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn only_public_addresses_are_reached() {
        for inside in [
            "0.0.0.0",
            "10.0.0.1",
            "127.0.0.1",
            "127.255.0.9",
            "100.64.0.1",
            "100.100.100.200",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "192.0.0.192",
            "192.0.2.1",
            "198.18.0.1",
            "203.0.113.9",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "fe80::1",
            "fec0::1",
            "fc00::1",
            "fd00:ec2::254",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::127.0.0.1",
            "64:ff9b::10.0.0.1",
            "64:ff9b:1::1",
            "2002:7f00:1::",
            "2002:a9fe:a9fe::1",
            "2001::1",
            "2001:db8::1",
            "3fff::1",
            "100::1",
        ] {
            assert!(!is_public(ip(inside)), "{inside}");
        }
        for outside in [
            "1.1.1.1",
            "93.184.216.34",
            "172.15.0.1",
            "172.32.0.1",
            "100.63.0.1",
            "100.128.0.1",
            "192.0.1.1",
            "2606:4700::1111",
            "2a00:1450::1",
            "::ffff:8.8.8.8",
            "64:ff9b::8.8.8.8",
            "2002:808:808::1",
            "2001:200::1",
        ] {
            assert!(is_public(ip(outside)), "{outside}");
        }
    }

    #[test]
    fn what_is_allowed_is_reached_and_nothing_beside_it() {
        let allow =
            vec!["127.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap(), "10.1.2.3".parse().unwrap()];
        let reach = Reach { allow, plain_http: false };
        for yes in ["127.0.0.1", "127.9.9.9", "::ffff:127.0.0.1", "fd12::1", "10.1.2.3", "8.8.8.8"] {
            assert!(reach.allows(ip(yes)), "{yes}");
        }
        for no in ["10.1.2.4", "10.1.2.2", "172.16.0.1", "::1", "fe80::1", "169.254.169.254"] {
            assert!(!reach.allows(ip(no)), "{no}");
        }
        let everything: Network = "0.0.0.0/0".parse().unwrap();
        assert!(everything.contains(ip("10.0.0.1")) && !everything.contains(ip("::1")));
        for bad in ["", "10.0.0.0/33", "fd00::/129", "10.0.0/8", "example.com", "10.0.0.0/-1"] {
            assert!(bad.parse::<Network>().is_err(), "{bad}");
        }
    }

    #[test]
    fn addresses_are_refused_that_could_turn_inward() {
        let live = Reach::default();
        let dev = Reach { allow: vec!["127.0.0.0/8".parse().unwrap()], plain_http: true };
        for good in
            ["https://app.example.com/hooks", "https://app.example.com:8443/a?b=c", "https://8.8.8.8/"]
        {
            assert!(live.check(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "app.example.com",
            "http://app.example.com/",
            "ftp://app.example.com/",
            "file:///etc/passwd",
            "https://user:pass@app.example.com/",
            "https://127.0.0.1/",
            "https://2130706433/",
            "https://0x7f.1/",
            "https://[::1]/",
            "https://[::ffff:127.0.0.1]/",
            "https://169.254.169.254/latest/",
            "https://017700000001/",
        ] {
            assert!(live.check(bad).is_err(), "{bad}");
        }
        assert!(dev.check("http://127.0.0.1:3000/hooks").is_ok());
        assert!(dev.check("http://localhost:3000/hooks").is_ok());
        assert!(dev.check("http://169.254.169.254/").is_err());
    }
}
