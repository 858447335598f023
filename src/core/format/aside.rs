//! Rows whose bytes `SQLite` never copies, so that overwriting them leaves nothing.
//!
//! The first bytes of a row lie on a page of the table, with other rows, and are copied when such pages are split or joined; what was
//! there before stays on pages that are free. The rest lies on pages of its own and stays there until it is overwritten. So a
//! row begins with zeros, as many as a page of the table holds of it, and is as long as pages take:
//!
//! `LEAD zeros ‖ length of the bytes, 4 bytes, least significant first ‖ bytes ‖ zeros`
//!
//! Figures: the database file format of `SQLite`, "Cell Payload Overflow Pages", with pages of 4,096 bytes, as Durable Objects have.

use crate::core::format::corrupt::{Corrupt, Defect};

/// Bytes of a page that are used.
const PAGE: usize = 4_096;
/// Bytes of a record that stay on the page of the table, where the others fill pages of their own.
const ON_TABLE: usize = (PAGE - 12) * 32 / 255 - 23;
/// Bytes of a record on a page of its own.
const ON_PAGE: usize = PAGE - 4;
/// More than stay on the page of the table.
const LEAD: usize = 512;
const LENGTH: usize = 4;
const _: () = assert!(ON_TABLE < LEAD);

/// Bytes of the header of a record of a row id and a blob: its own length, and the types of both (0, and 12 more than twice the length).
const fn header(row: usize) -> usize {
    let (mut kind, mut bytes) = ((2 * row + 12) >> 7, 1);
    while kind > 0 {
        (kind, bytes) = (kind >> 7, bytes + 1);
    }
    2 + bytes
}

/// The length of a row for so many bytes: the least with which nothing but [`ON_TABLE`] bytes stays on the page of the table.
const fn length(bytes: usize) -> usize {
    let least = LEAD + LENGTH + bytes;
    let pages = (header(least) + least - ON_TABLE).div_ceil(ON_PAGE);
    let record = ON_TABLE + pages * ON_PAGE;
    // A longer row has a longer header, but for a handful of lengths.
    record - header(record)
}

/// The row of some bytes.
#[must_use]
pub fn pack(bytes: &[u8]) -> Vec<u8> {
    let mut row = Vec::with_capacity(length(bytes.len()));
    row.resize(LEAD, 0);
    row.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    row.extend_from_slice(bytes);
    row.resize(length(bytes.len()), 0);
    row
}

/// Whether a row was packed, given that what may be in it begins with no zero.
#[must_use]
pub fn is_packed(row: &[u8]) -> bool {
    row.first() == Some(&0)
}

/// The bytes of a row that was packed.
///
/// # Errors
/// [`Corrupt`] where it was not.
pub fn unpack(row: &[u8]) -> Result<&[u8], Corrupt> {
    let corrupt = || Corrupt::new(Defect::Form);
    let (lead, rest) = row.split_at_checked(LEAD).ok_or_else(corrupt)?;
    let (len, rest) = rest.split_first_chunk::<LENGTH>().ok_or_else(corrupt)?;
    let (bytes, zeros) = rest.split_at_checked(u32::from_le_bytes(*len) as usize).ok_or_else(corrupt)?;
    let is_right = row.len() == length(bytes.len()) && lead.iter().chain(zeros).all(|&byte| byte == 0);
    if is_right { Ok(bytes) } else { Err(corrupt()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes of a record of so many that stay on the page of the table, as the file format has it.
    const fn on_table(record: usize) -> usize {
        if record <= PAGE - 35 {
            return record;
        }
        let rest = ON_TABLE + (record - ON_TABLE) % ON_PAGE;
        if rest <= PAGE - 35 { rest } else { ON_TABLE }
    }

    #[test]
    fn nothing_but_zeros_stays_on_the_page_of_the_table() {
        for bytes in (0..20_000).chain((20_000..1 << 20).step_by(997)).chain([1 << 20]) {
            let row = length(bytes);
            assert!(row >= LEAD + LENGTH + bytes, "{bytes}");
            assert!(on_table(header(row) + row) <= LEAD, "{bytes}: {row}");
            assert!(row <= LEAD + LENGTH + bytes + PAGE, "{bytes}: {row}");
        }
    }

    #[test]
    fn rows_are_what_was_packed_and_nothing_else_is() {
        for bytes in [0, 1, 100, 4_000, 5_000, 70_000] {
            let content: Vec<u8> = (0_u32..bytes).map(|n| n as u8 | 1).collect();
            let row = pack(&content);
            assert_eq!(unpack(&row), Ok(&content[..]));
            for at in [0, 7, LEAD - 1, LEAD + 1, LEAD + 2, row.len() - 1] {
                let mut damaged = row.clone();
                damaged[at] ^= 0x80;
                assert!(unpack(&damaged).is_err(), "{bytes} bytes, at {at}");
            }
            assert!(unpack(&row[..row.len() - 1]).is_err());
        }
        assert!(unpack(b"S of before").is_err() && !is_packed(b"S of before"));
    }
}
