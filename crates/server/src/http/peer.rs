//! Where a visitor of our pages comes from: the address that card testing and new checkouts are counted by.
//!
//! A connection says it, or a proxy that the operator trusts does, in `X-Forwarded-For`. Whoever else writes that header writes
//! what they like, so that it is not read. Refuses to know what an address is kept as: the engine makes a digest of it.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::request::Parts;
use std::convert::Infallible;

use super::state::AppState;

/// The header in which proxies say for whom they ask, each behind the one before.
const FORWARDED: &str = "x-forwarded-for";

/// The other end of a connection; an extension of its requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub IpAddr);

/// An address, or all that begin with the same bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u32,
}

/// What is no network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoNetwork(String);

impl fmt::Display for NoNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is neither an address nor a network", self.0)
    }
}

fn number(address: IpAddr) -> (u128, u32) {
    match address {
        IpAddr::V4(address) => (u128::from(address.to_bits()), 32),
        IpAddr::V6(address) => (address.to_bits(), 128),
    }
}

impl FromStr for Network {
    type Err = NoNetwork;

    fn from_str(text: &str) -> Result<Self, NoNetwork> {
        let error = || NoNetwork(text.to_owned());
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| error())?;
        let (number, all) = number(address);
        let bits = bits.map_or(Ok(all), |bits| bits.parse().map_err(|_| error()))?;
        // Everybody is nobody's proxy, and bits behind the network's are a mistake.
        let rest = all.checked_sub(bits).filter(|_| bits > 0).ok_or_else(error)?;
        if rest > 0 && number & ((1_u128 << rest) - 1) != 0 {
            return Err(error());
        }
        Ok(Self { address, bits })
    }
}

impl Network {
    fn contains(&self, address: IpAddr) -> bool {
        let ((own, all), (other, others)) = (number(self.address), number(address));
        all == others && (own ^ other).checked_shr(all.saturating_sub(self.bits)).is_none_or(|rest| rest == 0)
    }
}

/// The proxies whose word is taken.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proxies(Vec<Network>);

impl Proxies {
    /// Reads addresses and networks.
    ///
    /// # Errors
    /// The first that is none.
    pub fn read(all: &[String]) -> Result<Self, NoNetwork> {
        all.iter().map(|text| text.parse()).collect::<Result<_, _>>().map(Self)
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address))
    }

    /// Who asks: the other end of the connection, or the nearest that a proxy of ours names and that is none. `None` where that
    /// cannot be known, such as behind a proxy that nobody has named: everybody would be one address.
    #[must_use]
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> Option<IpAddr> {
        let mut nearest = peer.to_canonical();
        if self.trusts(nearest) {
            let named = headers.get_all(FORWARDED).iter().filter_map(|value| value.to_str().ok());
            let hops: Vec<&str> = named.flat_map(|value| value.split(',')).map(str::trim).collect();
            for hop in hops.into_iter().rev() {
                let named = hop.parse().or_else(|_| hop.parse().map(|with_port: SocketAddr| with_port.ip()));
                nearest = named.ok()?.to_canonical();
                if !self.trusts(nearest) {
                    break;
                }
            }
        }
        (is_public(nearest) && !self.trusts(nearest)).then_some(nearest)
    }
}

/// Whether an address is somebody's on the internet, and not one inside a house.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [first, second, ..] = v4.octets();
            // 100.64.0.0/10 is between a provider and its customers (RFC 6598).
            let shared = first == 100 && (64..128).contains(&second);
            !(v4.is_private() || v4.is_loopback() || v4.is_link_local() || v4.is_unspecified() || shared)
        }
        IpAddr::V6(v6) => {
            !(v6.is_loopback() || v6.is_unspecified() || v6.is_unique_local() || v6.is_unicast_link_local())
        }
    }
}

/// Where the visitor comes from, as far as that can be known.
#[derive(Debug, Clone, Copy)]
pub struct Client(pub Option<IpAddr>);

impl FromRequestParts<AppState> for Client {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &AppState) -> Result<Self, Infallible> {
        let peer = parts.extensions.get::<Peer>();
        Ok(Self(peer.and_then(|peer| app.proxies.client(peer.0, &parts.headers))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(all: &[&str]) -> Proxies {
        Proxies::read(&all.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>()).unwrap()
    }

    fn client(proxies: &Proxies, peer: &str, forwarded: &[&str]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append(FORWARDED, value.parse().unwrap());
        }
        proxies.client(peer.parse().unwrap(), &headers).map(|address| address.to_string())
    }

    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn only_a_trusted_proxy_is_believed_and_only_as_far_as_it_saw_itself() {
        let none = Proxies::default();
        assert_eq!(client(&none, "203.0.113.7", &["198.51.100.1"]), some("203.0.113.7"));
        assert_eq!(client(&none, "::ffff:203.0.113.7", &[]), some("203.0.113.7"));
        for inside in ["127.0.0.1", "10.1.2.3", "100.64.0.1", "::1", "fd00::1", "fe80::1"] {
            assert_eq!(
                client(&none, inside, &["198.51.100.1"]),
                None,
                "{inside}: a proxy that nobody has named"
            );
        }
        let ours = proxies(&["10.0.0.0/8", "2001:db8::/32", "127.0.0.1"]);
        assert_eq!(client(&ours, "10.1.2.3", &["198.51.100.1"]), some("198.51.100.1"));
        assert_eq!(
            client(&ours, "127.0.0.1", &["6.6.6.6, 198.51.100.1"]),
            some("198.51.100.1"),
            "what came with it is anybody's"
        );
        assert_eq!(
            client(&ours, "127.0.0.1", &["198.51.100.1", "10.0.0.9, 2001:db8::1"]),
            some("198.51.100.1")
        );
        assert_eq!(client(&ours, "127.0.0.1", &["198.51.100.1:4711"]), some("198.51.100.1"));
        assert_eq!(client(&ours, "127.0.0.1", &["nonsense"]), None);
        assert_eq!(client(&ours, "127.0.0.1", &[]), None);
        assert_eq!(client(&ours, "127.0.0.1", &["10.0.0.9"]), None);
        assert_eq!(client(&ours, "203.0.113.7", &["198.51.100.1"]), some("203.0.113.7"), "not one of ours");
        assert_eq!(client(&ours, "11.0.0.1", &["198.51.100.1"]), some("11.0.0.1"));
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for good in ["10.0.0.0/8", "192.0.2.7", "::1", "2001:db8::/32", "0.0.0.0/1"] {
            assert!(good.parse::<Network>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "proxy",
            "10.0.0.0/33",
            "10.0.0.1/8",
            "0.0.0.0/0",
            "::/0",
            "10.0.0.0/x",
            "10.0.0.0/-1",
            "2001:db8::/129",
        ] {
            assert!(bad.parse::<Network>().is_err(), "{bad}");
        }
    }
}
