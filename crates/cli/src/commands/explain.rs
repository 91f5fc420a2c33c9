//! `orchestrator explain`: the page of an error code.

use crate::error::{Error, Exit, Kind};
use crate::view;

pub(crate) fn run(code: &str) -> Result<Exit, Error> {
    match Kind::page(&code.to_uppercase()) {
        Some(page) => {
            view::data(page);
            Ok(Exit::Good)
        }
        None => Err(
            Error::new(Kind::Usage, format!("there is no error code `{code}`"))
                .hint("codes look like ORC004"),
        ),
    }
}
