//! A machine that is short of something: who waits, who does not, and that nothing vanishes.

use crate::teller::{Story, task};
use mission::event::{Event, Turn};
use mission::ids::TaskId;
use mission::input::{Input, Reply};
use mission::limits;
use mission::plan::{PlanEdit, Priority, Size, TaskDraft};
use mission::schedule::{Gauge, Sample, Short};
use mission::terms::Terms;
use mission::time::Millis;
use mission::turn::{Failure, Outcome, Usage};
use std::collections::BTreeSet;

fn memory(now: u32, least: u32) -> Sample {
    Sample {
        memory: Gauge { now, least },
        ..Sample::default()
    }
}

fn look(story: &mut Story, sample: Sample) -> Option<Event> {
    let before = story.told.len();
    story.tell(Input::Sampled { sample });
    story
        .told
        .get(before)
        .map(|recorded| recorded.event.clone())
}

fn of(id: &str, priority: Priority) -> TaskDraft {
    TaskDraft {
        priority,
        ..task(id, &[])
    }
}

/// Three Workers, and two tasks of each class: of the six the high ones and a normal one run.
fn story() -> Story {
    let tasks = [
        of("low-1", Priority::Low),
        of("low-2", Priority::Low),
        of("normal-1", Priority::Normal),
        of("normal-2", Priority::Normal),
        of("high-1", Priority::High),
        of("high-2", Priority::High),
    ];
    let terms = Terms {
        workers: 3,
        ..Terms::default()
    };
    let story = Story::planned(terms, tasks.to_vec());
    assert_eq!(running(&story), [3, 5, 6]);
    story
}

/// The numbers of the tasks that Workers have.
fn running(story: &Story) -> Vec<u32> {
    let leases = story.mission.leases();
    let run = leases.filter_map(|(_, lease)| match lease.turn {
        Turn::Work { attempt } => Some(attempt.task.0),
        _ => None,
    });
    let run: BTreeSet<u32> = run.collect();
    run.into_iter().collect()
}

#[test]
fn the_low_class_waits_first_then_the_normal_one_and_both_go_on_when_there_is_room() {
    let mut story = story();
    assert_eq!(
        look(&mut story, memory(95, 79)),
        None,
        "a peak is no shortage"
    );
    let pressed = look(&mut story, memory(95, 81));
    let wanted = Event::Pressed {
        of: Short::Memory,
        used: 95,
        admits: Priority::Normal,
    };
    assert_eq!(pressed, Some(wanted));
    assert_eq!(running(&story).len(), 3, "what runs goes on");
    story.carry("T5.1");
    assert_eq!(running(&story), [3, 4, 6], "a normal one starts");
    story.carry("T6.1");
    assert_eq!(running(&story), [3, 4], "and no low one");
    assert_eq!(look(&mut story, memory(95, 95)), None, "not at once");
    story.wait(limits::PRESSURE_FOR);
    assert!(matches!(
        look(&mut story, memory(96, 90)),
        Some(Event::Pressed {
            admits: Priority::High,
            used: 96,
            ..
        })
    ));
    assert_eq!(look(&mut story, memory(71, 71)), None, "not enough yet");
    assert_eq!(running(&story), [3, 4]);
    assert_eq!(
        look(&mut story, memory(69, 69)),
        Some(Event::Relieved { of: None })
    );
    assert_eq!(running(&story), [1, 3, 4], "who waited is woken at once");
}

#[test]
fn one_task_always_may_run_whatever_fills_the_machine() {
    let mut story = story();
    look(&mut story, memory(99, 99));
    story.wait(limits::PRESSURE_FOR);
    look(&mut story, memory(99, 99));
    for attempt in ["T5.1", "T6.1"] {
        story.carry(attempt);
    }
    assert_eq!(
        running(&story),
        [3],
        "it is not stopped, and nobody starts beside it"
    );
    story.carry("T3.1");
    assert_eq!(
        running(&story),
        [4],
        "somebody of the best class that is left"
    );
    let waits = story.mission.waits(story.now);
    let room = waits
        .iter()
        .find(|wait| wait.cause.starts_with("the machine"));
    let room = room.expect("who waits is told");
    assert_eq!(room.who, "T1, T2");
    assert_eq!(
        room.cause,
        "the machine: 99 % of its memory is used; less than 70 % is enough"
    );
}

#[test]
fn who_has_waited_long_starts_on_a_full_machine_too() {
    let mut story = story();
    look(&mut story, memory(99, 99));
    story.carry("T5.1");
    story.carry("T6.1");
    assert_eq!(running(&story), [3, 4]);
    story.wait(limits::AGING);
    assert_eq!(
        running(&story).len(),
        3,
        "one has risen to the normal class"
    );
}

