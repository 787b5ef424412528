//! Tables as Kafka's newer tools print them: padded columns with a tab after each.

use std::io::{self, Write};

/// Writes the headers and the rows; every row has a cell for each header.
pub(super) fn write(headers: &[&str], rows: &[Vec<String>], out: &mut dyn Write) -> io::Result<()> {
    let width = |column: usize, header: &str| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        let widest = cells.map(|cell| cell.chars().count()).max().unwrap_or(0);
        widest.max(header.len())
    };
    let widths: Vec<usize> = (0..).zip(headers).map(|(at, header)| width(at, header)).collect();
    let mut line = |cells: &mut dyn Iterator<Item = &str>| {
        for (cell, width) in cells.zip(&widths) {
            write!(out, "{cell:width$}\t")?;
        }
        writeln!(out)
    };
    line(&mut headers.iter().copied())?;
    for row in rows {
        line(&mut row.iter().map(String::as_str))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut out = Vec::new();
        let rows = [vec!["long name".to_owned(), "1".to_owned()]];
        super::write(&["Id", "Epoch"], &rows, &mut out).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "Id       \tEpoch\t\nlong name\t1    \t\n"
        );
    }
}
