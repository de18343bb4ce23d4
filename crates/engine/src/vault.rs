//! Secrets that must be stored and used again: encrypted under a key derived from the root key.
//!
//! ChaCha20-Poly1305 with a fresh nonce for each text. What a text is for is authenticated with it, so that no row can
//! take the place of another. A text names the root key that sealed it, so that a changed root key is told apart from a
//! damaged text. Refuses to know what the secrets are for.

use quittance_domain::digest::short_hex;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, KeyType, Salt};
use secrecy::{ExposeSecret, SecretString};

/// Why a text cannot be sealed or opened. None of them repeats anything of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VaultError {
    /// Another root key sealed it.
    #[error(
        "it was stored under another root key: set QUITTANCE_SECRET to the one before, or make a new secret"
    )]
    OtherRootKey,
    /// It is not what was sealed, or was sealed for something else.
    #[error("the stored text is damaged")]
    Damaged,
    /// The key cannot be used, which a test excludes.
    #[error("the encryption cannot be set up")]
    Broken,
}

/// Seals and opens. Knows nothing but the derived key.
#[derive(Clone)]
pub struct Vault {
    key: [u8; 32],
    /// Names the root key without telling it.
    name: String,
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Vault({})", self.name)
    }
}

/// What the derived key is for: another use of the root key gets another key.
const LABEL: &[u8] = b"quittance stored secrets 1";
/// The form of what is stored.
const FORM: &str = "v1";

struct Bytes32;
impl KeyType for Bytes32 {
    fn len(&self) -> usize {
        32
    }
}

impl Vault {
    /// The vault of an installation.
    ///
    /// # Errors
    /// Never in practice; the derivation has no input that it refuses.
    pub fn new(root: &SecretString) -> Result<Self, VaultError> {
        let mut key = [0_u8; 32];
        let secret = Salt::new(HKDF_SHA256, b"quittance").extract(root.expose_secret().as_bytes());
        let info = [LABEL];
        let derived = secret.expand(&info, Bytes32).map_err(|_| VaultError::Broken)?;
        derived.fill(&mut key).map_err(|_| VaultError::Broken)?;
        let mut name = short_hex(&["vault", &hex::encode(key)]);
        name.truncate(8);
        Ok(Self { key, name })
    }

    fn cipher(&self) -> Result<LessSafeKey, VaultError> {
        let key = UnboundKey::new(&CHACHA20_POLY1305, &self.key).map_err(|_| VaultError::Broken)?;
        Ok(LessSafeKey::new(key))
    }

    /// Encrypts a text for one purpose (such as the row that holds it). `fresh` must be random and never used again.
    ///
    /// # Errors
    /// [`VaultError::Broken`] only.
    pub fn seal(&self, purpose: &str, text: &SecretString, fresh: [u8; 16]) -> Result<String, VaultError> {
        let mut nonce = [0_u8; NONCE_LEN];
        for (to, from) in nonce.iter_mut().zip(fresh) {
            *to = from;
        }
        let mut sealed = text.expose_secret().as_bytes().to_vec();
        self.cipher()?
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(purpose.as_bytes()),
                &mut sealed,
            )
            .map_err(|_| VaultError::Broken)?;
        Ok(format!("{FORM}.{}.{}.{}", self.name, hex::encode(nonce), hex::encode(sealed)))
    }

    /// Decrypts what was sealed for the same purpose.
    ///
    /// # Errors
    /// [`VaultError::OtherRootKey`], or [`VaultError::Damaged`].
    pub fn open(&self, purpose: &str, stored: &str) -> Result<SecretString, VaultError> {
        let mut parts = stored.split('.');
        let (form, name, nonce, sealed) = (parts.next(), parts.next(), parts.next(), parts.next());
        let (Some(FORM), Some(name), Some(nonce), Some(sealed), None) =
            (form, name, nonce, sealed, parts.next())
        else {
            return Err(VaultError::Damaged);
        };
        if name != self.name {
            return Err(VaultError::OtherRootKey);
        }
        let nonce = hex::decode(nonce).map_err(|_| VaultError::Damaged)?;
        let nonce = Nonce::try_assume_unique_for_key(&nonce).map_err(|_| VaultError::Damaged)?;
        let mut sealed = hex::decode(sealed).map_err(|_| VaultError::Damaged)?;
        let opened = self
            .cipher()?
            .open_in_place(nonce, Aad::from(purpose.as_bytes()), &mut sealed)
            .map_err(|_| VaultError::Damaged)?;
        let text = std::str::from_utf8(opened).map_err(|_| VaultError::Damaged)?;
        Ok(SecretString::from(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vault(root: &str) -> Vault {
        Vault::new(&root.to_owned().into()).unwrap()
    }

    #[test]
    fn only_the_same_root_key_and_purpose_open_what_was_sealed() {
        let (ours, text) = (vault("root one"), SecretString::from("whsec_hush".to_owned()));
        let stored = ours.seal("endpoint 1", &text, [7; 16]).unwrap();
        assert!(!stored.contains("hush") && !stored.contains(&hex::encode("hush")), "{stored}");
        assert_eq!(ours.open("endpoint 1", &stored).unwrap().expose_secret(), "whsec_hush");
        assert_ne!(stored, ours.seal("endpoint 1", &text, [8; 16]).unwrap());
        assert_eq!(ours.open("endpoint 2", &stored).unwrap_err(), VaultError::Damaged);
        assert_eq!(vault("root two").open("endpoint 1", &stored).unwrap_err(), VaultError::OtherRootKey);
        assert!(!format!("{ours:?}").contains("root one"));
    }

    #[test]
    fn any_changed_letter_is_noticed() {
        let ours = vault("root");
        let stored = ours.seal("p", &"secret".to_owned().into(), [1; 16]).unwrap();
        for at in 0..stored.len() {
            let mut letters = stored.clone().into_bytes();
            letters[at] = if letters[at] == b'0' { b'1' } else { b'0' };
            let changed = String::from_utf8(letters).unwrap();
            assert!(ours.open("p", &changed).is_err(), "{at}");
        }
        for broken in ["", "v1", "v1..", "v2.a.b.c", &format!("{stored}.x"), &stored[..stored.len() - 2]] {
            assert!(ours.open("p", broken).is_err(), "{broken}");
        }
    }
}
