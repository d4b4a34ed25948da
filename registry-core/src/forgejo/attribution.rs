//! Finds the packages to which the missing versions of a list belong. A version is missing if the list counts it but cannot
//! show it. Pure.
//!
//! The list can be searched for a text in the names of packages. A search counts and orders versions as the list does,
//! missing ones included. So between two versions that both show, a search tells how many of the missing ones match its
//! text. A missing version can belong to a package only if it matches exactly the texts that the package's name matches.

use std::collections::{BTreeMap, BTreeSet};

use crate::retention::server::ListedRow;

/// A version of a list; `None` for a missing one.
pub(super) type VersionSlot = Option<ListedRow>;

/// What the search for the name of a package showed.
pub(super) struct Search {
    pub(super) name: String,
    pub(super) slots: Vec<VersionSlot>,
}

/// Whether a missing version matches a search.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Match {
    No,
    /// One or more of several do, and it is not known which.
    Maybe,
    Yes,
}

/// Whether a search for a text finds a package: SQL's `LIKE '%…%'`, in which `_` is any character
/// (`models/packages/package_version.go @ v15.0.3`).
pub(super) fn search_finds(package: &str, text: &str) -> bool {
    let (package, text) = (package.to_lowercase(), text.to_lowercase());
    let is_match = |(byte, wanted): (&u8, &u8)| *wanted == b'_' || byte == wanted;
    text.is_empty()
        || package.as_bytes().windows(text.len()).any(|part| part.iter().zip(text.as_bytes()).all(is_match))
}

/// For each missing version, in the order of the list, the packages to which it may belong; none if it belongs to a package
/// that is not known. `searches` has a search for every known package whose search misses a version. `None` if a search
/// does not agree with the list.
pub(super) fn possible_owners<'a>(
    list: &[VersionSlot],
    searches: &[Search],
    known: &'a BTreeSet<String>,
) -> Option<Vec<BTreeSet<&'a str>>> {
    let missing = (0..list.len()).filter(|at| list[*at].is_none());
    let mut matched: BTreeMap<&str, BTreeMap<usize, Match>> = BTreeMap::new();
    for search in searches {
        matched.insert(&search.name, match_search(list, search)?);
    }
    let may_own = |package: &str, at: usize| {
        known.iter().all(|text| {
            let found = matched.get(text.as_str()).and_then(|found| found.get(&at)).copied();
            let found = found.unwrap_or(Match::No);
            if search_finds(package, text) { found != Match::No } else { found != Match::Yes }
        })
    };
    let owners_of = |at: usize| known.iter().map(String::as_str).filter(|name| may_own(name, at)).collect();
    Some(missing.map(owners_of).collect())
}

/// The positions of the missing versions before, between and after the wanted shown ones, and the ids of these.
fn split_at_shown(
    slots: &[VersionSlot],
    is_wanted: impl Fn(&ListedRow) -> bool,
) -> (Vec<Vec<usize>>, Vec<Option<u64>>) {
    let (mut gaps, mut ids) = (vec![Vec::new()], Vec::new());
    for (at, slot) in slots.iter().enumerate() {
        match slot {
            None => gaps.last_mut().into_iter().for_each(|gap| gap.push(at)),
            Some(row) if is_wanted(row) => {
                gaps.push(Vec::new());
                ids.push(row.id);
            }
            Some(_) => {}
        }
    }
    (gaps, ids)
}

/// Whether each missing version of a list matches a search; `None` if the two do not agree.
fn match_search(list: &[VersionSlot], search: &Search) -> Option<BTreeMap<usize, Match>> {
    let (list_gaps, listed) = split_at_shown(list, |row| search_finds(&row.package, &search.name));
    let (search_gaps, found) = split_at_shown(&search.slots, |_| true);
    if listed != found {
        return None;
    }
    let mut matches = BTreeMap::new();
    for (all, matching) in list_gaps.into_iter().zip(search_gaps) {
        let result = match matching.len() {
            0 => Match::No,
            count if count == all.len() => Match::Yes,
            count if count < all.len() => Match::Maybe,
            _ => return None,
        };
        matches.extend(all.into_iter().map(|at| (at, result)));
    }
    Some(matches)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The possible owners of the missing versions of a list, in which `x` is a shown version and `!x` a missing one.
    fn owners_in(list: &str, unknown: &[&str]) -> String {
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
                let found = (0..names.len()).filter(|at| search_finds(name(at), text));
                Search { name: text.clone(), slots: found.map(|at| slots[at].clone()).collect() }
            })
            .filter(|search| search.slots.iter().any(Option::is_none))
            .collect();
        let owners = possible_owners(&slots, &searches, &known).unwrap();
        owners.iter().map(|names| format!("{names:?}")).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn missing_version_belongs_to_its_package_only() {
        assert_eq!(owners_in("app !app other team/app", &[]), r#"{"app"}"#);
        // Both names contain `app`.
        assert_eq!(owners_in("app other !team/app team/app", &[]), r#"{"team/app"}"#);
        assert_eq!(owners_in("!app app other !other", &[]), r#"{"app"} {"other"}"#);
        // `_` matches any character.
        assert_eq!(owners_in("my-tool !my_tool my_tool", &[]), r#"{"my_tool"}"#);
        assert_eq!(owners_in("!my-tool my_tool my-tool", &[]), r#"{"my-tool"}"#);
    }

    #[test]
    fn adjacent_missing_versions_may_belong_to_both_packages() {
        // No version of `team/app` shows, so the place of its missing version is not known.
        assert_eq!(
            owners_in("!app app !team/app other !other", &[]),
            r#"{"app", "team/app"} {"app", "team/app"} {"other"}"#
        );
        assert_eq!(
            owners_in("app !app !other app other", &[]),
            r#"{"app", "other"} {"app", "other"}"#,
            "which of the two is which is not known, and both packages are incomplete"
        );
        assert_eq!(owners_in("app !app !app team/app", &[]), r#"{"app"} {"app"}"#);
    }

    #[test]
    fn missing_version_of_an_unknown_package_makes_no_complete_package_the_owner() {
        assert_eq!(owners_in("app !zoo other", &["zoo"]), "{}");
        // Its name contains that of `app`, which is skipped as well.
        assert_eq!(owners_in("app !app-tools other", &["app-tools"]), r#"{"app"}"#);
        // Its name contains the names of two packages, and no version of theirs matches both.
        assert_eq!(owners_in("app !app/web web", &["app/web"]), "{}");
        // Next to a missing version of `p`, each of the two may belong to any of the three: all are skipped.
        assert_eq!(
            owners_in("p/a p/b p !p/a/p/b !p", &["p/a/p/b"]),
            r#"{"p", "p/a", "p/b"} {"p", "p/a", "p/b"}"#
        );
    }
}
