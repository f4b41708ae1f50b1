//! CRC32C, the checksum of Castagnoli, over the header of PROXY protocol section 2.2.3.
//!
//! Follows RFC 4960 appendix B (polynomial 0x1EDC6F41, here with its bits reversed, as the algorithm shifts right).
//! A header is a few hundred bytes, once a connection: one table is enough.

/// The checksum of `parts`, taken as one sequence.
pub(crate) fn crc32c(parts: &[&[u8]]) -> u32 {
    !parts.iter().copied().flatten().fold(u32::MAX, |crc, byte| {
        let [low, ..] = crc.to_le_bytes();
        entry(low ^ byte) ^ (crc >> 8)
    })
}

#[expect(clippy::indexing_slicing, reason = "256 entries, and an index of 8 bits")]
const fn entry(index: u8) -> u32 {
    TABLE[index as usize]
}

const POLYNOMIAL: u32 = 0x82f6_3b78;

static TABLE: [u32; 256] = table();

#[expect(
    clippy::indexing_slicing,
    reason = "evaluated by the compiler, which refuses an index out of bounds"
)]
const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut index = 0;
    while index < table.len() {
        let mut crc = index as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ POLYNOMIAL } else { crc >> 1 };
            bit += 1;
        }
        table[index] = crc;
        index += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 3720 appendix B.4 (which prints the bytes in the order they are sent), and the check value of the
    /// catalogue of parametrised CRC algorithms.
    #[test]
    fn published_checksums_come_out() {
        let rising: Vec<u8> = (0..32).collect();
        let falling: Vec<u8> = (0..32).rev().collect();
        for (bytes, crc) in [
            (&[0; 32][..], 0x8a91_36aa),
            (&[0xff; 32], 0x62a8_ab43),
            (&rising, 0x46dd_794e),
            (&falling, 0x113f_db5c),
            (b"123456789", 0xe306_9283),
            (b"", 0),
        ] {
            assert_eq!(crc32c(&[bytes]), crc, "{bytes:?}");
            let (start, end) = bytes.split_at(bytes.len() / 3);
            assert_eq!(crc32c(&[start, &[], end]), crc, "in parts: {bytes:?}");
        }
    }
}
