use super::support::*;
use crate::{ColumnDef, Error, storage_type};
use arrow::array::*;
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::*;
use std::sync::Arc;

fn array<A: Array + 'static>(array: A) -> ArrayRef {
    Arc::new(array)
}

/// One column of each type with its extremes, a NULL and an ordinary value.
pub fn every_type() -> RecordBatch {
    let list = ListArray::new(
        Arc::new(Field::new_list_field(DataType::Float32, true)),
        OffsetBuffer::new(vec![0, 2, 2, 3].into()),
        array(Float32Array::from(vec![Some(1.5), None, Some(-0.25)])),
        Some(vec![true, false, true].into()),
    );
    let structs = StructArray::from(vec![
        (
            Arc::new(Field::new("n", DataType::Int32, true)),
            array(Int32Array::from(vec![Some(1), None, Some(3)])),
        ),
        (
            Arc::new(Field::new("t", DataType::Utf8, true)),
            array(StringArray::from(vec![Some("x"), Some("y"), None])),
        ),
    ]);
    let mut map = MapBuilder::new(None, StringBuilder::new(), Int64Builder::new());
    map.keys().append_value("k");
    map.values().append_value(1);
    map.append(true).unwrap();
    map.append(false).unwrap();
    map.append(true).unwrap();
    let deep = ListArray::new(
        Arc::new(Field::new_list_field(structs.data_type().clone(), true)),
        OffsetBuffer::new(vec![0, 1, 1, 3].into()),
        array(structs.clone()),
        None,
    );
    batch(vec![
        (
            "b",
            array(BooleanArray::from(vec![Some(true), None, Some(false)])),
        ),
        (
            "i8",
            array(Int8Array::from(vec![Some(i8::MIN), None, Some(i8::MAX)])),
        ),
        (
            "i16",
            array(Int16Array::from(vec![Some(i16::MIN), None, Some(i16::MAX)])),
        ),
        (
            "i32",
            array(Int32Array::from(vec![Some(i32::MIN), None, Some(i32::MAX)])),
        ),
        (
            "i64",
            array(Int64Array::from(vec![Some(i64::MIN), None, Some(i64::MAX)])),
        ),
        (
            "f32",
            array(Float32Array::from(vec![
                Some(f32::MIN),
                None,
                Some(f32::INFINITY),
            ])),
        ),
        (
            "f64",
            array(Float64Array::from(vec![
                Some(f64::MAX),
                None,
                Some(f64::NAN),
            ])),
        ),
        (
            "d9",
            array(
                Decimal128Array::from(vec![Some(-99_999), None, Some(1)])
                    .with_precision_and_scale(9, 2)
                    .unwrap(),
            ),
        ),
        (
            "d38",
            array(
                Decimal128Array::from(vec![
                    Some(-(10i128.pow(38) - 1)),
                    None,
                    Some(10i128.pow(38) - 1),
                ])
                .with_precision_and_scale(38, 9)
                .unwrap(),
            ),
        ),
        (
            "t",
            array(StringArray::from(vec![
                Some(""),
                None,
                Some("é🌊\u{202e}\n"),
            ])),
        ),
        (
            "bin",
            array(BinaryArray::from(vec![
                Some(b"\x00\xff".as_slice()),
                None,
                Some(b""),
            ])),
        ),
        (
            "day",
            array(Date32Array::from(vec![
                Some(-719_162),
                None,
                Some(2_932_896),
            ])),
        ),
        (
            "tod",
            array(Time64MicrosecondArray::from(vec![
                Some(0),
                None,
                Some(86_399_999_999),
            ])),
        ),
        (
            "ts",
            array(TimestampMicrosecondArray::from(vec![
                Some(-62_135_596_800_000_000),
                None,
                Some(253_402_300_799_999_999),
            ])),
        ),
        (
            "tz",
            array(
                TimestampMicrosecondArray::from(vec![Some(-1), None, Some(1_577_934_245_678_901)])
                    .with_timezone("UTC"),
            ),
        ),
        ("list", array(list)),
        ("st", array(structs)),
        ("map", array(map.finish())),
        ("deep", array(deep)),
    ])
}

