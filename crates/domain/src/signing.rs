//! The life of the keys that sign entitlement tokens: made, published, signing, only verifying, gone.
//!
//! Everybody who verifies keeps a copy of the published keys for a while, so a key is published long before it signs, and
//! stays published until the last token that it signed has run out. Which key signs follows from the clock alone, so that
//! all nodes agree without talking. Refuses to know what a key is made of.

use serde::{Deserialize, Serialize};

use crate::time::{DAY_MS, HOUR_MS, MINUTE_MS, Timestamp};

/// The longest life of a token, in milliseconds, whatever is configured: how long a key must outlive its last signature.
pub const LONGEST_TOKEN_MS: i64 = HOUR_MS;
/// How long a node may go on with the keys that it has read, and clocks may differ, in milliseconds.
pub const KEY_SLACK_MS: i64 = 5 * MINUTE_MS;

/// When keys change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RotationPolicy {
    /// How long a key signs before the next one does, in milliseconds.
    pub rotate_every_ms: i64,
    /// How long a key is published before it signs, in milliseconds.
    pub publish_ahead_ms: i64,
}

impl Default for RotationPolicy {
    fn default() -> Self {
        Self { rotate_every_ms: 90 * DAY_MS, publish_ahead_ms: DAY_MS }
    }
}

/// The times of one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyTimes {
    /// Counts the keys of a database from 1; the next key's number is this one's and 1, so two nodes cannot both make it.
    pub number: i64,
    /// From when on it signs.
    pub signs_from: Timestamp,
    /// When an operator withdrew it; nothing that it signed is believed since.
    pub withdrawn_at: Option<Timestamp>,
}

/// What a key is good for at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyState {
    /// Published, so that whoever verifies knows it when it begins.
    Waiting,
    /// It signs.
    Signing,
    /// It signs no more; its last tokens are still believed.
    Retiring,
    /// No token of it can be in force: it is not published any more.
    Gone,
}

impl KeyState {
    /// The word shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Signing => "signing",
            Self::Retiring => "retiring",
            Self::Gone => "gone",
        }
    }

    /// Whether those who verify must know it.
    #[must_use]
    pub const fn is_published(self) -> bool {
        match self {
            Self::Waiting | Self::Signing | Self::Retiring => true,
            Self::Gone => false,
        }
    }

    /// Whether its private part is of any use.
    #[must_use]
    pub const fn needs_private(self) -> bool {
        match self {
            Self::Waiting | Self::Signing => true,
            Self::Retiring | Self::Gone => false,
        }
    }
}

/// A key to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NextKey {
    /// Its number.
    pub number: i64,
    /// From when on it is to sign.
    pub signs_from: Timestamp,
}

/// When the key after this one takes over; `None` while there is none.
fn succeeded_at(key: &KeyTimes, keys: &[KeyTimes]) -> Option<Timestamp> {
    keys.iter()
        .filter(|other| other.number > key.number && other.withdrawn_at.is_none())
        .map(|k| k.signs_from)
        .min()
}

/// What a key is good for now, among all keys.
#[must_use]
pub fn state(key: &KeyTimes, keys: &[KeyTimes], now: Timestamp) -> KeyState {
    if key.withdrawn_at.is_some() {
        return KeyState::Gone;
    }
    match succeeded_at(key, keys) {
        Some(over) if over.plus_ms(LONGEST_TOKEN_MS + KEY_SLACK_MS) <= now => KeyState::Gone,
        Some(over) if over <= now => KeyState::Retiring,
        Some(_) | None if key.signs_from > now => KeyState::Waiting,
        Some(_) | None => KeyState::Signing,
    }
}

/// The key that signs now.
#[must_use]
pub fn signer(keys: &[KeyTimes], now: Timestamp) -> Option<i64> {
    keys.iter().filter(|key| state(key, keys, now) == KeyState::Signing).map(|key| key.number).max()
}

fn newest(keys: &[KeyTimes]) -> i64 {
    keys.iter().map(|key| key.number).max().unwrap_or(0)
}

/// The key that must be made now, if any: the first one, which signs at once because nobody has a copy of anything yet, or
/// the next one, published ahead of the end of the one that signs.
#[must_use]
pub fn due(keys: &[KeyTimes], policy: &RotationPolicy, now: Timestamp) -> Option<NextKey> {
    let number = newest(keys) + 1;
    let Some(last) = keys.iter().filter(|key| key.withdrawn_at.is_none()).max_by_key(|key| key.number) else {
        return Some(NextKey { number, signs_from: now });
    };
    let change = last.signs_from.plus_ms(policy.rotate_every_ms);
    if change.plus_ms(-policy.publish_ahead_ms) > now {
        return None;
    }
    Some(NextKey { number, signs_from: change.max(now.plus_ms(policy.publish_ahead_ms)) })
}

