//! Looks at the machine: how much of its memory is in use, how much wants to run, how long somebody waited for memory, and
//! how long everybody waited for a disk or for a processor. It only looks; what follows from it the core says.
//!
//! Where a container has a limit, its own figures count beside the machine's. What the kernel keeps of files that it can
//! drop at once (`inactive_file`, and what is not in `MemAvailable`) is not in use: a build fills all memory with that.

use crate::room::Room;
use mission::limits;
use mission::schedule::{Gauge, Sample};
use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How often it looks.
pub(crate) const EVERY: Duration = Duration::from_secs(2);

/// So many looks reach over [`limits::PRESSURE_FOR`], both ends counted.
const LOOKS: usize = (limits::PRESSURE_FOR.0 / 2_000) as usize + 1;

/// Where a machine tells of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// `/proc`.
    pub proc: PathBuf,
    /// `/sys/fs/cgroup`.
    pub cgroups: PathBuf,
}

/// One look, in the units of [`Sample`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Look {
    memory: u32,
    processors: u32,
    stalled: u32,
    held_up: u32,
}

impl Machine {
    /// This one; nothing where the system does not tell in this way.
    pub fn here() -> Option<Self> {
        let proc = PathBuf::from("/proc");
        proc.join("meminfo").exists().then(|| Self {
            proc,
            cgroups: "/sys/fs/cgroup".into(),
        })
    }

    fn look(&self) -> Look {
        Look {
            memory: self
                .memory()
                .into_iter()
                .chain(self.contained())
                .max()
                .unwrap_or(0),
            processors: self.load().unwrap_or(0),
            stalled: self.stalled().unwrap_or(0),
            held_up: self.held_up().unwrap_or(0),
        }
    }

    /// The percent of the machine's memory that is in use.
    fn memory(&self) -> Option<u32> {
        let text = fs::read_to_string(self.proc.join("meminfo")).ok()?;
        let (all, free) = (field(&text, "MemTotal:")?, field(&text, "MemAvailable:")?);
        percent(all.saturating_sub(free), all)
    }

    /// The groups of processes that this one is in, with all that they are in, and how their files are named.
    fn groups(&self) -> Vec<(PathBuf, &'static Files)> {
        let text = fs::read_to_string(self.proc.join("self/cgroup")).unwrap_or_default();
        let groups = text.lines().filter_map(|line| {
            let mut parts = line.splitn(3, ':').skip(1);
            Some((parts.next()?, parts.next()?.trim_start_matches('/')))
        });
        groups
            .flat_map(|(kinds, group)| match kinds {
                "" => levels(&self.cgroups, group, &SECOND),
                _ if kinds.split(',').any(|kind| kind == "memory") => {
                    levels(&self.cgroups.join("memory"), group, &FIRST)
                }
                _ => Vec::new(),
            })
            .collect()
    }

    /// The same of each limit that a group has; it may stand at any of them.
    fn contained(&self) -> Vec<u32> {
        let host = fs::read_to_string(self.proc.join("meminfo")).unwrap_or_default();
        let host = field(&host, "MemTotal:").unwrap_or(u64::MAX / 2048) * 1024;
        let groups = self.groups().into_iter();
        groups
            .filter_map(|(level, files)| {
                let number = |file: &str| -> Option<u64> {
                    fs::read_to_string(level.join(file))
                        .ok()?
                        .trim()
                        .parse()
                        .ok()
                };
                // No limit is a word in one version and a number beyond all memory in the other.
                let most = number(files.most).filter(|most| *most <= host)?;
                let used = number(files.used)?;
                let stat = fs::read_to_string(level.join("memory.stat")).unwrap_or_default();
                let dropped = field(&stat, files.dropped).unwrap_or(0);
                percent(used.saturating_sub(dropped), most)
            })
            .collect()
    }

