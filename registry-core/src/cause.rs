//! Causes: why something was not done, stays or ended. In the library they are data, in JSON their words.

/// Lets JSON have these causes in their words (`#[serde(into = "String", from = "String")]`). A cause that was read back is known
/// by its words only, as its variant `Said`.
macro_rules! in_words {
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

pub(crate) use in_words;
