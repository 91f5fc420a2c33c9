//! Tables for people: columns as wide as they must be, cut where they would be too wide.

/// Lays rows out under their headings; the last column may be as long as it is.
pub(crate) fn table(headings: &[&str], rows: &[Vec<String>]) -> String {
    let n = headings.len();
    let width = |column: usize| {
        let cells = rows
            .iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count());
        cells
            .chain([headings[column].chars().count()])
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..n).map(width).collect();
    let lay = |cells: &mut dyn Iterator<Item = &str>| {
        let mut line = String::new();
        for (column, cell) in cells.enumerate() {
            line.push_str(cell);
            if column + 1 < n {
                let pad = widths[column].saturating_sub(cell.chars().count()) + 2;
                line.extend(std::iter::repeat_n(' ', pad));
            }
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

#[cfg(test)]
mod tests {
    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = vec![
            vec!["T1".into(), "a long title".into()],
            vec!["T10".into(), "b".into()],
        ];
        assert_eq!(
            super::table(&["task", "title"], &rows),
            "task  title\nT1    a long title\nT10   b\n"
        );
    }
}
