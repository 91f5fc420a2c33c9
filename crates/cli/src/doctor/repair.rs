//! What can be put right. Nothing here is done unasked.

use super::first_start::PACKAGE;
use crate::error::{Error, Kind};
use crate::install::{World, write};
use std::fs;
use std::io::BufRead as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// One thing that can be put right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Repair {
    /// Install the plugin, or bring it up to date.
    Install,
    /// Take it out and install it again.
    Again,
    /// Make a folder of ours private.
    Mode(PathBuf),
    /// Note OpenCode's package as fetched, in the user's own folder.
    Seed,
}

impl Repair {
    /// What it would do, for people.
    pub(crate) fn what(&self) -> String {
        match self {
            Self::Install => "install the plugin into OpenCode".into(),
            Self::Again => {
                "take our entries out of OpenCode's configuration and install the plugin again"
                    .into()
            }
            Self::Mode(folder) => format!("make {} private (mode 700)", folder.display()),
            Self::Seed => format!(
                "write an empty node_modules and a package-lock.json into OpenCode's folder, which note {PACKAGE} as \
                 fetched; tools of your own that import that package need it really fetched"
            ),
        }
    }

    /// What is done first, in case that it hangs.
    pub(crate) fn doing(&self) -> &'static str {
        match self {
            Self::Install | Self::Again => "looking at what is installed",
            Self::Mode(_) => "making a folder private",
            Self::Seed => "asking OpenCode for its version and writing into its folder",
        }
    }

    /// Does it.
    pub(crate) fn carry_out(&self, world: &World, even_here: bool) -> Result<(), Error> {
        match self {
            Self::Install | Self::Again => {
                if let Some(why) = world.why_not_here().filter(|_| !even_here) {
                    let what = format!("nothing was changed: {why}");
                    return Err(
                        Error::new(Kind::Plugin, what).hint("`--even-here` does it all the same")
                    );
                }
                if *self == Self::Again {
                    world.uninstall()?;
                }
                world.install().map(drop)
            }
            Self::Mode(folder) => {
                let private = fs::Permissions::from_mode(0o700);
                fs::set_permissions(folder, private)
                    .map_err(|error| Error::io("change", folder, &error))
            }
            Self::Seed => seed(world),
        }
    }
}

fn seed(world: &World) -> Result<(), Error> {
    let Some(version) = version() else {
        let what = "OpenCode does not say which version it is";
        return Err(Error::new(Kind::Agent, what).hint("opencode --version"));
    };
    let modules = world.config.join("node_modules");
    fs::create_dir_all(&modules).map_err(|error| Error::io("make", &modules, &error))?;
    let lock = serde_json::json!({ "packages": { "": { "dependencies": { PACKAGE: version } } } });
    write::own(
        &world.config.join("package-lock.json"),
        lock.to_string().as_bytes(),
    )
    .map(drop)
}

/// OpenCode's version, as it says itself.
fn version() -> Option<String> {
    let mut command = Command::new("opencode");
    let asked = command
        .arg("--version")
        .stdin(Stdio::null())
        .output()
        .ok()?;
    let said = String::from_utf8_lossy(&asked.stdout).trim().to_owned();
    let fits =
        said.starts_with(|c: char| c.is_ascii_digit()) && !said.contains(char::is_whitespace);
    fits.then_some(said)
}

/// Whether a person at the terminal wants it.
pub(crate) fn is_wanted(repair: &Repair) -> bool {
    crate::view::note(&format!("{}? [y/N]", repair.what()));
    let mut line = String::new();
    let read = std::io::stdin().lock().read_line(&mut line);
    read.is_ok() && ["y", "yes"].contains(&line.trim().to_lowercase().as_str())
}