#[tokio::test]
async fn every_type_comes_back() {
    let place = Place::new();
    let written = every_type();
    table(&place.warehouse, "public", "t", &written).await;
    insert(&place.warehouse, "public", "t", &written)
        .await
        .unwrap();
    for warehouse in [place.warehouse.clone(), place.again()] {
        let snapshot = warehouse.snapshot().unwrap();
        let table = snapshot.table("public", "t").unwrap();
        let read = scan(&warehouse, table).collect().await.unwrap();
        assert_eq!(read.iter().map(RecordBatch::num_rows).sum::<usize>(), 6);
        for batch in &read {
            assert_eq!(batch.schema(), table.scan_schema);
        }
        let mut twice = text(std::slice::from_ref(&written));
        twice.extend(text(std::slice::from_ref(&written)));
        twice.sort();
        assert_eq!(text(&read), twice);
    }
    let names = catalog(
        &place.sql(),
        "SELECT column_name, column_type FROM ducklake_column WHERE parent_column IS NULL ORDER BY column_order",
    );
    assert_eq!(
        names,
        [
            "b|boolean",
            "i8|int8",
            "i16|int16",
            "i32|int32",
            "i64|int64",
            "f32|float32",
            "f64|float64",
            "d9|decimal(9,2)",
            "d38|decimal(38,9)",
            "t|varchar",
            "bin|blob",
            "day|date",
            "tod|time",
            "ts|timestamp",
            "tz|timestamptz",
            "list|list",
            "st|struct",
            "map|map",
            "deep|list"
        ]
    );
    let bounds = catalog(
        &place.sql(),
        "SELECT c.column_name, s.value_count, s.null_count, s.contains_nan, s.min_value, s.max_value FROM ducklake_file_column_stats s JOIN ducklake_column c ON c.column_id = s.column_id WHERE data_file_id = 0 ORDER BY c.column_id",
    );
    assert_eq!(
        bounds,
        [
            "b|2|1|NULL|0|1",
            "i8|2|1|NULL|-128|127",
            "i16|2|1|NULL|-32768|32767",
            "i32|2|1|NULL|-2147483648|2147483647",
            "i64|2|1|NULL|-9223372036854775808|9223372036854775807",
            "f32|2|1|0|-3.4028235e+38|inf",
            "f64|2|1|1|1.7976931348623157e+308|1.7976931348623157e+308",
            "d9|2|1|NULL|-999.99|0.01",
            "d38|2|1|NULL|-99999999999999999999999999999.999999999|99999999999999999999999999999.999999999",
            "t|2|1|NULL||é🌊\u{202e}\n",
            "bin|2|1|NULL||00FF",
            "day|2|1|NULL|0001-01-01|9999-12-31",
            "tod|2|1|NULL|00:00:00|23:59:59.999999",
            "ts|2|1|NULL|0001-01-01 00:00:00|9999-12-31 23:59:59.999999",
            "tz|2|1|NULL|1969-12-31 23:59:59.999999+00|2020-01-02 03:04:05.678901+00",
            "element|2|2|0|-0.25|1.5",
            "n|2|1|NULL|1|3",
            "t|2|1|NULL|x|y",
            "key|1|2|NULL|k|k",
            "value|1|2|NULL|1|1",
            "n|2|2|NULL|1|3",
            "t|2|2|NULL|x|y",
        ]
    );
}

