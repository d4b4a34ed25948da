//! Names and creates the journal of a run without `--journal`. The contents of journals are in registry-core.

use std::io;
use std::path::PathBuf;

use jiff::Timestamp;
use registry_core::repair::FileLog;
use registry_core::tree_writer::time_stamp;

/// Most journals that can begin in one folder within one second.
const MAX_PER_SECOND: u32 = 999;

/// The name of a journal: the program, the time at which it begins, and its number among those of the same second, from 1.
pub fn name(program: &str, now: Timestamp, number: u32) -> PathBuf {
    let number = if number == 1 { String::new() } else { format!("-{number}") };
    format!("{program}-{}{number}.journal", time_stamp(now)).into()
}

/// Creates a journal at the first free path, because several runs may begin in one second. `path` maps a number to a path.
///
/// # Errors
/// When no journal can be created.
pub fn create_first_free(path: impl Fn(u32) -> PathBuf) -> io::Result<FileLog> {
    let is_taken = |created: &io::Result<FileLog>| {
        created.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::AlreadyExists)
    };
    let mut journals = (1..=MAX_PER_SECOND).map(|number| FileLog::create(path(number))).skip_while(is_taken);
    journals.next().unwrap_or_else(|| Err(io::ErrorKind::AlreadyExists.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bug_two_runs_in_one_second_had_one_name_for_their_journals() {
        let (folder, now) = (tempfile::tempdir().unwrap(), "2026-11-29T02:03:04Z".parse().unwrap());
        let path = |number| folder.path().join(name("registry-retention", now, number));
        let create = || create_first_free(path).unwrap().path().to_owned();
        let names = [create(), create(), create()].map(|path| path.file_name().unwrap().to_owned());
        let name = |number: &str| format!("registry-retention-20261129T020304Z{number}.journal");
        assert_eq!(names, [name(""), name("-2"), name("-3")].map(Into::<std::ffi::OsString>::into));
    }
}
