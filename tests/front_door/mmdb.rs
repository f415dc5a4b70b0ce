//! A writer of small databases in MaxMind's format, version 2.0 of its specification.

use std::net::Ipv6Addr;

/// A database of this type that maps networks, in IPv6 notation, to countries.
pub fn database(database_type: &str, networks: &[(Ipv6Addr, u32, &str)]) -> Vec<u8> {
    // Each node has a left and a right record. A record points to a node or to a network's data, or
    // is empty.
    let mut nodes = vec![[Record::Empty; 2]];
    for (index, (address, prefix, _)) in networks.iter().enumerate() {
        let mut node = 0;
        for depth in 0..*prefix {
            let bit = usize::from(u128::from(*address) >> (127 - depth) & 1 == 1);
            if depth + 1 == *prefix {
                nodes[node][bit] = Record::Data(index);
                break;
            }
            if let Record::Node(next) = nodes[node][bit] {
                node = next;
            } else {
                nodes.push([Record::Empty; 2]);
                let next = nodes.len() - 1;
                nodes[node][bit] = Record::Node(next);
                node = next;
            }
        }
    }
    let mut data = Vec::new();
    let offsets: Vec<_> = networks
        .iter()
        .map(|(_, _, country)| {
            let offset = data.len();
            data.extend(map(&[("country", map(&[("iso_code", text(country))]))]));
            offset
        })
        .collect();
    let mut file = Vec::new();
    for record in nodes.iter().flatten() {
        let value = match record {
            Record::Node(node) => *node,
            Record::Empty => nodes.len(),
            Record::Data(index) => nodes.len() + 16 + offsets[*index],
        };
        file.extend(&u32::try_from(value).unwrap().to_be_bytes()[1..]);
    }
    file.extend([0; 16]);
    file.extend(data);
    file.extend(b"\xab\xcd\xefMaxMind.com");
    file.extend(map(&[
        ("binary_format_major_version", number(5, 2)),
        ("binary_format_minor_version", number(5, 0)),
        ("build_epoch", [vec![0x04, 2], 1_767_784_000_u32.to_be_bytes().to_vec()].concat()),
        ("database_type", text(database_type)),
        ("description", map(&[])),
        ("ip_version", number(5, 6)),
        ("languages", vec![0, 4]),
        ("node_count", number(6, u32::try_from(nodes.len()).unwrap())),
        ("record_size", number(5, 24)),
    ]));
    file
}

#[derive(Clone, Copy)]
enum Record {
    Empty,
    Node(usize),
    Data(usize),
}

fn control(kind: u8, size: usize) -> u8 {
    kind << 5 | u8::try_from(size).unwrap()
}

fn text(text: &str) -> Vec<u8> {
    [&[control(2, text.len())], text.as_bytes()].concat()
}

fn number(kind: u8, value: u32) -> Vec<u8> {
    let bytes = value.to_be_bytes();
    let bytes = &bytes[bytes.iter().take_while(|&&byte| byte == 0).count()..];
    [&[control(kind, bytes.len())], bytes].concat()
}

fn map(members: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = vec![control(7, members.len())];
    for (name, value) in members {
        bytes.extend(text(name));
        bytes.extend(value);
    }
    bytes
}