#[tokio::test]
async fn other_types_are_stored_as_the_plain_one() {
    let place = Place::new();
    let dictionary: DictionaryArray<Int8Type> =
        vec![Some("x"), None, Some("y")].into_iter().collect();
    let written = batch(vec![
        ("u8", array(UInt8Array::from(vec![0, 1, u8::MAX]))),
        ("u32", array(UInt32Array::from(vec![0, 1, u32::MAX]))),
        ("u64", array(UInt64Array::from(vec![0, 1, u64::MAX]))),
        (
            "view",
            array(StringViewArray::from(vec![
                "a",
                "b",
                "a text that is longer than twelve bytes",
            ])),
        ),
        ("large", array(LargeStringArray::from(vec!["a", "b", "c"]))),
        ("dict", array(dictionary)),
        (
            "ns",
            array(TimestampNanosecondArray::from(vec![1_001, 2_000, 3_000])),
        ),
        (
            "s",
            array(TimestampSecondArray::from(vec![1, 2, 3]).with_timezone("+01:00")),
        ),
        ("null", array(NullArray::new(3))),
        (
            "d64",
            array(Date64Array::from(vec![0, 86_400_000, 172_800_000])),
        ),
        (
            "fixed",
            array(
                FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>(
                    vec![Some(vec![Some(1.0), Some(2.0)]); 3],
                    2,
                ),
            ),
        ),
        (
            "half",
            array(
                FixedSizeBinaryArray::try_from_iter([[1u8, 2], [3, 4], [5, 6]].into_iter())
                    .unwrap(),
            ),
        ),
    ]);
    table(&place.warehouse, "public", "t", &written).await;
    let types = place
        .warehouse
        .snapshot()
        .unwrap()
        .table("public", "t")
        .unwrap()
        .columns
        .iter()
        .map(|column| column.column_type.to_string())
        .collect::<Vec<_>>();
    assert_eq!(
        types,
        [
            "int16",
            "int64",
            "decimal(20,0)",
            "varchar",
            "varchar",
            "varchar",
            "timestamp",
            "timestamptz",
            "varchar",
            "date",
            "list",
            "blob"
        ]
    );
    assert_eq!(
        read(&place.warehouse, "public", "t").await,
        [
            "0|0|0|a|a|x|1970-01-01T00:00:00.000001|1970-01-01T00:00:01Z|NULL|1970-01-01|[1.0, 2.0]|0102",
            "1|1|1|b|b|NULL|1970-01-01T00:00:00.000002|1970-01-01T00:00:02Z|NULL|1970-01-02|[1.0, 2.0]|0304",
            "255|4294967295|18446744073709551615|a text that is longer than twelve bytes|c|y|1970-01-01T00:00:00.000003|1970-01-01T00:00:03Z|NULL|1970-01-03|[1.0, 2.0]|0506",
        ]
    );
}

#[tokio::test]
async fn rows_of_another_shape_are_refused() {
    let place = Place::new();
    table(&place.warehouse, "public", "t", &rows(&[(1, "a")])).await;
    let refused = async |batch: RecordBatch| {
        let error = insert(&place.warehouse, "public", "t", &batch)
            .await
            .unwrap_err();
        assert!(matches!(error, Error::TypeMismatch { .. }), "{error:?}");
        error.detail().unwrap()
    };
    assert_eq!(
        refused(rows(&[(1, "a")]).project(&[0]).unwrap()).await,
        "The table has 2 columns, the rows have 1."
    );
    assert_eq!(
        refused(rows(&[(1, "a")]).project(&[1, 0]).unwrap()).await,
        "Column \"id\" has type int64, the rows have Utf8."
    );
    let narrow = batch(vec![
        ("id", array(Int32Array::from(vec![1]))),
        ("name", array(StringArray::from(vec!["a"]))),
    ]);
    assert_eq!(
        refused(narrow).await,
        "Column \"id\" has type int64, the rows have Int32."
    );
    assert_eq!(read(&place.warehouse, "public", "t").await, ["1|a"]);
    assert_eq!(place.files().len(), 1);
}

#[test]
fn types_that_cannot_be_stored_are_said() {
    let place = Place::new();
    let transaction = place.warehouse.begin().unwrap();
    for (data_type, said) in [
        (DataType::Interval(IntervalUnit::MonthDayNano), "interval"),
        (DataType::Decimal256(50, 2), "decimal(50,2)"),
        (DataType::Decimal128(5, -2), "decimal(5,-2)"),
        (DataType::Duration(TimeUnit::Second), "duration(s)"),
        (
            DataType::new_list(DataType::Interval(IntervalUnit::DayTime), true),
            "interval",
        ),
    ] {
        assert!(storage_type(&data_type).is_err());
        let error = transaction
            .create_table("public", "t", &[ColumnDef::new("c", data_type)])
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("column \"c\" has type {said}, which cannot be stored")
        );
    }
}
