use std::net::{IpAddr, SocketAddr};
use std::sync::LazyLock;

use ipnet::IpNet;

/// The kind of the client's address. Only a public one says where the user is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Address {
    /// There is no such member, or it is null.
    Absent,
    /// It holds blanks only.
    Empty,
    /// It begins with no IP address.
    Unparsable,
    /// It is in a private or reserved network.
    NonPublic(IpAddr),
    /// It is public, but its user agent is a server's that acted for the user.
    ServerSide(IpAddr),
    /// It is public and taken for the user's own.
    Public(IpAddr),
}

/// The products that servers name in their user agents, which then act for the user
/// (`docs/vendors/clerk.md`, "Client address"). Libraries that mobile apps use, too, such as okhttp,
/// ktor and Dart, are not among them.
const SERVER_SIDE_PRODUCTS: [&str; 29] = [
    // Clerk's SDKs: every npm package names itself as `@clerk/nextjs@6.0.0`, Ruby's as
    // `Clerk/3.0.0; Faraday/2.0.0; Ruby/3.0.0`. Speakeasy generates those for Python, Java, C#, PHP
    // and the newer ones for Ruby.
    "@clerk",
    "clerk/clerk-sdk-go",
    "Clerk",
    "speakeasy-sdk",
    // JavaScript: the defaults of each library, and of Node's own fetch, which is undici.
    "axios",
    "node",
    "undici",
    "node-fetch",
    "node-superagent",
    "got",
    "Deno",
    "Bun",
    // Python: requests, httpx, urllib; aiohttp sends `Python/3.12 aiohttp/3.9.0`.
    "python-requests",
    "python-httpx",
    "Python-urllib",
    "Python",
    // Java: HttpURLConnection, java.net.http, Apache's client, AsyncHttpClient.
    "Java",
    "Java-http-client",
    "Apache-HttpClient",
    "AHC",
    // Go, Ruby, PHP, C#, Elixir, Perl.
    "Go-http-client",
    "Ruby",
    "Faraday",
    "GuzzleHttp",
    "RestSharp",
    "hackney",
    "libwww-perl",
    // Command lines.
    "curl",
    "Wget",
];

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
        let Some(ip) = first_ip(text) else {
            return Self::Unparsable;
        };
        if !is_public(ip) {
            Self::NonPublic(ip)
        } else if user_agent.is_some_and(is_server_side) {
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

/// The first address of a list, as proxies write one. Each may have a port.
fn first_ip(text: &str) -> Option<IpAddr> {
    let first = text.split(',').next()?.trim();
    let with_port = || first.parse().map(|address: SocketAddr| address.ip());
    Some(first.parse().or_else(|_| with_port()).ok()?.to_canonical())
}

/// Whether a user agent begins with a product of a server. Apple's library begins it with the name of
/// the app, which may be any.
fn is_server_side(user_agent: &str) -> bool {
    let user_agent = user_agent.trim_start();
    let is_product = |product: &&str| {
        let rest = user_agent.strip_prefix(*product);
        rest.is_some_and(|rest| !rest.starts_with(|it: char| it.is_alphanumeric() || it == '-'))
    };
    SERVER_SIDE_PRODUCTS.iter().any(is_product) && !user_agent.contains("CFNetwork")
}

fn is_public(ip: IpAddr) -> bool {
    static NETWORKS: LazyLock<Vec<IpNet>> = LazyLock::new(|| {
        NON_PUBLIC.split(' ').map(|network| network.parse().expect("a network")).collect()
    });
    !NETWORKS.iter().any(|network| network.contains(&ip))
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
    fn a_list_or_a_port_leaves_the_first_address() {
        for (text, expected) in [
            ("84.200.69.80:443", "public_v4"),
            ("84.200.69.80, 10.0.0.1", "public_v4"),
            ("10.0.0.1,84.200.69.80", "non_public_v4"),
            ("[2a01:4f8::1]:443 , 84.200.69.80", "public_v6"),
            ("2a01:4f8::1", "public_v6"),
        ] {
            assert_eq!(word(text), expected, "{text}");
        }
    }

    #[test]
    fn text_that_begins_with_no_address_is_unparsable() {
        for text in [
            "1.2.3",
            ", 84.200.69.80",
            "84.200.69.80 10.0.0.1",
            "84.200.69.80:65536",
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
    fn each_product_of_a_server_is_known_by_its_user_agent() {
        let user_agents = [
            "@clerk/nextjs@6.33.0",
            "clerk/clerk-sdk-go@v2.0.0",
            "Clerk/3.3.0; Faraday/2.12.0; Ruby/3.3.0",
            "speakeasy-sdk/python 3.3.1 2.723.11 2025-04-10 clerk-backend-api",
            "axios/1.7.9",
            "node",
            "undici",
            "node-fetch/1.0 (+https://github.com/bitinn/node-fetch)",
            "node-superagent/3.8.3",
            "got (https://github.com/sindresorhus/got)",
            "Deno/2.1.4",
            "Bun/1.1.42",
            "python-requests/2.32.3",
            "python-httpx/0.28.1",
            "Python-urllib/3.12",
            "Python/3.12 aiohttp/3.11.11",
            "Java/17.0.13",
            "Java-http-client/21.0.5",
            "Apache-HttpClient/5.4.1 (Java/21.0.5)",
            "AHC/2.1",
            "Go-http-client/2.0",
            "Ruby",
            "Faraday v2.12.2",
            "GuzzleHttp/7",
            "RestSharp/112.1.0.0",
            "hackney/1.20.1",
            "libwww-perl/6.77",
            "curl/8.11.1",
            "Wget/1.25.0",
        ];
        // The table and the user agents have one order.
        assert_eq!(user_agents.len(), SERVER_SIDE_PRODUCTS.len());
        for (user_agent, product) in user_agents.into_iter().zip(SERVER_SIDE_PRODUCTS) {
            assert!(user_agent.starts_with(product), "{user_agent}");
            assert!(is_server_side(user_agent), "{user_agent}");
        }
        for package in [
            "backend",
            "clerk-sdk-node",
            "express",
            "fastify",
            "remix",
            "astro",
            "nuxt",
            "react-router",
            "tanstack-react-start",
        ] {
            assert!(is_server_side(&format!("@clerk/{package}@1.2.3")), "{package}");
        }
        for language in ["typescript", "python", "java", "csharp", "php", "ruby", "go"] {
            assert!(is_server_side(&format!("speakeasy-sdk/{language} 1.2.3")), "{language}");
        }
        let classified = Address::classify(Some("84.200.69.80"), Some(user_agents[0]));
        assert_eq!(classified.word(), "server_side");
    }

    #[test]
    fn the_user_agents_of_browsers_and_of_mobile_apps_are_the_user_s() {
        for user_agent in [
            "",
            "Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0",
            "okhttp/4.12.0",
            "Clerk/1 CFNetwork/1568.200.51 Darwin/24.1.0",
            "Nodes/5 CFNetwork/1568.200.51 Darwin/24.1.0",
            "Dalvik/2.1.0 (Linux; U; Android 15; Pixel 9)",
            "Dart/3.5 (dart:io)",
            "ktor-client",
            "nodejs-app/1.0",
        ] {
            assert!(!is_server_side(user_agent), "{user_agent}");
        }
    }
}