/// The next key because an operator wants one: as [`due`], however young the last one is. `None` while one waits already.
#[must_use]
pub fn rotate(keys: &[KeyTimes], policy: &RotationPolicy, now: Timestamp) -> Option<NextKey> {
    let waiting = keys.iter().any(|key| state(key, keys, now) == KeyState::Waiting);
    let signing = signer(keys, now).is_some();
    let ahead = if signing { policy.publish_ahead_ms } else { 0 };
    (!waiting).then(|| NextKey { number: newest(keys) + 1, signs_from: now.plus_ms(ahead) })
}

/// A key that signs at once, because nothing that is there can be used any more.
#[must_use]
pub fn replace(keys: &[KeyTimes], now: Timestamp) -> NextKey {
    NextKey { number: newest(keys) + 1, signs_from: now }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::tests::T0;

    const POLICY: RotationPolicy =
        RotationPolicy { rotate_every_ms: 30 * DAY_MS, publish_ahead_ms: 2 * DAY_MS };

    fn key(number: i64, from: Timestamp) -> KeyTimes {
        KeyTimes { number, signs_from: from, withdrawn_at: None }
    }

    fn states(keys: &[KeyTimes], now: Timestamp) -> Vec<KeyState> {
        keys.iter().map(|key| state(key, keys, now)).collect()
    }

    #[test]
    fn the_first_key_signs_at_once_and_each_later_one_is_published_before() {
        assert_eq!(due(&[], &POLICY, T0), Some(NextKey { number: 1, signs_from: T0 }));
        let first = [key(1, T0)];
        assert_eq!(due(&first, &POLICY, T0.plus_ms(28 * DAY_MS - 1)), None);
        let next = NextKey { number: 2, signs_from: T0.plus_ms(30 * DAY_MS) };
        assert_eq!(due(&first, &POLICY, T0.plus_ms(28 * DAY_MS)), Some(next));
        // However late anybody looks, it is published as long as promised.
        let late = T0.plus_ms(100 * DAY_MS);
        assert_eq!(
            due(&first, &POLICY, late),
            Some(NextKey { number: 2, signs_from: late.plus_ms(2 * DAY_MS) })
        );
        let both = [key(1, T0), key(2, next.signs_from)];
        assert_eq!(due(&both, &POLICY, T0.plus_ms(29 * DAY_MS)), None, "it waits already");
    }

    #[test]
    fn a_key_waits_signs_retires_and_goes() {
        use KeyState::{Gone, Retiring, Signing, Waiting};
        let change = T0.plus_ms(30 * DAY_MS);
        let keys = [key(1, T0), key(2, change)];
        let last = change.plus_ms(LONGEST_TOKEN_MS + KEY_SLACK_MS);
        for (now, expected) in [
            (T0, [Signing, Waiting]),
            (change.plus_ms(-1), [Signing, Waiting]),
            (change, [Retiring, Signing]),
            (last.plus_ms(-1), [Retiring, Signing]),
            (last, [Gone, Signing]),
        ] {
            assert_eq!(states(&keys, now), expected, "{now}");
            let signing = keys.iter().filter(|k| state(k, &keys, now) == Signing).count();
            assert_eq!(signing, 1, "exactly one signs");
        }
    }

    #[test]
    fn an_operator_gets_one_next_key_and_a_withdrawn_one_is_gone_at_once() {
        let keys = [key(1, T0)];
        let now = T0.plus_ms(DAY_MS);
        let next = rotate(&keys, &POLICY, now).unwrap();
        assert_eq!(next, NextKey { number: 2, signs_from: now.plus_ms(2 * DAY_MS) });
        let both = [key(1, T0), key(2, next.signs_from)];
        assert_eq!(rotate(&both, &POLICY, now), None);
        let withdrawn = both.map(|key| KeyTimes { withdrawn_at: Some(now), ..key });
        assert_eq!(states(&withdrawn, now), [KeyState::Gone; 2]);
        assert_eq!(due(&withdrawn, &POLICY, now), Some(NextKey { number: 3, signs_from: now }));
        assert_eq!(replace(&withdrawn, now).number, 3);
        // One that was withdrawn before it began succeeds nobody.
        let odd = [key(1, T0), KeyTimes { withdrawn_at: Some(now), ..key(2, now) }];
        assert_eq!(states(&odd, now.plus_ms(90 * DAY_MS)), [KeyState::Signing, KeyState::Gone]);
    }
}
