//! A circuit breaker: after several failures in a row nothing is sent for a while, then one probe decides.
//!
//! Pure: time is an argument in milliseconds. What counts as a failure is the caller's decision.

/// Closed lets all through, open none, half-open one probe at a time.
#[derive(Debug, Clone)]
pub struct CircuitBreaker {
    threshold: u32,
    open_ms: i64,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Closed {
        failures: u32,
    },
    Open {
        until_ms: i64,
    },
    /// The probe's answer is awaited until then; a probe that was dropped must not close the door for ever.
    HalfOpen {
        until_ms: i64,
    },
}

impl CircuitBreaker {
    /// Opens after `threshold` failures in a row (at least one), for `open_ms` milliseconds.
    #[must_use]
    pub const fn new(threshold: u32, open_ms: i64) -> Self {
        let threshold = if threshold == 0 { 1 } else { threshold };
        Self { threshold, open_ms, state: State::Closed { failures: 0 } }
    }

    /// Milliseconds until something may be sent, or `None` when it may be now. Changes nothing.
    #[must_use]
    pub fn wait_ms(&self, now_ms: i64) -> Option<u64> {
        match self.state {
            State::Closed { .. } => None,
            State::Open { until_ms } | State::HalfOpen { until_ms } => {
                u64::try_from(until_ms.saturating_sub(now_ms)).ok().filter(|wait| *wait > 0)
            }
        }
    }

    /// Asks to send now; the first to be let through an open breaker is the probe.
    ///
    /// # Errors
    /// The milliseconds to wait.
    pub fn admit(&mut self, now_ms: i64) -> Result<(), u64> {
        if let Some(wait) = self.wait_ms(now_ms) {
            return Err(wait);
        }
        if !matches!(self.state, State::Closed { .. }) {
            self.state = State::HalfOpen { until_ms: now_ms.saturating_add(self.open_ms) };
        }
        Ok(())
    }

    /// The other side answered.
    pub const fn succeeded(&mut self) {
        self.state = State::Closed { failures: 0 };
    }

    /// The other side failed or did not answer.
    pub const fn failed(&mut self, now_ms: i64) {
        let open = State::Open { until_ms: now_ms.saturating_add(self.open_ms) };
        self.state = match self.state {
            State::Closed { failures } if failures.saturating_add(1) < self.threshold => {
                State::Closed { failures: failures.saturating_add(1) }
            }
            State::Closed { .. } | State::HalfOpen { .. } => open,
            // Late answers of calls that left before it opened do not prolong it.
            State::Open { until_ms } => State::Open { until_ms },
        };
    }

    /// True while calls are held back or probed; for metrics.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        !matches!(self.state, State::Closed { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened() -> CircuitBreaker {
        let mut breaker = CircuitBreaker::new(3, 1_000);
        for _ in 0..3 {
            breaker.failed(0);
        }
        breaker
    }

    #[test]
    fn opens_after_failures_in_a_row_only() {
        let mut breaker = CircuitBreaker::new(3, 1_000);
        breaker.failed(0);
        breaker.failed(0);
        breaker.succeeded();
        breaker.failed(0);
        breaker.failed(0);
        assert_eq!(breaker.admit(0), Ok(()));
        assert!(!breaker.is_open());
        breaker.failed(10);
        assert_eq!(breaker.admit(10), Err(1_000));
        assert_eq!(breaker.admit(1_009), Err(1));
    }

    #[test]
    fn one_probe_at_a_time_decides() {
        let mut breaker = opened();
        assert_eq!(breaker.admit(1_000), Ok(()));
        assert_eq!(breaker.admit(1_001), Err(999), "the probe is under way");
        breaker.failed(1_100);
        assert_eq!(breaker.admit(1_200), Err(900), "the probe failed");
        assert_eq!(breaker.admit(2_100), Ok(()));
        breaker.succeeded();
        assert_eq!([breaker.admit(2_100), breaker.admit(2_100)], [Ok(()); 2]);
    }

    #[test]
    fn a_lost_probe_is_replaced() {
        let mut breaker = opened();
        assert_eq!(breaker.admit(1_000), Ok(()));
        assert_eq!(breaker.admit(2_000), Ok(()));
    }

    #[test]
    fn late_failures_do_not_prolong_it() {
        let mut breaker = opened();
        breaker.failed(900);
        assert_eq!(breaker.admit(1_000), Ok(()));
    }
}
