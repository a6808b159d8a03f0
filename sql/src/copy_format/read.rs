//! Rows out of bytes that come in pieces.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringBuilder};
use arrow::datatypes::SchemaRef;

use super::{CopyFormat, Kind};
use crate::error::{Condition, Report, Result};

/// A batch is handed on when it has so many rows or bytes.
const BATCH_ROWS: usize = 8192;
const BATCH_BYTES: usize = 4 << 20;

/// The longest line that is taken: a quote that never ends must not take all memory.
const LINE_BYTES_MAX: usize = 256 << 20;

/// Reads rows of texts in a [`CopyFormat`].
#[derive(Debug)]
pub struct RowReader {
    format: CopyFormat,
    /// Text columns under the names of those that are loaded.
    schema: SchemaRef,
    /// For each column: whether it is never NULL, and whether its NULL may be in quotes.
    forced: Vec<(bool, bool)>,
    columns: Vec<StringBuilder>,
    rows: usize,
    bytes: usize,
    /// What has come of a line that is not at its end.
    rest: Vec<u8>,
    /// How far `rest` has been looked through, and whether that is within quotes.
    scanned: usize,
    quoted: bool,
    /// Lines taken so far.
    line: u64,
    /// Whether the end of the data has been marked.
    ended: bool,
    value: Vec<u8>,
}

impl RowReader {
    /// A reader of rows with the columns of `schema`, all of them texts.
    pub fn new(format: CopyFormat, schema: SchemaRef) -> Self {
        let forced = schema.fields().iter().map(|field| {
            (
                format.force_not_null.contains(field.name()),
                format.force_null.contains(field.name()),
            )
        });
        Self {
            forced: forced.collect(),
            columns: schema
                .fields()
                .iter()
                .map(|_| StringBuilder::new())
                .collect(),
            format,
            schema,
            rows: 0,
            bytes: 0,
            rest: Vec::new(),
            scanned: 0,
            quoted: false,
            line: 0,
            ended: false,
            value: Vec::new(),
        }
    }

