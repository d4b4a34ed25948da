//! Reads files and folders as another process sees them, also in a container. Does not interpret what it reads.

use std::fs::{File, Metadata};
use std::io::{self, Read as _};
use std::path::Path;

/// Most bytes of a configuration, or of a file of `/proc`.
const MAX_BYTES: u64 = 1 << 20;

/// Looks at a file or folder of a process. Absolute paths and symbolic links begin at the root folder of the process.
pub(super) fn metadata(process: &Path, path: &str) -> io::Result<Metadata> {
    system::open(process, path, true)?.metadata()
}

/// Reads a regular file of a process. Opening or reading another kind of file may never return.
pub(super) fn read_text(process: &Path, path: &str) -> io::Result<String> {
    let file = system::open(process, path, false)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    let (bytes, is_whole) = read_limited(file)?;
    if !is_whole {
        return Err(too_large_error());
    }
    String::from_utf8(bytes).map_err(io::Error::other)
}

/// Reads a file of words that each end with a zero byte. False when the file is larger than [`MAX_BYTES`] and was cut.
pub(super) fn read_words(path: &Path) -> io::Result<(Vec<String>, bool)> {
    let (bytes, is_whole) = read_limited(File::open(path)?)?;
    let words = bytes.split(|byte| *byte == 0).filter(|word| !word.is_empty());
    Ok((words.map(|word| String::from_utf8_lossy(word).into_owned()).collect(), is_whole))
}

pub(super) fn too_large_error() -> io::Error {
    io::Error::other(format!("it is larger than {MAX_BYTES} bytes"))
}

fn read_limited(file: File) -> io::Result<(Vec<u8>, bool)> {
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    let is_whole = bytes.len() as u64 <= MAX_BYTES;
    Ok((bytes, is_whole))
}

#[cfg(target_os = "linux")]
mod system {
    use std::fs::File;
    use std::io;
    use std::path::Path;

    use rustix::fs::{Mode, OFlags, ResolveFlags};
    use rustix::io::Errno;

    /// Opens a path of a process, to look at it or to read it.
    pub(super) fn open(process: &Path, path: &str, only_look: bool) -> io::Result<File> {
        let (base, rest, resolve) = match path.strip_prefix('/') {
            Some(rest) => ("root", rest.trim_start_matches('/'), ResolveFlags::IN_ROOT),
            None => ("cwd", path, ResolveFlags::empty()),
        };
        let rest = if rest.is_empty() { "." } else { rest };
        // O_NONBLOCK: opening a FIFO must not wait for a writer.
        let reading = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        let flags = OFlags::CLOEXEC | if only_look { OFlags::PATH } else { reading };
        let folder = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let base = rustix::fs::open(process.join(base), folder, Mode::empty())?;
        let opened = match rustix::fs::openat2(&base, rest, flags, Mode::empty(), resolve) {
            // Before Linux 5.6, and where a container forbids openat2, absolute links resolve outside the root of the process.
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

    /// Other systems have no `/proc` like Linux's.
    pub(super) fn open(_: &Path, _: &str, _: bool) -> io::Result<File> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
