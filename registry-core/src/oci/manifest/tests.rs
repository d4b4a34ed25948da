//! Whether `registry` 2.8.2 serves a manifest. Each row was observed with the real server.

use super::*;

const DIGEST: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const IMAGE: &str = r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":CONFIG,"layers":[LAYER]EXTRA}"#;
const INDEX: &str =
    r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[LAYER]EXTRA}"#;

fn fill(template: &str, layer: &str, extra: &str) -> String {
    let plain = format!(r#"{{"mediaType":"x/y","digest":"{DIGEST}","size":1}}"#);
    let layer =
        if layer.is_empty() { plain.clone() } else { format!("{},{layer}}}", plain.trim_end_matches('}')) };
    template.replace("CONFIG", &plain).replace("LAYER", &layer).replace("EXTRA", extra)
}

fn is_served(text: &str) -> bool {
    Manifest::parse(text.as_bytes()).refusal().is_none()
}

#[test]
fn wrong_types_in_a_descriptor_are_refused_as_by_the_server() {
    for (field, image, index) in [
        (r#""platform":5"#, false, false),
        (r#""platform":{"os":3}"#, false, false),
        (r#""platform":{"os.features":[1]}"#, false, false),
        (r#""platform":{"features":5}"#, true, false),
        (r#""platform":null"#, true, true),
        (r#""urls":"x""#, false, false),
        (r#""urls":[1]"#, false, false),
        (r#""urls":[null]"#, true, true),
        (r#""annotations":{"a":1}"#, false, false),
        (r#""annotations":[]"#, false, false),
        (r#""annotations":{"a":null}"#, true, true),
        (r#""data":5,"artifactType":5"#, true, true),
        (r#""size":"1""#, false, false),
        (r#""size":1.0"#, false, false),
        (r#""size":1e3"#, false, false),
        (r#""size":-0"#, true, true),
        (r#""size":-2"#, true, true),
        (r#""size":9223372036854775808"#, false, false),
        (r#""size":null"#, true, true),
        (r#""digest":5"#, false, false),
        (r#""digest":"bad""#, true, true),
        (r#""mediaType":5"#, false, false),
        (r#""DIGEST":5"#, false, false),
        ("\"\u{17f}ize\":\"x\"", false, false),
    ] {
        assert_eq!(is_served(&fill(IMAGE, field, "")), image, "image with {field}");
        assert_eq!(is_served(&fill(INDEX, field, "")), index, "index with {field}");
    }
}

#[test]
fn wrong_type_of_a_field_counts_only_in_kinds_with_that_field() {
    for (extra, image, index) in [
        (r#","annotations":{"a":1}"#, false, true),
        (r#","subject":5,"artifactType":5,"blobs":5,"fsLayers":5"#, true, true),
        (r#","config":5"#, false, true),
        (r#","config":null"#, true, true),
        (r#","layers":{}"#, false, true),
        (r#","layers":null"#, true, true),
        (r#","layers":[5]"#, false, true),
        (r#","manifests":5"#, true, false),
        (r#","schemaVersion":"2""#, false, false),
        (r#","schemaVersion":2.0"#, false, false),
        (r#","schemaversion":5"#, false, false),
        (r#","schemaVersion":null"#, true, true),
        (r#","MEDIATYPE":"zz""#, false, false),
        (r#","mediaType":null"#, true, true),
        (r#","mediaType":"""#, true, true),
        (r#","x":01"#, false, false),
        (r#","x":1e999"#, true, true),
        (r#","x":"\x""#, false, false),
        (r#","x":"\ud800","annotations":{"a":"\ud800"}"#, true, true),
        (",\"x\":\"\u{7f}\"", true, true),
        (",\"x\":\"\t\"", false, false),
    ] {
        assert_eq!(is_served(&fill(IMAGE, "", extra)), image, "image with {extra}");
        assert_eq!(is_served(&fill(INDEX, "", extra)), index, "index with {extra}");
    }
}

#[test]
fn only_white_space_may_surround_the_json_and_invalid_utf8_is_served() {
    let good = fill(IMAGE, "", "");
    assert!(is_served(&format!("{good}\n\n")));
    assert!(!is_served(&format!("{good} x")));
    assert!(!is_served(&format!("\u{feff}{good}")));
    assert!(!is_served(&format!("\u{b}{good}")));
    assert!(!is_served("null") && !is_served("{}") && !is_served("[]") && !is_served("7") && !is_served(""));
    let mut bytes = fill(IMAGE, "", r#","annotations":{"a":"ZZ"}"#).into_bytes();
    let at = bytes.windows(2).position(|two| two == b"ZZ").unwrap();
    bytes[at] = 0xFF;
    assert!(Manifest::parse(&bytes).refusal().is_none(), "invalid UTF-8 is served");
}

#[test]
fn nesting_limit_is_that_of_go() {
    let nested =
        |levels: usize| fill(IMAGE, "", &format!(",\"x\":{}{}", "[".repeat(levels), "]".repeat(levels)));
    assert!(is_served(&nested(9_999)));
    assert!(!is_served(&nested(10_000)));
    insta::assert_snapshot!(Manifest::parse(nested(100_000).as_bytes()).refusal().unwrap().message, @"nested deeper than 10000 levels");
}

#[test]
fn size_limit_is_that_of_the_server() {
    let good = fill(IMAGE, "", "");
    let padded = |bytes: usize| format!("{good}{}", " ".repeat(bytes - good.len()));
    assert!(is_served(&padded(4_194_304)));
    assert!(!is_served(&padded(4_194_305)));
}

#[test]
fn kind_is_decided_as_by_the_server() {
    let kind = |text: &str| Manifest::parse(text.as_bytes()).kind;
    let untyped =
        |text: String| text.replace(r#""mediaType":"application/vnd.oci.image.manifest.v1+json","#, "");
    assert_eq!(kind(&fill(IMAGE, "", "")), Kind::Image);
    assert_eq!(kind(&untyped(fill(IMAGE, "", ""))), Kind::Image);
    assert_eq!(kind(&untyped(fill(IMAGE, "", ",\"manifests\":[]"))), Kind::Index);
    assert_eq!(kind(&untyped(fill(IMAGE, "", ",\"manifests\":null"))), Kind::Image);
    assert!(!is_served(&untyped(fill(IMAGE, "", ",\"manifests\":5"))), "2.8.2 drops the connection");
    assert_eq!(kind(r#"{"schemaVersion":1,"fsLayers":[]}"#), Kind::Schema1);
    assert_eq!(kind(r#"{"schemaVersion":2,"mediaType":"foo"}"#), Kind::Opaque);
    assert!(is_served(r#"{"schemaVersion":2}"#));
}

#[test]
fn one_bad_descriptor_does_not_hide_the_others() {
    let text = format!(
        r#"{{"schemaVersion":2,"layers":[{{"digest":"sha256:../../x","size":1}},{{"digest":"{DIGEST}","size":-2}},
           {{"digest":"{DIGEST}","size":3}},null,{{"digest":"nonsense","urls":["https://example.com/"]}}]}}"#
    );
    let manifest = Manifest::parse(text.as_bytes());
    let shown: Vec<_> =
        manifest.problems.iter().map(|problem| format!("{} {}", problem.pointer, problem.message)).collect();
    insta::assert_snapshot!(shown.join("\n"), @r#"
    /layers/0/digest "sha256:../../x" is no digest: the hash is not exactly 64 lower-case hexadecimal characters
    /layers/1/size the size is negative (-2)
    /layers/3/digest "" is no digest: not of the form <algorithm>:<hex>
    "#);
    assert_eq!(manifest.references.len(), 5);
    assert_eq!(manifest.references[2].descriptor.size, 3);
    assert!(manifest.refusal().is_none());
}

#[test]
fn an_index_entry_is_a_child_unless_its_type_says_otherwise() {
    let entry = |media_type: &str| format!(r#"{{{media_type}"digest":"{DIGEST}","size":1}}"#);
    let text = format!(
        r#"{{"schemaVersion":2,"manifests":[{},{},{}]}}"#,
        entry(""),
        entry(r#""mediaType":"application/vnd.oci.image.manifest.v1+json","#),
        entry(r#""mediaType":"application/vnd.buildkit.cacheconfig.v0","#)
    );
    let roles: Vec<_> = Manifest::parse(text.as_bytes()).references.iter().map(|part| part.role).collect();
    assert_eq!(roles, [ReferenceRole::Child, ReferenceRole::Child, ReferenceRole::Layer]);
}

#[test]
fn opaque_manifests_keep_what_they_seem_to_reference() {
    let text = format!(
        r#"{{"mediaType":"application/vnd.oci.artifact.manifest.v1+json","blobs":[{{"digest":"{DIGEST}","size":1}}],"subject":{{"digest":"{DIGEST}"}}}}"#
    );
    let manifest = Manifest::parse(text.as_bytes());
    assert_eq!((manifest.kind, manifest.references.len()), (Kind::Opaque, 1));
    assert!(manifest.subject.is_some());
    insta::assert_snapshot!(manifest.refusal().unwrap().message, @r#"schemaVersion 0 with media type "application/vnd.oci.artifact.manifest.v1+json""#);
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_read_without_panic(bytes: Vec<u8>) {
        Manifest::parse(&bytes);
    }

    #[test]
    fn any_json_like_text_is_read_without_panic(text in r#"[\[\]{}:,"\\u0-9a-zD schemaVersionmediaTypelayers]{0,200}"#) {
        Manifest::parse(text.as_bytes());
    }
}
