//! Whose the versions are that a list does not show. Pure.
//!
//! The list may be searched for a text in the names of packages, and a search counts and orders versions as the list does,
//! shown or not. So a search shows, between two versions that both show, how many of the missing ones match its text. A
//! package has a missing version only if that version matches exactly the texts that the package's own name matches.

use std::collections::{BTreeMap, BTreeSet};

use crate::retention::server::ListedRow;

/// A version of a list; `None` for one that was not shown.
pub(super) type VersionSlot = Option<ListedRow>;

/// A search for the name of a package.
pub(super) struct Search {
    pub(super) name: String,
    pub(super) slots: Vec<VersionSlot>,
}

/// Whether a missing version matches a search.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Match {
    No,
    /// One of several does, and which is not known.
    Maybe,
    Yes,
}

/// Whether a search for a text finds a package: SQL's `LIKE '%…%'`, in which `_` is any character
/// (`models/packages/package_version.go @ v15.0.3`).
pub(super) fn contains(package: &str, text: &str) -> bool {
    let (package, text) = (package.to_lowercase(), text.to_lowercase());
    let is_alike = |(one, wanted): (&u8, &u8)| *wanted == b'_' || one == wanted;
    text.is_empty()
        || package.as_bytes().windows(text.len()).any(|part| part.iter().zip(text.as_bytes()).all(is_alike))
}

/// The packages to which each missing version may belong, in the order of the list; none where it is of a package that is
/// not known. `searches` are those for all known packages for which something is missing; a search that is left out
/// misses nothing. `None` when a search does not agree with the list.
pub(super) fn owners<'a>(
    list: &[VersionSlot],
    searches: &[Search],
    known: &'a BTreeSet<String>,
) -> Option<Vec<BTreeSet<&'a str>>> {
    let missing: Vec<usize> = (0..list.len()).filter(|at| list[*at].is_none()).collect();
    let mut matched: BTreeMap<&str, BTreeMap<usize, Match>> = BTreeMap::new();
    for search in searches {
        matched.insert(&search.name, matches(list, search)?);
    }
    let may_own = |package: &str, at: usize| {
        known.iter().all(|text| {
            let found = matched.get(text.as_str()).and_then(|found| found.get(&at)).copied();
            let found = found.unwrap_or(Match::No);
            if contains(package, text) { found != Match::No } else { found != Match::Yes }
        })
    };
    let owners_of = |at: usize| known.iter().map(String::as_str).filter(|name| may_own(name, at)).collect();
    Some(missing.into_iter().map(owners_of).collect())
}

/// Slots of a list that are missing, between the versions that are shown and wanted, and the numbers of these.
fn parts(
    slots: &[VersionSlot],
    is_wanted: impl Fn(&ListedRow) -> bool,
) -> (Vec<Vec<usize>>, Vec<Option<u64>>) {
    let (mut parts, mut ids) = (vec![Vec::new()], Vec::new());
    for (at, slot) in slots.iter().enumerate() {
        match slot {
            None => parts.last_mut().into_iter().for_each(|part| part.push(at)),
            Some(row) if is_wanted(row) => {
                parts.push(Vec::new());
                ids.push(row.id);
            }
            Some(_) => {}
        }
    }
    (parts, ids)
}

/// Which missing versions of a list match a search; `None` when the two do not agree.
fn matches(list: &[VersionSlot], search: &Search) -> Option<BTreeMap<usize, Match>> {
    let (in_list, listed) = parts(list, |row| contains(&row.package, &search.name));
    let (in_search, found) = parts(&search.slots, |_| true);
    if listed != found {
        return None;
    }
    let mut matches = BTreeMap::new();
    for (all, some) in in_list.into_iter().zip(in_search) {
        let how = match some.len() {
            0 => Match::No,
            count if count == all.len() => Match::Yes,
            count if count < all.len() => Match::Maybe,
            _ => return None,
        };
        matches.extend(all.into_iter().map(|at| (at, how)));
    }
    Some(matches)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The owners of missing versions of a list: `x` is a version that is shown, `!x` one that is not.
    fn found(list: &str, unknown: &[&str]) -> String {
        let names: Vec<&str> = list.split_whitespace().collect();
        let slot = |at: usize| {
            let name = names[at];
            let (package, version, id) = (name.to_owned(), format!("v{at}"), Some(at as u64));
            (!name.starts_with('!')).then_some(ListedRow { package, version, id, created_at: None })
        };
        let slots: Vec<VersionSlot> = (0..names.len()).map(slot).collect();
        let name = |at: &usize| names[*at].trim_start_matches('!');
        let known: BTreeSet<String> = (0..names.len())
            .map(|at| name(&at).to_owned())
            .filter(|name| !unknown.contains(&&**name))
            .collect();
        let searches: Vec<Search> = known
            .iter()
            .map(|text| {
                let found = (0..names.len()).filter(|at| contains(name(at), text));
                Search { name: text.clone(), slots: found.map(|at| slots[at].clone()).collect() }
            })
            .filter(|search| search.slots.iter().any(Option::is_none))
            .collect();
        let owners = owners(&slots, &searches, &known).unwrap();
        owners.iter().map(|names| format!("{names:?}")).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_missing_version_is_that_of_its_package_and_of_no_other() {
        assert_eq!(found("app !app other team/app", &[]), r#"{"app"}"#);
        // The names of both hold `app`.
        assert_eq!(found("app other !team/app team/app", &[]), r#"{"team/app"}"#);
        assert_eq!(found("!app app other !other", &[]), r#"{"app"} {"other"}"#);
        // `_` finds any character.
        assert_eq!(found("my-tool !my_tool my_tool", &[]), r#"{"my_tool"}"#);
        assert_eq!(found("!my-tool my_tool my-tool", &[]), r#"{"my-tool"}"#);
    }

    #[test]
    fn versions_side_by_side_may_be_of_both() {
        // Nothing of `team/app` shows, so where its missing version stands is not known.
        assert_eq!(
            found("!app app !team/app other !other", &[]),
            r#"{"app", "team/app"} {"app", "team/app"} {"other"}"#
        );
        assert_eq!(
            found("app !app !other app other", &[]),
            r#"{"app", "other"} {"app", "other"}"#,
            "which of the two is which is not known, and both packages are incomplete"
        );
        assert_eq!(found("app !app !app team/app", &[]), r#"{"app"} {"app"}"#);
    }

    #[test]
    fn a_package_of_which_nothing_is_known_is_taken_for_none_that_is_whole() {
        assert_eq!(found("app !zoo other", &["zoo"]), "{}");
        // It holds the name of one: that one is skipped as well.
        assert_eq!(found("app !app-tools other", &["app-tools"]), r#"{"app"}"#);
        // It holds the names of two, and neither has what matches both.
        assert_eq!(found("app !app/web web", &["app/web"]), "{}");
        // Beside a missing version of `p`, each of the two may be of any of the three: all are skipped.
        assert_eq!(
            found("p/a p/b p !p/a/p/b !p", &["p/a/p/b"]),
            r#"{"p", "p/a", "p/b"} {"p", "p/a", "p/b"}"#
        );
    }
}