#[test]
fn any_figure_counts_and_a_machine_that_tells_nothing_is_not_short() {
    let mut story = story();
    assert_eq!(look(&mut story, Sample::default()), None);
    let busy = |now| Gauge { now, least: now };
    let processors = Sample {
        processors: busy(401),
        ..Sample::default()
    };
    let pressed = look(&mut story, processors);
    assert!(matches!(
        pressed,
        Some(Event::Pressed {
            of: Short::Processors,
            ..
        })
    ));
    // An engine that does not look takes back what one before it saw.
    assert_eq!(
        look(&mut story, Sample::default()),
        Some(Event::Relieved { of: None })
    );
    let stalled = Sample {
        stalled: busy(21),
        ..Sample::default()
    };
    let pressed = look(&mut story, stalled);
    assert!(matches!(
        pressed,
        Some(Event::Pressed {
            of: Short::Stalled,
            ..
        })
    ));
    let fine = look(&mut story, Sample::default());
    assert_eq!(fine, Some(Event::Relieved { of: None }));
    let held_up = |now| Sample {
        held_up: busy(now),
        ..Sample::default()
    };
    assert_eq!(look(&mut story, held_up(80)), None);
    let pressed = look(&mut story, held_up(81));
    assert!(matches!(
        pressed,
        Some(Event::Pressed {
            of: Short::HeldUp,
            used: 81,
            ..
        })
    ));
    assert_eq!(look(&mut story, held_up(70)), None);
    let fine = look(&mut story, held_up(69));
    assert_eq!(fine, Some(Event::Relieved { of: None }));
    story.wait(Millis(1));
}

/// The disk has too little room for any work.
fn full(used: u32) -> Sample {
    Sample {
        full: used,
        ..Sample::default()
    }
}

/// It has too little for one more workspace.
fn cramped(used: u32) -> Sample {
    Sample {
        disk: used,
        ..Sample::default()
    }
}

/// Each lane of a Worker that runs, with its task.
fn lanes(story: &Story) -> Vec<(u32, u32)> {
    let leases = story.mission.leases();
    let work = leases.filter_map(|(_, lease)| match lease.turn {
        Turn::Work { attempt } => Some((lease.lane, attempt.task.0)),
        _ => None,
    });
    let mut lanes: Vec<(u32, u32)> = work.collect();
    lanes.sort_unstable();
    lanes
}

#[test]
fn where_no_more_workspace_fits_lanes_go_on_that_have_theirs_and_no_other_begins() {
    let mut story = story();
    // Of one lane, of a Reviewer and of the checks it is known that a workspace stands.
    story.carry("T5.1");
    let known = lanes(&story);
    let [(own, _)] = known
        .iter()
        .filter(|(_, task)| *task == 4)
        .collect::<Vec<_>>()[..]
    else {
        panic!("{known:?}");
    };
    let (of, admits) = (Short::Disk, Priority::High);
    let wanted = Event::Pressed {
        of,
        used: 101,
        admits,
    };
    assert_eq!(look(&mut story, cramped(100)), None, "it just fits");
    assert_eq!(look(&mut story, cramped(101)), Some(wanted));
    // Whoever else is at work finds out that its own does not.
    for turn in ["T3.1", "T6.1"] {
        let failed = Outcome::Failed {
            failure: Failure::Machine,
            why: "no space left on device".into(),
            usage: Usage::NOTHING,
        };
        story.end(turn, failed, None);
    }
    story.wait(limits::BACKOFF_MOST);
    assert_eq!(lanes(&story), [(*own, 4)]);
    let waits = story.mission.waits(story.now);
    let wait = |who: &str| {
        let mut all = waits.iter();
        let found = all.find(|wait| wait.who == who);
        found
            .unwrap_or_else(|| panic!("{who:?} is not in {waits:?}"))
            .cause
            .clone()
    };
    let told = "the machine: one more workspace takes 101 % of what is free on the disk of the state directory; less \
                than 80 % is enough";
    assert_eq!(wait("whoever has no workspace yet"), told);
    assert_eq!(
        wait("T1, T2, T3 and 1 more"),
        "a free Worker that has a workspace"
    );
    // It is carried to its end, and the next ones come to that lane.
    for turn in ["T4.1", "T6.1"] {
        story.carry(turn);
        assert_eq!(lanes(&story).len(), 1, "{turn}");
        assert_eq!(lanes(&story)[0].0, *own, "{turn}");
    }
    assert_eq!(story.mission.landed(), 3);
    assert_eq!(look(&mut story, cramped(80)), None, "not enough yet");
    let relieved = Event::Relieved { of: Some(of) };
    assert_eq!(look(&mut story, cramped(79)), Some(relieved));
    assert_eq!(running(&story), [1, 2, 3], "who waited is woken at once");
}

