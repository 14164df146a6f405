//! The account of the program. After its fixed fields come three strings: endpoint, icon
//! and version.

use common::{cluster::NODES, layout::Value, state, Address};

/// Where the strings begin.
pub const STRINGS: usize = 54;

state! {
    Node {
        owner: NODES,
        discriminator: 0x7da61292c37f56dc,
        space: 128,
        fixed: 54 then decodes,
        AUTHORITY: Address = 8,
        AUDITED: u8 = 40,
        ARCHITECTURE: u8 = 41,
        COUNTRY: u16 = 42,
        CPU: u16 = 44,
        GPU: u16 = 46,
        MEMORY: u16 = 48,
        IOPS: u16 = 50,
        STORAGE: u16 = 52,
    }
}

fn decodes(data: &[u8]) -> bool {
    data[Node::AUDITED.offset] <= 1 && strings_decode(data)
}

fn strings_decode(data: &[u8]) -> bool {
    let mut rest = &data[STRINGS..];
    (0..3).all(|_| match skip_string(rest) {
        Some(after) => {
            rest = after;
            true
        }
        None => false,
    })
}

fn skip_string(bytes: &[u8]) -> Option<&[u8]> {
    if bytes.len() < u32::SIZE {
        return None;
    }
    let (length, bytes) = bytes.split_at(u32::SIZE);
    let length = u32::read(length) as usize;
    if bytes.len() < length {
        return None;
    }
    let (string, rest) = bytes.split_at(length);
    core::str::from_utf8(string).ok()?;
    Some(rest)
}
