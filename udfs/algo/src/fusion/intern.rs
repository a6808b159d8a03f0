//! Dense numbers for keys: the first distinct key is 0, the next 1, in the order they come.

use xxhash_rust::xxh3::xxh3_64;

use crate::host::{Host, Meter, Reservation, reserve_for};
use crate::{Error, Result};

/// Numbers 64-bit keys. Open addressing with linear probing at a load of at most one half.
#[derive(Debug, Default)]
pub struct Integers {
    keys: Vec<u64>,
    slots: Slots,
}

/// Numbers byte strings. The bytes are kept once, end to end.
#[derive(Debug, Default)]
pub struct Strings {
    bytes: Vec<u8>,
    /// End of each string in `bytes`.
    ends: Vec<usize>,
    slots: Slots,
    memory: Option<Reservation>,
}

impl Integers {
    /// No keys yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The number of `key`, a new one if it has none.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] when the table must grow and may not; [`Error::Data`] after 2^32 - 1 keys.
    pub fn intern(&mut self, key: u64, host: &dyn Host) -> Result<u32> {
        let Self { keys, slots } = self;
        slots.make_room(keys.len(), host)?;
        let fresh = next_number(keys.len())?;
        let found = slots.find_or_insert(mix(key), fresh, |held| {
            keys.get(held as usize) == Some(&key)
        });
        if found == fresh {
            keys.push(key);
        }
        Ok(found)
    }

    /// The numbers of `keys`, in order. Faster than one by one: the memory that a run of keys needs is asked for before the
    /// first of them is waited for.
    ///
    /// # Errors
    /// As [`Integers::intern`]; [`Error::Cancelled`].
    pub fn intern_all(&mut self, keys: &[u64], host: &dyn Host) -> Result<Vec<u32>> {
        const RUN: usize = 32;
        let mut numbers = Vec::with_capacity(keys.len());
        let mut meter = Meter::new(host);
        for run in keys.chunks(RUN) {
            meter.spend(64 * RUN)?;
            // Loads without an order among them, so that their cache misses overlap.
            let mut held = [0_u64; RUN];
            if !self.slots.table.is_empty() {
                for (slot, &key) in held.iter_mut().zip(run) {
                    *slot = self.slots.first(mix(key));
                }
            }
            let touched = held.map(|slot| {
                let number = (slot as u32).wrapping_sub(1);
                self.keys.get(number as usize).copied().unwrap_or(0)
            });
            std::hint::black_box(touched);
            for &key in run {
                numbers.push(self.intern(key, host)?);
            }
        }
        Ok(numbers)
    }

    /// The number of `key`, if it has one.
    pub fn find(&self, key: u64) -> Option<u32> {
        self.slots
            .find(mix(key), |held| self.keys.get(held as usize) == Some(&key))
    }

    /// The keys, by number.
    pub fn keys(&self) -> &[u64] {
        &self.keys
    }
}

impl Strings {
    /// No strings yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The number of `key`, a new one if it has none.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] when the table must grow and may not; [`Error::Data`] after 2^32 - 1 strings.
    pub fn intern(&mut self, key: &[u8], host: &dyn Host) -> Result<u32> {
        self.slots.make_room(self.ends.len(), host)?;
        let fresh = next_number(self.ends.len())?;
        let (bytes, ends) = (&self.bytes, &self.ends);
        let found = self.slots.find_or_insert(xxh3_64(key), fresh, |held| {
            string(bytes, ends, held) == Some(key)
        });
        if found == fresh {
            if self.bytes.capacity() - self.bytes.len() < key.len() {
                let wanted = (self.bytes.len() + key.len()).max(2 * self.bytes.len());
                let more = host.reserve(wanted, "distinct strings")?;
                self.bytes.reserve_exact(wanted - self.bytes.len());
                self.memory = Some(more);
            }
            self.bytes.extend_from_slice(key);
            self.ends.push(self.bytes.len());
        }
        Ok(found)
    }

    /// The number of `key`, if it has one.
    pub fn find(&self, key: &[u8]) -> Option<u32> {
        self.slots
            .find(xxh3_64(key), |held| self.get(held) == Some(key))
    }

    /// The string with a number.
    pub fn get(&self, number: u32) -> Option<&[u8]> {
        string(&self.bytes, &self.ends, number)
    }

    /// How many distinct strings there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }
}

/// The hash table proper: numbers with their hashes, the keys being elsewhere.
#[derive(Debug, Default)]
struct Slots {
    /// Upper half of the hash, above the number plus one; 0 is a free slot. A power of two of them. The upper half also
    /// says where to start looking, so that the table grows without seeing the keys again.
    table: Vec<u64>,
    memory: Option<Reservation>,
}

