//! Which lines of shell only look at files of the workspace, so that a person need not be asked about them.
//!
//! A line is read by a grammar much smaller than the shell's, and whatever is not in it is asked about: a program that is
//! not named here, an option that is not, a place outside, a variable, a substitution, a redirection into a file. Such a
//! line can run nothing else, write nothing, and show nothing from outside or of a file of secrets. git is left out,
//! because its configuration names programs, and a folder may bring its own. The grammar is that of the Bourne shells.

use std::path::Path;

/// Programs that only read, with what each may be told.
const PROGRAMS: [Program; 8] = [
    Program {
        name: "grep",
        flags: "rnilLwxcohHsvqFEPGa",
        values: "ABCme",
        words: &[
            "color",
            "color=",
            "recursive",
            "line-number",
            "ignore-case",
            "files-with-matches",
            "word-regexp",
            "count",
            "only-matching",
            "fixed-strings",
            "extended-regexp",
            "perl-regexp",
            "invert-match",
            "no-messages",
            "include=",
            "exclude=",
            "exclude-dir=",
            "context=",
            "max-count=",
            "regexp=",
        ],
        first: First::Pattern,
        shows: true,
    },
    Program {
        name: "rg",
        flags: "nNilwxcoSsFvUPHI",
        values: "ABCmegtT",
        words: &[
            "color=",
            "line-number",
            "no-line-number",
            "ignore-case",
            "smart-case",
            "files-with-matches",
            "word-regexp",
            "count",
            "only-matching",
            "fixed-strings",
            "invert-match",
            "multiline",
            "heading",
            "no-heading",
            "glob=",
            "type=",
            "type-not=",
            "context=",
            "max-count=",
            "regexp=",
            "files",
            "sort=",
        ],
        first: First::Pattern,
        shows: true,
    },
    Program {
        name: "ls",
        flags: "laAh1RtrSdFp",
        values: "",
        words: &["all", "color", "color="],
        first: First::Path,
        shows: false,
    },
    Program {
        name: "head",
        flags: "qv",
        values: "nc",
        words: &["lines=", "bytes="],
        first: First::Path,
        shows: true,
    },
    Program {
        name: "tail",
        flags: "qv",
        values: "nc",
        words: &["lines=", "bytes="],
        first: First::Path,
        shows: true,
    },
    Program {
        name: "wc",
        flags: "lwcmL",
        values: "",
        words: &["lines", "words", "bytes"],
        first: First::Path,
        shows: false,
    },
    Program {
        name: "sort",
        flags: "nruhfVb",
        values: "kt",
        words: &["unique", "reverse"],
        first: First::Path,
        shows: true,
    },
    Program {
        name: "uniq",
        flags: "cdui",
        values: "",
        words: &["count"],
        first: First::Nothing,
        shows: true,
    },
];

/// What `find` may be told: how it chooses and that it prints, and nothing that it does with what it finds.
const FIND: [&str; 16] = [
    "-name",
    "-iname",
    "-path",
    "-ipath",
    "-type",
    "-maxdepth",
    "-mindepth",
    "-size",
    "-mtime",
    "-not",
    "-o",
    "-or",
    "-a",
    "-empty",
    "-prune",
    "-print",
];

/// A program that only reads.
struct Program {
    name: &'static str,
    /// Options of one letter, which may stand together.
    flags: &'static str,
    /// Options of one letter that take a value, from the rest of the word or from the next one.
    values: &'static str,
    /// Options of a word. What takes a value is written with `=` here and has to be there: whether a word of its own is
    /// its value or another option is for the program to say.
    words: &'static [&'static str],
    first: First,
    /// Whether what stands in files is shown.
    shows: bool,
}

/// What the first of a program's words is that is no option.
#[derive(Clone, Copy, PartialEq, Eq)]
enum First {
    Pattern,
    Path,
    /// It may have none: it would write into its second.
    Nothing,
}

/// Whether all that a line of shell does is to look at files of the workspace in this folder.
pub(super) fn only_searches(line: &str, root: &Path) -> bool {
    let searches = |command: &Vec<String>| searches(command, root);
    commands(line).is_some_and(|commands| commands.iter().all(searches))
}

