//! The shapes of graphs, and how long their tasks take.

use mission::plan::Size;

/// One task.
pub(crate) struct Node {
    pub(crate) needs: Vec<usize>,
    pub(crate) size: Size,
    /// How long it really takes, in milliseconds.
    pub(crate) takes: u64,
}

pub(crate) struct Graph {
    pub(crate) tasks: Vec<Node>,
}

/// A fixed graph: what each task needs and how big it is follows from its place.
pub(crate) struct Shape {
    pub(crate) name: &'static str,
    needs: fn(usize) -> Vec<usize>,
    size: fn(usize) -> Size,
}

pub(crate) const SHAPES: [Shape; 6] = [
    Shape {
        name: "wide",
        needs: |_| Vec::new(),
        size: mixed,
    },
    // Twelve chains.
    Shape {
        name: "deep",
        needs: |n| n.checked_sub(12).into_iter().collect(),
        size: mixed,
    },
    // One task, eighteen that need it, one that needs those; ten times one after the other.
    Shape {
        name: "diamond",
        needs: |n| match (n % 20, n - n % 20) {
            (0, first) => first.checked_sub(1).into_iter().collect(),
            (19, first) => (first + 1..n).collect(),
            (_, first) => vec![first],
        },
        size: mixed,
    },
    // Ten layers of twenty, each task with up to three of the layer before.
    Shape {
        name: "random layered",
        needs: |n| match n / 20 {
            0 => Vec::new(),
            layer => {
                let mut needs: Vec<usize> = (0..1 + mix(n as u64) % 3)
                    .map(|k| ((layer - 1) * 20) + (mix(n as u64 * 7 + k) % 20) as usize)
                    .collect();
                needs.sort_unstable();
                needs.dedup();
                needs
            }
        },
        size: mixed,
    },
    // Four times a fork into forty-eight, of which three are large, and a join.
    Shape {
        name: "fork-join with stragglers",
        needs: |n| match (n % 50, n - n % 50) {
            (0, first) => first.checked_sub(1).into_iter().collect(),
            (49, first) => (first + 1..n).collect(),
            (_, first) => vec![first],
        },
        size: |n| match n % 50 {
            12 | 31 | 47 => Size::Large,
            _ => Size::Small,
        },
    },
    // Twenty-five medium tasks one after the other, beside many small ones.
    Shape {
        name: "long chain beside short tasks",
        needs: |n| match n % 8 {
            7 => n.checked_sub(8).into_iter().collect(),
            _ => Vec::new(),
        },
        size: |n| match n % 8 {
            7 => Size::Medium,
            _ => Size::Small,
        },
    },
];

fn mixed(n: usize) -> Size {
    match mix(n as u64) % 10 {
        0..5 => Size::Small,
        5..9 => Size::Medium,
        _ => Size::Large,
    }
}

/// Spreads a number over all of its bits.
pub(crate) fn mix(n: u64) -> u64 {
    let mut z = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Graph {
    /// The shape with durations of one seed: what its size says, and up to a quarter more or less.
    pub(crate) fn new(shape: &Shape, seed: u64) -> Self {
        let node = |n: usize| {
            let size = (shape.size)(n);
            let usual = u64::from(size.weight()) * 4 * 60_000;
            let noise = 750 + mix(seed * 1_000 + n as u64) % 501;
            Node {
                needs: (shape.needs)(n),
                size,
                takes: usual * noise / 1_000,
            }
        };
        Self {
            tasks: (0..super::TASKS).map(node).collect(),
        }
    }

    /// How long it takes with as many lanes as one likes.
    pub(crate) fn critical_path(&self) -> u64 {
        let mut ends: Vec<u64> = Vec::new();
        for task in &self.tasks {
            let start = task.needs.iter().map(|need| ends[*need]).max();
            ends.push(start.unwrap_or(0) + task.takes);
        }
        ends.into_iter().max().unwrap_or(0)
    }
}
