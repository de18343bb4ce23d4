//! The macro for closed vocabularies: an enum whose variants are the words on the wire.

/// Declares an enum with one wire word per variant, its serde names and `as_str`.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$variant_meta:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
        pub(crate) enum $name { $($(#[$variant_meta])* #[serde(rename = $text)] $variant),+ }
        impl $name {
            /// The word as the API spells it.
            pub(crate) const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }
    };
}
pub(crate) use words;
