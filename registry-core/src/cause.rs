//! Causes: why something was not done, stays or ended. The library keeps them as enums, JSON as text.

/// Converts causes to and from the text that JSON holds (`#[serde(into = "String", from = "String")]`). A cause that is read
/// back keeps only that text, as its variant `Said`.
macro_rules! text_conversions {
    ($($cause:ident),+) => {$(
        impl From<$cause> for String {
            fn from(cause: $cause) -> Self {
                cause.to_string()
            }
        }

        impl From<String> for $cause {
            fn from(words: String) -> Self {
                Self::Said(words)
            }
        }
    )+};
}

pub(crate) use text_conversions;
