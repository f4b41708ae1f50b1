//! The bytes of a descriptor before its signature (ovl1 section 2.2).
//!
//! Not here: limits that depend on more than one field, and everything that needs a key or the time.

use super::kem::KemOffer;
use super::{Descriptor, ENDPOINTS_MOST, Endpoint, FAMILY_MOST, KEMS_MOST, POLICY_MOST, PolicyRule};
use crate::codec::{Malformed, Reader};
use crate::moment::UnixTime;
use shoalway_types::wallet::Address;
use std::ops::RangeInclusive;

const MAGIC: &[u8; 4] = b"OVD1";

/// Appends a descriptor, whose lists are within their limits.
pub(super) fn put(descriptor: &Descriptor, bytes: &mut Vec<u8>) {
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&descriptor.network);
    bytes.extend_from_slice(&descriptor.node.0);
    for number in [descriptor.seq, descriptor.published.0, descriptor.expires.0] {
        bytes.extend_from_slice(&number.to_be_bytes());
    }
    bytes.extend_from_slice(&descriptor.protocols.to_be_bytes());
    bytes.extend_from_slice(&[0, 0]);
    put_count(descriptor.kems.len(), bytes);
    descriptor.kems.iter().for_each(|kem| kem.put(bytes));
    bytes.extend_from_slice(&descriptor.link_key);
    bytes.extend_from_slice(&descriptor.link_gate);
    bytes.extend_from_slice(&descriptor.operator.0);
    put_count(descriptor.family.len(), bytes);
    descriptor.family.iter().for_each(|node| bytes.extend_from_slice(&node.0));
    bytes.extend_from_slice(&descriptor.country);
    bytes.extend_from_slice(&descriptor.asn.to_be_bytes());
    bytes.extend_from_slice(&descriptor.kibps.to_be_bytes());
    put_count(descriptor.endpoints.len(), bytes);
    descriptor.endpoints.iter().for_each(|endpoint| endpoint.put(bytes));
    put_count(descriptor.policy.len(), bytes);
    descriptor.policy.iter().for_each(|rule| rule.put(bytes));
}

/// Reads what [`put`] wrote, to its last byte.
pub(super) fn parse(bytes: &[u8]) -> Result<Descriptor, Malformed> {
    let mut reader = Reader::new(bytes);
    let descriptor = read(&mut reader)?;
    reader.finish()?;
    Ok(descriptor)
}

/// The fields stand in the order of the bytes: a struct expression is evaluated in the order it is written.
fn read(reader: &mut Reader<'_>) -> Result<Descriptor, Malformed> {
    if &reader.array::<4>("descriptor magic")? != MAGIC {
        return Err(Malformed("descriptor magic"));
    }
    Ok(Descriptor {
        network: reader.array("descriptor network")?,
        node: Address(reader.array("descriptor node")?),
        seq: reader.u64("descriptor seq")?,
        published: UnixTime(reader.u64("descriptor published")?),
        expires: UnixTime(reader.u64("descriptor expires")?),
        protocols: read_protocols(reader)?,
        kems: list(reader, 1..=KEMS_MOST, "kem count", KemOffer::read)?,
        link_key: reader.array("descriptor link key")?,
        link_gate: reader.array("descriptor link gate")?,
        operator: Address(reader.array("descriptor operator")?),
        family: list(reader, 0..=FAMILY_MOST, "family count", |reader| reader.array("family").map(Address))?,
        country: reader.array("descriptor country")?,
        asn: reader.u32("descriptor asn")?,
        kibps: reader.u32("descriptor kibps")?,
        endpoints: list(reader, 0..=ENDPOINTS_MOST, "endpoint count", Endpoint::read)?,
        policy: list(reader, 0..=POLICY_MOST, "policy count", PolicyRule::read)?,
    })
}

/// Protocols, and the flags behind them, which are zero.
fn read_protocols(reader: &mut Reader<'_>) -> Result<u16, Malformed> {
    let protocols = reader.u16("descriptor protocols")?;
    reader.zeros(2, "descriptor flags")?;
    Ok(protocols)
}

/// A list behind its count of one byte.
fn list<T>(
    reader: &mut Reader<'_>,
    lengths: RangeInclusive<usize>,
    field: &'static str,
    read: impl Fn(&mut Reader<'_>) -> Result<T, Malformed>,
) -> Result<Vec<T>, Malformed> {
    let count = usize::from(reader.u8(field)?);
    if !lengths.contains(&count) {
        return Err(Malformed(field));
    }
    (0..count).map(|_| read(reader)).collect()
}

fn put_count(count: usize, bytes: &mut Vec<u8>) {
    bytes.push(u8::try_from(count).unwrap_or(u8::MAX));
}