#[test]
fn a_plan_that_became_tiny_goes_on_in_the_only_workspace_whichever_lane_has_it() {
    let small = |id: &str| TaskDraft {
        size: Size::Small,
        ..task(id, &[])
    };
    let terms = Terms {
        workers: 3,
        ..Terms::default()
    };
    let mut story = Story::planned(terms, ["a", "b", "c", "d"].map(small).to_vec());
    assert!(look(&mut story, cramped(300)).is_some());
    let edit = PlanEdit::Drop { task: TaskId(4) };
    let (saw, by) = (1, "me".to_owned());
    let edited = story.tell(Input::EditPlan { edit, saw, by });
    assert_eq!(edited, Reply::Done);
    assert_eq!(story.mission.fan().unwrap().lanes, 1);
    // Of one it is known that its workspace stands, and of the others that theirs does not.
    for (lane, id) in lanes(&story) {
        let (why, usage) = ("gone".to_owned(), Usage::NOTHING);
        let failure = match lane {
            3 => Failure::Overflow,
            _ => Failure::Machine,
        };
        let failed = Outcome::Failed {
            failure,
            why,
            usage,
        };
        story.end(&format!("T{id}.1"), failed, None);
    }
    story.wait(limits::BACKOFF_MOST);
    assert_eq!(lanes(&story).len(), 1);
    assert_eq!(lanes(&story)[0].0, 3);
}

#[test]
fn where_no_work_fits_either_nobody_goes_on_and_after_an_end_no_workspace_is_known() {
    let mut story = story();
    story.carry("T5.1");
    assert!(look(&mut story, cramped(300)).is_some());
    let both = Sample {
        full: 101,
        ..cramped(300)
    };
    let pressed = look(&mut story, both);
    assert!(
        matches!(
            pressed,
            Some(Event::Pressed {
                of: Short::Full,
                ..
            })
        ),
        "{pressed:?}"
    );
    story.hand_in("T4.1");
    assert_eq!(running(&story), [3, 6]);
    assert_eq!(story.mission.gate_leases().count(), 0);
    // Room for work comes back first, and the lane that has its workspace goes on.
    let relieved = Event::Relieved {
        of: Some(Short::Full),
    };
    assert_eq!(look(&mut story, cramped(300)), Some(relieved));
    assert_eq!(story.mission.gate_leases().count(), 1);
    assert_eq!(running(&story).len(), 3);
    story.tell(Input::Cancel { by: "me".into() });
    story.tell(Input::Resume {
        by: "me".into(),
        more_tokens: 0,
        more_money: 0,
        replan: false,
    });
    assert_eq!(
        (running(&story).len(), story.mission.gate_leases().count()),
        (0, 0)
    );
    assert!(look(&mut story, Sample::default()).is_some());
    assert_eq!(running(&story).len(), 3);
}

#[test]
fn a_full_disk_lets_nothing_begin_nothing_is_lost_and_all_goes_on_when_there_is_room() {
    let mut story = story();
    assert_eq!(look(&mut story, full(100)), None, "it just fits");
    let (of, admits) = (Short::Full, Priority::High);
    let wanted = Event::Pressed {
        of,
        used: 101,
        admits,
    };
    assert_eq!(look(&mut story, full(101)), Some(wanted));
    assert_eq!(look(&mut story, full(400)), None, "that is known");
    for turn in ["T3.1", "T5.1", "T6.1"] {
        story.hand_in(turn);
    }
    // What runs went on to its end; no Worker, no check and no Reviewer begins, though nothing else runs.
    assert_eq!(story.mission.leases().count(), 0);
    assert_eq!(story.mission.gate_leases().count(), 0);
    let waits = story.mission.waits(story.now);
    let told = waits
        .iter()
        .find(|wait| wait.cause.contains("disk of the state directory"));
    let told = told.expect("it is told");
    assert_eq!(told.who, "every new turn and check");
    assert_eq!(told.until, story.mission.deadline());
    story.wait(Millis::from_mins(60));
    assert!(story.mission.outcome().is_none());
    assert_eq!(look(&mut story, full(80)), None, "not enough yet");
    // It is no peak: other shortages come and go beside it.
    story.tell(Input::Sampled {
        sample: Sample {
            full: 90,
            ..memory(95, 90)
        },
    });
    assert_eq!(
        story.mission.pressure().map(|short| short.of),
        Some(Short::Memory)
    );
    assert_eq!(
        look(&mut story, full(79)),
        Some(Event::Relieved { of: Some(of) })
    );
    assert_eq!(story.mission.gate_leases().count(), 1);
    story.gates(|_, _| false);
    assert_eq!(story.count("gate_lost") + story.count("task_failed"), 0);
    assert!(story.mission.leases().count() > 0);
}

#[test]
fn a_disk_that_stays_full_ends_the_mission_by_its_deadline_and_not_before() {
    let mut story = story();
    story.tell(Input::Sampled { sample: full(500) });
    for turn in ["T3.1", "T5.1", "T6.1"] {
        story.hand_in(turn);
    }
    let left = story.mission.deadline().since(story.now);
    story.wait(Millis(left.0 - 1));
    assert!(story.mission.outcome().is_none());
    story.wait(Millis(1));
    let why = &story.mission.reasons()[0];
    assert!(why.starts_with("its time of"), "{why}");
}