/// The commands of a line, each as its words. `None` where the line holds what this grammar does not have.
fn commands(line: &str) -> Option<Vec<Vec<String>>> {
    let mut commands = vec![Vec::new()];
    let mut rest = line.trim();
    while !rest.is_empty() {
        let next = rest.trim_start_matches(' ');
        if let Some(after) = ["&&", "||", "|", ";"]
            .iter()
            .find_map(|joint| next.strip_prefix(joint))
        {
            // Where nothing stands between two of them, or `|&`, the next word is none or unknown.
            commands.push(Vec::new());
            rest = after;
        } else if let Some(after) = silenced(next) {
            rest = after;
        } else {
            let (word, after) = word(next)?;
            commands.last_mut()?.push(word);
            rest = after;
        }
    }
    Some(commands)
}

/// What comes after a redirection that only leaves out what a program complains of.
fn silenced(text: &str) -> Option<&str> {
    let after = ["2>/dev/null", "2>&1"]
        .iter()
        .find_map(|words| text.strip_prefix(words))?;
    (after.is_empty() || after.starts_with([' ', '|', ';'])).then_some(after)
}

/// The first word, as the program is told it, and what comes after it.
fn word(text: &str) -> Option<(String, &str)> {
    let (mut word, mut globs) = (String::new(), false);
    let mut chars = text.char_indices();
    let mut end = text.len();
    while let Some((at, c)) = chars.next() {
        match c {
            ' ' | '|' | ';' | '&' => {
                end = at;
                break;
            }
            '\'' => single(&mut chars, &mut word)?,
            '"' => double(&mut chars, &mut word)?,
            '*' | '?' => {
                globs = true;
                word.push(c);
            }
            // An equals sign in front is a place of its own to some shells.
            '=' if word.is_empty() => return None,
            c if c.is_alphanumeric() || "_-./:=+@%,".contains(c) => word.push(c),
            _ => return None,
        }
    }
    (end > 0 && !(globs && may_become_another(&word))).then(|| (word, &text[end..]))
}

/// Whether what a file is called may make another kind of word of one with `*` or `?`: an option, or the folder above.
fn may_become_another(word: &str) -> bool {
    let fixed = word.split(['*', '?']).next().unwrap_or_default();
    let is_option = fixed.starts_with('-') && !fixed.contains('=');
    fixed.is_empty() || fixed.starts_with('.') || is_option || word.contains("/.")
}

type Chars<'a> = std::str::CharIndices<'a>;

/// The rest of a text in single quotes. One that ends with a backslash ends elsewhere to some shells.
fn single(chars: &mut Chars<'_>, word: &mut String) -> Option<()> {
    loop {
        match chars.next()?.1 {
            '\'' => return (!word.ends_with('\\')).then_some(()),
            c if c.is_control() => return None,
            c => word.push(c),
        }
    }
}

/// The rest of a text in double quotes, in which nothing is put in place of anything.
fn double(chars: &mut Chars<'_>, word: &mut String) -> Option<()> {
    loop {
        match chars.next()?.1 {
            '"' => return Some(()),
            '$' | '`' | '!' => return None,
            '\\' => {
                let next = chars.next()?.1;
                if next.is_control() {
                    return None;
                }
                if !"\"\\$`".contains(next) {
                    word.push('\\');
                }
                word.push(next);
            }
            c if c.is_control() => return None,
            c => word.push(c),
        }
    }
}

/// Whether a command is one of those that only read, and is told nothing else.
fn searches(command: &[String], root: &Path) -> bool {
    let Some((name, told)) = command.split_first() else {
        return false;
    };
    if name == "find" {
        return finds(told, root);
    }
    let program = PROGRAMS.iter().find(|program| program.name == name);
    program.is_some_and(|program| program.only_reads(told, root))
}

/// Whether `find` only looks. Its places stand first; what follows an option of it is a pattern or a number.
fn finds(told: &[String], root: &Path) -> bool {
    let places = told.iter().take_while(|word| !word.starts_with('-'));
    let n_places = places.clone().count();
    let options = told[n_places..].iter().filter(|word| word.starts_with('-'));
    places.into_iter().all(|place| is_inside(place, root))
        && options
            .into_iter()
            .all(|option| FIND.contains(&option.as_str()))
}

