//! What a 401 asks for (RFC 9110, 11.6.1). A header may hold several challenges, a response several headers.

use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};

/// One challenge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Challenge {
    Basic,
    Bearer { realm: String, service: Option<String> },
}

/// All challenges that we can meet.
pub(super) fn challenges(headers: &HeaderMap) -> Vec<Challenge> {
    let values = headers.get_all(WWW_AUTHENTICATE).iter();
    values.filter_map(|value| value.to_str().ok()).flat_map(parse).collect()
}

fn parse(text: &str) -> Vec<Challenge> {
    let mut found: Vec<(String, Vec<(String, String)>)> = Vec::new();
    let mut rest = text.trim_start_matches([' ', ',', '\t']);
    while !rest.is_empty() {
        let end = rest.find([' ', '=', ',', '\t']).unwrap_or(rest.len());
        let (word, after) = (&rest[..end], rest[end..].trim_start_matches([' ', '\t']));
        if let Some(value) = after.strip_prefix('=') {
            let (value, after) = quoted(value.trim_start_matches([' ', '\t']));
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
            // A sign that starts nothing: pass over it.
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

/// A token or a quoted string, and what follows it.
fn quoted(text: &str) -> (String, &str) {
    let Some(inner) = text.strip_prefix('"') else {
        let end = text.find([',', ' ', '\t']).unwrap_or(text.len());
        return (text[..end].to_owned(), &text[end..]);
    };
    let mut value = String::new();
    let mut chars = inner.char_indices();
    while let Some((at, sign)) = chars.next() {
        match sign {
            '"' => return (value, &inner[at + 1..]),
            '\\' => value.extend(chars.next().map(|(_, escaped)| escaped)),
            _ => value.push(sign),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::{Challenge, parse};

    #[test]
    fn challenges_are_read_as_servers_write_them() {
        let bearer = |realm: &str, service: Option<&str>| Challenge::Bearer {
            realm: realm.into(),
            service: service.map(Into::into),
        };
        let forgejo = r#"Bearer realm="https://a/v2/token",service="container_registry",scope="*""#;
        assert_eq!(parse(forgejo), [bearer("https://a/v2/token", Some("container_registry"))]);
        // Forgejo 14.0.3 put two challenges into one header.
        let both = format!(r#"{forgejo}, Basic realm="Gitea Package API""#);
        assert_eq!(
            parse(&both),
            [bearer("https://a/v2/token", Some("container_registry")), Challenge::Basic]
        );
        assert_eq!(parse(r#"basic realm="x""#), [Challenge::Basic]);
        assert_eq!(parse("BEARER realm = https://a/t"), [bearer("https://a/t", None)]);
        assert_eq!(parse("Negotiate, Bearer service=\"s\""), []);
    }

    proptest::proptest! {
        #[test]
        fn no_header_panics(text in ".{0,80}") {
            parse(&text);
        }

        #[test]
        fn no_header_of_signs_panics(text in r#"[a-c="\\ ,\t]{0,40}"#) {
            parse(&text);
        }
    }
}
