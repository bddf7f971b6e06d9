//! The metadata of a connection: the properties that peers send each other in READY (RFC 37, sections "The NULL Security
//! Mechanism" and "Connection Metadata"). What a property means is not known here.

use alloc::vec::Vec;

use super::wire::split_short;
use crate::frame::ProtocolError;

/// The most properties accepted in one READY.
pub const PROPERTIES_MAX: usize = 128;
/// The longest name of a property, in bytes; the shortest has 1.
pub const PROPERTY_NAME_BYTES_MAX: usize = 255;

/// Properties with distinct names, in the order of arrival. Names are case-insensitive.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Metadata {
    properties: Vec<(Vec<u8>, Vec<u8>)>,
}

/// Whether `name` is a valid property name by the grammar of RFC 37: 1 to 255 letters, digits, `-`, `_`, `.`, `+`.
pub fn is_property_name(name: &[u8]) -> bool {
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.+".contains(byte);
    (1..=PROPERTY_NAME_BYTES_MAX).contains(&name.len()) && name.iter().all(allowed)
}

impl Metadata {
    /// No properties.
    pub fn new() -> Metadata {
        Metadata::default()
    }

    /// Adds a property. A name that is already there keeps its first value, as in libzmq.
    ///
    /// # Panics
    /// When `name` is empty or longer than [`PROPERTY_NAME_BYTES_MAX`], or `value` has 2^31 bytes or more.
    pub fn add(&mut self, name: &[u8], value: &[u8]) {
        assert!((1..=PROPERTY_NAME_BYTES_MAX).contains(&name.len()), "a property's name has 1 to 255 bytes");
        assert!(i32::try_from(value.len()).is_ok(), "a property's value has less than 2^31 bytes");
        if self.get(name).is_none() {
            self.properties.push((name.to_vec(), value.to_vec()));
        }
    }

    /// The value of a property.
    pub fn get(&self, name: &[u8]) -> Option<&[u8]> {
        self.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// Removes a property and returns its value.
    pub fn remove(&mut self, name: &[u8]) -> Option<Vec<u8>> {
        let at = self.properties.iter().position(|(known, _)| known.eq_ignore_ascii_case(name))?;
        Some(self.properties.remove(at).1)
    }

    /// Every (name, value).
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.properties.iter().map(|(name, value)| (name.as_slice(), value.as_slice()))
    }

    /// How many bytes [`put`](Self::put) appends.
    pub fn wire_len(&self) -> usize {
        self.iter().map(|(name, value)| 1 + name.len() + 4 + value.len()).sum()
    }

    /// Appends the properties in the form that READY carries.
    pub fn put(&self, out: &mut Vec<u8>) {
        for (name, value) in self.iter() {
            out.push(name.len() as u8);
            out.extend_from_slice(name);
            out.extend_from_slice(&(value.len() as u32).to_be_bytes());
            out.extend_from_slice(value);
        }
    }

    /// Parses the properties of a READY. Memory is bounded by the length of `wire`, time by [`PROPERTIES_MAX`]. The
    /// characters of names are not checked, as in libzmq.
    ///
    /// # Errors
    /// [`ProtocolError::MetadataMalformed`] for an empty name and a length beyond the end,
    /// [`ProtocolError::TooManyProperties`].
    pub fn parse(wire: &[u8]) -> Result<Metadata, ProtocolError> {
        let mut metadata = Metadata::new();
        let mut rest = wire;
        let mut count = 0;
        while !rest.is_empty() {
            let (name, value, after) = split_property(rest).ok_or(ProtocolError::MetadataMalformed)?;
            count += 1;
            if count > PROPERTIES_MAX {
                return Err(ProtocolError::TooManyProperties { max: PROPERTIES_MAX });
            }
            metadata.add(name, value);
            rest = after;
        }
        Ok(metadata)
    }
}

/// Splits off the first property: (name, value, rest).
fn split_property(wire: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (name, rest) = split_short(wire)?;
    let (len, rest) = rest.split_first_chunk()?;
    let len = i32::from_be_bytes(*len);
    let (value, rest) = rest.split_at_checked(usize::try_from(len).ok()?)?;
    (!name.is_empty()).then_some((name, value, rest))
}
