//! Sloppy models with the real program and the real OpenCode: every mission has an end that can be understood.
#![cfg(test)]
use std::collections::BTreeMap;
use std::sync::Arc;
use testkit::model::{Model, Request};
use testkit::persona::{Crew, Job, Persona, Role};
use testkit::user::{Ran, User};

/// A project with nothing to prove it but a shell.
const PROJECT: &[(&str, &str)] = &[
    ("base.txt", "base\n"),
    ("tests/base.sh", "grep -q base base.txt\n"),
];

/// What came of a persona's mission.
struct Story {
    name: &'static str,
    ran: Ran,
    log: Vec<Request>,
    before: BTreeMap<String, String>,
    after: BTreeMap<String, String>,
}

/// Lets a persona carry a mission of these tasks out. Limits are small: whatever it does, it is over soon.
async fn play(name: &str, jobs: &[&str], more: &[&str]) -> Story {
    play_in(PROJECT, name, jobs, more).await
}

/// The same in a project of its own.
async fn play_in(project: &[(&str, &str)], name: &str, jobs: &[&str], more: &[&str]) -> Story {
    let persona = Persona::named(name);
    let model = Model::start(|_| unreachable!("there is a script before the first call")).await;
    let user = User::new(env!("CARGO_BIN_EXE_orchestrator"), &model.url(), project);
    let jobs = jobs.iter().map(|job| Job::word(job)).collect();
    let crew = Arc::new(Crew::new("Add some words.", jobs).beside(&user.project()));
    model.script(move |request| persona.answer(&crew, request));
    let before = user.files();
    let patience = if more.contains(&"--silence") {
        [].as_slice()
    } else {
        &["--silence", "60s"]
    };
    let words = ["task", "Add some words", "--allow", "shell"];
    let limits = ["--attempt-time", "2m", "--time", "4m"];
    let ran = user
        .run(&[&words[..], &limits, patience, more].concat())
        .await;
    println!(
        "{name}: {:?}, {} calls, {:?}\n{}",
        ran.code,
        model.log().len(),
        ran.took,
        ran.said
    );
    user.deserted().await;
    let after = user.files();
    Story {
        name: persona.name,
        ran,
        log: model.log(),
        before,
        after,
    }
}

impl Story {
    /// How many requests a role made.
    fn calls(&self, role: Role) -> usize {
        self.log
            .iter()
            .filter(|request| Role::of(request) == role)
            .count()
    }

    /// It ended with this exit code, said all of this, and asked the model exactly this often.
    fn ends(&self, code: i32, said: &[&str], calls: usize) {
        let (name, text) = (self.name, &self.ran.said);
        assert_eq!(self.ran.code, Some(code), "{name}: {text}");
        for said in said {
            assert!(text.contains(said), "{name} does not say `{said}`: {text}");
        }
        assert_eq!(
            self.log.len(),
            calls,
            "{name}: {:?} {text}",
            self.log.iter().map(Role::of).collect::<Vec<_>>()
        );
    }

    /// All its words are in the user's files now, and nothing else changed.
    fn delivered(&self, words: &[&str]) {
        let mut expected = self.before.clone();
        expected.extend(
            words
                .iter()
                .map(|word| (format!("{word}.txt"), format!("{word}\n"))),
        );
        assert_eq!(self.after, expected, "{}: {}", self.name, self.ran.said);
    }

    /// The user's files are as they were.
    fn untouched(&self) {
        assert_eq!(self.after, self.before, "{}: {}", self.name, self.ran.said);
    }
}

