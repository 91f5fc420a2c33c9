use super::*;
use proptest::prelude::*;

const SCHEMA: &str = "https://opencode.ai/config.json";

fn read(text: &str) -> Text {
    Text::read(text.as_bytes()).unwrap_or_else(|wrong| panic!("{text:?}: {wrong}"))
}

fn ours(spec: &str) -> bool {
    spec == "/p"
}

/// The text with our entry, after it was shown that taking it out gives the old text back to the byte.
#[track_caller]
fn added(text: &str) -> String {
    let before = read(text);
    let added = before.add("/p", SCHEMA).expect("it can be added");
    let after = String::from_utf8(added.bytes).unwrap();
    if !before.is_empty() {
        let back = read(&after).remove(&ours, added.made_key).unwrap();
        assert_eq!(String::from_utf8(back).unwrap(), text, "from {after:?}");
    }
    after
}

#[track_caller]
fn check(text: &str, wanted: &str) {
    assert_eq!(added(text), wanted);
}

#[track_caller]
fn removed(text: &str, made_key: bool) -> String {
    String::from_utf8(read(text).remove(&ours, made_key).unwrap()).unwrap()
}

#[test]
fn an_entry_goes_behind_the_last_one_in_the_manner_of_its_neighbours() {
    check(r#"{"plugin":["a"]}"#, r#"{"plugin":["a", "/p"]}"#);
    check(r#"{"plugin":["a",]}"#, r#"{"plugin":["a", "/p",]}"#);
    check(r#"{"plugin": [ "a" ]}"#, r#"{"plugin": [ "a", "/p" ]}"#);
    check(
        r#"{"plugin":[["a",{"x":[1,]}],"b@1"]}"#,
        r#"{"plugin":[["a",{"x":[1,]}],"b@1", "/p"]}"#,
    );
    check(
        "{\n\t\"plugin\": [\n\t\t\"a\", // first\n\t\t\"b\" // last  \n\t]\n}",
        "{\n\t\"plugin\": [\n\t\t\"a\", // first\n\t\t\"b\", // last  \n\t\t\"/p\"\n\t]\n}",
    );
    check(
        "{\r\n    \"plugin\": [\r\n        \"a\", /* x */ // y\r\n        // end\r\n    ],\r\n}\r\n",
        "{\r\n    \"plugin\": [\r\n        \"a\", /* x */ // y\r\n        \"/p\",\r\n        // end\r\n    ],\r\n}\r\n",
    );
    check(
        "{\"plugin\": [\n  \"a\"\n  , \"b\"\n]}",
        "{\"plugin\": [\n  \"a\"\n  , \"b\", \"/p\"\n]}",
    );
    check(
        "{\"plugin\": [\n  \"a\", /* of\n two */\n]}",
        "{\"plugin\": [\n  \"a\",\n  \"/p\", /* of\n two */\n]}",
    );
    check(
        "{\"plugin\": [\n  \"a\" /* x */\n  /* y */ , // z\n]}",
        "{\"plugin\": [\n  \"a\" /* x */\n  /* y */ , // z\n  \"/p\",\n]}",
    );
}

#[test]
fn an_empty_list_gets_its_first_entry() {
    check(r#"{"plugin":[]}"#, r#"{"plugin":["/p"]}"#);
    check(r#"{"plugin":[ /*n*/ ]}"#, r#"{"plugin":["/p" /*n*/ ]}"#);
    check(
        "{\n  \"plugin\": [\n    // none\n  ]\n}",
        "{\n  \"plugin\": [\n    \"/p\"\n    // none\n  ]\n}",
    );
}

#[test]
fn a_missing_key_is_made_behind_the_last_one() {
    check("{}", r#"{"plugin": ["/p"]}"#);
    check("{ }", r#"{"plugin": ["/p"] }"#);
    check(r#"{"a":1}"#, r#"{"a":1, "plugin": ["/p"]}"#);
    check("{\n\t// c\n}\n", "{\n\t\"plugin\": [\"/p\"]\n\t// c\n}\n");
    check(
        "// top\n{\n  \"model\": \"x\" // why\n}",
        "// top\n{\n  \"model\": \"x\", // why\n  \"plugin\": [\"/p\"]\n}",
    );
    check(
        "{\n  \"agent\": { \"plugin\": [\"x\"] },\n}\n",
        "{\n  \"agent\": { \"plugin\": [\"x\"] },\n  \"plugin\": [\"/p\"],\n}\n",
    );
}

#[test]
fn an_empty_file_becomes_one_that_opencode_has_nothing_to_add_to() {
    let wanted =
        "{\n  \"$schema\": \"https://opencode.ai/config.json\",\n  \"plugin\": [\"/p\"]\n}\n";
    assert_eq!(added(""), wanted);
    let left = removed(wanted, true);
    assert_eq!(left, template(SCHEMA, ""));
    assert_eq!(added("\u{feff}"), format!("\u{feff}{wanted}"));
}

#[test]
fn what_is_odd_and_not_ours_keeps_every_byte() {
    check(
        "\u{feff}{\"n\":1e400,\"m\":9007199254740993,\"s\":\"\\ud800\",\"pl\\u0075gin\":[\"a\"]}",
        "\u{feff}{\"n\":1e400,\"m\":9007199254740993,\"s\":\"\\ud800\",\"pl\\u0075gin\":[\"a\", \"/p\"]}",
    );
    // Of two equal keys OpenCode takes the last.
    check(
        r#"{"plugin":["a"],"plugin":["b"]}"#,
        r#"{"plugin":["a"],"plugin":["b", "/p"]}"#,
    );
    check(
        r#"{"plugin":[{"x":1},null,7,["a",{},3]]}"#,
        r#"{"plugin":[{"x":1},null,7,["a",{},3], "/p"]}"#,
    );
    let huge = format!("{{\"x\":[{}1],\"plugin\":[]}}", "\"é\",\n".repeat(200_000));
    assert_eq!(added(&huge).len(), huge.len() + 4);
}

#[test]
fn what_opencode_would_put_in_place_of_a_brace_is_not_put_in_ours() {
    let entry = read("{}").add("/{env:HOME}/p", SCHEMA).unwrap();
    let text = String::from_utf8(entry.bytes).unwrap();
    assert_eq!(text, r#"{"plugin": ["/\u007benv:HOME}/p"]}"#);
    assert_eq!(read(&text).specs(), Some(vec![Some("/{env:HOME}/p")]));
}

#[test]
fn an_entry_is_taken_out_wherever_it_has_got_to() {
    for (text, left) in [
        (r#"{"plugin":["/p"]}"#, r#"{"plugin":[]}"#),
        (r#"{"plugin":["/p",]}"#, r#"{"plugin":[]}"#),
        (r#"{"plugin":["/p", "a"]}"#, r#"{"plugin":["a"]}"#),
        (r#"{"plugin":["a", "/p", "b"]}"#, r#"{"plugin":["a", "b"]}"#),
        (
            r#"{"plugin":[["/p",{"x":1}],"a","/p"]}"#,
            r#"{"plugin":["a"]}"#,
        ),
        (
            r#"{"plugin":["/p"],"plugin":["/p","a"]}"#,
            r#"{"plugin":[],"plugin":["a"]}"#,
        ),
        (
            "{\"plugin\":[\n\t\"/p\", // mine\n\t\"a\"\n]}",
            "{\"plugin\":[ // mine\n\t\"a\"\n]}",
        ),
        // The comment's line must not swallow the bracket.
        (
            "{\"plugin\":[\n\t\"a\", // b\n\t\"/p\"]}",
            "{\"plugin\":[\n\t\"a\" // b\n\t]}",
        ),
    ] {
        assert_eq!(removed(text, false), left);
    }
    assert_eq!(
        removed("{\"plugin\":[\"a\",\"/p\"]}", true),
        r#"{"plugin":["a"]}"#,
        "a key with somebody else's entry stays"
    );
    assert_eq!(
        removed("{\"a\":1,\"plugin\":[\"/p\"],\"b\":2}", true),
        r#"{"a":1,"b":2}"#
    );
    assert!(read(r#"{"plugin":["a"]}"#).remove(&ours, true).is_none());
    assert!(read("").remove(&ours, true).is_none());
}

#[test]
fn a_list_that_is_none_is_named_with_its_place() {
    for (text, what, line, column) in [
        ("{\n  \"plugin\": \"a\"}", "string", 2, 13),
        ("{\"plugin\": null}", "null", 1, 12),
        ("{\"plugin\": {}}", "object", 1, 12),
        ("{\"plugin\": 7}", "no array", 1, 12),
        ("[]", "not an object", 1, 1),
        ("null", "not an object", 1, 1),
        ("{\"plugin\": [\"a\" \"b\"]}", "comma", 1, 17),
    ] {
        let wrong = Text::read(text.as_bytes()).unwrap_err();
        assert!(wrong.what.contains(what), "{wrong}");
        assert_eq!((wrong.line, wrong.column), (line, column), "{text}");
    }
    let wrong = Text::read(b"{\n \"a\": \"\xff\"}").unwrap_err();
    assert_eq!((wrong.line, wrong.column), (2, 8), "{wrong}");
}

/// Anything that may stand between two tokens.
fn trivia() -> impl Strategy<Value = String> {
    let one = prop_oneof![
        6 => Just(""), 4 => Just(" "), 3 => Just("\n"), 2 => Just("\r\n"), 2 => Just("\t"), 3 => Just("\n    "),
        1 => Just("// a \"plugin\": [ \n"), 1 => Just("/* { */"), 1 => Just("/* \n , */"), 1 => Just("\r"),
        1 => Just(" // ends with spaces  \r\n"),
    ];
    prop::collection::vec(one, 0..3).prop_map(|parts| parts.concat())
}

fn scalar() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("null".to_owned()),
        Just("-1.5e+400".to_owned()),
        Just("9007199254740993".to_owned()),
        "[a-z ,\\]}{/*\\[:é😀]{0,6}".prop_map(|text| format!("\"{text}\"")),
        Just("\"\\u0070\\\"\\ud83d\"".to_owned()),
    ]
}

/// Items between brackets, with anything between them, and perhaps a last comma.
fn joined(
    open: &'static str,
    close: &'static str,
    item: impl Strategy<Value = String>,
) -> impl Strategy<Value = String> {
    let items = prop::collection::vec((trivia(), item, trivia()), 0..4);
    (items, trivia(), any::<bool>(), trivia()).prop_map(move |(items, empty, last, end)| {
        let comma = if last && !items.is_empty() { "," } else { "" };
        let items: Vec<String> = items.iter().map(|(a, b, c)| format!("{a}{b}{c}")).collect();
        let inside = if items.is_empty() {
            empty
        } else {
            items.join(",")
        };
        format!("{open}{inside}{comma}{end}{close}")
    })
}

fn value() -> impl Strategy<Value = String> {
    scalar().boxed().prop_recursive(3, 12, 3, |inner| {
        let property = (trivia(), trivia(), inner.clone())
            .prop_map(|(a, b, value)| format!("\"plugin\"{a}:{b}{value}"));
        prop_oneof![joined("[", "]", inner), joined("{", "}", property)].boxed()
    })
}

fn config() -> impl Strategy<Value = String> {
    let key = prop_oneof![Just("\"model\""), Just("\"x\""), Just("\"plug\\u0069ns\"")];
    let other = (key, trivia(), trivia(), value())
        .prop_map(|(key, a, b, value)| format!("{key}{a}:{b}{value}"));
    let list = (trivia(), trivia(), joined("[", "]", value()))
        .prop_map(|(a, b, list)| format!("\"plugin\"{a}:{b}{list}"));
    let property = prop_oneof![3 => other.boxed(), 1 => list.boxed()];
    let mark = prop_oneof![4 => Just(""), 1 => Just("\u{feff}")];
    (mark, trivia(), joined("{", "}", property), trivia())
        .prop_map(|(mark, a, object, b)| format!("{mark}{a}{object}{b}"))
}

/// How many bytes an edit may add: the entry, its key, an indent, a line end, two commas.
const MOST: usize = 100;

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, ..ProptestConfig::default() })]

    #[test]
    fn putting_it_in_and_taking_it_out_is_the_identity_on_bytes(text in config()) {
        // An entry that is there already is ours, and goes as well.
        prop_assume!(!text.contains("\"/p\""));
        // The entry's presence, and that all else says the same, is shown by the edit itself before it returns.
        let after = added(&text);
        prop_assert!(after.len() > text.len() && after.len() < text.len() + MOST);
        prop_assert!(is_within(&text, &after), "{text:?} became {after:?}");
    }

    #[test]
    fn no_text_whatever_makes_it_panic(text in ".{0,40}", bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        let _read = Text::read(text.as_bytes());
        let _read = Text::read(&bytes);
    }
}

/// Whether the old text is the new one with at most two pieces cut out of it.
fn is_within(old: &str, new: &str) -> bool {
    let (old, new) = (old.as_bytes(), new.as_bytes());
    let same = |a: &[u8], b: &[u8]| a.iter().zip(b).take_while(|(a, b)| a == b).count();
    let head = same(old, new);
    let reversed = |bytes: &[u8]| bytes.iter().rev().copied().collect::<Vec<u8>>();
    let tail = same(&reversed(&old[head..]), &reversed(&new[head..]));
    let (old, new) = (&old[head..old.len() - tail], &new[head..new.len() - tail]);
    let cut = new.len() - old.len();
    old.is_empty() || (1..=cut).any(|n| new[n..].starts_with(old))
}
