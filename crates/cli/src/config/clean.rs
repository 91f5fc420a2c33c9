//! The `[clean]` of the user's file: what is kept of missions that are over, and for how long.

use super::Config;
use crate::args::{CleanArgs, parse_age, parse_size};
use mission::time::Millis;
use serde::Deserialize;

/// Long enough to come back to what was done last month (30 days).
const OLDER_THAN: Millis = Millis::from_mins(30 * 24 * 60);
/// Some hundred missions of a usual project, and little of a usual disk.
const KEEP: u64 = 5 << 30;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Clean {
    older_than: Option<Age>,
    keep: Option<Size>,
}

/// `"30d"`, `"0d"` or `"36h"`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "String")]
struct Age(Millis);

impl TryFrom<String> for Age {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        parse_age(&text).map(Self)
    }
}

/// `"5GiB"` or `"500MiB"`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "String")]
struct Size(u64);

impl TryFrom<String> for Size {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        parse_size(&text).map(Self)
    }
}

/// What is kept of missions that are over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Retention {
    /// What ended longer ago than this is not.
    pub(crate) older_than: Millis,
    /// Nor is what takes more than this many bytes in all.
    pub(crate) keep: u64,
}

impl Config {
    /// What is kept of missions that are over.
    pub(crate) fn retention(&self, args: &CleanArgs) -> Retention {
        let file = &self.clean;
        Retention {
            older_than: args
                .older_than
                .or(file.older_than.map(|age| age.0))
                .unwrap_or(OLDER_THAN),
            keep: args.keep.or(file.keep.map(|size| size.0)).unwrap_or(KEEP),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn retention(text: &str, flag: Option<u64>) -> Result<Retention, String> {
        let config = Config::parse(text, Path::new("config.toml"));
        let args = CleanArgs {
            missions: Vec::new(),
            older_than: None,
            keep: flag,
            dry_run: false,
            json: false,
        };
        config
            .map(|config| config.retention(&args))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn thirty_days_and_five_gib_are_kept_unless_the_file_or_a_flag_says_otherwise() {
        let told = |text: &str, flag| {
            let Retention { older_than, keep } = retention(text, flag).unwrap();
            (older_than.0 / 86_400_000, keep >> 20)
        };
        assert_eq!(told("", None), (30, 5 * 1024));
        let text = "[clean]\nolder_than = '7d'\nkeep = '500MiB'\n";
        assert_eq!(told(text, None), (7, 500));
        assert_eq!(told(text, Some(1 << 20)), (7, 1));
        for (text, word) in [
            ("[clean]\nolder_than = '7'", "30d"),
            ("[clean]\nkeep = '5GB'", "5GiB"),
            ("[clean]\nkept = '5GiB'", "kept"),
        ] {
            let error = retention(text, None).unwrap_err();
            assert!(error.contains(word), "{error}");
        }
    }
}
