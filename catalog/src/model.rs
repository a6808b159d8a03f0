//! What a catalog holds: schemas, tables, columns, views and data files, as plain immutable values.
//!
//! Ids are newtypes over the integers of the DuckLake specification. An id at or above [`LOCAL`] belongs to an object that an open transaction
//! made; commit replaces it by the next free one, so ids of concurrent transactions cannot meet. Names are what users write; ids are what survives a rename.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::{Arc, OnceLock};

use arrow::datatypes::{DataType, Field, Fields, Schema as ArrowSchema, SchemaRef};
use datafusion::common::Statistics;

use crate::deletes::{Deletes, live_rows};
use crate::inline::Inlined;
use crate::spec::paths;
use crate::spec::types::ColumnType;

/// The first id that is only known to its own transaction.
pub(crate) const LOCAL: i64 = 1 << 62;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub i64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id!(
    /// A version of the whole catalog: 0 is the empty warehouse, each commit adds 1.
    SnapshotId
);
id!(
    /// A schema, for all its life.
    SchemaId
);
id!(
    /// A table, for all its life, renames included. Until commit it may be known to its transaction only.
    TableId
);
id!(
    /// A view, for all its life, renames included.
    ViewId
);
id!(
    /// A column within its table, the field id in the Parquet files.
    ColumnId
);
id!(
    /// A data file.
    FileId
);

impl TableId {
    /// Whether the table exists only in the transaction that makes it.
    pub fn is_local(self) -> bool {
        self.0 >= LOCAL
    }
}

/// The two kinds of relation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RelationKind {
    /// Rows in files.
    Table,
    /// A stored query.
    View,
}

impl fmt::Display for RelationKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Table => "table",
            Self::View => "view",
        })
    }
}

/// A namespace for relations.
#[derive(Debug, Clone)]
pub struct Schema {
    /// Its id.
    pub id: SchemaId,
    /// Its UUID.
    pub uuid: String,
    /// Its name.
    pub name: String,
    /// Its directory relative to the data directory, ending in a slash; absolute if an outside writer said so.
    pub path: String,
    /// Whether `path` is relative to the data directory.
    pub path_is_relative: bool,
    /// Its comment.
    pub comment: Option<String>,
    /// Tables and views by name.
    pub relations: BTreeMap<String, Relation>,
}

impl Schema {
    /// Whether the schema should not be listed: DuckLake's own `main` while nothing is in it.
    pub fn is_hidden(&self) -> bool {
        self.name == "main" && self.relations.is_empty()
    }
}

/// A table or a view.
#[derive(Debug, Clone)]
pub enum Relation {
    /// Rows in files.
    Table(Arc<Table>),
    /// A stored query.
    View(Arc<View>),
}

impl Relation {
    /// Which of the two.
    pub fn kind(&self) -> RelationKind {
        match self {
            Self::Table(_) => RelationKind::Table,
            Self::View(_) => RelationKind::View,
        }
    }

    /// Its name within the schema.
    pub fn name(&self) -> &str {
        match self {
            Self::Table(table) => &table.name,
            Self::View(view) => &view.name,
        }
    }

    /// Its comment.
    pub fn comment(&self) -> Option<&str> {
        match self {
            Self::Table(table) => table.comment(),
            Self::View(view) => view.comment(),
        }
    }
}

/// A table as of one snapshot.
#[derive(Debug, Clone)]
pub struct Table {
    /// Its id.
    pub id: TableId,
    /// Its UUID.
    pub uuid: String,
    /// The schema it is in.
    pub schema_id: SchemaId,
    /// The name of that schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// Its directory relative to that of the schema, ending in a slash.
    pub path: String,
    /// Whether `path` is relative.
    pub path_is_relative: bool,
    /// Path and flag of the directory of its schema, which hold its files if `path` is relative.
    pub(crate) schema_path: (String, bool),
    /// Its columns in order.
    pub columns: Vec<Column>,
    /// The Arrow form of `columns`, one field a column; the only metadata is that of [`TypeModifier`].
    pub arrow_schema: SchemaRef,
    /// `arrow_schema` with text and blobs as views: what a scan gives.
    pub(crate) scan_schema: SchemaRef,
    /// Its data files, oldest first.
    pub files: Arc<Vec<Arc<DataFile>>>,
    /// Which rows of `files` are deleted; files without any are not in it.
    pub(crate) deletes: Arc<BTreeMap<FileId, Deletes>>,
    /// Rows that lie in the catalog database.
    pub(crate) inlined: Arc<Inlined>,
    /// The version of the catalog's schema at which the table was made or last altered.
    pub(crate) schema_version: i64,
    /// Rows that are there; an upper bound where an outside writer has not counted them.
    pub rows: u64,
    /// Bytes in `files`.
    pub bytes: u64,
    /// The id that the next column gets; those of dropped columns are not used again.
    pub(crate) next_column_id: i64,
    /// Tags by key; `comment` is the comment.
    pub tags: BTreeMap<String, String>,
    /// Why the rows cannot be read, if an outside writer used a feature we do not have: the feature in words.
    pub unreadable: Option<String>,
}

