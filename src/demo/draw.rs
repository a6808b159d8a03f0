//! Seeded draws that depend on what is drawn for and on nothing else.
//!
//! A stream of draws is named by a purpose and the ids it is for ("the accounts of household 12"),
//! so the same household gets the same people and accounts in the slice and in the full data,
//! whatever else is generated and in which order. The generator is SplitMix64 (Steele, Lea and
//! Flood 2014, "Fast splittable pseudorandom number generators", figure 16): the demo's input must
//! stay the same bit for bit, also when a library changes.

/// The seed of everything the demo makes up.
const SEED: u64 = 0x7472_6962_7574_6172;

/// The increment of the generator: the odd integer closest to 2^64 divided by the golden ratio.
const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

/// A stream of draws.
#[derive(Debug, Clone)]
pub(super) struct Draw {
    state: u64,
}

impl Draw {
    /// The stream for a purpose and the ids it is about.
    pub(super) fn of(purpose: &str, ids: &[i64]) -> Self {
        let mut state = SEED;
        for byte in purpose.bytes() {
            state = mixed(state ^ u64::from(byte)).wrapping_add(GAMMA);
        }
        for id in ids {
            state = mixed(state ^ id.cast_unsigned()).wrapping_add(GAMMA);
        }
        Self { state }
    }

    /// 64 fresh bits.
    pub(super) fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GAMMA);
        mixed(self.state)
    }

    /// A whole number in `0..bound`; 0 when `bound` is 0.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        let product = u128::from(self.bits()) * u128::from(bound);
        u64::try_from(product >> 64).unwrap_or(0)
    }

    /// A whole number in `from..=to`.
    pub(super) fn between(&mut self, from: i64, to: i64) -> i64 {
        let span = to.abs_diff(from).saturating_add(1);
        from.saturating_add_unsigned(self.below(span))
    }

    /// True in `parts` of 1,000 cases.
    pub(super) fn chance(&mut self, parts: u64) -> bool {
        self.below(1000) < parts
    }

    /// One of a list; the empty string when the list is empty.
    pub(super) fn pick<'a>(&mut self, list: &[&'a str]) -> &'a str {
        list.get(self.index(list.len())).copied().unwrap_or("")
    }

    /// A position in a list of `length` entries; 0 when it is empty.
    pub(super) fn index(&mut self, length: usize) -> usize {
        let bound = u64::try_from(length).unwrap_or(u64::MAX);
        usize::try_from(self.below(bound)).unwrap_or(0)
    }

    /// The position drawn when position `i` has `weights[i]` chances.
    pub(super) fn weighted(&mut self, weights: &[u64]) -> usize {
        let mut left = self.below(weights.iter().sum());
        for (position, weight) in weights.iter().enumerate() {
            if left < *weight {
                return position;
            }
            left -= weight;
        }
        0
    }
}

/// The output function of SplitMix64: a bijection in which every bit of the input reaches every bit
/// of the output.
fn mixed(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generator_is_splitmix64() {
        // The first outputs of the authors' C code for the seed 1234567.
        let mut draw = Draw { state: 1_234_567 };
        assert_eq!(draw.bits(), 6_457_827_717_110_365_317);
        assert_eq!(draw.bits(), 3_203_168_211_198_807_973);
        assert_eq!(draw.bits(), 9_817_491_932_198_370_423);
    }

    #[test]
    fn a_stream_depends_on_its_purpose_and_ids_only() {
        assert_eq!(
            Draw::of("account", &[7, 1]).bits(),
            Draw::of("account", &[7, 1]).bits()
        );
        assert_ne!(
            Draw::of("account", &[7, 1]).bits(),
            Draw::of("account", &[1, 7]).bits()
        );
        assert_ne!(
            Draw::of("account", &[7]).bits(),
            Draw::of("basket", &[7]).bits()
        );
    }

    #[test]
    fn draws_stay_within_their_bounds_and_reach_all_of_them() {
        let mut draw = Draw::of("bounds", &[]);
        let mut seen = [0_u32; 6];
        for _ in 0..6000 {
            let value = draw.between(-2, 3);
            seen[usize::try_from(value + 2).unwrap()] += 1;
        }
        assert!(
            seen.iter().all(|&count| (850..1150).contains(&count)),
            "{seen:?}"
        );
        assert_eq!(draw.below(0), 0);
        assert_eq!(draw.pick(&[]), "");
        let heads = (0..10_000).filter(|_| draw.chance(250)).count();
        assert!((2350..2650).contains(&heads), "{heads}");
        let first = (0..10_000).filter(|_| draw.weighted(&[3, 1]) == 0).count();
        assert!((7350..7650).contains(&first), "{first}");
    }
}
