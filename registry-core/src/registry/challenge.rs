//! Parses the challenges of a 401 (RFC 9110, 11.6.1). A header may hold several challenges, a response several headers.

use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};

/// A challenge of a scheme that is supported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Challenge {
    Basic,
    Bearer { realm: String, service: Option<String> },
}

/// All challenges of supported schemes.
pub(super) fn challenges(headers: &HeaderMap) -> Vec<Challenge> {
    let values = headers.get_all(WWW_AUTHENTICATE).iter();
    values.filter_map(|value| value.to_str().ok()).flat_map(parse_challenges).collect()
}

fn parse_challenges(text: &str) -> Vec<Challenge> {
    let mut found: Vec<(String, Vec<(String, String)>)> = Vec::new();
    let mut rest = text.trim_start_matches([' ', ',', '\t']);
    while !rest.is_empty() {
        let end = rest.find([' ', '=', ',', '\t']).unwrap_or(rest.len());
        let (word, after) = (&rest[..end], rest[end..].trim_start_matches([' ', '\t']));
        if let Some(value) = after.strip_prefix('=') {
            let (value, after) = split_value(value.trim_start_matches([' ', '\t']));
            if let Some((_, parameters)) = found.last_mut() {
                parameters.push((word.to_ascii_lowercase(), value));
            }
            rest = after;
        } else {
            found.push((word.to_ascii_lowercase(), Vec::new()));
            rest = after;
        }
        rest = rest.trim_start_matches([' ', ',', '\t']);
        if end == 0 && !rest.is_empty() {
            // Skip a character that can start neither a scheme nor a parameter.
            let mut chars = rest.chars();
            chars.next();
            rest = chars.as_str();
        }
    }
    let challenge = |(scheme, parameters): (String, Vec<(String, String)>)| {
        let get = |key: &str| parameters.iter().find(|(name, _)| name == key).map(|(_, value)| value.clone());
        match scheme.as_str() {
            "basic" => Some(Challenge::Basic),
            "bearer" => Some(Challenge::Bearer { realm: get("realm")?, service: get("service") }),
            _ => None,
        }
    };
    found.into_iter().filter_map(challenge).collect()
}

/// Splits a token or quoted string off the text; returns its value and the rest.
fn split_value(text: &str) -> (String, &str) {
    let Some(inner) = text.strip_prefix('"') else {
        let end = text.find([',', ' ', '\t']).unwrap_or(text.len());
        return (text[..end].to_owned(), &text[end..]);
    };
    let mut value = String::new();
    let mut chars = inner.char_indices();
    while let Some((at, character)) = chars.next() {
        match character {
            '"' => return (value, &inner[at + 1..]),
            '\\' => value.extend(chars.next().map(|(_, escaped)| escaped)),
            _ => value.push(character),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::{Challenge, parse_challenges};

    #[test]
    fn challenges_of_real_servers_are_parsed() {
        let bearer = |realm: &str, service: Option<&str>| Challenge::Bearer {
            realm: realm.into(),
            service: service.map(Into::into),
        };
        let forgejo = r#"Bearer realm="https://a/v2/token",service="container_registry",scope="*""#;
        assert_eq!(parse_challenges(forgejo), [bearer("https://a/v2/token", Some("container_registry"))]);
        // Forgejo 14.0.3 puts two challenges into one header.
        let both = format!(r#"{forgejo}, Basic realm="Gitea Package API""#);
        assert_eq!(
            parse_challenges(&both),
            [bearer("https://a/v2/token", Some("container_registry")), Challenge::Basic]
        );
        assert_eq!(parse_challenges(r#"basic realm="x""#), [Challenge::Basic]);
        assert_eq!(parse_challenges("BEARER realm = https://a/t"), [bearer("https://a/t", None)]);
        assert_eq!(parse_challenges("Negotiate, Bearer service=\"s\""), []);
    }

    proptest::proptest! {
        #[test]
        fn no_header_panics(text in ".{0,80}") {
            parse_challenges(&text);
        }

        #[test]
        fn no_header_of_separators_panics(text in r#"[a-c="\\ ,\t]{0,40}"#) {
            parse_challenges(&text);
        }
    }
}