impl Table {
    /// The comment on the table.
    pub fn comment(&self) -> Option<&str> {
        self.tags.get(COMMENT).map(String::as_str)
    }

    /// The column of that name.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// Whether a column holds a NULL, as far as statistics say; none if one has to look.
    pub fn has_nulls(&self, column: ColumnId) -> Option<bool> {
        let declared = self
            .columns
            .iter()
            .find(|candidate| candidate.id == column)?;
        if !declared.nullable {
            return Some(false);
        }
        let mut known = if self.inlined.rows() > 0 {
            None
        } else {
            Some(false)
        };
        for file in self.files.iter() {
            match file.column(column).map(|column| column.nulls) {
                Some(0) => {}
                // A file without the column holds its value from before it was added everywhere.
                None if declared.initial_default.is_some() => {}
                Some(_) if !self.deletes.contains_key(&file.id) => return Some(true),
                _ => known = None,
            }
        }
        known
    }

    /// Schema and name with a dot, for messages.
    pub fn qualified_name(&self) -> String {
        format!("{}.{}", self.schema, self.name)
    }

    /// The full path of its directory.
    pub(crate) fn directory(&self, data_path: &str) -> String {
        let (schema, schema_is_relative) = &self.schema_path;
        paths::resolve(
            data_path,
            [
                (schema.as_str(), *schema_is_relative),
                (self.path.as_str(), self.path_is_relative),
            ],
        )
    }

    /// The Arrow schema of `columns`, and the one in which a scan gives them: decoding Parquet into views
    /// copies less, and the engine groups and compares them faster.
    pub(crate) fn schemas_of(columns: &[Column]) -> (SchemaRef, SchemaRef) {
        let fields = columns.iter().map(Column::arrow_field).collect::<Fields>();
        let views = fields.iter().map(|field| match field.data_type() {
            DataType::Utf8 => Arc::new(Field::clone(field).with_data_type(DataType::Utf8View)),
            DataType::Binary => Arc::new(Field::clone(field).with_data_type(DataType::BinaryView)),
            _ => Arc::clone(field),
        });
        let views = views.collect::<Fields>();
        (
            Arc::new(ArrowSchema::new(fields)),
            Arc::new(ArrowSchema::new(views)),
        )
    }

    /// The same table with other columns.
    pub(crate) fn with_columns(&self, columns: Vec<Column>) -> Self {
        let (arrow_schema, scan_schema) = Self::schemas_of(&columns);
        Self {
            columns,
            scan_schema,
            arrow_schema,
            ..self.clone()
        }
    }

    /// The same table with `added` behind its files.
    pub(crate) fn with_files(&self, added: impl IntoIterator<Item = Arc<DataFile>>) -> Self {
        let mut files = Vec::clone(&self.files);
        files.extend(added);
        Self {
            files: Arc::new(files),
            ..self.clone()
        }
        .counted()
    }

    /// The same table without some of its files.
    pub(crate) fn without_files(&self, gone: &BTreeSet<FileId>) -> Self {
        let mut files = Vec::clone(&self.files);
        files.retain(|file| !gone.contains(&file.id));
        let mut deletes = BTreeMap::clone(&self.deletes);
        deletes.retain(|file, _| !gone.contains(file));
        Self {
            files: Arc::new(files),
            deletes: Arc::new(deletes),
            ..self.clone()
        }
        .counted()
    }

    /// The same table with other deleted rows in one file.
    pub(crate) fn with_deletes(&self, file: FileId, deleted: Deletes) -> Self {
        let mut deletes = BTreeMap::clone(&self.deletes);
        deletes.insert(file, deleted);
        Self {
            deletes: Arc::new(deletes),
            ..self.clone()
        }
        .counted()
    }

    /// The same table with other inlined rows.
    pub(crate) fn with_inlined(&self, inlined: Inlined) -> Self {
        let in_files = self.rows.saturating_sub(self.inlined.rows());
        Self {
            rows: in_files.saturating_add(inlined.rows()),
            inlined: Arc::new(inlined),
            ..self.clone()
        }
    }

