use super::graph::{reaches, topological};
use super::*;
use proptest::prelude::*;

/// A draft from lines `id: needs needs > writes writes`.
fn draft(lines: &str) -> Draft {
    let words = |text: &str| {
        text.split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let tasks = lines
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .map(|line| {
            let (id, rest) = line.split_once(':').unwrap();
            let (needs, writes) = rest.split_once('>').unwrap_or((rest, ""));
            TaskDraft {
                id: id.to_owned(),
                title: format!("do {id}"),
                goal: format!("{id} is done"),
                needs: words(needs),
                writes: words(writes),
                acceptance: vec![format!("test -e {id}")],
                ..TaskDraft::default()
            }
        });
    Draft {
        tasks: tasks.collect(),
    }
}

fn faults(lines: &str) -> Vec<String> {
    check_draft(&draft(lines))
}

fn check_draft(draft: &Draft) -> Vec<String> {
    match check(draft, Millis::from_secs(60)) {
        Ok(_) => Vec::new(),
        Err(faults) => faults.iter().map(Fault::to_string).collect(),
    }
}

#[test]
fn a_cycle_is_named_in_order() {
    let told = faults("a: c\n b: a\n c: b\n d: a");
    assert_eq!(
        told,
        ["these tasks need each other in a circle: a -> c -> b -> a"]
    );
    assert_eq!(
        faults("a: a"),
        ["these tasks need each other in a circle: a -> a"]
    );
}

#[test]
fn all_faults_of_a_draft_are_told_at_once() {
    let mut bad = draft("a: zz\n a:\n b: > /etc/passwd ../up C:\\x ~/x file://x");
    bad.tasks[2].acceptance.clear();
    bad.tasks[0].acceptance.push("npm test || true".into());
    let long = "x".repeat(5_000);
    let more = ["\\\\host\\x", "a\0b", &long];
    bad.tasks[2].writes.extend(more.map(str::to_owned));
    let told = check_draft(&bad);
    assert_eq!(told.len(), 12, "{told:#?}");
    assert!(told.iter().any(|t| t.contains("it holds a NUL")));
    assert!(told.iter().any(|t| t.contains("it is too long")));
    assert!(told[0].contains("two tasks have the id `a`"));
    assert!(told[1].contains("`a` needs `zz`"));
    assert!(
        told.iter()
            .any(|t| t.contains("`b` has no acceptance command"))
    );
    assert!(told.iter().any(|t| t.contains("always passes")));
}

#[test]
fn a_plan_of_ten_thousand_tasks_is_refused_by_its_size() {
    let mut big = draft("a:");
    big.tasks = (0..10_000)
        .map(|n| TaskDraft {
            id: format!("t{n}"),
            ..big.tasks[0].clone()
        })
        .collect();
    assert_eq!(check_draft(&big).len(), 1);
    let mut long = draft("a:");
    long.tasks[0].goal = "x".repeat(limits::PLAN_BYTES);
    assert!(check_draft(&long)[0].contains("bytes"));
}

#[test]
fn a_chain_that_is_too_deep_is_refused() {
    let lines: Vec<String> = (0..=limits::PLAN_DEPTH)
        .map(|n| {
            if n == 0 {
                "t0:".into()
            } else {
                format!("t{n}: t{}", n - 1)
            }
        })
        .collect();
    assert_eq!(
        faults(&lines.join("\n")),
        ["the longest chain of needs has 51 tasks; at most 50 are taken"]
    );
}

#[test]
fn overlapping_forecasts_get_an_edge_from_the_engine() {
    let plan = check(
        &draft(
            "a: > src/auth/login.rs
             b: > src/auth
             c: b > src/auth/*.rs
             d: > src/authors.rs
             e: > docs/**",
        ),
        Millis::from_secs(60),
    )
    .unwrap();
    let added: Vec<(String, Vec<TaskId>)> = plan
        .tasks
        .iter()
        .map(|t| (t.key.clone(), t.added.clone()))
        .collect();
    let edges = |key: &str| added.iter().find(|(k, _)| k == key).unwrap().1.clone();
    assert_eq!(
        edges("b"),
        [TaskId(1)],
        "a folder overlaps with what is in it"
    );
    assert_eq!(edges("c"), [], "b orders a and c already");
    assert_eq!(
        edges("d"),
        [],
        "a name that only starts alike is another name"
    );
    assert_eq!(edges("e"), []);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_accepted_plan_is_acyclic_and_orders_every_overlap(
        edges in prop::collection::vec((0usize..12, 0usize..12), 0..24),
        writes in prop::collection::vec(0usize..5, 12),
    ) {
        let mut graph = draft(&(0..12).map(|n| format!("t{n}: > f{}", writes[n])).collect::<Vec<_>>().join("\n"));
        for (a, b) in edges {
            if a != b {
                graph.tasks[a].needs.push(format!("t{b}"));
            }
        }
        match check(&graph, Millis::from_secs(60)) {
            Err(faults) => {
                let Fault::Cycle { ids } = &faults[0] else { panic!("{faults:?}") };
                prop_assert_eq!(ids.first(), ids.last());
                for pair in ids.windows(2) {
                    let task = graph.tasks.iter().find(|t| t.id == pair[0]).unwrap();
                    prop_assert!(task.needs.contains(&pair[1]), "{} does not need {}", pair[0], pair[1]);
                }
            }
            Ok(plan) => {
                let needs: Vec<BTreeSet<usize>> = plan.tasks.iter()
                    .map(|t| t.needs.iter().map(|n| n.0 as usize - 1).collect()).collect();
                prop_assert_eq!(topological(&needs).len(), 12);
                for a in 0..12 {
                    for b in 0..a {
                        if writes[a] == writes[b] {
                            prop_assert!(reaches(&needs, a, b) || reaches(&needs, b, a));
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn the_limits_of_a_plan_are_what_they_say() {
    let of = |n: usize| Draft {
        tasks: (0..n)
            .map(|n| TaskDraft {
                id: format!("t{n}"),
                ..draft("a:").tasks.remove(0)
            })
            .collect(),
    };
    assert!(check_draft(&of(limits::PLAN_TASKS)).is_empty());
    assert!(check_draft(&of(limits::PLAN_TASKS + 1))[0].contains("at most 200"));
    let chain = |n: usize| {
        let mut chain = of(n);
        for place in 1..n {
            chain.tasks[place].needs = vec![format!("t{}", place - 1)];
        }
        chain
    };
    assert!(check_draft(&chain(limits::PLAN_DEPTH)).is_empty());
    assert!(check_draft(&chain(limits::PLAN_DEPTH + 1))[0].contains("at most 50"));
    let mut sized = of(50);
    let spare = limits::PLAN_BYTES - sized.bytes();
    for task in &mut sized.tasks {
        task.goal = "g".repeat(spare / 50);
    }
    let spare = limits::PLAN_BYTES - sized.bytes();
    sized.tasks[0].goal.push_str(&"g".repeat(spare));
    assert_eq!(sized.bytes(), limits::PLAN_BYTES);
    assert!(check_draft(&sized).is_empty());
    sized.tasks[0].goal.push('g');
    assert!(check_draft(&sized)[0].contains("bytes"));
}

#[test]
fn tasks_that_only_share_lock_files_and_changelogs_run_side_by_side() {
    let sixty: String = (0..60)
        .map(|n| format!("t{n}: > CHANGELOG.md Cargo.lock src/{n}.rs\n"))
        .collect();
    let plan = check(&draft(&sixty), Millis(1)).unwrap();
    assert!(plan.tasks.iter().all(|task| task.needs.is_empty()));
}

#[test]
fn edges_that_the_engine_adds_refuse_no_plan() {
    let sixty: String = (0..60).map(|n| format!("t{n}: > src/lib.rs\n")).collect();
    let plan = check(&draft(&sixty), Millis(1)).unwrap();
    assert_eq!(plan.tasks[59].added, [TaskId(59)]);
}

#[test]
fn the_same_path_written_in_another_way_overlaps() {
    for other in [
        ".",
        "./",
        "src/./lib.rs",
        "src//lib.rs",
        "./src",
        "src\\lib.rs",
    ] {
        let plan = check(&draft(&format!("a: > src/lib.rs\nb: > {other}")), Millis(1)).unwrap();
        assert_eq!(plan.tasks[1].added, [TaskId(1)], "{other}");
    }
}

#[test]
fn a_command_with_a_nul_and_a_title_of_two_lines_are_faults() {
    let mut bad = draft("a:");
    bad.tasks[0].acceptance = vec!["test\0 -e a".into()];
    bad.tasks[0].title = "one\ntwo".into();
    let told = check_draft(&bad);
    assert_eq!(told.len(), 2, "{told:#?}");
    bad.tasks[0].acceptance = vec!["test -e a &&\n\ttest -e b".into()];
    bad.tasks[0].title = "one".into();
    assert!(check_draft(&bad).is_empty());
}

#[test]
fn what_a_task_wants_to_itself_is_named_plainly_and_leaves_something_for_others() {
    let mut bad = draft("a:\n b:\n c:");
    bad.tasks[0].resources = vec!["a port".into(), String::new()];
    bad.tasks[1].resources = (0..5).map(|n| format!("r{n}")).collect();
    bad.tasks[1].weight = Some(0);
    bad.tasks[2].weight = Some(5);
    let told = check_draft(&bad).join("\n");
    for wanted in [
        "`a` names the resource \"a port\"",
        "`a` names the resource \"\"",
        "`resources` of `b` has 5 entries",
        "the weight of `b` is 0; it must be 1 to 4",
        "the weight of `c` is 5; it must be 1 to 4",
    ] {
        assert!(told.contains(wanted), "{wanted}: {told}");
    }
    let mut many = draft("a:\n b:\n c:\n d:\n e:");
    for (n, task) in (0..).zip(&mut many.tasks) {
        task.resources = (0..4).map(|r| format!("r{}", n * 4 + r)).collect();
    }
    let told = check_draft(&many);
    assert!(
        told[0].starts_with("the plan names 20 resources; at most 16"),
        "{told:?}"
    );
    let mut good = draft("a:\n b:");
    good.tasks[0].resources = vec!["port:80".into(), "db".into(), "port:80".into()];
    good.tasks[0].weight = Some(4);
    let plan = check(&good, Millis::from_secs(60)).unwrap();
    assert_eq!(plan.tasks[0].resources, ["db", "port:80"]);
    assert_eq!([plan.tasks[0].weight, plan.tasks[1].weight], [4, 1]);
}
