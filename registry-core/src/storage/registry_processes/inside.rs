//! Files and folders as another process sees them, in a container too. What is in them is not known here.

use std::fs::{File, Metadata};
use std::io::{self, Read as _};
use std::path::Path;

/// Most bytes of a configuration, or of what the system tells of a process.
const MAX: u64 = 1 << 20;

/// A file or folder of a process. An absolute path, and the symbolic links on its way, begin at the root of the process.
pub(super) fn look(process: &Path, path: &str) -> io::Result<Metadata> {
    system::open(process, path, true)?.metadata()
}

/// The text of a file of a process. Only of a regular one: others may never end, or not even open.
pub(super) fn text(process: &Path, path: &str) -> io::Result<String> {
    let file = system::open(process, path, false)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    let (bytes, is_whole) = most(file)?;
    if !is_whole {
        return Err(too_large());
    }
    String::from_utf8(bytes).map_err(io::Error::other)
}

/// The words of a file in which each ends with a zero byte, and whether these are all.
pub(super) fn words(path: &Path) -> io::Result<(Vec<String>, bool)> {
    let (bytes, is_whole) = most(File::open(path)?)?;
    let words = bytes.split(|byte| *byte == 0).filter(|word| !word.is_empty());
    Ok((words.map(|word| String::from_utf8_lossy(word).into_owned()).collect(), is_whole))
}

/// What is said of a file that is not read to its end.
pub(super) fn too_large() -> io::Error {
    io::Error::other(format!("it is larger than {MAX} bytes"))
}

fn most(file: File) -> io::Result<(Vec<u8>, bool)> {
    let mut bytes = Vec::new();
    file.take(MAX + 1).read_to_end(&mut bytes)?;
    let is_whole = bytes.len() as u64 <= MAX;
    Ok((bytes, is_whole))
}

#[cfg(target_os = "linux")]
mod system {
    use std::fs::File;
    use std::io;
    use std::path::Path;

    use rustix::fs::{Mode, OFlags, ResolveFlags};
    use rustix::io::Errno;

    /// Opens a path of a process, only to look at it or to read it.
    pub(super) fn open(process: &Path, path: &str, only_look: bool) -> io::Result<File> {
        let (base, rest, resolve) = match path.strip_prefix('/') {
            Some(rest) => ("root", rest.trim_start_matches('/'), ResolveFlags::IN_ROOT),
            None => ("cwd", path, ResolveFlags::empty()),
        };
        let rest = if rest.is_empty() { "." } else { rest };
        // O_NONBLOCK: opening a FIFO must not wait for somebody to write into it.
        let reading = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        let flags = OFlags::CLOEXEC | if only_look { OFlags::PATH } else { reading };
        let folder = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let base = rustix::fs::open(process.join(base), folder, Mode::empty())?;
        let opened = match rustix::fs::openat2(&base, rest, flags, Mode::empty(), resolve) {
            // Before Linux 5.6, and where a container forbids it, absolute links lead out of the root of the process.
            Err(Errno::NOSYS | Errno::PERM) => rustix::fs::openat(&base, rest, flags, Mode::empty()),
            opened => opened,
        };
        Ok(File::from(opened?))
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use std::fs::File;
    use std::io;
    use std::path::Path;

    /// Nothing is told of processes.
    pub(super) fn open(_: &Path, _: &str, _: bool) -> io::Result<File> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