    /// Takes a piece of the data; the batches that are full.
    ///
    /// # Errors
    /// [`Condition::BadFile`] for a row with too few or too many values, and text that is not UTF-8.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<Vec<RecordBatch>> {
        let mut full = Vec::new();
        if self.ended {
            return Ok(full);
        }
        let mut data = std::mem::take(&mut self.rest);
        data.extend_from_slice(bytes);
        let mut start = 0;
        while let Some(end) = self.line_end(&data, start) {
            let line = data.get(start..end).unwrap_or_default();
            start = end + 1;
            self.scanned = start;
            self.take_line(line)?;
            if self.ended {
                return Ok(full);
            }
            if self.rows >= BATCH_ROWS || self.bytes >= BATCH_BYTES {
                full.push(self.batch()?);
            }
        }
        data.drain(..start);
        self.scanned -= start;
        if data.len() > LINE_BYTES_MAX {
            return Err(self.bad("the line is longer than 256 MB".to_owned()).into());
        }
        self.rest = data;
        Ok(full)
    }

    /// Takes the end of the data; the last batch, if there is one.
    ///
    /// # Errors
    /// As [`feed`](Self::feed), and for quotes that do not end.
    pub fn finish(&mut self) -> Result<Option<RecordBatch>> {
        if !self.ended && !self.rest.is_empty() {
            let line = std::mem::take(&mut self.rest);
            if self.quoted {
                self.line += 1;
                return Err(self.bad("unterminated CSV quoted field".to_owned()).into());
            }
            self.take_line(&line)?;
        }
        if self.rows == 0 {
            return Ok(None);
        }
        self.batch().map(Some)
    }

    /// Where the line that starts at `start` ends, if it does.
    fn line_end(&mut self, data: &[u8], start: usize) -> Option<usize> {
        let mut position = self.scanned.max(start);
        match self.format.kind {
            Kind::Text => {
                while let Some(byte) = data.get(position) {
                    match byte {
                        b'\n' => return Some(position),
                        // What follows belongs to it; it may not have come yet.
                        b'\\' if position + 1 < data.len() => position += 2,
                        b'\\' => break,
                        _ => position += 1,
                    }
                }
            }
            Kind::Csv => {
                let (quote, escape) = (self.format.quote, self.format.escape);
                while let Some(byte) = data.get(position) {
                    if self.quoted && *byte == escape && escape != quote {
                        if position + 1 == data.len() {
                            break;
                        }
                        position += 2;
                        continue;
                    }
                    if *byte == quote {
                        // A doubled quote ends and begins again.
                        self.quoted = !self.quoted;
                    } else if *byte == b'\n' && !self.quoted {
                        return Some(position);
                    }
                    position += 1;
                }
            }
        }
        self.scanned = position;
        None
    }

    fn take_line(&mut self, line: &[u8]) -> Result<()> {
        self.line += 1;
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line == b"\\." {
            self.ended = true;
            return Ok(());
        }
        if self.format.header && self.line == 1 {
            return Ok(());
        }
        let values = match self.format.kind {
            Kind::Text => self.take_text(line)?,
            Kind::Csv => self.take_csv(line)?,
        };
        if let Some(missing) = self.schema.fields().get(values) {
            return Err(self
                .bad(format!("missing data for column \"{}\"", missing.name()))
                .into());
        }
        self.rows += 1;
        Ok(())
    }

    /// Takes the values of a line in text format; how many they are.
    fn take_text(&mut self, line: &[u8]) -> Result<usize> {
        // A table without columns has empty lines.
        if self.columns.is_empty() && line.is_empty() {
            return Ok(0);
        }
        let delimiter = self.format.delimiter;
        let mut value = std::mem::take(&mut self.value);
        let mut start = 0;
        let mut column = 0;
        loop {
            value.clear();
            let mut position = start;
            while let Some(byte) = line.get(position) {
                if *byte == delimiter {
                    break;
                }
                if *byte == b'\\' {
                    position += escaped(line.get(position + 1..).unwrap_or_default(), &mut value);
                } else {
                    value.push(*byte);
                }
                position += 1;
            }
            let spelled = line.get(start..position).unwrap_or_default();
            let is_null = spelled == self.format.null.as_bytes();
            self.put(column, (!is_null).then_some(value.as_slice()))?;
            column += 1;
            if position >= line.len() {
                break;
            }
            start = position + 1;
        }
        self.value = value;
        Ok(column)
    }

    /// Takes the values of a line in CSV format; how many they are.
    fn take_csv(&mut self, line: &[u8]) -> Result<usize> {
        if self.columns.is_empty() && line.is_empty() {
            return Ok(0);
        }
        let (delimiter, quote, escape) =
            (self.format.delimiter, self.format.quote, self.format.escape);
        let mut value = std::mem::take(&mut self.value);
        let mut bytes = line.iter().copied().peekable();
        let mut column = 0;
        loop {
            value.clear();
            let (mut within, mut was_quoted, mut more) = (false, false, false);
            while let Some(byte) = bytes.next() {
                if within {
                    let next = bytes.peek().copied();
                    if byte == escape && (next == Some(quote) || next == Some(escape)) {
                        value.extend(next);
                        bytes.next();
                    } else if byte == quote {
                        within = false;
                    } else {
                        value.push(byte);
                    }
                } else if byte == delimiter {
                    more = true;
                    break;
                } else if byte == quote {
                    within = true;
                    was_quoted = true;
                } else {
                    value.push(byte);
                }
            }
            let (never, in_quotes) = self.forced.get(column).copied().unwrap_or_default();
            let may_be_null = if was_quoted { in_quotes } else { !never };
            let is_null = may_be_null && value == self.format.null.as_bytes();
            self.put(column, (!is_null).then_some(value.as_slice()))?;
            column += 1;
            if !more {
                break;
            }
        }
        self.value = value;
        Ok(column)
    }

    fn put(&mut self, column: usize, value: Option<&[u8]>) -> Result<()> {
        let text = match value.map(std::str::from_utf8).transpose() {
            Ok(text) => text,
            Err(error) => {
                let bytes = value.and_then(|value| value.get(error.valid_up_to()..));
                let byte = bytes.and_then(|bytes| bytes.first()).copied().unwrap_or(0);
                return Err(Report::new(
                    Condition::InvalidEncoding,
                    format!("invalid byte sequence for encoding \"UTF8\": 0x{byte:02x}"),
                )
                .detail(self.place())
                .into());
            }
        };
        let Some(builder) = self.columns.get_mut(column) else {
            return Err(self
                .bad("extra data after last expected column".to_owned())
                .into());
        };
        builder.append_option(text);
        self.bytes += text.map_or(0, str::len);
        Ok(())
    }

    fn batch(&mut self) -> Result<RecordBatch> {
        let columns = self
            .columns
            .iter_mut()
            .map(|column| Arc::new(column.finish()) as ArrayRef)
            .collect();
        let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(self.rows));
        self.rows = 0;
        self.bytes = 0;
        Ok(RecordBatch::try_new_with_options(
            Arc::clone(&self.schema),
            columns,
            &options,
        )?)
    }

    fn bad(&self, message: String) -> Report {
        Report::new(Condition::BadFile, message).detail(self.place())
    }

    fn place(&self) -> String {
        format!("This is in line {} of the data.", self.line)
    }
}

