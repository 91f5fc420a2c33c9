//! Private unix sockets: a folder that is 0700 and ours, a socket that is 0600, guests of our own user, bounded lines.
//!
//! What is said over them stands in [`crate::door`].

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{
    DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, PermissionsExt as _,
};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _};
use tokio::net::{UnixListener, UnixStream};
use workbench::fault;

/// The longest line that is read, in bytes.
const LINE: u64 = 1 << 20;
/// The wait after a connection that could not be accepted.
const RETRY: Duration = Duration::from_millis(100);
/// The longest path that a socket can be bound to, in bytes.
pub const PATH: usize = 107;

/// Why a socket cannot be opened or reached.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The folder is not safe.
    #[error("{folder:?} {why}; {mend}, or name another state directory")]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What is wrong with it.
        why: &'static str,
        /// What to do about it.
        mend: &'static str,
    },
    /// The path is too long for a socket.
    #[error(
        "{0:?} is longer than the {PATH} bytes that a socket may have; name a state directory with a shorter path"
    )]
    Long(PathBuf),
    /// The system said no.
    #[error("the socket {path:?} cannot be used: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl Error {
    /// The system's no, for a path.
    pub(crate) fn io(path: &Path) -> impl Fn(io::Error) -> Self {
        move |source| Self::Io {
            path: path.to_owned(),
            source,
        }
    }
}

/// Removes the sockets that processes have left behind which did not end by themselves: their names end with the id of a
/// process that is not there, and nobody listens. What cannot be removed is in nobody's way.
pub(crate) fn clear(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let is_left = is_of_nobody(&path) && {
            let found = std::os::unix::net::UnixStream::connect(&path);
            found.is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
        };
        if is_left {
            fs::remove_file(&path).ok();
        }
    }
}

/// Whether the process is gone that a socket is named after.
fn is_of_nobody(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    let name = name.and_then(|name| name.strip_suffix(".sock"));
    let id = name.and_then(|name| name.rsplit_once('-')?.1.parse().ok());
    let process = id.and_then(rustix::process::Pid::from_raw);
    process.is_some_and(|process| {
        rustix::process::test_kill_process(process) == Err(rustix::io::Errno::SRCH)
    })
}

/// Makes the folder of sockets, or checks the one that is there: a real folder, ours, closed to others.
///
/// # Errors
/// What is wrong with it.
pub fn check_folder(folder: &Path) -> Result<(), Error> {
    let wrong = |why, mend| Error::Folder {
        folder: folder.to_owned(),
        why,
        mend,
    };
    match fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
    {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            return Err(Error::io(folder)(error));
        }
        _ => {}
    }
    let found = fs::symlink_metadata(folder).map_err(Error::io(folder))?;
    if !found.is_dir() {
        return Err(wrong("is not a folder", "remove it"));
    }
    if found.uid() != rustix::process::geteuid().as_raw() {
        return Err(wrong("belongs to another user", "let them remove it"));
    }
    if found.mode() & 0o077 != 0 {
        return Err(wrong("is open to other users", "run `chmod 700` on it"));
    }
    Ok(())
}

/// An open socket. Its file is removed when it is dropped.
#[derive(Debug)]
pub(crate) struct Socket {
    path: PathBuf,
    listener: UnixListener,
}

impl Socket {
    /// Opens a socket at a path whose folder is made if it is not there. What a process that was killed left there is
    /// replaced; anything that is not a socket, or is another user's, is left alone.
    ///
    /// # Errors
    /// See [`Error`]; nothing was changed.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        if path.as_os_str().len() > PATH {
            return Err(Error::Long(path.to_owned()));
        }
        check_folder(path.parent().unwrap_or(Path::new("/")))?;
        match fs::symlink_metadata(path) {
            Ok(found) if found.uid() != rustix::process::geteuid().as_raw() => {
                return Err(Error::Folder {
                    folder: path.to_owned(),
                    why: "belongs to another user",
                    mend: "let them remove it",
                });
            }
            Ok(found) if found.file_type().is_socket() => {
                fs::remove_file(path).map_err(Error::io(path))?;
            }
            Ok(_) => {
                return Err(Error::Folder {
                    folder: path.to_owned(),
                    why: "is not a socket",
                    mend: "remove it",
                });
            }
            Err(_) => {}
        }
        let listener = UnixListener::bind(path).map_err(Error::io(path))?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(Error::io(path))?;
        fault::point("socket.opened");
        Ok(Self {
            path: path.to_owned(),
            listener,
        })
    }

    /// The next guest of our own user; one of another user is closed before a byte is read.
    pub(crate) async fn accept(&self) -> UnixStream {
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) if is_ours(&stream) => return stream,
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(%error, "a connection was not accepted");
                    // Too many open files, mostly: trying again at once would only burn time.
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // Whoever finds the file later finds nobody behind it, which is told apart from an engine anyway.
        fs::remove_file(&self.path).ok();
        fault::point("socket.removed");
    }
}