    /// The file of that id.
    pub(crate) fn file(&self, id: FileId) -> Option<&Arc<DataFile>> {
        // Files are in the order of their ids, but for those that an outside writer has put in the place of others.
        match self.files.binary_search_by_key(&id, |file| file.id) {
            Ok(at) => self.files.get(at),
            Err(_) => self.files.iter().find(|file| file.id == id),
        }
    }

    /// The same table with `rows` and `bytes` as its files say.
    pub(crate) fn counted(self) -> Self {
        let bytes = self.files.iter().map(|file| file.bytes);
        Self {
            rows: live_rows(&self).saturating_add(self.inlined.rows()),
            bytes: bytes.fold(0, u64::saturating_add),
            ..self
        }
    }
}

/// The key of the tag that holds a comment.
pub(crate) const COMMENT: &str = "comment";

/// The key of the tag of a view that says what it reads.
pub(crate) const DEPENDS_ON: &str = "tributary.depends_on";

/// A column of a table, or a part of a nested one.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// Its field id, unique in the table and never used again.
    pub id: ColumnId,
    /// Its name; `element` in a list, `key` and `value` in a map.
    pub name: String,
    /// Its type in the terms of the specification.
    pub column_type: ColumnType,
    /// Its Arrow type.
    pub data_type: DataType,
    /// Whether NULL may be stored.
    pub nullable: bool,
    /// The expression that gives the value where INSERT names none, as SQL text.
    pub default: Option<String>,
    /// The value that rows written before the column was added have, as the text of the specification.
    pub initial_default: Option<String>,
    /// What was declared beyond the Arrow type.
    pub type_modifier: Option<TypeModifier>,
    /// Its comment.
    pub comment: Option<String>,
    /// Whether it was of a narrower floating point type once: bounds of that time are the shortest text of a narrow number, which read as a
    /// wide one may lie inside the values.
    pub(crate) widened: bool,
    /// The parts of a nested type: fields of a struct, the element of a list, key and value of a map.
    pub children: Vec<Column>,
}

impl Column {
    /// The column as an Arrow field.
    pub fn arrow_field(&self) -> Field {
        let field = Field::new(&self.name, self.data_type.clone(), self.nullable);
        match &self.type_modifier {
            Some(modifier) => field.with_metadata(modifier.metadata()),
            None => field,
        }
    }

    /// The column and all its parts, outer before inner.
    pub fn walk(&self) -> impl Iterator<Item = &Column> {
        let mut stack = vec![self];
        std::iter::from_fn(move || {
            let column = stack.pop()?;
            stack.extend(column.children.iter().rev());
            Some(column)
        })
    }
}

/// The metadata key by which an Arrow field says its PostgreSQL type, as `pg_type.typname` has it.
pub const FIELD_TYPE_NAME: &str = "pg_type";

/// The metadata key by which an Arrow field says its type modifier, as `pg_attribute.atttypmod` has it.
pub const FIELD_TYPE_MODIFIER: &str = "pg_typmod";

/// A PostgreSQL type that Arrow cannot express: `varchar(20)`, `char(3)`, `jsonb`, `uuid`, ...
///
/// It travels as metadata of Arrow fields, so that the type of a column reaches the client through any plan that passes the column on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypeModifier {
    /// The type as `pg_type.typname` has it.
    pub type_name: String,
    /// The modifier as `pg_attribute.atttypmod` has it; -1 is none.
    pub modifier: i32,
}

impl TypeModifier {
    /// What the metadata of `field` says, if anything.
    pub fn of_field(field: &Field) -> Option<Self> {
        let type_name = field.metadata().get(FIELD_TYPE_NAME)?.clone();
        let modifier = field
            .metadata()
            .get(FIELD_TYPE_MODIFIER)
            .and_then(|text| text.parse().ok())
            .unwrap_or(-1);
        Some(Self {
            type_name,
            modifier,
        })
    }

    /// The metadata that says this.
    pub fn metadata(&self) -> HashMap<String, String> {
        let mut metadata = HashMap::from([(FIELD_TYPE_NAME.to_owned(), self.type_name.clone())]);
        if self.modifier != -1 {
            metadata.insert(FIELD_TYPE_MODIFIER.to_owned(), self.modifier.to_string());
        }
        metadata
    }