/// Takes what stands after a backslash into `value`; the number of bytes it is.
fn escaped(after: &[u8], value: &mut Vec<u8>) -> usize {
    let Some(first) = after.first() else {
        value.push(b'\\');
        return 0;
    };
    let digits = |radix: u32, from: usize, most: usize| {
        let digits = after.iter().skip(from).take(most);
        digits
            .map_while(|byte| char::from(*byte).to_digit(radix))
            .fold((0_u32, 0_usize), |(number, length), digit| {
                (number * radix + digit, length + 1)
            })
    };
    // As in PostgreSQL, a number beyond a byte loses its high bits.
    let low = |number: u32| number.to_le_bytes().first().copied().unwrap_or_default();
    match first {
        b'b' => value.push(8),
        b'f' => value.push(12),
        b'n' => value.push(b'\n'),
        b'r' => value.push(b'\r'),
        b't' => value.push(b'\t'),
        b'v' => value.push(11),
        b'0'..=b'7' => {
            let (number, length) = digits(8, 0, 3);
            value.push(low(number));
            return length;
        }
        b'x' if after.get(1).is_some_and(u8::is_ascii_hexdigit) => {
            let (number, length) = digits(16, 1, 2);
            value.push(low(number));
            return length + 1;
        }
        other => value.push(*other),
    }
    1
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array, AsArray};
    use arrow::datatypes::{DataType, Field, Schema};

    use super::super::Columns;
    use super::*;
    use crate::error::Error;

    fn format(kind: Kind) -> CopyFormat {
        let nothing = || Columns::Named(vec![]);
        let is_csv = kind == Kind::Csv;
        CopyFormat {
            kind,
            delimiter: if is_csv { b',' } else { b'\t' },
            null: if is_csv { "" } else { "\\N" }.to_owned(),
            header: false,
            quote: b'"',
            escape: b'"',
            force_quote: nothing(),
            force_not_null: nothing(),
            force_null: nothing(),
        }
    }

    /// The rows read when the data comes in pieces of `piece` bytes; NULL as `~`.
    fn read(format: &CopyFormat, data: &str, piece: usize) -> Result<Vec<String>> {
        let fields = [
            Field::new("a", DataType::Utf8, true),
            Field::new("b", DataType::Utf8, true),
        ];
        let mut reader = RowReader::new(format.clone(), Arc::new(Schema::new(fields.to_vec())));
        let mut batches = Vec::new();
        for piece in data.as_bytes().chunks(piece) {
            batches.extend(reader.feed(piece)?);
        }
        batches.extend(reader.finish()?);
        let mut rows = Vec::new();
        for batch in batches {
            for row in 0..batch.num_rows() {
                let value = |column: usize| {
                    let column = batch.column(column).as_string::<i32>();
                    if column.is_null(row) {
                        "~"
                    } else {
                        column.value(row)
                    }
                };
                rows.push(format!("{}|{}", value(0), value(1)));
            }
        }
        Ok(rows)
    }

    #[track_caller]
    fn check(format: &CopyFormat, data: &str, expected: &[&str]) {
        for piece in [1, 2, 3, 7, 4096] {
            assert_eq!(
                read(format, data, piece).unwrap(),
                expected,
                "in pieces of {piece}"
            );
        }
    }

    #[track_caller]
    fn fails(format: &CopyFormat, data: &str, message: &str, place: &str) {
        for piece in [1, 5, 4096] {
            let Err(Error::Report(report)) = read(format, data, piece) else {
                unreachable!("{data:?} is wrong");
            };
            assert_eq!(report.message, message);
            assert_eq!(report.detail.as_deref(), Some(place));
        }
    }

    #[test]
    fn text_has_backslashes() {
        let text = format(Kind::Text);
        check(&text, "1\tx\n2\t\\N\n\\N\t\n", &["1|x", "2|~", "~|"]);
        check(&text, "a\\tb\tc\\\\d\\n\\101\\x41\\q", &["a\tb|c\\d\nAAq"]);
        check(&text, "a\\\nb\tc\n", &["a\nb|c"]);
        check(&text, "1\t2\r\n3\t4\r\n\\.\nnothing\n", &["1|2", "3|4"]);
        check(&text, "\\\\N\t\\\\.\n", &["\\N|\\."]);
        check(&text, "", &[]);
    }

    #[test]
    fn csv_has_quotes() {
        let csv = format(Kind::Csv);
        check(
            &csv,
            "1,x\n,\"\"\n\"a,b\",\"c\"\"d\"\n",
            &["1|x", "~|", "a,b|c\"d"],
        );
        check(
            &csv,
            "\"two\nlines\",x\r\na\"b,c\"d,e\n",
            &["two\nlines|x", "ab,cd|e"],
        );
    }

    #[test]
    fn csv_options_act() {
        let mut csv = format(Kind::Csv);
        csv.header = true;
        csv.delimiter = b';';
        csv.null = "NULL".to_owned();
        csv.escape = b'\\';
        csv.force_not_null = Columns::Named(vec!["a".to_owned()]);
        csv.force_null = Columns::Named(vec!["b".to_owned()]);
        check(
            &csv,
            "a;b\nNULL;NULL\n1;\"NULL\"\n2;\"x\\\"y\\\\\"\n",
            &["NULL|~", "1|~", "2|x\"y\\"],
        );
    }

    #[test]
    fn wrong_rows_say_where_they_are() {
        let text = format(Kind::Text);
        fails(
            &text,
            "1\t2\n3\n",
            "missing data for column \"b\"",
            "This is in line 2 of the data.",
        );
        fails(
            &text,
            "1\t2\t3\n",
            "extra data after last expected column",
            "This is in line 1 of the data.",
        );
        let csv = format(Kind::Csv);
        fails(
            &csv,
            "1,2\n\"3,4\n",
            "unterminated CSV quoted field",
            "This is in line 2 of the data.",
        );
    }
}
