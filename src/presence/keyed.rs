//! Maps by the keys of rows.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use super::row::RowKey;

/// A map by the keys of rows, which are numbers we give ourselves: nobody else can choose keys that collide.
pub(super) type KeyMap<V> = HashMap<RowKey, V, BuildHasherDefault<Scatter>>;

/// Scatters numbers that were given one after the other.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Scatter(u64);

/// An odd number with bits all over, as in Fibonacci hashing: 2^64 over the golden ratio.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

impl Hasher for Scatter {
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(byte.into());
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0 ^ number).wrapping_mul(GOLDEN);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
