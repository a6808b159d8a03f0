use std::collections::HashMap;

use arrow::array::*;
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::*;

use super::*;

fn marked(array: &ArrayRef, pg_type: Option<&str>) -> Field {
    let field = Field::new("x", array.data_type().clone(), true);
    match pg_type {
        Some(name) => field.with_metadata(HashMap::from([(
            pgtype::PG_TYPE.to_owned(),
            name.to_owned(),
        )])),
        None => field,
    }
}

fn encoded(array: &ArrayRef, pg_type: Option<&str>, format: Format) -> Vec<Option<Vec<u8>>> {
    let cell = cell(array, &marked(array, pg_type), format, Style::default()).unwrap();
    (0..array.len())
        .map(|row| {
            if cell.is_null(row) {
                return None;
            }
            let mut out = BytesMut::new();
            cell.write(row, &mut out).unwrap();
            Some(out.to_vec())
        })
        .collect()
}

fn texts(array: impl Array + 'static) -> Vec<String> {
    texts_of(array, None)
}

fn texts_of(array: impl Array + 'static, pg_type: Option<&str>) -> Vec<String> {
    encoded(&(Arc::new(array) as ArrayRef), pg_type, Format::Text)
        .into_iter()
        .map(|value| value.map_or("NULL".to_owned(), |value| String::from_utf8(value).unwrap()))
        .collect()
}

fn binaries(array: impl Array + 'static, pg_type: Option<&str>) -> Vec<Option<Vec<u8>>> {
    encoded(&(Arc::new(array) as ArrayRef), pg_type, Format::Binary)
}

#[test]
fn scalars_have_their_text_form() {
    assert_eq!(
        texts(BooleanArray::from(vec![Some(true), None, Some(false)])),
        ["t", "NULL", "f"]
    );
    assert_eq!(
        texts(Int64Array::from(vec![i64::MIN, 7])),
        ["-9223372036854775808", "7"]
    );
    assert_eq!(
        texts(UInt64Array::from(vec![u64::MAX])),
        ["18446744073709551615"]
    );
    assert_eq!(texts(Float64Array::from(vec![1.0, 1e20])), ["1", "1e+20"]);
    assert_eq!(texts(StringViewArray::from(vec!["ä", ""])), ["ä", ""]);
    assert_eq!(
        texts(BinaryViewArray::from(vec![&b"\x00\xff"[..]])),
        ["\\x00ff"]
    );
    assert_eq!(
        texts(
            Decimal128Array::from(vec![150])
                .with_precision_and_scale(10, 2)
                .unwrap()
        ),
        ["1.50"]
    );
    assert_eq!(texts(Date32Array::from(vec![0])), ["1970-01-01"]);
    assert_eq!(
        texts(Time64NanosecondArray::from(vec![1_500])),
        ["00:00:00.000002"]
    );
    assert_eq!(
        texts(TimestampSecondArray::from(vec![1])),
        ["1970-01-01 00:00:01"]
    );
    assert_eq!(
        texts(TimestampNanosecondArray::from(vec![1_000]).with_timezone("UTC")),
        ["1970-01-01 00:00:00.000001+00"]
    );
    assert_eq!(
        texts(DurationMillisecondArray::from(vec![1_500])),
        ["00:00:01.5"]
    );
    assert_eq!(texts(NullArray::new(2)), ["NULL", "NULL"]);
    assert_eq!(
        texts_of(
            FixedSizeBinaryArray::try_from_iter([[0x11_u8; 16]].into_iter()).unwrap(),
            Some("uuid")
        ),
        ["11111111-1111-1111-1111-111111111111"]
    );
}

#[test]
fn lists_are_quoted_as_postgresql_quotes_them() {
    let mut strings = ListBuilder::new(StringBuilder::new());
    strings.append_value([
        Some("a"),
        Some(""),
        None,
        Some("null"),
        Some("b c"),
        Some("d\"e\\f"),
        Some("{g}"),
        Some("h,i"),
        Some("ü"),
    ]);
    strings.append_null();
    strings.append_value::<_, &str>([]);
    assert_eq!(
        texts(strings.finish()),
        [
            r#"{a,"",NULL,"null","b c","d\"e\\f","{g}","h,i",ü}"#,
            "NULL",
            "{}"
        ]
    );
    let mut nested = ListBuilder::new(ListBuilder::new(Int32Builder::new()));
    nested.values().append_value([Some(1), Some(2)]);
    nested.values().append_value([None, Some(4)]);
    nested.append(true);
    assert_eq!(texts(nested.finish()), ["{{1,2},{NULL,4}}"]);
    let vector =
        FixedSizeListArray::from_iter_primitive::<Int16Type, _, _>([Some([Some(1), Some(2)])], 2);
    assert_eq!(texts_of(vector, Some("int2vector")), ["1 2"]);
}

