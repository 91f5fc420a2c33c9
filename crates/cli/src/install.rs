//! The plugin in OpenCode: put in, taken out, looked at.

mod edit;
mod jsonc;