fn is_ours(stream: &UnixStream) -> bool {
    stream
        .peer_cred()
        .is_ok_and(|peer| peer.uid() == rustix::process::geteuid().as_raw())
}

/// The next line; `None` if there is none, if it is not there within the time, or if it is longer than a line may be.
pub(crate) async fn line(
    reader: &mut (impl AsyncBufRead + Unpin),
    within: Duration,
) -> Option<Vec<u8>> {
    let mut line = Vec::new();
    let mut bounded = reader.take(LINE);
    match tokio::time::timeout(within, bounded.read_until(b'\n', &mut line)).await {
        Ok(Ok(_)) if line.ends_with(b"\n") => Some(line),
        _ => None,
    }
}

/// A connection to whoever listens at a path. `None` if nobody does.
///
/// # Errors
/// Somebody may be there and cannot be reached.
pub(crate) async fn connect(path: &Path) -> Result<Option<UnixStream>, Error> {
    match UnixStream::connect(path).await {
        Ok(stream) => Ok(Some(stream)),
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::NotFound | ErrorKind::ConnectionRefused
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err(Error::io(path)(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::{Uid, geteuid};
    use std::os::unix::fs::chown;
    use std::os::unix::net::UnixStream as Plain;
    use tokio::io::AsyncWriteExt as _;

    /// A user who is nobody's friend.
    const STRANGER: u32 = 65_534;

    /// Only root can be somebody else as well. Where everything has to be shown, that is not left out.
    fn can_be_another() -> bool {
        let can = geteuid().is_root();
        assert!(can || std::env::var_os("CI").is_none(), "run it as root");
        can
    }

    #[tokio::test]
    async fn a_socket_of_another_user_is_left_alone() {
        if !can_be_another() {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run/m1");
        check_folder(path.parent().unwrap()).unwrap();
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        chown(&path, Some(STRANGER), None).unwrap();
        let refused = Socket::open(&path).unwrap_err().to_string();
        assert!(refused.contains("belongs to another user"), "{refused}");
        assert_eq!(fs::symlink_metadata(&path).unwrap().uid(), STRANGER);
    }

    #[tokio::test]
    async fn a_guest_of_another_user_is_closed_before_a_byte_is_read() {
        if !can_be_another() {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run/m1");
        let socket = Socket::open(&path).unwrap();
        // As if somebody had opened all that keeps others out: who comes is looked at nevertheless.
        for (place, mode) in [
            (folder.path(), 0o755),
            (path.parent().unwrap(), 0o755),
            (&path, 0o666),
        ] {
            fs::set_permissions(place, fs::Permissions::from_mode(mode)).unwrap();
        }
        let there = path.clone();
        let stranger = std::thread::spawn(move || {
            let user = Uid::from_raw(STRANGER);
            rustix::thread::set_thread_res_uid(user, user, user).unwrap();
            Plain::connect(there).unwrap()
        });
        let ours = async {
            let stranger = tokio::task::spawn_blocking(|| stranger.join().unwrap());
            let stranger = stranger.await.unwrap();
            let mut friend = UnixStream::connect(&path).await.unwrap();
            friend.write_all(b"it is me\n").await.unwrap();
            (stranger, friend)
        };
        // Whoever is let in first is the second who came.
        let (guest, (stranger, _friend)) = tokio::join!(socket.accept(), ours);
        let mut guest = tokio::io::BufReader::new(guest);
        let said = line(&mut guest, Duration::from_secs(60)).await.unwrap();
        assert_eq!(said, b"it is me\n");
        let mut nothing = Vec::new();
        io::Read::read_to_end(&mut &stranger, &mut nothing).unwrap();
        assert_eq!(nothing, b"");
    }
}
