//! The host that a request names, and which hosts are answered where nobody needs a token.
//!
//! A web page can have its own name lead to the server's address (DNS rebinding) and is then of the server's origin, but
//! it cannot change the name that its requests carry. So a name is answered only where it is known to be meant. An address is no
//! name: nobody can have it lead elsewhere.

// The types of addresses: nothing of them reaches a network.
use ::core::net::{Ipv4Addr, Ipv6Addr};

use crate::core::state::error::Invalid;

/// The names that are answered beside addresses and local names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AllowedHosts {
    /// In lower case, without port and final dot.
    names: Vec<String>,
    is_every: bool,
}

impl AllowedHosts {
    /// Reads `ALLOWED_HOSTS`: host names, comma-separated, of which a port is ignored; `*` for all.
    ///
    /// # Errors
    /// [`Invalid`] when an entry is something else.
    ///
    /// # Example
    /// ```
    /// use kimball_edge::core::requests::AllowedHosts;
    /// let hosts = AllowedHosts::parse("kimball.example, stats.example:8787").unwrap();
    /// assert!(hosts.answers("Stats.Example") && hosts.answers("localhost:8787") && hosts.answers("[::1]:8787"));
    /// assert!(!hosts.answers("rebound.example"));
    /// ```
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let mut hosts = Self::default();
        for entry in text.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
            match Host::of(entry) {
                _ if entry == "*" => hosts.is_every = true,
                Some(Host::Name(name)) => hosts.names.push(name),
                Some(Host::Address) => {}
                None => {
                    let what = "ALLOWED_HOSTS: must be host names such as kimball.example.com, in ASCII, or *";
                    return Err(Invalid { what: what.into() });
                }
            }
        }
        Ok(hosts)
    }

    /// Whether requests to this host, as it stands in `Host` or in a URL, are answered.
    #[must_use]
    pub fn answers(&self, authority: &str) -> bool {
        self.is_every
            || match Host::of(authority) {
                Some(Host::Address) => true,
                Some(Host::Name(name)) => is_local(&name) || self.names.contains(&name),
                None => false,
            }
    }

    /// The names that were given, `*` for all.
    pub fn given(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str).chain(self.is_every.then_some("*"))
    }
}

/// Names of the machine itself, which are not looked up (RFC 6761, 6.3).
fn is_local(name: &str) -> bool {
    name == "localhost" || name.ends_with(".localhost")
}

enum Host {
    Address,
    /// In lower case, without a final dot.
    Name(String),
}

impl Host {
    /// The host of `HOST` or `HOST:PORT`; `None` where it is neither a name nor an address.
    fn of(authority: &str) -> Option<Self> {
        let (host, port) = match authority.strip_prefix('[') {
            Some(rest) => {
                let (address, port) = rest.split_once(']')?;
                let without_zone = address.split_once('%').map_or(address, |(address, _)| address);
                without_zone.parse::<Ipv6Addr>().ok()?;
                (None, if port.is_empty() { "" } else { port.strip_prefix(':')? })
            }
            None => match authority.split_once(':') {
                Some((host, port)) => (Some(host), port),
                None => (Some(authority), ""),
            },
        };
        if !port.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let Some(name) = host.map(|host| host.strip_suffix('.').unwrap_or(host)) else {
            return Some(Self::Address);
        };
        if name.parse::<Ipv4Addr>().is_ok() {
            return Some(Self::Address);
        }
        let is_label = |label: &str| {
            !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        };
        name.split('.').all(is_label).then(|| Self::Name(name.to_ascii_lowercase()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_names_and_addresses_are_answered() {
        let hosts = AllowedHosts::default();
        for host in [
            "localhost",
            "LOCALHOST:8787",
            "localhost.",
            "localhost.:1",
            "a.b.localhost:1",
            "127.0.0.1",
            "127.9.9.9:8787",
            "[::1]",
            "[::1]:8787",
            "[fe80::1%25eth0]:80",
            "[::ffff:127.0.0.1]",
            "192.168.1.9:8787",
            "127.0.0.1.",
            "localhost:",
        ] {
            assert!(hosts.answers(host), "{host}");
        }
        for host in [
            "",
            ".",
            ":",
            ":8787",
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "evillocalhost",
            "localhost..",
            "localhost@evil.example",
            "evil.example@localhost",
            "localhost/",
            "localhost evil.example",
            "[::1",
            "[::1]x",
            "[::1]:x",
            "[evil.example]",
            "::1",
            "127.1",
            "2130706433",
            "0x7f.0.0.1",
            "127.0.0.1:80:80",
            "localhost:8787.evil.example",
            "localhost:http",
            "*",
            "löcalhost",
            "localhost\u{0}",
        ] {
            assert!(!hosts.answers(host), "{host}");
        }
    }

    #[test]
    fn named_hosts_are_answered() {
        let hosts = AllowedHosts::parse(" Stats.Example.:443,kimball ,, 10.0.0.1,[::1]:1").unwrap();
        assert_eq!(hosts.given().collect::<Vec<_>>(), ["stats.example", "kimball"]);
        assert!(hosts.answers("stats.example:8787") && hosts.answers("STATS.EXAMPLE.") && hosts.answers("kimball"));
        assert!(
            !hosts.answers("a.stats.example") && !hosts.answers("stats.example.evil") && !hosts.answers("xkimball")
        );
        let every = AllowedHosts::parse("*").unwrap();
        assert!(every.answers("evil.example") && every.answers(""));
        assert_eq!(every.given().collect::<Vec<_>>(), ["*"]);
        for text in
            ["https://stats.example", "stats.example/", "*.example", "münchen.example", "a b", "a:b", "stats..example"]
        {
            assert!(AllowedHosts::parse(text).is_err(), "{text}");
        }
    }
}
