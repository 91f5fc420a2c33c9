//! What a file has besides content, owner and mode: extended attributes, of which an access list is one. Without its list
//! the bits of a mode mean something else, and a group could read what it could not.

use rustix::fs::{XattrFlags, fgetxattr, flistxattr, fremovexattr, fsetxattr};
use rustix::io::Errno;
use std::ffi::CString;
use std::fs::File;
use std::io;

/// The names and values of one file.
pub(super) type Attributes = Vec<(CString, Vec<u8>)>;

/// No list of names and no value is longer; Linux says so.
const LONGEST: usize = 64 << 10;

/// Whether an attribute is the system's own, which it gives by itself and may keep from us, as labels of SELinux are.
fn is_the_systems(name: &CString) -> bool {
    let name = name.as_bytes();
    name.starts_with(b"security.") || name.starts_with(b"trusted.")
}

/// All of a file that can be known.
pub(super) fn read(file: &File) -> io::Result<Attributes> {
    let mut names = vec![0; LONGEST];
    let n = match flistxattr(file, &mut names[..]) {
        Ok(n) => n,
        // Not every file system has them.
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => 0,
        Err(error) => return Err(error.into()),
    };
    let mut found = Attributes::new();
    let mut value = vec![0; LONGEST];
    for name in names[..n]
        .split(|byte| *byte == 0)
        .filter(|n| !n.is_empty())
    {
        let name = CString::new(name)?;
        match fgetxattr(file, &name, &mut value[..]) {
            Ok(n) => found.push((name, value[..n].to_vec())),
            Err(Errno::NODATA) => {}
            Err(_) if is_the_systems(&name) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(found)
}

/// Which attributes are given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    /// Access lists.
    AccessLists,
    /// All others.
    Others,
}

impl Which {
    fn has(self, name: &CString) -> bool {
        let is_list = name.as_bytes().starts_with(b"system.posix_acl_");
        is_list == (self == Self::AccessLists)
    }
}

/// Gives a file these of some kind and no others of it; a new one may have got some from its folder.
pub(super) fn give(file: &File, wanted: &Attributes, which: Which) -> io::Result<()> {
    for (name, _) in read(file)? {
        let stays = is_the_systems(&name) || wanted.iter().any(|(other, _)| *other == name);
        if which.has(&name) && !stays {
            fremovexattr(file, &name)?;
        }
    }
    for (name, value) in wanted.iter().filter(|(name, _)| which.has(name)) {
        match fsetxattr(file, name, value, XattrFlags::empty()) {
            Err(error) if !is_the_systems(name) => return Err(error.into()),
            _ => {}
        }
    }
    Ok(())
}
