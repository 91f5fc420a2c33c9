//! What is typed to remove what is kept of missions, and how an age and a size are written.

use super::parse_time;
use clap::Args;
use mission::ids::MissionId;
use mission::time::Millis;

/// `orchestrator clean`.
#[derive(Debug, Args)]
pub(crate) struct CleanArgs {
    /// The missions, whenever they ended; if none is named, those that the limits below do not keep.
    pub(crate) missions: Vec<MissionId>,
    /// Remove what ended longer ago than this, as in `30d` or `0d` [default: 30d].
    #[arg(long, value_name = "AGE", value_parser = parse_age, conflicts_with = "missions")]
    pub(crate) older_than: Option<Millis>,
    /// Of what is left keep no more than this, as in `5GiB`, and remove the oldest first [default: 5GiB].
    #[arg(long, value_name = "SIZE", value_parser = parse_size, conflicts_with = "missions")]
    pub(crate) keep: Option<u64>,
    /// Only say what would be removed, why, and how much that frees.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Print JSON for machines.
    #[arg(long)]
    pub(crate) json: bool,
}

/// An age: a time that may be given in days too, and may be none at all.
pub(crate) fn parse_age(text: &str) -> Result<Millis, String> {
    let days = text.strip_suffix('d').map(str::parse::<u64>);
    match days {
        None => parse_time(text).map_err(|why| why.replacen("as in", "as in `30d`,", 1)),
        Some(Err(_)) => Err("expected a whole number of days, as in `30d`".to_owned()),
        Some(Ok(days)) => days
            .checked_mul(86_400_000)
            .map(Millis)
            .ok_or_else(|| "that is too long".to_owned()),
    }
}

/// Bytes.
pub(crate) fn parse_size(text: &str) -> Result<u64, String> {
    let units = [("KiB", 10), ("MiB", 20), ("GiB", 30), ("TiB", 40), ("B", 0)];
    let found = units
        .iter()
        .find_map(|(unit, power)| Some((text.strip_suffix(unit)?, *power)));
    let wrong = || "expected a whole number with a unit, as in `500MiB` or `5GiB`".to_owned();
    let (digits, power) = found.ok_or_else(wrong)?;
    let n: u64 = digits.trim_end().parse().map_err(|_| wrong())?;
    n.checked_mul(1 << power)
        .ok_or_else(|| "that is too much".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_and_sizes_are_read_with_their_units_and_may_be_nothing() {
        assert_eq!(parse_age("30d"), Ok(Millis::from_mins(30 * 24 * 60)));
        assert_eq!(parse_age("36h"), Ok(Millis::from_mins(36 * 60)));
        assert_eq!(parse_age("0d"), Ok(Millis(0)));
        for wrong in [
            "30",
            "d",
            "-1d",
            "1.5d",
            "99999999999999999999d",
            "999999999999999d",
        ] {
            assert!(parse_age(wrong).is_err(), "{wrong}");
        }
        assert_eq!(parse_size("5GiB"), Ok(5 << 30));
        assert_eq!(parse_size("500 MiB"), Ok(500 << 20));
        assert_eq!(parse_size("0B"), Ok(0));
        for wrong in ["5", "5GB", "GiB", "-1B", "1.5GiB", "99999999TiB"] {
            assert!(parse_size(wrong).is_err(), "{wrong}");
        }
    }
}