impl Slots {
    /// Makes sure that one more than `held` keys fit at a load of one half.
    fn make_room(&mut self, held: usize, host: &dyn Host) -> Result<()> {
        if held < self.table.len() / 2 {
            return Ok(());
        }
        let size = (self.table.len() * 2).max(1 << 10);
        // A slot of 8 bytes, and 8 bytes of key or offset for every second one.
        let memory = reserve_for::<[u32; 3]>(host, size, "distinct values")?;
        let mut table = vec![0_u64; size];
        let mask = size - 1;
        for &slot in self.table.iter().filter(|slot| **slot != 0) {
            let mut at = (slot >> 32) as usize & mask;
            while table[at] != 0 {
                at = (at + 1) & mask;
            }
            table[at] = slot;
        }
        self.table = table;
        self.memory = Some(memory);
        Ok(())
    }

    /// The number held for `hash` for which `same` is true, or `fresh`, which is then held.
    fn find_or_insert(&mut self, hash: u64, fresh: u32, same: impl Fn(u32) -> bool) -> u32 {
        match self.look(hash, same) {
            (_, Some(held)) => held,
            (at, None) => {
                self.table[at] = (hash >> 32 << 32) | (u64::from(fresh) + 1);
                fresh
            }
        }
    }

    fn find(&self, hash: u64, same: impl Fn(u32) -> bool) -> Option<u32> {
        if self.table.is_empty() {
            return None;
        }
        self.look(hash, same).1
    }

    /// What is in the slot where the search for `hash` starts.
    fn first(&self, hash: u64) -> u64 {
        self.table[(hash >> 32) as usize & (self.table.len() - 1)]
    }

    /// Where the search for `hash` ends, and the number found there; the table must have a free slot.
    fn look(&self, hash: u64, same: impl Fn(u32) -> bool) -> (usize, Option<u32>) {
        let mask = self.table.len() - 1;
        let mut at = (hash >> 32) as usize & mask;
        loop {
            let slot = self.table[at];
            if slot == 0 {
                return (at, None);
            }
            let held = (slot as u32).wrapping_sub(1);
            if slot >> 32 == hash >> 32 && same(held) {
                return (at, Some(held));
            }
            at = (at + 1) & mask;
        }
    }
}

fn next_number(held: usize) -> Result<u32> {
    // The start of a search has 32 bits, so the table has at most 2^32 slots and half as many keys.
    u32::try_from(held)
        .ok()
        .filter(|number| *number < 1 << 31)
        .ok_or_else(|| {
            Error::data(
                "there are more than 2147483648 distinct values",
                "Split the relation.",
            )
        })
}

fn string<'a>(bytes: &'a [u8], ends: &[usize], number: u32) -> Option<&'a [u8]> {
    let number = number as usize;
    let start = match number.checked_sub(1) {
        Some(before) => *ends.get(before)?,
        None => 0,
    };
    bytes.get(start..*ends.get(number)?)
}

/// A bijection that spreads 64-bit keys (the finaliser of splitmix64, Steele et al. 2014).
pub(super) fn mix(key: u64) -> u64 {
    let key = (key ^ key >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let key = (key ^ key >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    key ^ key >> 31
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Unlimited;
    use proptest::prelude::*;
    use std::collections::HashMap;

    #[test]
    fn numbers_follow_first_appearance() {
        let mut keys = Integers::new();
        let mut number = |key| keys.intern(key, &Unlimited).unwrap();
        assert_eq!(
            [number(9), number(0), number(9), number(u64::MAX)],
            [0, 1, 0, 2]
        );
        assert_eq!(keys.keys(), [9, 0, u64::MAX]);
        assert_eq!(keys.find(0), Some(1));
        assert_eq!(keys.find(1), None);
        assert_eq!(Integers::new().find(1), None);
        let run: Vec<u64> = (0..5000).map(|at| at * at % 997).collect();
        let all = Integers::new().intern_all(&run, &Unlimited).unwrap();
        let mut one_by_one = Integers::new();
        for (&key, &number) in run.iter().zip(&all) {
            assert_eq!(one_by_one.intern(key, &Unlimited).unwrap(), number);
        }
    }

    #[test]
    fn survives_growth() {
        let mut keys = Integers::new();
        for key in 0..50_000_u64 {
            assert_eq!(u64::from(keys.intern(key << 32, &Unlimited).unwrap()), key);
        }
        for key in 0..50_000_u64 {
            assert_eq!(keys.find(key << 32).map(u64::from), Some(key));
        }
    }

    proptest! {
        #[test]
        fn strings_behave_like_a_map(words in prop::collection::vec("[ab]{0,4}", 0..400)) {
            let mut strings = Strings::new();
            let mut map = HashMap::new();
            for word in &words {
                let fresh = map.len() as u32;
                let expected = *map.entry(word.clone()).or_insert(fresh);
                prop_assert_eq!(strings.intern(word.as_bytes(), &Unlimited).unwrap(), expected);
            }
            prop_assert_eq!(strings.len(), map.len());
            for (word, number) in map {
                prop_assert_eq!(strings.find(word.as_bytes()), Some(number));
                prop_assert_eq!(strings.get(number), Some(word.as_bytes()));
            }
            prop_assert_eq!(strings.find(b"absent"), None);
        }
    }
}
