//! Names and field ids that the specification keeps for itself.

/// What all names of columns begin with that are not the user's.
pub const PREFIX: &str = "_ducklake_internal_";

/// The column of a data file that says the row id of each row, where they are not in sequence: after an update or a compaction.
pub const ROW_ID_COLUMN: &str = "_ducklake_internal_row_id";

/// The field id of [`ROW_ID_COLUMN`].
pub const ROW_ID_FIELD: i64 = 2_147_483_540;

/// The column that says by which snapshot a row was inserted, or deleted, where one file has rows of several.
pub const SNAPSHOT_ID_COLUMN: &str = "_ducklake_internal_snapshot_id";

/// The column of a delete file that names the data file.
pub const DELETE_PATH_COLUMN: &str = "file_path";

/// The field id of [`DELETE_PATH_COLUMN`].
pub const DELETE_PATH_FIELD: i64 = 2_147_483_646;

/// The column of a delete file that holds positions.
pub const DELETE_POSITION_COLUMN: &str = "pos";

/// The field id of [`DELETE_POSITION_COLUMN`].
pub const DELETE_POSITION_FIELD: i64 = 2_147_483_645;

/// The columns that a table of inlined rows has before those of the user.
pub const INLINED_COLUMNS: [&str; 3] = ["row_id", "begin_snapshot", "end_snapshot"];