#[test]
fn every_persona_is_played_here() {
    for persona in Persona::all() {
        let played = [
            format!("play(\"{}\",", persona.name),
            format!("play_in(CHECKED, \"{}\",", persona.name),
        ];
        let here = include_str!("personas.rs");
        assert!(played.iter().any(|play| here.contains(play)), "{played:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_does_what_it_is_told_needs_five_calls_for_a_task() {
    let story = play("well-behaved", &["alpha"], &[]).await;
    story.ends(0, &[], 5);
    story.delivered(&["alpha"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn prose_around_an_answer_costs_nothing() {
    let story = play("chatty", &["alpha"], &[]).await;
    story.ends(0, &[], 5);
    story.delivered(&["alpha"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_answers_the_last_counts() {
    let story = play("second-thoughts", &["alpha"], &[]).await;
    story.ends(0, &[], 5);
    story.delivered(&["alpha"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_example_after_the_answer_costs_one_call_for_each_turn() {
    let story = play("afterthought", &["alpha"], &[]).await;
    story.ends(0, &[], 9);
    story.delivered(&["alpha"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trailing_comma_costs_one_call_for_each_turn() {
    let story = play("trailing-comma", &["alpha"], &[]).await;
    story.ends(0, &[], 9);
    story.delivered(&["alpha"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_language_costs_one_call_where_it_reaches_the_schema() {
    let story = play("translator", &["alpha"], &[]).await;
    story.ends(0, &[], 6);
    story.delivered(&["alpha"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_answer_costs_one_call_for_each_turn() {
    let story = play("mute", &["alpha"], &[]).await;
    story.ends(0, &[], 9);
    story.delivered(&["alpha"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_only_announces_its_work_costs_one_call() {
    let story = play("announcer", &["alpha"], &[]).await;
    story.ends(0, &[], 6);
    story.delivered(&["alpha"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_giant_task_is_carried_out_as_one() {
    let story = play("lumper", &["alpha", "beta"], &[]).await;
    story.ends(0, &[], 6);
    story.delivered(&["alpha", "beta"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_with_a_circle_may_be_mended_twice() {
    let story = play("circular", &["alpha", "beta"], &[]).await;
    story.ends(0, &["the plan is sent back"], 10);
    story.delivered(&["alpha", "beta"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_by_tool_is_answered_by_policy_and_the_work_goes_on() {
    let story = play("tool-asker", &["alpha"], &[]).await;
    story.ends(0, &["answered by policy"], 6);
    story.delivered(&["alpha"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_outside_its_workspace_is_turned_down_and_then_works_inside() {
    let story = play("trespasser", &["alpha"], &[]).await;
    story.ends(0, &["T1.1 turned down: nothing was changed"], 7);
    story.delivered(&["alpha"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn commits_of_a_worker_mean_nothing_and_reach_nobody() {
    let story = play("committer", &["alpha"], &[]).await;
    story.ends(0, &[], 6);
    story.delivered(&["alpha"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_megabytes_cost_one_call() {
    let story = play("flooder", &["alpha"], &[]).await;
    story.ends(0, &[], 7);
    story.delivered(&["alpha"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_ran_out_of_room_costs_one_call() {
    let story = play("long-winded", &["alpha"], &[]).await;
    story.ends(0, &[], 6);
    story.delivered(&["alpha"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_context_that_overflows_is_summed_up_and_the_work_goes_on() {
    let story = play("overflower", &["alpha"], &[]).await;
    story.ends(0, &[], 7);
    story.delivered(&["alpha"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_tool_calls_cost_a_call_each() {
    let story = play("misspeller", &["alpha"], &[]).await;
    story.ends(0, &[], 7);
    story.delivered(&["alpha"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_never_answers_fails_its_task() {
    let story = play("gone-mute", &["alpha"], &[]).await;
    story.ends(
        1,
        &["it is stuck: 3 attempts in a row ended alike, also with a diagnosis, the Planner, who did not cut it anew; \
           the last: it ended without a result: it ended without a word"],
        20,
    );
    story.untouched();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_of_three_hundred_tasks_is_refused_with_the_limit() {
    let story = play("hoarder", &["alpha"], &[]).await;
    story.ends(1, &["has 300 tasks; at most 200 are taken"], 4);
    story.untouched();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_that_stays_a_circle_fails_with_the_circle_named() {
    let story = play("always-circular", &["alpha", "beta"], &[]).await;
    story.ends(1, &["in a circle: alpha -> beta -> alpha"], 4);
    story.untouched();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proof_that_is_not_in_the_project_is_named() {
    let story = play("script-inventor", &["alpha"], &[]).await;
    story.ends(1, &["`./scripts/verify-all.sh --strict` cannot run"], 11);
    story.untouched();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proof_that_proves_nothing_makes_nothing_completed() {
    let story = play("easy-proof", &["alpha"], &[]).await;
    story.ends(3, &["m1 unverified", "nothing proves T1 (Add alpha)"], 5);
    story.untouched();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_asks_in_prose_fails_with_its_question() {
    let story = play("asker", &["alpha"], &[]).await;
    story.ends(1, &["its last words: Before I start: should the file"], 20);
    story.untouched();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blocked_worker_fails_at_once_with_its_reason() {
    let story = play("giver-up", &["alpha"], &[]).await;
    story.ends(
        1,
        &["T1 (Add alpha) failed: cannot go on: it is blocked: the database password"],
        3,
    );
    story.untouched();
}

#[tokio::test(flavor = "multi_thread")]
async fn done_without_a_change_is_not_done() {
    let story = play("idler", &["alpha"], &[]).await;
    story.ends(
        1,
        &[
            "3 tries failed, some of them alike (nothing was changed)",
            "`strategy` is missing",
        ],
        8,
    );
    story.untouched();
}

#[tokio::test(flavor = "multi_thread")]
async fn tool_calls_as_text_change_nothing_and_are_not_done() {
    let story = play("typist", &["alpha"], &[]).await;
    story.ends(1, &["nothing was changed"], 12);
    story.untouched();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_always_runs_out_of_room_fails_its_task() {
    let story = play("never-done", &["alpha"], &[]).await;
    story.ends(1, &["ran out of room for its answer again and again"], 14);
    story.untouched();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_that_is_removed_in_silence_is_seen() {
    let story = play("test-remover", &["alpha"], &[]).await;
    story.ends(1, &["tests/base.sh was removed and is not among"], 14);
    story.untouched();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_liar_says_is_not_what_his_work_shows() {
    let story = play("liar", &["alpha"], &[]).await;
    story.ends(
        1,
        &["m1 failed", "`grep -q alpha alpha.txt` was red (exit 1)"],
        11,
    );
    story.untouched();
}

/// The same with a check of its own.
const CHECKED: &[(&str, &str)] = &[
    ("base.txt", "base\n"),
    ("tests/base.sh", "grep -q base base.txt\n"),
    ("Makefile", "test:\n\tsh tests/base.sh\n"),
];

#[tokio::test(flavor = "multi_thread")]
async fn what_a_reviewer_accepts_and_its_own_proof_shows_still_has_to_leave_the_rest_whole() {
    let story = play_in(CHECKED, "yes-man", &["alpha"], &[]).await;
    assert_eq!(story.ran.code, Some(1), "{}", story.ran.said);
    for said in ["m1 failed", "accepted by reviewer", "`make test` was red"] {
        assert!(story.ran.said.contains(said), "{said}: {}", story.ran.said);
    }
    assert!(story.calls(Role::Reviewer) >= 1, "{}", story.ran.said);
    story.untouched();
}

#[tokio::test(flavor = "multi_thread")]
async fn style_for_ever_ends_as_a_dispute() {
    let story = play("pedant", &["alpha"], &[]).await;
    story.ends(
        5,
        &["m1 disputed", "the Reviewer found: the name could be nicer"],
        8,
    );
    story.untouched();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reviewer_without_a_verdict_ends_as_a_dispute() {
    let story = play("rambler", &["alpha"], &[]).await;
    story.ends(5, &["m1 disputed", "no Reviewer accepted it"], 16);
    story.untouched();
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_nobody_forecast_conflict_once_and_land() {
    let story = play("half-guesser", &["alpha", "beta"], &[]).await;
    // Who is told of it while still at work cannot mend it in the same file, and makes one request more where the last of
    // its turn was under way; where it ended by then, or asked for the first time after that, it makes none.
    let told = story
        .ran
        .said
        .matches("is told that it does not merge")
        .count();
    let calls = story.log.len().clamp(11, 11 + told);
    story.ends(0, &["it conflicts in index.txt"], calls);
    assert_eq!(story.after["index.txt"], "alpha\nbeta\n");
    assert_eq!(story.after.len(), story.before.len() + 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_a_worker_leaves_behind_ends_with_the_mission() {
    let story = play("server-starter", &["alpha"], &[]).await;
    story.ends(0, &[], 6);
    assert_eq!(story.after["alpha.txt"], "alpha\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_never_ends_costs_one_attempt_and_the_next_is_told() {
    let story = play("hanger-on", &["alpha"], &["--silence", "20s"]).await;
    assert_eq!(story.ran.code, Some(0), "{}", story.ran.said);
    let why = "nothing was heard of the agent for 20.0 s, in bash: tail -f /dev/null";
    assert!(story.ran.said.contains(why), "{}", story.ran.said);
    assert_eq!(story.calls(Role::Worker), 3, "{}", story.ran.said);
    story.delivered(&["alpha"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_falls_silent_fails_its_task() {
    let limits = ["--silence", "20s", "--attempts", "2"];
    let story = play("silent", &["alpha"], &limits).await;
    assert_eq!(story.ran.code, Some(1), "{}", story.ran.said);
    let why = "2 tries failed; the last: nothing was heard of the agent for 20.0 s";
    assert!(story.ran.said.contains(why), "{}", story.ran.said);
    assert_eq!(story.calls(Role::Worker), 4, "{}", story.ran.said);
    story.untouched();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_looping_agent_is_told_so_and_its_mission_completes() {
    let story = play("circler", &["alpha"], &[]).await;
    assert_eq!(story.ran.code, Some(0), "{}", story.ran.said);
    let told = "T1.1 is looping and is told so: it made the same call 5 times and got the same back: read: base.txt";
    assert!(story.ran.said.contains(told), "{}", story.ran.said);
    assert!(!story.ran.said.contains("T1.2"), "{}", story.ran.said);
    let calls = story.calls(Role::Worker);
    assert!((7..=12).contains(&calls), "{calls}: {}", story.ran.said);
    story.delivered(&["alpha"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stalled_agent_is_told_so_and_its_mission_completes() {
    let story = play("dawdler", &["alpha"], &[]).await;
    assert_eq!(story.ran.code, Some(0), "{}", story.ran.said);
    let told =
        "T1.1 is stalled and is told so: its last 40 steps brought nothing that it had not seen";
    assert!(story.ran.said.contains(told), "{}", story.ran.said);
    assert!(!story.ran.said.contains("T1.2"), "{}", story.ran.said);
    story.delivered(&["alpha"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lying_agent_is_found_out_twice_finds_the_cause_and_its_mission_completes() {
    let story = play("reformed-liar", &["alpha"], &[]).await;
    story.ends(
        0,
        &[
            "T1 stagnates, 2 attempts in a row ended alike (`grep -q alpha alpha.txt` was red (exit 1))",
            "T1.3 says what it does otherwise: The file is written as its proof wants it.",
            "T1 stagnated: 1 diagnosis, \"The file is written as its proof wants it.\"; it landed",
        ],
        9,
    );
    // Whoever looks for the cause sees what the attempt before it did, and what was tried.
    let asked = story.log.iter().find_map(|request| {
        let mut messages = request.messages.iter();
        messages.find(|message| message.text.contains("## Find the cause first"))
    });
    let text = &asked.expect("a diagnosis is asked for").text;
    for told in [
        "## Tried before\n\n- All tests pass. DONE.",
        "write: alpha.txt",
    ] {
        assert!(text.contains(told), "{told}: {text}");
    }
    story.delivered(&["alpha"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_a_diagnosis_does_not_help_is_cut_anew_and_its_mission_completes() {
    let story = play("overwhelmed", &["alpha"], &[]).await;
    assert_eq!(story.ran.code, Some(0), "{}", story.ran.said);
    for told in [
        "T1 stagnates, 3 attempts in a row ended alike",
        "the planner is asked to cut it anew",
        "planner cuts T1 anew: Add alpha",
        "T1 is cut into T2 and is done when all of it is (plan version 2)",
        "cut into T2; it landed",
    ] {
        assert!(story.ran.said.contains(told), "{told}: {}", story.ran.said);
    }
    // The Planner sees what failed, and what will be run on the whole.
    let asked = story.log.iter().find_map(|request| {
        let mut messages = request.messages.iter();
        messages.find(|message| message.text.contains("## Cut one task anew"))
    });
    let text = &asked.expect("a planner is asked").text;
    for told in [
        "## Will be run to prove the whole\n\n- grep -q alpha alpha.txt\n",
        "`grep -q alpha alpha.txt` was red (exit 1)",
        "- It is written more slowly.",
    ] {
        assert!(text.contains(told), "{told}: {text}");
    }
    story.delivered(&["alpha"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strategy_that_was_tried_before_is_refused_and_the_task_fails_with_a_report() {
    let story = play("stubborn", &["alpha"], &[]).await;
    assert_eq!(story.ran.code, Some(1), "{}", story.ran.said);
    let why = "3 tries failed, some of them alike (`grep -q alpha alpha.txt` was red (exit 1)), also with a diagnosis; \
               the last: `strategy` says what was tried before (All tests pass. DONE.)";
    assert!(story.ran.said.contains(why), "{}", story.ran.said);
    story.untouched();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_call_for_ever_is_stopped_soon() {
    let story = play("looper", &["alpha"], &[]).await;
    assert_eq!(story.ran.code, Some(1), "{}", story.ran.said);
    let why = "it made the same call 5 times and got the same back: read: base.txt";
    assert!(story.ran.said.contains(why), "{}", story.ran.said);
    let calls = story.calls(Role::Worker);
    // Each of three attempts is told once, and ended when it goes on; what is under way then is not called back.
    assert!((30..=48).contains(&calls), "{calls}: {}", story.ran.said);
    let told = story.ran.said.matches("is looping and is told so").count();
    assert_eq!(told, 3, "{}", story.ran.said);
    story.untouched();
}
