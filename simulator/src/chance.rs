//! Chance from a seed: the same seed, the same draws, on every machine.
//!
//! SplitMix64 (Steele, Lea and Flood 2014): one word of state, so that each part of a run has a stream of its own
//! and one part drawing more does not move another.

/// A stream of draws.
#[derive(Debug, Clone)]
pub struct Chance(u64);

impl Chance {
    /// The stream of a seed. `part` tells the streams of one seed apart.
    #[must_use]
    pub fn new(seed: u64, part: &str) -> Self {
        let mut state = seed ^ 0x6a09_e667_f3bc_c908;
        for byte in part.bytes() {
            state = (state ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        let mut stream = Self(state);
        stream.draw();
        stream
    }

    /// The next 64 bits.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    /// A number under `bound`; 0 when the bound is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        // The high half of a product: fair enough for bounds far under 2^64.
        u64::try_from((u128::from(self.draw()) * u128::from(bound)) >> 64).unwrap_or(0)
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&mut self, low: i64, high: i64) -> i64 {
        let span = high.saturating_sub(low).max(0).unsigned_abs().saturating_add(1);
        low.saturating_add_unsigned(self.below(span))
    }

    /// Whether something happens that does so this many times in a thousand.
    pub fn per_mille(&mut self, share: u32) -> bool {
        self.below(1_000) < u64::from(share)
    }

    /// One of several; `None` of nothing.
    pub fn pick<'a, T>(&mut self, all: &'a [T]) -> Option<&'a T> {
        let index = usize::try_from(self.below(all.len() as u64)).ok()?;
        all.get(index)
    }

    /// 128 bits, for ids.
    pub fn bytes(&mut self) -> [u8; 16] {
        let wide = (u128::from(self.draw()) << 64) | u128::from(self.draw());
        wide.to_be_bytes()
    }
}
