//! Tables for people: columns as wide as they must be, and no wider in all than there is room.

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// No column is made narrower than this.
const LEAST: usize = 8;

/// Lays rows out under their headings. Where there is room for so many columns only, the widest ones are cut.
pub(crate) fn table(headings: &[&str], rows: &[Vec<String>], room: Option<usize>) -> String {
    let widths = widths(headings, rows, room);
    let lay = |cells: &mut dyn Iterator<Item = &str>| {
        let mut line = String::new();
        for (cell, width) in cells.zip(&widths) {
            let cell = cut(cell, *width);
            let pad = width.saturating_sub(cell.width()) + 2;
            line.push_str(&cell);
            line.extend(std::iter::repeat_n(' ', pad));
        }
        line.trim_end().to_owned()
    };
    let mut out = lay(&mut headings.iter().copied());
    for row in rows {
        out.push('\n');
        out.push_str(&lay(&mut row.iter().map(String::as_str)));
    }
    out.push('\n');
    out
}

fn widths(headings: &[&str], rows: &[Vec<String>], room: Option<usize>) -> Vec<usize> {
    let widest = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        let cells = cells.map(|cell| cell.width());
        cells.chain([headings[column].width()]).max().unwrap_or(0)
    };
    let mut widths: Vec<usize> = (0..headings.len()).map(widest).collect();
    let between = 2 * widths.len().saturating_sub(1);
    while widths.iter().sum::<usize>() + between > room.unwrap_or(usize::MAX) {
        match widths.iter_mut().max() {
            Some(widest) if *widest > LEAST => *widest -= 1,
            _ => break,
        }
    }
    widths
}

/// Cuts to so many columns.
pub(super) fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut used = 0;
    let mut out = String::new();
    for c in text.chars() {
        let columns = c.width().unwrap_or(0);
        if used + columns + 1 > width {
            break;
        }
        used += columns;
        out.push(c);
    }
    if width > 0 {
        out.push('…');
    }
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = vec![
            vec!["T1".into(), "a long title".into()],
            vec!["T10".into(), "b".into()],
        ];
        assert_eq!(
            super::table(&["task", "title"], &rows, None),
            "task  title\nT1    a long title\nT10   b\n"
        );
    }

    #[test]
    fn the_widest_columns_are_cut_where_there_is_too_little_room() {
        let rows = vec![vec!["T1".into(), "a".repeat(40), "b".repeat(30)]];
        let told = super::table(&["task", "title", "proof"], &rows, Some(40));
        let (a, b) = ("a".repeat(15), "b".repeat(15));
        assert_eq!(told.lines().nth(1), Some(&*format!("T1    {a}…  {b}…")));
        let told = super::table(&["task", "title", "proof"], &rows, Some(5));
        assert!(told.contains("T1    aaaaaaa…  bbbbbbb…"), "{told}");
    }
}
