//! Removes credentials from texts of servers, which go into messages. Some servers repeat the token that they were sent
//! (`models/auth/access_token.go @ v15.0.0`, and whatever echoes a request).

use std::borrow::Cow;

use base64::Engine as _;
use reqwest::header::HeaderValue;

/// What replaces a credential.
const HIDDEN: &str = "[hidden]";

/// Removes the credentials that a request carried from a text.
pub(super) fn redact<'a>(text: &'a [u8], authorization: Option<&HeaderValue>) -> Cow<'a, str> {
    let mut text = String::from_utf8_lossy(text);
    for secret in authorization.into_iter().flat_map(secrets) {
        if text.contains(&secret) {
            text = text.replace(&secret, HIDDEN).into();
        }
    }
    text
}

/// The secrets in a header: its value, and for HTTP Basic the password in it.
fn secrets(header: &HeaderValue) -> Vec<String> {
    let Some((_, value)) = header.to_str().ok().and_then(|text| text.split_once(' ')) else {
        return Vec::new();
    };
    let pair = base64::engine::general_purpose::STANDARD.decode(value).ok();
    let pair = pair.and_then(|bytes| String::from_utf8(bytes).ok());
    let password =
        pair.as_deref().and_then(|pair| pair.split_once(':')).map(|(_, password)| password.to_owned());
    [Some(value.to_owned()), password].into_iter().flatten().filter(|secret| !secret.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    #[test]
    fn credentials_that_a_server_echoes_are_hidden() {
        let out = |text: &'static str, header: &'static str| {
            super::redact(text.as_bytes(), Some(&HeaderValue::from_static(header))).into_owned()
        };
        insta::assert_snapshot!(out("no [sha: 0123abcd] here", "token 0123abcd"), @"no [sha: [hidden]] here");
        // me:0123abcd
        insta::assert_snapshot!(out("0123abcd of bWU6MDEyM2FiY2Q=", "Basic bWU6MDEyM2FiY2Q="), @"[hidden] of [hidden]");
        insta::assert_snapshot!(out("nothing of the kind", "token 0123abcd"), @"nothing of the kind");
    }
}
