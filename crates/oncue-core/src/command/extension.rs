//! The command of Oncue beside those of RFC 37, for peers that sent `X-Oncue` in their READY: its name and its kinds.

/// The READY property by which a peer says that it understands [`ONCUE_COMMAND`]s, and its value: the level, see
/// [`oncue_level`].
pub const ONCUE_PROPERTY: (&str, &[u8]) = ("X-Oncue", b"2");
/// From this level on a peer understands questions about subscriptions and answers them, and hears what it has missed.
pub const ONCUE_LEVEL_2: u32 = 2;
/// The name of the command. RFC 37 allows letters only.
pub const ONCUE_COMMAND: &str = "ONCUE";

/// The first byte of the data: the kind. Other values are reserved.
pub(super) const KIND_STATE: u8 = 1;
pub(super) const KIND_QUESTION: u8 = 2;
pub(super) const KIND_ANSWER: u8 = 3;
pub(super) const KIND_MISSED: u8 = 4;

/// What a peer with this value of [`ONCUE_PROPERTY`] understands: level 1 knows the states of topics, each further level all
/// of the levels below too. A value that is not a decimal number counts as 1.
pub fn oncue_level(value: &[u8]) -> u32 {
    let number = core::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
    number.unwrap_or(1).max(1)
}
