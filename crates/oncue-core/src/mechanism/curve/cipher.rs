//! The primitives, from crates: X25519 (curve25519-dalek), Salsa20 and HSalsa20 (salsa20), Poly1305 (cryptoxide). Together
//! they are the box and the secret box of NaCl, which RFC 26 uses. docs/DECISIONS.md says why these.

use alloc::vec::Vec;
use core::fmt;

use cryptoxide::poly1305::Poly1305;
use curve25519_dalek::MontgomeryPoint;
use salsa20::cipher::consts::U10;
use salsa20::cipher::{KeyIvInit, StreamCipher};
use salsa20::{Salsa20, hsalsa};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::keys::{KEY_BYTES, PublicKey, SecretKey};
use super::len::TAG;

/// How many bytes of room [`SharedKey::seal`] needs in front of what it encrypts: the key of the tag is the first half of the
/// key stream's first block.
pub(super) const PADDING: usize = KEY_BYTES;

/// A key that two sides share. It is zeroed when it is dropped, and never printed.
#[derive(Clone)]
pub(super) struct SharedKey(Zeroizing<[u8; KEY_BYTES]>);

impl fmt::Debug for SharedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedKey")
    }
}

impl SharedKey {
    /// The key that the owner of `secret` shares with the owner of `public`; `None` if everybody can know it, since `public` is
    /// of low order.
    pub(super) fn between(secret: &SecretKey, public: &PublicKey) -> Option<SharedKey> {
        let point = MontgomeryPoint(*public.bytes()).mul_clamped(*secret.bytes());
        let point = Zeroizing::new(point.to_bytes());
        if bool::from(point.ct_eq(&[0; KEY_BYTES])) {
            return None;
        }
        Some(SharedKey(point).derive(&[0; 16]))
    }

    /// A key of random bytes.
    pub(super) fn random(random: super::Random) -> SharedKey {
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        random(&mut *bytes);
        SharedKey(bytes)
    }

    /// The key for all nonces that begin with `prefix`: the first of the two steps of XSalsa20, which depends on nothing else.
    pub(super) fn derive(&self, prefix: &[u8; 16]) -> SharedKey {
        SharedKey(Zeroizing::new(hsalsa::<U10>(&(*self.0).into(), &(*prefix).into()).into()))
    }

    /// Encrypts in place what is behind the first [`PADDING`] bytes, under a key that is [derived](Self::derive), and returns
    /// the tag. The padding makes whole blocks of the key stream fall on `padded` (NaCl's own interface has it too); what is in
    /// it is lost.
    #[inline]
    pub(super) fn seal(&self, counter: &[u8; 8], padded: &mut [u8]) -> [u8; TAG] {
        let (padding, _) = padded.split_first_chunk_mut::<PADDING>().expect("there is padding");
        *padding = [0; PADDING];
        Salsa20::new(&(*self.0).into(), &(*counter).into()).apply_keystream(padded);
        let (one_time, body) = padded.split_first_chunk_mut::<PADDING>().expect("as before");
        let tag = tag(one_time, body);
        *one_time = [0; PADDING];
        tag
    }

    /// Decrypts `body` in place if the tag is right. Nothing is changed if it is not.
    #[inline]
    #[must_use]
    pub(super) fn open(&self, counter: &[u8; 8], of_peer: &[u8; TAG], body: &mut [u8]) -> bool {
        let mut stream = Salsa20::new(&(*self.0).into(), &(*counter).into());
        // The key of the tag, and what deciphers the first bytes of the body. Not zeroed: it was good for this body alone.
        let mut block = [0; 2 * PADDING];
        stream.apply_keystream(&mut block);
        let (one_time, beginning) = block.split_first_chunk::<PADDING>().expect("the block is longer");
        if !bool::from(tag(one_time, body).ct_eq(of_peer)) {
            return false;
        }
        let (start, rest) = body.split_at_mut(body.len().min(PADDING));
        start.iter_mut().zip(beginning).for_each(|(byte, key)| *byte ^= key);
        stream.apply_keystream(rest);
        true
    }

    /// Appends a box: the tag, and the encrypted `plain`.
    pub(super) fn put_box(&self, prefix: &[u8; 16], counter: &[u8; 8], plain: &[u8], out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&[0; PADDING]);
        out.extend_from_slice(plain);
        let tag = self.derive(prefix).seal(counter, &mut out[start..]);
        out.splice(start..start + PADDING, tag);
    }

    /// What a box holds; `None` if it was not made with this key and nonce.
    pub(super) fn open_box(
        &self,
        prefix: &[u8; 16],
        counter: &[u8; 8],
        boxed: &[u8],
    ) -> Option<Zeroizing<Vec<u8>>> {
        let (tag, body) = boxed.split_first_chunk::<TAG>()?;
        let mut plain = Zeroizing::new(body.to_vec());
        self.derive(prefix).open(counter, tag, &mut plain).then_some(plain)
    }
}

/// Splits a nonce of a prefix of 8 bytes and 16 random ones into what [`SharedKey::put_box`] takes.
pub(super) fn long_nonce(prefix: &[u8; 8], random: &[u8; 16]) -> ([u8; 16], [u8; 8]) {
    let (mut first, mut last) = ([0; 16], [0; 8]);
    first[..8].copy_from_slice(prefix);
    first[8..].copy_from_slice(&random[..8]);
    last.copy_from_slice(&random[8..]);
    (first, last)
}

#[inline]
fn tag(key: &[u8; KEY_BYTES], body: &[u8]) -> [u8; TAG] {
    let mut mac = Poly1305::new(key);
    mac.update_mut(body);
    mac.finalize().0
}
