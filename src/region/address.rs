use std::net::IpAddr;

use ipnet::IpNet;

/// The kind of the client's address. Only a public one says where the user is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Address {
    /// There is no such member, or it is null.
    Absent,
    /// It holds blanks only.
    Empty,
    /// It is not one IP address.
    Unparsable,
    /// It is in a private or reserved network.
    NonPublic(IpAddr),
    /// It is public, but its user agent is a server's that acted for the user.
    ServerSide(IpAddr),
    /// It is public and taken for the user's own.
    Public(IpAddr),
}

/// The user agents of Clerk's server SDKs (`docs/vendors/clerk.md`, "Client address").
const SERVER_SIDE_USER_AGENTS: [&str; 3] =
    ["clerk/clerk-sdk-go@", "@clerk/backend@", "speakeasy-sdk/"];

/// The networks without users, from IANA's registries of special-purpose addresses.
const NON_PUBLIC: &str = "\
    0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 \
    192.0.2.0/24 192.88.99.0/24 192.168.0.0/16 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 \
    224.0.0.0/4 240.0.0.0/4 \
    ::/128 ::1/128 64:ff9b::/96 100::/64 2001::/23 2001:db8::/32 2002::/16 3fff::/20 fc00::/7 \
    fe80::/10 ff00::/8";

impl Address {
    /// Classifies the address of an event.
    pub fn classify(client_ip: Option<&str>, user_agent: Option<&str>) -> Self {
        let Some(text) = client_ip.map(str::trim) else {
            return Self::Absent;
        };
        if text.is_empty() {
            return Self::Empty;
        }
        let Ok(ip) = text.parse::<IpAddr>() else {
            return Self::Unparsable;
        };
        let ip = ip.to_canonical();
        let server_side = |agent: &str| {
            SERVER_SIDE_USER_AGENTS.iter().any(|prefix| agent.trim_start().starts_with(prefix))
        };
        if !is_public(ip) {
            Self::NonPublic(ip)
        } else if user_agent.is_some_and(server_side) {
            Self::ServerSide(ip)
        } else {
            Self::Public(ip)
        }
    }

    /// The address, if it says where the user is.
    pub fn public(self) -> Option<IpAddr> {
        match self {
            Self::Public(ip) => Some(ip),
            _ => None,
        }
    }

    /// The word for the log, which never has the address.
    pub fn word(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Empty => "empty",
            Self::Unparsable => "unparsable",
            Self::NonPublic(IpAddr::V4(_)) => "non_public_v4",
            Self::NonPublic(IpAddr::V6(_)) => "non_public_v6",
            Self::ServerSide(_) => "server_side",
            Self::Public(IpAddr::V4(_)) => "public_v4",
            Self::Public(IpAddr::V6(_)) => "public_v6",
        }
    }
}

fn is_public(ip: IpAddr) -> bool {
    let mut networks = NON_PUBLIC.split(' ').map(|network| network.parse().expect("a network"));
    !networks.any(|network: IpNet| network.contains(&ip))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(client_ip: &str) -> &'static str {
        Address::classify(Some(client_ip), None).word()
    }

    #[test]
    fn each_reserved_network_ends_where_the_registry_says() {
        for (last_inside, first_outside) in [
            ("10.255.255.255", "11.0.0.0"),
            ("100.127.255.255", "100.128.0.0"),
            ("172.31.255.255", "172.32.0.0"),
            ("192.0.0.255", "192.0.1.0"),
            ("198.19.255.255", "198.20.0.0"),
            ("203.0.113.255", "203.0.114.0"),
        ] {
            assert_eq!((word(last_inside), word(first_outside)), ("non_public_v4", "public_v4"));
        }
        assert_eq!((word("223.255.255.255"), word("224.0.0.0")), ("public_v4", "non_public_v4"));
        for inside in [
            "::",
            "::1",
            "64:ff9b::1",
            "100::1",
            "2001:1ff::1",
            "2001:db8::1",
            "2002::1",
            "fd00::1",
            "fe80::1",
            "ff02::1",
        ] {
            assert_eq!(word(inside), "non_public_v6", "{inside}");
        }
        for outside in [
            "::2",
            "64:ff9b:1::",
            "100:0:0:1::",
            "2001:200::1",
            "2001:db9::1",
            "3ffe::1",
            "4000::1",
        ] {
            assert_eq!(word(outside), "public_v6", "{outside}");
        }
    }

    #[test]
    fn an_ipv4_address_in_ipv6_notation_is_an_ipv4_address() {
        assert_eq!(word("::ffff:84.200.69.80"), "public_v4");
        assert_eq!(word("::ffff:10.0.0.1"), "non_public_v4");
    }

    #[test]
    fn anything_but_one_address_is_unparsable() {
        for text in [
            "1.2.3",
            "84.200.69.80:443",
            "84.200.69.80, 10.0.0.1",
            "fe80::1%eth0",
            "http://x/",
            "084.200.69.80",
        ] {
            assert_eq!(word(text), "unparsable", "{text}");
        }
        assert_eq!(word(" \t"), "empty");
        assert_eq!(Address::classify(None, None), Address::Absent);
    }

    #[test]
    fn a_public_address_with_the_user_agent_of_an_sdk_is_a_server_s() {
        for agent in
            ["clerk/clerk-sdk-go@v2.0.0", "@clerk/backend@3.25.0", "speakeasy-sdk/python 1.0"]
        {
            assert_eq!(Address::classify(Some("84.200.69.80"), Some(agent)).word(), "server_side");
        }
    }
}
