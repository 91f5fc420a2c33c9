//! What OpenCode's screen shows of a mission: text that is ready to be drawn, so that nothing is decided there.

use mission::ids::MissionId;
use serde::{Deserialize, Serialize};

/// A mission as it stands, for the panel beside a conversation and for a page of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    /// The name of what is shown. A guest names it when it asks again, and is answered once it is another.
    pub seen: String,
    /// The mission that it is of; none where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mission: Option<MissionId>,
    /// A few words for where there is little room; none where there is nothing to look at.
    pub badge: Row,
    /// What stands in the panel; nothing where there is none to show.
    pub panel: Vec<Row>,
    /// What stands on the page, where it was asked for.
    pub page: Vec<Row>,
    /// What somebody has to answer, the oldest first.
    pub asks: Vec<Ask>,
    /// What can be typed now: `pause`, `resume`, `stop`.
    pub commands: Vec<String>,
}

/// One line.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// How it is meant: `info`, `success`, `warning`, `error`, `muted`, or nothing for plain text.
    pub tone: String,
    /// What it says. No control characters are in it.
    pub text: String,
}

/// One open question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    /// Its name: `q1`.
    pub id: String,
    /// Who asks what.
    pub text: String,
    /// What may be chosen.
    pub choices: Vec<Choice>,
    /// Whether any other text is an answer too.
    pub free: bool,
}

/// One answer that may be chosen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    /// What is answered, to the letter.
    pub word: String,
    /// The same as it is shown.
    pub shown: String,
    /// What that means; nothing where the word says it.
    pub about: String,
}
