//! The finding codes in the code and in the docs are the same, one heading each.

use std::collections::BTreeMap;

use registry_core::audit::Code;

/// Headings that are a code and nothing else, with how often each stands there.
fn headings(text: &str) -> BTreeMap<&str, usize> {
    let mut found = BTreeMap::new();
    for code in text.lines().filter_map(|line| line.strip_prefix("## `")?.strip_suffix('`')) {
        *found.entry(code).or_default() += 1;
    }
    found
}

#[test]
fn every_code_has_exactly_one_heading_and_every_heading_a_code() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/findings.md");
    let text = std::fs::read_to_string(path).expect("docs/findings.md");
    let expected: BTreeMap<&str, usize> = Code::ALL.iter().map(|code| (code.as_str(), 1)).collect();
    assert_eq!(headings(&text), expected);
}

#[test]
fn every_code_is_explained_in_the_same_four_paragraphs() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/findings.md");
    let text = std::fs::read_to_string(path).expect("docs/findings.md");
    for section in text.split("\n## ").filter(|section| section.starts_with('`')) {
        let code = section.lines().next().unwrap_or_default();
        let labels: Vec<_> =
            section.lines().filter_map(|line| Some(line.strip_prefix("**")?.split_once(".**")?.0)).collect();
        let expected = ["What it means", "How it comes about", "What the server answers", "What to do"];
        assert_eq!(labels, expected, "{code}");
        let severity = Code::ALL.iter().find(|one| format!("`{one}`") == code).map(|one| one.severity());
        let said = section.lines().nth(2).unwrap_or_default();
        assert!(
            severity.is_some_and(|severity| said.starts_with(&format!("Severity: {severity}"))),
            "{code}: {said}"
        );
    }
}