    /// What wanted to run in the last minute, for each hundred processors.
    fn load(&self) -> Option<u32> {
        let text = fs::read_to_string(self.proc.join("loadavg")).ok()?;
        let load: f64 = text.split_ascii_whitespace().next()?.parse().ok()?;
        // It is the whole machine's, however few of its processors this process may use.
        let stat = fs::read_to_string(self.proc.join("stat")).ok()?;
        let is_one = |line: &&str| {
            let rest = line.strip_prefix("cpu");
            rest.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
        };
        let processors = u32::try_from(stat.lines().filter(is_one).count()).ok()?;
        let of_hundred = (load * 100.0 / f64::from(processors.max(1))).round();
        (of_hundred.is_finite() && of_hundred >= 0.0).then_some(of_hundred.min(1e9) as u32)
    }

    /// The percent of the last ten seconds in which somebody waited for memory, on the machine or in a group that this
    /// process is in: one with a limit waits for its own memory while the machine has plenty.
    fn stalled(&self) -> Option<u32> {
        let groups = self.groups().into_iter();
        let groups = groups.map(|(level, _)| level.join("memory.pressure"));
        let all = std::iter::once(self.proc.join("pressure/memory")).chain(groups);
        all.filter_map(|file| waited(&fs::read_to_string(file).ok()?, "some "))
            .max()
    }

    /// The percent of the last ten seconds in which all of this process's own group that could have run waited for a disk
    /// or for a processor. Of the whole machine that says nothing: one that idles but for a backup waits for its disk.
    fn held_up(&self) -> Option<u32> {
        let (own, _) = self.groups().into_iter().next()?;
        let files = ["io.pressure", "cpu.pressure"].map(|file| own.join(file));
        let seen = files.into_iter();
        seen.filter_map(|file| waited(&fs::read_to_string(file).ok()?, "full "))
            .max()
    }
}

/// Of a group and of all that it is in.
fn levels(root: &Path, group: &str, files: &'static Files) -> Vec<(PathBuf, &'static Files)> {
    let inside = root.join(group);
    let levels = inside
        .ancestors()
        .take_while(|level| level.starts_with(root));
    levels.map(|level| (level.to_owned(), files)).collect()
}

/// What the kernel says of how long somebody waited, or everybody, in the line that begins so.
fn waited(text: &str, name: &str) -> Option<u32> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let words = line.split_ascii_whitespace();
    let share: f64 = words
        .filter_map(|word| word.strip_prefix("avg10="))
        .next()?
        .parse()
        .ok()?;
    (0.0..=100.0)
        .contains(&share)
        .then_some(share.round() as u32)
}

/// How a version of the kernel's groups names its files.
struct Files {
    most: &'static str,
    used: &'static str,
    dropped: &'static str,
}

const SECOND: Files = Files {
    most: "memory.max",
    used: "memory.current",
    dropped: "inactive_file",
};

const FIRST: Files = Files {
    most: "memory.limit_in_bytes",
    used: "memory.usage_in_bytes",
    dropped: "total_inactive_file",
};

/// The number after a word that begins a line.
fn field(text: &str, name: &str) -> Option<u64> {
    let mut lines = text.lines().map(str::split_ascii_whitespace);
    let mut words = lines.find(|words| words.clone().next() == Some(name))?;
    words.nth(1)?.parse().ok()
}

fn percent(part: u64, of: u64) -> Option<u32> {
    u32::try_from(u128::from(part) * 100 / u128::from(of.max(1))).ok()
}

/// The last looks at a machine.
#[derive(Debug)]
pub(crate) struct Watch {
    machine: Option<Machine>,
    room: Arc<Room>,
    looks: VecDeque<Look>,
}

impl Watch {
    /// Without a machine only its disk is looked at: where it is full, nothing that begins would end well.
    pub(crate) fn of(machine: Option<Machine>, room: Arc<Room>) -> Self {
        Self {
            machine,
            room,
            looks: VecDeque::new(),
        }
    }