impl Program {
    fn only_reads(&self, told: &[String], root: &Path) -> bool {
        let (mut others, mut has_pattern) = (Vec::new(), false);
        // What rg is told to look through it looks through with all that lies there.
        let mut deep = self.name == "rg";
        let mut told = told.iter();
        while let Some(word) = told.next() {
            if let Some(long) = word.strip_prefix("--") {
                let name = long.find('=').map_or(long, |at| &long[..=at]);
                if !self.words.contains(&name) {
                    return false;
                }
                has_pattern |= matches!(name, "regexp=" | "files");
                deep |= name == "recursive";
            } else if let Some(short) = word.strip_prefix('-').filter(|short| !short.is_empty()) {
                let Some(value) = self.value_of(short) else {
                    return false;
                };
                if value == Some("") && told.next().is_none() {
                    return false;
                }
                has_pattern |= short.contains('e');
                deep |= short.contains('r');
            } else {
                others.push(word.as_str());
            }
        }
        let from = match self.first {
            First::Nothing => return others.is_empty(),
            First::Pattern if !has_pattern => 1,
            First::Pattern | First::Path => 0,
        };
        let places = others.get(from..).unwrap_or_default();
        let plain = |place: &str| !(self.shows && place.contains(['*', '?']));
        let shown = match places {
            [] => &["."],
            some => some,
        };
        places
            .iter()
            .all(|place| plain(place) && is_inside(place, root))
            && !(self.first == First::Pattern
                && deep
                && shown.iter().any(|place| holds_secrets(&root.join(place))))
    }

    /// What of short options that stand together is the value of the last. `None` where one of them is not known.
    fn value_of<'a>(&self, short: &'a str) -> Option<Option<&'a str>> {
        if self.first == First::Path
            && short.bytes().all(|c| c.is_ascii_digit())
            && self.values.contains('n')
        {
            return Some(None);
        }
        for (at, c) in short.char_indices() {
            if self.values.contains(c) {
                return Some(Some(&short[at + c.len_utf8()..]));
            }
            if !self.flags.contains(c) {
                return None;
            }
        }
        Some(None)
    }
}

/// Whether a place lies in the folder, by its name and by where its links lead, and is no file of secrets.
fn is_inside(place: &str, root: &Path) -> bool {
    let plain = |part: &str| part != ".." && !is_secret(part);
    if place.starts_with(['/', '~']) || !place.split('/').all(plain) {
        return false;
    }
    // What is not there can be looked at by nobody.
    match (root.canonicalize(), root.join(place).canonicalize()) {
        (Ok(root), Ok(place)) => place.starts_with(root),
        (Ok(_), Err(_)) => true,
        (Err(_), _) => false,
    }
}

/// Whether files of this name are closed to an agent that reads.
fn is_secret(name: &str) -> bool {
    (name.ends_with(".env") || name.contains(".env.")) && !name.ends_with(".env.example")
}

/// So many entries of a folder are looked at; one with more is asked about.
const LOOKED_AT: usize = 20_000;

/// What tools make and install: nobody keeps secrets there.
const MADE: [&str; 5] = [".git", "node_modules", "target", ".venv", "venv"];

