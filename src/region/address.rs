use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

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

/// The IPv4 networks without users, with their prefix lengths, from IANA's registry of special-purpose
/// addresses.
const NON_PUBLIC_V4: [(Ipv4Addr, u32); 15] = [
    (Ipv4Addr::UNSPECIFIED, 8),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(192, 88, 99, 0), 24),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    (Ipv4Addr::new(224, 0, 0, 0), 4),
    (Ipv4Addr::new(240, 0, 0, 0), 4),
];

/// The same for IPv6.
const NON_PUBLIC_V6: [(Ipv6Addr, u32); 11] = [
    (Ipv6Addr::UNSPECIFIED, 128),
    (Ipv6Addr::LOCALHOST, 128),
    (Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96),
    (Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, 0), 64),
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),
    (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7),
    (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10),
    (Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8),
];

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
    match ip {
        IpAddr::V4(ip) => !NON_PUBLIC_V4
            .iter()
            .any(|&(network, prefix)| (u32::from(ip) ^ u32::from(network)) >> (32 - prefix) == 0),
        IpAddr::V6(ip) => !NON_PUBLIC_V6.iter().any(|&(network, prefix)| {
            (u128::from(ip) ^ u128::from(network)) >> (128 - prefix) == 0
        }),
    }
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
    fn a_public_address_of_a_server_is_told_by_its_user_agent() {
        for agent in
            ["clerk/clerk-sdk-go@v2.0.0", "@clerk/backend@3.25.0", "speakeasy-sdk/python 1.0"]
        {
            assert_eq!(Address::classify(Some("84.200.69.80"), Some(agent)).word(), "server_side");
        }
    }
}