    pub(crate) fn machine_is_left_alone(&self) -> bool {
        self.machine.is_none()
    }

    /// Looks once more, also at the room on the disk. Before it has looked for long enough nothing was too much for long enough.
    pub(crate) fn sample(&mut self) -> Sample {
        let look = self.machine.as_ref().map(Machine::look).unwrap_or_default();
        self.looks.push_back(look);
        if self.looks.len() > LOOKS {
            self.looks.pop_front();
        }
        let gauge = |of: fn(&Look) -> u32| Gauge {
            now: of(&look),
            least: match self.looks.len() < LOOKS {
                true => 0,
                false => self.looks.iter().map(of).min().unwrap_or(0),
            },
        };
        let (disk, full) = self.room.taken();
        Sample {
            memory: gauge(|look| look.memory),
            processors: gauge(|look| look.processors),
            stalled: gauge(|look| look.stalled),
            held_up: gauge(|look| look.held_up),
            disk,
            full,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    /// A machine made of files: 16 GiB, of which `free` can be had.
    struct Made(tempfile::TempDir);

    impl Made {
        fn with(free: u64) -> Self {
            let made = Self(tempfile::tempdir().unwrap());
            let free = free / 1024;
            let all = 16 * GIB / 1024;
            let meminfo = format!("MemTotal: {all} kB\nMemFree: 9 kB\nMemAvailable: {free} kB\n");
            made.write("proc/meminfo", &meminfo)
        }

        fn write(self, name: &str, text: &str) -> Self {
            let path = self.0.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
            self
        }

        fn machine(&self) -> Machine {
            Machine {
                proc: self.0.path().join("proc"),
                cgroups: self.0.path().join("cgroup"),
            }
        }

        fn group(self, name: &str, most: &str, used: u64, dropped: u64) -> Self {
            let stat = format!("anon 5\ninactive_file {dropped}\nactive_file 7\n");
            self.write(&format!("cgroup/{name}/memory.max"), &format!("{most}\n"))
                .write(
                    &format!("cgroup/{name}/memory.current"),
                    &format!("{used}\n"),
                )
                .write(&format!("cgroup/{name}/memory.stat"), &stat)
        }
    }

    #[test]
    fn a_full_cache_of_files_is_no_memory_in_use() {
        // Nothing is free, and three quarters of all can be had at once.
        assert_eq!(Made::with(12 * GIB).machine().look().memory, 25);
        let made = Made::with(12 * GIB).write("proc/self/cgroup", "0::/a/b\n");
        let full = made.group("a/b", &(4 * GIB).to_string(), 4 * GIB, 3 * GIB);
        assert_eq!(
            full.machine().look().memory,
            25,
            "as much of the container's"
        );
        let used = full.group("a/b", &(4 * GIB).to_string(), 4 * GIB, GIB / 2);
        assert_eq!(used.machine().look().memory, 87);
    }

    /// Makes a group of processes with a limit, and says so. A child in it fills that with a file that it writes, and then
    /// holds most of it. Whoever made the group is not in it and always takes it away again.
    const GROUP: &str = r#"
import os, sys
group, most, file = sys.argv[1:]
def put(name, what):
    with open(name, "w") as out:
        out.write(str(what))
def fills():
    put(group + "/cgroup.procs", os.getpid())
    with open(file, "wb") as out:
        for _ in range(256):
            out.write(bytes(1 << 20))
        os.fsync(out.fileno())
    print("full", flush=True)
    sys.stdin.readline()
    held = b"x" * (110 << 20)
    print("held", flush=True)
    sys.stdin.readline()
os.mkdir(group)
try:
    put(group + "/" + most, 128 << 20)
    print("made", flush=True)
    child = os.fork()
    if child == 0:
        try:
            fills()
        finally:
            os._exit(0)
    os.waitpid(child, 0)
finally:
    os.rmdir(group)
    if os.path.exists(file):
        os.remove(file)
"#;

    #[test]
    fn what_the_kernel_keeps_of_files_is_not_in_use_and_what_a_process_holds_is() {
        use std::io::{BufRead as _, BufReader, Write as _};
        use std::process::{Command, Stdio};
        let name = format!("orchestrator-{}", std::process::id());
        let all = Path::new("/sys/fs/cgroup");
        let (root, files, own) = match all.join("memory").exists() {
            true => (all.join("memory"), &FIRST, format!("2:memory:/{name}\n")),
            false => (all.to_owned(), &SECOND, format!("0::/{name}\n")),
        };
        // The tests' own folder is on a disk; the temporary one may be memory.
        let program = std::env::current_exe().unwrap();
        let file = program.with_file_name(format!("{name}.cache"));
        let words: &[&str] = match rustix::process::geteuid().is_root() {
            true => &["python3", "-c", GROUP],
            false => &["sudo", "-n", "python3", "-c", GROUP],
        };
        let mut helper = Command::new(words[0]);
        helper.args(&words[1..]).arg(root.join(&name));
        helper.arg(files.most).arg(&file);
        helper.stdin(Stdio::piped()).stdout(Stdio::piped());
        let Ok(mut helper) = helper.spawn() else {
            return left_out();
        };
        let (mut to, from) = (helper.stdin.take().unwrap(), helper.stdout.take().unwrap());
        let mut says = BufReader::new(from).lines().map_while(Result::ok);
        if says.next().is_none() {
            helper.wait().unwrap();
            return left_out();
        }
        assert_eq!(says.next().as_deref(), Some("full"));
        let made = Made::with(12 * GIB).write("proc/self/cgroup", &own);
        let machine = Machine {
            cgroups: all.to_owned(),
            ..made.machine()
        };
        // The innermost level comes first.
        let seen = || {
            machine
                .contained()
                .first()
                .copied()
                .expect("it has a limit")
        };
        let used = fs::read_to_string(root.join(&name).join(files.used)).unwrap();
        let used: u64 = used.trim().parse().unwrap();
        assert!(used > 115 << 20, "it is full: {used}");
        assert!(seen() < 40, "{}", seen());
        to.write_all(b"\n").unwrap();
        assert_eq!(says.next().as_deref(), Some("held"));
        assert!(seen() > 80, "{}", seen());
        drop(to);
        assert!(helper.wait().unwrap().success());
    }

    /// A developer's machine may not allow what a test needs. Where a change is judged nothing may be missing.
    fn left_out() {
        let why = "nobody may make a group of processes here";
        assert!(std::env::var_os("CI").is_none(), "{why}");
        println!("left out: {why}");
    }

    #[test]
    fn a_limit_counts_at_whatever_level_it_stands() {
        let made = Made::with(12 * GIB).write("proc/self/cgroup", "0::/a/b\n");
        let made = made.group("a/b", "max", GIB, 0);
        let limited = made.group("a", &(2 * GIB).to_string(), GIB * 3 / 2, 0);
        assert_eq!(limited.machine().look().memory, 75);
        // What is no limit for all memory together is none.
        let none = limited.group("a", &u64::MAX.to_string(), GIB, 0);
        assert_eq!(none.machine().look().memory, 25);
    }

    #[test]
    fn groups_of_the_first_version_are_read_too() {
        let made = Made::with(12 * GIB)
            .write("proc/self/cgroup", "3:cpu,cpuacct:/x\n2:memory:/box\n")
            .write("cgroup/memory/box/memory.limit_in_bytes", &GIB.to_string())
            .write("cgroup/memory/box/memory.usage_in_bytes", &GIB.to_string())
            .write(
                "cgroup/memory/box/memory.stat",
                &format!("total_inactive_file {}\n", GIB / 2),
            );
        assert_eq!(made.machine().look().memory, 50);
    }

    #[test]
    fn load_and_waits_for_memory_are_read() {
        let made = Made::with(GIB)
            .write("proc/loadavg", "9.00 3.00 1.00 2/345 678\n")
            .write("proc/stat", "cpu  9 9\ncpu0 1\ncpu1 1\ncpu2 1\ncpu3 1\nintr 5\n")
            .write(
                "proc/pressure/memory",
                "some avg10=31.60 avg60=1.00 avg300=0.00 total=5\nfull avg10=3.00 avg60=0 avg300=0 total=1\n",
            );
        let seen = made.machine().look();
        assert_eq!((seen.processors, seen.stalled, seen.memory), (225, 32, 93));
        // A container with a limit waits for its own memory, at whatever level that stands.
        let some = |share| format!("some avg10={share} avg60=0 avg300=0 total=5\n");
        let made = made
            .write("proc/self/cgroup", "0::/a/b\n")
            .write("cgroup/a/b/memory.pressure", &some("3.00"))
            .write("cgroup/a/memory.pressure", &some("55.20"));
        assert_eq!(made.machine().look().stalled, 55);
    }

    #[test]
    fn only_where_everybody_waits_for_a_disk_or_a_processor_does_that_count() {
        let lines = |some: &str, full: &str| {
            format!(
                "some avg10={some} avg60=0 avg300=0 total=5\nfull avg10={full} avg60=0 avg300=0 total=1\n"
            )
        };
        let seen = |made: &Made| {
            let look = made.machine().look();
            (look.held_up, look.stalled)
        };
        // A build keeps all processors busy, and reads now and then.
        let made = Made::with(GIB)
            .write("proc/self/cgroup", "0::/a/b\n")
            .write("cgroup/a/b/cpu.pressure", &lines("97.00", "0.00"))
            .write("cgroup/a/b/io.pressure", &lines("60.00", "7.10"));
        assert_eq!(seen(&made), (7, 0));
        let made = made.write("cgroup/a/b/io.pressure", &lines("95.00", "91.40"));
        assert_eq!(seen(&made), (91, 0));
        // The share of a container's processors is used up while the machine has plenty.
        let made = made
            .write("cgroup/a/b/io.pressure", &lines("1.00", "0.00"))
            .write("cgroup/a/b/cpu.pressure", &lines("99.00", "88.00"));
        assert_eq!(seen(&made), (88, 0));
        // What others wait for on the machine, such as a backup for its disk, is theirs.
        let made = made
            .write("proc/pressure/io", &lines("99.00", "99.00"))
            .write("cgroup/a/io.pressure", &lines("99.00", "99.00"))
            .write("cgroup/a/b/cpu.pressure", &lines("3.00", "0.00"));
        assert_eq!(seen(&made), (0, 0));
    }

    #[test]
    fn what_a_machine_does_not_tell_is_no_pressure() {
        let made = Made(tempfile::tempdir().unwrap());
        assert_eq!(made.machine().look(), Look::default());
        let odd = made
            .write("proc/meminfo", "MemTotal: many\n")
            .write("proc/loadavg", "NaN\n")
            .write("proc/pressure/memory", "some avg10=-3\n")
            .write("proc/self/cgroup", "0::\n::\nx\n");
        assert_eq!(odd.machine().look(), Look::default());
    }

    #[test]
    fn only_what_lasted_is_told_as_lasting() {
        let made = Made::with(GIB);
        let room = Arc::new(Room::of(made.0.path(), made.0.path()));
        let mut watch = Watch::of(Some(made.machine()), room);
        for _ in 1..LOOKS {
            assert_eq!(watch.sample().memory, Gauge { now: 93, least: 0 });
        }
        assert_eq!(watch.sample().memory, Gauge { now: 93, least: 93 });
        let made = Made::with(12 * GIB);
        watch.machine = Some(made.machine());
        assert_eq!(watch.sample().memory, Gauge { now: 25, least: 25 });
    }
}
