//! Whose logins calls are made with.

use mission::ids::Digest;
use std::collections::BTreeMap;
use std::ffi::OsString;

/// Variables by which a user's OpenCode finds its logins and its providers' keys, beside those that [`is_key`] knows.
const LOGINS: [&str; 8] = [
    "HOME",
    "XDG_DATA_HOME",
    "XDG_CONFIG_HOME",
    "OPENCODE_AUTH_CONTENT",
    "OPENCODE_CONFIG",
    "OPENCODE_CONFIG_CONTENT",
    "OPENCODE_CONFIG_DIR",
    "AWS_PROFILE",
];

/// Whether a variable of this name holds a provider's key, as OpenCode's providers call theirs.
fn is_key(name: &str) -> bool {
    let ends = ["_API_KEY", "_API_TOKEN", "_ACCESS_KEY_ID"];
    ends.iter().any(|end| name.ends_with(end))
}

/// Whose logins a mission's calls are made with. OpenCode has one login for each provider, so that a provider and the place
/// of the logins name an account. Of what is secret only a digest goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Account(pub(super) Digest);

impl Account {
    /// That of whoever has this environment.
    pub(crate) fn of(environment: &BTreeMap<OsString, OsString>) -> Self {
        let mut all = Vec::new();
        for (name, value) in environment {
            let name = name.to_string_lossy();
            if LOGINS.contains(&&*name) || is_key(&name) {
                // Lengths keep what one says from being taken for what two say.
                let sizes = [name.len(), value.len()].map(usize::to_be_bytes);
                all.extend(sizes.as_flattened());
                all.extend(name.as_bytes());
                all.extend(value.as_encoded_bytes());
            }
        }
        Self(Digest::of(&all))
    }
}