#[test]
fn slices_start_where_they_start() {
    let mut builder = ListBuilder::new(Int32Builder::new());
    builder.append_value([Some(1)]);
    builder.append_value([Some(2), Some(3)]);
    let list = builder.finish();
    assert_eq!(texts(list.slice(1, 1)), ["{2,3}"]);
    assert_eq!(
        texts(Int32Array::from(vec![Some(1), None, Some(3)]).slice(1, 2)),
        ["NULL", "3"]
    );
    let fixed = FixedSizeListArray::from_iter_primitive::<Int32Type, _, _>(
        [Some([Some(1), Some(2)]), Some([Some(3), Some(4)])],
        2,
    );
    assert_eq!(texts(fixed.slice(1, 1)), ["{3,4}"]);
    let keys: DictionaryArray<Int8Type> = vec![Some("a"), None, Some("b")].into_iter().collect();
    assert_eq!(texts(keys.slice(1, 2)), ["NULL", "b"]);
    assert_eq!(
        texts(DictionaryArray::<Int8Type>::new(
            Int8Array::new_null(1),
            Arc::new(StringArray::from(Vec::<&str>::new()))
        )),
        ["NULL"]
    );
}

#[test]
fn records_and_maps_have_their_text_form() {
    let record = StructArray::from(vec![
        (
            Arc::new(Field::new("a", DataType::Int32, true)),
            Arc::new(Int32Array::from(vec![Some(1), None])) as ArrayRef,
        ),
        (
            Arc::new(Field::new("b", DataType::Utf8, true)),
            Arc::new(StringArray::from(vec!["x y", "q\"r\\"])) as ArrayRef,
        ),
    ]);
    assert_eq!(texts(record), [r#"(1,"x y")"#, r#"(,"q""r\\")"#]);
    let mut map = MapBuilder::new(None, StringBuilder::new(), Float64Builder::new());
    map.keys().append_value("a\"b");
    map.values().append_value(1.5);
    map.keys().append_value("c");
    map.values().append_value(f64::NAN);
    map.keys().append_value("d");
    map.values().append_null();
    map.append(true).unwrap();
    assert_eq!(
        texts(map.finish()),
        [r#"{"a\"b": 1.5, "c": "NaN", "d": null}"#]
    );
}

#[test]
fn run_ends_are_unpacked() {
    let runs = RunArray::<Int32Type>::try_new(
        &Int32Array::from(vec![2, 3]),
        &StringArray::from(vec!["a", "b"]),
    );
    assert_eq!(texts(runs.unwrap()), ["a", "a", "b"]);
}

#[test]
fn scalars_have_their_binary_form() {
    let one =
        |array: ArrayRef, pg_type| encoded(&array, pg_type, Format::Binary).remove(0).unwrap();
    assert_eq!(one(Arc::new(BooleanArray::from(vec![true])), None), [1]);
    assert_eq!(one(Arc::new(Int8Array::from(vec![-1])), None), [0xff; 2]);
    assert_eq!(
        one(Arc::new(UInt16Array::from(vec![7])), None),
        [0, 0, 0, 7]
    );
    assert_eq!(
        one(Arc::new(UInt32Array::from(vec![7])), None),
        [0, 0, 0, 0, 0, 0, 0, 7]
    );
    assert_eq!(
        one(Arc::new(UInt32Array::from(vec![7])), Some("oid")),
        [0, 0, 0, 7]
    );
    assert_eq!(
        one(Arc::new(Float32Array::from(vec![1.5])), None),
        1.5_f32.to_be_bytes()
    );
    assert_eq!(
        one(Arc::new(StringArray::from(vec!["ä"])), None),
        "ä".as_bytes()
    );
    assert_eq!(
        one(Arc::new(StringArray::from(vec!["{}"])), Some("jsonb")),
        b"\x01{}"
    );
    assert_eq!(one(Arc::new(Date32Array::from(vec![10_957])), None), [0; 4]);
    assert_eq!(
        one(
            Arc::new(TimestampSecondArray::from(vec![946_684_800])),
            None
        ),
        [0; 8]
    );
    assert_eq!(
        one(
            Arc::new(StringArray::from(vec![
                "11111111-1111-1111-1111-111111111111"
            ])),
            Some("uuid")
        ),
        [0x11; 16]
    );
    assert_eq!(
        one(Arc::new(UInt64Array::from(vec![10_000])), None),
        [0, 1, 0, 1, 0, 0, 0, 0, 0, 1]
    );
    assert_eq!(
        binaries(Int32Array::from(vec![None, Some(1)]), None),
        [None, Some(vec![0, 0, 0, 1])]
    );
}

#[test]
fn a_type_without_binary_form_is_refused() {
    let array: ArrayRef = Arc::new(StringArray::from(vec!["10.0.0.1"]));
    let error = cell(
        &array,
        &marked(&array, Some("inet")),
        Format::Binary,
        Style::default(),
    )
    .err();
    let error = error.unwrap();
    assert_eq!(PgError::from(&error).code, "42883");
    assert_eq!(
        error.message,
        "no binary output function available for type inet"
    );
    let array: ArrayRef = Arc::new(Int64Array::from(vec![1 << 40]));
    let cell = cell(
        &array,
        &marked(&array, Some("oid")),
        Format::Binary,
        Style::default(),
    )
    .unwrap();
    let error = cell.write(0, &mut BytesMut::new()).unwrap_err();
    assert_eq!(PgError::from(error).code, "22003");
}

fn words(bytes: &[u8]) -> Vec<i32> {
    bytes
        .chunks(4)
        .map(|word| i32::from_be_bytes(word.try_into().unwrap()))
        .collect()
}

#[test]
fn arrays_have_their_binary_form() {
    let mut list = ListBuilder::new(Int32Builder::new());
    list.append_value([Some(5), None]);
    list.append_value([]);
    let list = binaries(list.finish(), None);
    assert_eq!(words(list[0].as_ref().unwrap()), [1, 1, 23, 2, 1, 4, 5, -1]);
    assert_eq!(words(list[1].as_ref().unwrap()), [0, 0, 23]);
    let mut nested = ListBuilder::new(ListBuilder::new(Int32Builder::new()));
    nested.values().append_value([Some(1), Some(2)]);
    nested.values().append_value([Some(3), Some(4)]);
    nested.append(true);
    nested.values().append_value([Some(1)]);
    nested.values().append_value([Some(3), Some(4)]);
    nested.append(true);
    let array: ArrayRef = Arc::new(nested.finish());
    let cell = cell(
        &array,
        &marked(&array, None),
        Format::Binary,
        Style::default(),
    )
    .unwrap();
    let mut out = BytesMut::new();
    cell.write(0, &mut out).unwrap();
    assert_eq!(words(&out), [2, 0, 23, 2, 1, 2, 1, 4, 1, 4, 2, 4, 3, 4, 4]);
    let error = cell.write(1, &mut out).unwrap_err();
    assert_eq!(PgError::from(error).code, "2202E");
}

#[test]
fn records_have_their_binary_form() {
    let record = StructArray::from(vec![(
        Arc::new(Field::new("a", DataType::Int32, true)),
        Arc::new(Int32Array::from(vec![Some(9), None])) as ArrayRef,
    )]);
    let record = binaries(record, None);
    assert_eq!(words(record[0].as_ref().unwrap()), [1, 23, 4, 9]);
    assert_eq!(words(record[1].as_ref().unwrap()), [1, 23, -1]);
}

fn batch(rows: i32) -> RecordBatch {
    let schema = Schema::new(vec![
        Field::new("a", DataType::Int32, false),
        Field::new("b", DataType::Utf8, true),
    ]);
    RecordBatch::try_new(
        Arc::new(schema),
        vec![
            Arc::new(Int32Array::from_iter_values(0..rows)),
            Arc::new(StringArray::from_iter(
                (0..rows).map(|row| (row % 2 == 0).then_some("x")),
            )),
        ],
    )
    .unwrap()
}

#[test]
fn rows_are_whole_messages_and_stop_at_the_limit() {
    let batch = batch(3);
    let encoder = RowEncoder::new(&batch.schema(), &[Format::Binary], Style::default());
    let cells = encoder.cells(&batch).unwrap();
    let mut out = BytesMut::new();
    assert_eq!(cells.write_rows(0, 3, &mut out, 1).unwrap(), 1);
    assert_eq!(&out[..], b"D\0\0\0\x13\0\x02\0\0\0\x04\0\0\0\0\0\0\0\x01x");
    out.clear();
    assert_eq!(cells.write_rows(1, 2, &mut out, usize::MAX).unwrap(), 2);
    assert_eq!(
        &out[..],
        b"D\0\0\0\x12\0\x02\0\0\0\x04\0\0\0\x01\xff\xff\xff\xff"
    );
    assert_eq!(cells.write_rows(2, 99, &mut out, usize::MAX).unwrap(), 3);
}

#[test]
fn an_error_leaves_no_half_message() {
    let schema = Schema::new(vec![Field::new(
        "t",
        DataType::Timestamp(TimeUnit::Second, None),
        true,
    )]);
    let batch = RecordBatch::try_new(
        Arc::new(schema),
        vec![Arc::new(TimestampSecondArray::from(vec![0, i64::MAX]))],
    )
    .unwrap();
    let encoder = RowEncoder::new(&batch.schema(), &[], Style::default());
    let mut out = BytesMut::new();
    let error = encoder
        .cells(&batch)
        .unwrap()
        .write_rows(0, 2, &mut out, usize::MAX)
        .unwrap_err();
    assert_eq!(error.code, "22008");
    assert_eq!(out.len(), 1 + 4 + 2 + 4 + "1970-01-01 00:00:00".len());
}

#[test]
fn a_result_is_described_by_names_types_and_formats() {
    let schema = Schema::new(vec![
        Field::new("?column?", DataType::Decimal128(10, 2), true),
        Field::new(
            "b",
            DataType::List(Arc::new(Field::new("item", DataType::Int64, true))),
            true,
        ),
    ]);
    let description = row_description(&schema, &[Format::Text, Format::Binary]).unwrap();
    let fields: Vec<_> = description
        .fields
        .iter()
        .map(|f| {
            (
                f.name.as_str(),
                f.type_id,
                f.type_size,
                f.type_modifier,
                f.format_code,
            )
        })
        .collect();
    assert_eq!(
        fields,
        [
            ("?column?", 1700, -1, (10 << 16 | 2) + 4, 0),
            ("b", 1016, -1, -1, 1)
        ]
    );
    let wide = Schema::new(
        (0..40_000)
            .map(|i| Field::new(i.to_string(), DataType::Null, true))
            .collect::<Vec<_>>(),
    );
    assert_eq!(row_description(&wide, &[]).unwrap_err().code, "54011");
}

#[test]
fn formats_are_none_one_or_one_each() {
    let expand = |codes: &[i16]| Format::expand(codes, 2, |given| format!("{given} formats for 2"));
    assert_eq!(expand(&[]).unwrap(), [Format::Text; 2]);
    assert_eq!(expand(&[1]).unwrap(), [Format::Binary; 2]);
    assert_eq!(expand(&[0, 1]).unwrap(), [Format::Text, Format::Binary]);
    assert_eq!(expand(&[0, 1, 1]).unwrap_err().message, "3 formats for 2");
    assert_eq!(expand(&[2]).unwrap_err().code, "22023");
}

#[test]
fn large_list_offsets_work_like_small_ones() {
    let values = Arc::new(Int32Array::from(vec![1, 2, 3])) as ArrayRef;
    let item = Arc::new(Field::new("item", DataType::Int32, true));
    let list = LargeListArray::new(
        item.clone(),
        OffsetBuffer::from_lengths([1, 2]),
        values.clone(),
        None,
    );
    assert_eq!(texts(list), ["{1}", "{2,3}"]);
    let view = ListViewArray::new(item, vec![1, 0].into(), vec![2, 1].into(), values, None);
    assert_eq!(texts(view), ["{2,3}", "{1}"]);
}
