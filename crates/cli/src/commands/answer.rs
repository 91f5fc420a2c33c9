//! `orchestrator answer`: answers an open question.

use crate::args::AnswerArgs;
use crate::error::{Error, Exit, Kind};
use crate::host::{self, Store};
use crate::view::{self, keyboard};
use engine::door::Wish;
use mission::question::QuestionId;

pub(crate) fn run(args: &AnswerArgs) -> Result<Exit, Error> {
    let number = args.question.strip_prefix('q').unwrap_or(&args.question);
    let id = number.parse().map(QuestionId).map_err(|_| {
        Error::new(
            Kind::Usage,
            format!("`{}` is not a question", args.question),
        )
        .hint("questions are named `q1`, `q2`, …")
    })?;
    let store = Store::open()?;
    let mission = store.find(Some(args.mission))?;
    let (state, _) = store.load(mission)?;
    let open = state.questions().find(|(open, _)| *open == id);
    // What is not open is refused where it is decided.
    let text = match open.map(|(_, question)| keyboard::meant(question, &args.text)) {
        None => args.text.clone(),
        Some(Ok(text)) => text,
        Some(Err(hint)) => {
            return Err(
                Error::new(Kind::Refused, format!("{id} is still open: {hint}")).hint(format!(
                    "`orchestrator status {mission}` shows the question and its choices"
                )),
            );
        }
    };
    host::block_on(async {
        let (told, mine) = host::wish(
            &store,
            mission,
            Wish::Answer {
                id,
                text: text.clone(),
            },
        )
        .await?;
        host::told(mission, told)?;
        let answered =
            serde_json::json!({ "mission": mission, "question": id.to_string(), "answered": text });
        view::data(&match args.json {
            true => answered.to_string(),
            false => "answered".to_owned(),
        });
        if mine {
            view::note(&format!(
                "nobody runs {mission} now; go on with: orchestrator resume {mission}"
            ));
        }
        Ok(Exit::Good)
    })
}