    /// Whether values are JSON text.
    pub(crate) fn is_json(&self) -> bool {
        matches!(self.type_name.as_str(), "json" | "jsonb")
    }
}

/// A column to be made. The catalog gives it its id.
#[derive(Debug, Clone)]
pub struct ColumnDef {
    /// Its name.
    pub name: String,
    /// Its Arrow type. Types that are not stored as they are become what [`storage_type`](crate::storage_type) says.
    pub data_type: DataType,
    /// Whether NULL may be stored.
    pub nullable: bool,
    /// Default expression as SQL text.
    pub default: Option<String>,
    /// What the user declared beyond the Arrow type.
    pub type_modifier: Option<TypeModifier>,
    /// Its comment.
    pub comment: Option<String>,
}

impl ColumnDef {
    /// A nullable column without default.
    pub fn new(name: impl Into<String>, data_type: DataType) -> Self {
        Self {
            name: name.into(),
            data_type,
            nullable: true,
            default: None,
            type_modifier: None,
            comment: None,
        }
    }

    /// A column like the result column `field` of a query: nullable, as CREATE TABLE AS makes them.
    pub fn from_field(field: &Field) -> Self {
        Self {
            type_modifier: TypeModifier::of_field(field),
            ..Self::new(field.name(), field.data_type().clone())
        }
    }
}

/// A stored query.
#[derive(Debug, Clone)]
pub struct View {
    /// Its id.
    pub id: ViewId,
    /// Its UUID.
    pub uuid: String,
    /// The schema it is in.
    pub schema_id: SchemaId,
    /// The name of that schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// The query.
    pub sql: String,
    /// The dialect of the query: `postgres`, `tributary` if it uses our functions, `duckdb` from outside.
    pub dialect: String,
    /// Names given to its columns; empty for those of the query.
    pub column_aliases: Vec<String>,
    /// Tags by key; `comment` is the comment.
    pub tags: BTreeMap<String, String>,
}

impl View {
    /// The comment on the view.
    pub fn comment(&self) -> Option<&str> {
        self.tags.get(COMMENT).map(String::as_str)
    }
}

/// An immutable Parquet file of a table.
#[derive(Debug)]
pub struct DataFile {
    /// Its id.
    pub id: FileId,
    /// Its path relative to the directory of the table, or absolute.
    pub path: String,
    /// Whether `path` is relative.
    pub path_is_relative: bool,
    /// Rows in it.
    pub rows: u64,
    /// Its size.
    pub bytes: u64,
    /// Bytes of the Parquet footer.
    pub footer_bytes: u64,
    /// The row id of its first row.
    pub row_id_start: Option<i64>,
    /// XXH3-128 of its bytes in hexadecimal; none for files of outside writers.
    pub checksum: Option<String>,
    /// If rows of several snapshots are in it, the newest of these; each row says its own.
    pub partial_max: Option<i64>,
    /// Statistics of its leaf columns, ordered by column.
    pub columns: Vec<FileColumn>,
    /// The statistics in the form of the engine for one schema of the table, made at the first scan.
    pub(crate) engine: OnceLock<(SchemaRef, Arc<Statistics>)>,
}

impl DataFile {
    /// What is known of one leaf column.
    pub fn column(&self, id: ColumnId) -> Option<&FileColumn> {
        let at = self
            .columns
            .binary_search_by_key(&id, |column| column.id)
            .ok()?;
        self.columns.get(at)
    }

    /// The same file with the ids that commit gives it.
    pub(crate) fn with_ids(&self, id: FileId, row_id_start: Option<i64>) -> Self {
        Self {
            id,
            path: self.path.clone(),
            path_is_relative: self.path_is_relative,
            rows: self.rows,
            bytes: self.bytes,
            footer_bytes: self.footer_bytes,
            row_id_start,
            checksum: self.checksum.clone(),
            partial_max: self.partial_max,
            columns: self.columns.clone(),
            engine: self.engine.clone(),
        }
    }
}

/// Statistics of one leaf column in one file, in the text of the specification.
#[derive(Debug, Clone, PartialEq)]
pub struct FileColumn {
    /// The column.
    pub id: ColumnId,
    /// Compressed bytes.
    pub bytes: u64,
    /// Values that are not NULL.
    pub values: u64,
    /// NULLs.
    pub nulls: u64,
    /// Whether a NaN is among the values; known for floating point only.
    pub contains_nan: Option<bool>,
    /// A lower bound of the values that are not NaN.
    pub min: Option<String>,
    /// An upper bound of the values that are not NaN.
    pub max: Option<String>,
}
