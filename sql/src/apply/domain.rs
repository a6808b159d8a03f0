//! The domain of a subquery: the numbered distinct tuples of outer values, as a table that is filled while running.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Column, Result, internal_err};
use datafusion::datasource::provider_as_source;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, TableType};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::memory::MemoryStream;
use datafusion::physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning,
    PlanProperties, ReplaceChildrenOptions,
};

/// Numbers the domains of this process, so that no two scans are taken for one another.
static NEXT: AtomicU64 = AtomicU64::new(1);

/// The domain of one subquery while its plan is made.
#[derive(Debug)]
pub(super) struct Domain {
    /// Its number.
    pub number: u64,
    /// What the columns beside the tuple's number stand for: the outer references of the subquery.
    pub references: Vec<Expr>,
    schema: SchemaRef,
}

impl Domain {
    /// A domain with a column for each of `references`, which have the types of `fields`.
    pub fn new(references: Vec<Expr>, fields: &[FieldRef]) -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let mut columns = vec![Field::new(id_name(number), DataType::UInt32, false)];
        columns.extend(fields.iter().enumerate().map(|(at, field)| {
            Field::clone(field)
                .with_name(format!("__domain_{number}_{at}"))
                .with_nullable(true)
        }));
        Self {
            number,
            references,
            schema: Arc::new(Schema::new(columns)),
        }
    }

    /// A scan of the domain and its columns: the number first, then one for each reference.
    ///
    /// # Errors
    /// Of the engine.
    pub fn scan(&self) -> Result<(LogicalPlan, Bound)> {
        let name = format!("__domain_{}", self.number);
        let table = DomainTable {
            number: self.number,
            schema: Arc::clone(&self.schema),
        };
        let source = provider_as_source(Arc::new(table));
        let plan = LogicalPlanBuilder::scan(name.as_str(), source, None)?.build()?;
        let mut columns = plan.schema().columns().into_iter();
        let Some(id) = columns.next() else {
            return internal_err!("a domain has no number");
        };
        let columns = columns.collect();
        Ok((plan, Bound { id, columns }))
    }
}

fn id_name(number: u64) -> String {
    format!("__domain_{number}")
}

/// Where the columns of a domain are in a plan.
#[derive(Debug, Clone)]
pub(super) struct Bound {
    /// The number of the tuple.
    pub id: Column,
    /// The values, in the order of [`Domain::references`].
    pub columns: Vec<Column>,
}

impl Bound {
    /// All columns, the number first.
    pub fn all(&self) -> impl Iterator<Item = &Column> {
        std::iter::once(&self.id).chain(&self.columns)
    }

    /// The same columns, each as `f` has it.
    pub fn map(&self, mut f: impl FnMut(&Column) -> Column) -> Self {
        Self {
            id: f(&self.id),
            columns: self.columns.iter().map(f).collect(),
        }
    }
}

#[derive(Debug)]
struct DomainTable {
    number: u64,
    schema: SchemaRef,
}

#[async_trait]
impl TableProvider for DomainTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Temporary
    }

    async fn scan(
        &self,
        _state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let schema = match projection {
            Some(projection) => Arc::new(self.schema.project(projection)?),
            None => Arc::clone(&self.schema),
        };
        Ok(Arc::new(DomainExec::new(
            self.number,
            projection.cloned(),
            schema,
        )))
    }
}

/// Reads the domain that the operator above has filled.
#[derive(Debug)]
pub(super) struct DomainExec {
    number: u64,
    projection: Option<Vec<usize>>,
    properties: Arc<PlanProperties>,
    batches: Arc<OnceLock<Vec<RecordBatch>>>,
}

impl DomainExec {
    fn new(number: u64, projection: Option<Vec<usize>>, schema: SchemaRef) -> Self {
        Self {
            number,
            projection,
            properties: Arc::new(PlanProperties::new(
                EquivalenceProperties::new(schema),
                Partitioning::UnknownPartitioning(1),
                EmissionType::Incremental,
                Boundedness::Bounded,
            )),
            batches: Arc::default(),
        }
    }

    /// Gives the scan its rows if it is one of domain `number`.
    ///
    /// # Errors
    /// An internal error if it has rows already.
    pub fn fill(&self, number: u64, batches: &[RecordBatch]) -> Result<()> {
        if self.number != number {
            return Ok(());
        }
        let projected = batches
            .iter()
            .map(|batch| match &self.projection {
                Some(projection) => Ok(batch.project(projection)?),
                None => Ok(batch.clone()),
            })
            .collect::<Result<Vec<RecordBatch>>>()?;
        if self.batches.set(projected).is_err() {
            return internal_err!("domain {number} is filled twice");
        }
        Ok(())
    }
}

impl DisplayAs for DomainExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DomainExec: domain={}", self.number)
    }
}

impl ExecutionPlan for DomainExec {
    fn name(&self) -> &str {
        "DomainExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn replace_children(
        self: Arc<Self>,
        _children: Vec<Arc<dyn ExecutionPlan>>,
        _options: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(
            children,
            ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute),
        )
    }

    fn apply_expressions(
        &self,
        _f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    /// A plan that runs again, as the recursive part of a query does, gets its domain anew.
    fn reset_state(self: Arc<Self>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(Self::new(
            self.number,
            self.projection.clone(),
            self.schema(),
        )))
    }

    fn execute(
        &self,
        _partition: usize,
        _context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        match self.batches.get() {
            Some(batches) => Ok(Box::pin(MemoryStream::try_new(
                batches.clone(),
                self.schema(),
                None,
            )?)),
            None => internal_err!("domain {} is read before it is filled", self.number),
        }
    }
}
