//! A token bucket: how many calls may start now, and how long to wait otherwise.
//!
//! Pure: time is an argument in milliseconds and nothing sleeps. Whoever is refused is told the wait and comes back.

/// Tokens are counted in thousandths, so that a rate per second is the same number per millisecond.
const MILLI: u64 = 1000;

/// A bucket that fills evenly and holds at most its burst.
#[derive(Debug, Clone)]
pub struct TokenBucket {
    per_second: u64,
    capacity_milli: u64,
    tokens_milli: u64,
    last_ms: i64,
    held_until_ms: i64,
}

impl TokenBucket {
    /// A full bucket for `per_second` calls a second and `burst` at once; both are at least one.
    #[must_use]
    pub fn new(per_second: u32, burst: u32, now_ms: i64) -> Self {
        let capacity_milli = u64::from(burst.max(1)).saturating_mul(MILLI);
        Self {
            per_second: u64::from(per_second.max(1)),
            capacity_milli,
            tokens_milli: capacity_milli,
            last_ms: now_ms,
            held_until_ms: i64::MIN,
        }
    }

    /// Milliseconds until one token above `reserve` is there, or `None` when it is there now. Takes nothing.
    ///
    /// A reserve of the burst or more is cut to one less than the burst, so that nobody waits for ever.
    pub fn wait_ms(&mut self, now_ms: i64, reserve: u32) -> Option<u64> {
        self.refill(now_ms);
        let held = u64::try_from(self.held_until_ms.saturating_sub(now_ms)).unwrap_or(0);
        let reserve = u64::from(reserve).saturating_mul(MILLI).min(self.capacity_milli.saturating_sub(MILLI));
        let missing = reserve.saturating_add(MILLI).saturating_sub(self.tokens_milli);
        let wait = missing.div_ceil(self.per_second).max(held);
        (wait > 0).then_some(wait)
    }

    /// Takes one token, leaving at least `reserve` for others.
    ///
    /// # Errors
    /// The milliseconds to wait when there are too few tokens; nothing is taken.
    pub fn try_take(&mut self, now_ms: i64, reserve: u32) -> Result<(), u64> {
        match self.wait_ms(now_ms, reserve) {
            Some(wait) => Err(wait),
            None => {
                self.tokens_milli = self.tokens_milli.saturating_sub(MILLI);
                Ok(())
            }
        }
    }

    /// Lets nothing through before `until_ms`: the provider said that it has had enough.
    pub fn hold_until(&mut self, until_ms: i64) {
        self.held_until_ms = self.held_until_ms.max(until_ms);
    }

    /// A clock that went backwards adds nothing and starts to count from there.
    fn refill(&mut self, now_ms: i64) {
        let passed = u64::try_from(now_ms.saturating_sub(self.last_ms)).unwrap_or(0);
        self.last_ms = now_ms;
        let fresh = passed.saturating_mul(self.per_second);
        self.tokens_milli = self.tokens_milli.saturating_add(fresh).min(self.capacity_milli);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_burst_then_an_even_rate() {
        let mut bucket = TokenBucket::new(20, 3, 0);
        assert_eq!([bucket.try_take(0, 0), bucket.try_take(0, 0), bucket.try_take(0, 0)], [Ok(()); 3]);
        assert_eq!(bucket.try_take(0, 0), Err(50));
        assert_eq!(bucket.try_take(49, 0), Err(1));
        assert_eq!(bucket.try_take(50, 0), Ok(()));
        assert_eq!(bucket.try_take(50, 0), Err(50));
    }

    #[test]
    fn a_reserve_is_left_for_others() {
        let mut bucket = TokenBucket::new(10, 4, 0);
        assert_eq!(bucket.try_take(0, 2), Ok(()));
        assert_eq!(bucket.try_take(0, 2), Ok(()));
        assert_eq!(bucket.try_take(0, 2), Err(100));
        assert_eq!(bucket.try_take(0, 0), Ok(()));
        assert_eq!(bucket.try_take(0, 0), Ok(()));
        assert_eq!(bucket.try_take(0, 99), Err(400), "the reserve is cut to what the bucket can hold");
    }

    #[test]
    fn a_hold_outlasts_the_tokens_and_is_never_shortened() {
        let mut bucket = TokenBucket::new(10, 4, 0);
        bucket.hold_until(1_000);
        bucket.hold_until(500);
        assert_eq!(bucket.try_take(0, 0), Err(1_000));
        assert_eq!(bucket.try_take(1_000, 0), Ok(()));
    }

    #[test]
    fn odd_clocks_and_rates() {
        let mut bucket = TokenBucket::new(0, 0, 1_000);
        assert_eq!(bucket.try_take(1_000, 0), Ok(()));
        assert_eq!(bucket.try_take(500, 0), Err(1_000));
        assert_eq!(bucket.try_take(1_500, 0), Ok(()));
        assert_eq!(bucket.try_take(i64::MAX, 0), Ok(()));
        assert!(bucket.try_take(i64::MIN, 0).is_err());
    }

    proptest! {
        #[test]
        fn never_more_than_burst_plus_rate(
            rate in 1_u32..200, burst in 1_u32..50, steps in proptest::collection::vec(0_i64..200, 1..200)
        ) {
            let mut bucket = TokenBucket::new(rate, burst, 0);
            let (mut now, mut taken) = (0, 0_i64);
            for step in steps {
                now += step;
                if let Err(wait) = bucket.try_take(now, 0) {
                    let mut later = bucket.clone();
                    prop_assert!(later.try_take(now + i64::try_from(wait).unwrap(), 0).is_ok(), "the told wait is enough");
                } else {
                    taken += 1;
                }
                prop_assert!(taken <= i64::from(burst) + now * i64::from(rate) / 1000);
            }
        }
    }
}
