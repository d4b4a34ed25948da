//! The journal of a run that was given no name for it. What a journal holds is the matter of registry-core.

use std::io;
use std::path::PathBuf;

use jiff::Timestamp;
use registry_core::repair::FileLog;
use registry_core::tree_writer::stamp;

/// Most journals that begin in one second in one folder.
const MOST: u32 = 999;

/// The name of the journal that a program begins at a time, as the one of so many in that second, from 1.
pub fn name(program: &str, now: Timestamp, number: u32) -> PathBuf {
    let number = if number == 1 { String::new() } else { format!("-{number}") };
    format!("{program}-{}{number}.journal", stamp(now)).into()
}

/// Makes a journal under the first name that is free: several runs may begin in one second. `path` is where the journal of a number
/// is to lie.
///
/// # Errors
/// When it cannot be made.
pub fn create_first_free(path: impl Fn(u32) -> PathBuf) -> io::Result<FileLog> {
    let is_taken = |made: &io::Result<FileLog>| {
        made.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::AlreadyExists)
    };
    let mut made = (1..=MOST).map(|number| FileLog::create(&path(number))).skip_while(is_taken);
    made.next().unwrap_or_else(|| Err(io::ErrorKind::AlreadyExists.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bug_two_runs_in_one_second_had_one_name_for_their_journals() {
        let (folder, now) = (tempfile::tempdir().unwrap(), "2026-11-29T02:03:04Z".parse().unwrap());
        let path = |number| folder.path().join(name("registry-retention", now, number));
        let made = || create_first_free(path).unwrap().path().to_owned();
        let names = [made(), made(), made()].map(|path| path.file_name().unwrap().to_owned());
        let name = |number: &str| format!("registry-retention-20261129T020304Z{number}.journal");
        assert_eq!(names, [name(""), name("-2"), name("-3")].map(Into::<std::ffi::OsString>::into));
    }
}