/// Whether a file of secrets lies in a folder, or may.
fn holds_secrets(folder: &Path) -> bool {
    let (mut open, mut seen) = (vec![folder.to_owned()], 0);
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            seen += 1;
            if is_secret(&name) || seen > LOOKED_AT {
                return true;
            }
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if is_folder && !MADE.contains(&name.as_ref()) {
                open.push(entry.path());
            }
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::only_searches;
    use std::fs;

    /// A workspace without secrets.
    fn workspace() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("src/deep")).unwrap();
        fs::create_dir_all(dir.path().join("node_modules/x")).unwrap();
        for file in ["src/lib.rs", ".env.example", "node_modules/x/.env"] {
            fs::write(dir.path().join(file), "x\n").unwrap();
        }
        dir
    }

    #[track_caller]
    fn asked_about(lines: &[&str]) {
        let dir = workspace();
        for line in lines {
            assert!(!only_searches(line, dir.path()), "{line}");
        }
    }

    #[test]
    fn what_only_looks_is_known() {
        let dir = workspace();
        for line in [
            "grep -rn 'fn main' src",
            "grep -rn \"foo\\.bar(\" --include=*.rs .",
            "grep -rniE \"a|b\" -A 3 -B3 src/lib.rs tests",
            "grep -e one -e two a b",
            "grep --regexp=one --include='*.rs' -r src",
            "rg -n \"\\bword\\b\" -g '*.ts' src 2>/dev/null | head -50",
            "rg --files src | wc -l",
            "ls",
            "ls -la src/ && ls tests; ls docs",
            "find . -name '*.rs' -not -path './target/*' | sort | uniq -c | sort -rn | head -n 20",
            "find -type f -maxdepth 2 2>&1 | tail -5",
            "grep -rn /api/v1 src",
            "wc -l src/*.rs",
            "sort -t, -k2 a.csv",
            "grep -rn 'größe' süß",
        ] {
            assert!(only_searches(line, dir.path()), "{line}");
        }
    }

    #[test]
    fn what_runs_or_writes_something_else_is_asked_about() {
        asked_about(&[
            "",
            "make",
            "grep -rn x . > out",
            "grep -rn x . >> out",
            "grep x <(make)",
            "grep $(make) .",
            "grep \"$(make)\" .",
            "grep \"`make`\" .",
            "grep x . & make",
            "grep x . |& make",
            "grep x .; make",
            "grep x .\nmake",
            "grep x .\r\nmake",
            "grep x 'a\nb'",
            "PATH=. grep x .",
            "PATH=.; grep x .",
            "X=1",
            "./grep x .",
            "/bin/grep x .",
            "=grep x",
            "(grep x .)",
            "{ grep x .; }",
            "! grep x .",
            "gr\\\nep x .",
            "ls\\\nblk",
            "git grep -n x",
            "git grep -Osh x",
            "rg --pre sh x",
            "rg --pre=sh x",
            "rg -z x",
            "rg x ^y",
            "rg --hidden x",
            "rg x *",
            "rg x -* y",
            "rg x --pr*=sh y",
            "rg x ?pre=sh",
            "rg -f list",
            "ls .*",
            "find . -exec make ;",
            "find . -delete",
            "find . -fprint out",
            "find . -name x -ok make",
            "sort -o out a",
            "sort --output=out a",
            "sort --compress-program=sh a",
            "uniq a b",
            "grep -f list x",
            "head -c",
            "grep 'a\\' '; make; '",
            "xargs make",
            "grep x a | xargs make",
            "echo a",
            "cat a",
            "tail -f a",
            "grep 'x",
            "grep \"x",
            "ls 2>out",
            "ls 2>/dev/nullx",
            "ls || || ls",
        ]);
    }

    #[test]
    fn what_a_program_may_take_for_another_option_is_asked_about() {
        asked_about(&[
            "rg --regexp -- --pre=sh src",
            "rg --regexp --pre=sh src",
            "rg --glob -- --pre=sh x",
            "grep -r --include -- --file=/etc/passwd .",
            "grep --regexp -- --file=/etc/passwd .",
            "grep -e x -- -f/etc/passwd",
        ]);
    }

    #[test]
    fn what_lies_outside_or_is_secret_is_asked_about() {
        asked_about(&[
            "ls /etc",
            "ls ..",
            "ls src/../..",
            "ls ~",
            "ls '~'",
            "ls $HOME",
            "grep -rn x /etc",
            "grep -rn x a ../b",
            "grep -rn /etc -e root",
            "grep -rn /etc --regexp=root",
            "grep -rn -- x /etc",
            "grep -R x .",
            "rg --files /etc",
            "rg -L x",
            "find /etc -name passwd",
            "find -L . -name x",
            "find . ../x -name y",
            "head /etc/passwd",
            "wc -l ../x",
            "head .env",
            "head .env.d/key",
            "head src/*",
            "grep x config/prod.en?",
            "grep KEY config/prod.env",
            "sort .env.local",
            "ls 'a b/../../c'",
            "ls src/.*",
        ]);
    }

    #[test]
    fn where_secrets_or_links_to_elsewhere_lie_a_search_is_asked_about() {
        let dir = workspace();
        let asks = |line: &str| !only_searches(line, dir.path());
        for line in ["grep -rn x", "grep -rn x .", "grep --recursive x .", "rg x"] {
            assert!(!asks(line), "{line}");
        }
        fs::write(dir.path().join("src/deep/prod.env"), "KEY=1\n").unwrap();
        for line in [
            "grep -rn x",
            "grep -rn x src",
            "grep --recursive x .",
            "rg x",
            "rg x src",
        ] {
            assert!(asks(line), "{line}");
        }
        assert!(!asks("grep -n x src/lib.rs") && !asks("ls -R src") && !asks("find . -name x"));
        std::os::unix::fs::symlink("/", dir.path().join("link")).unwrap();
        for line in [
            "head link/etc/passwd",
            "ls link",
            "grep -n x link/etc/passwd",
            "find link",
        ] {
            assert!(asks(line), "{line}");
        }
    }
}
