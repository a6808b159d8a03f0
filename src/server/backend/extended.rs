//! The extended protocol: statements are prepared, bound to parameters as portals, and run, in parts if the client likes.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Schema};
use datafusion::common::ScalarValue;
use pgwire::messages::data::{NoData, ParameterDescription};
use pgwire::messages::extendedquery::{
    BindComplete, CloseComplete, ParseComplete, PortalSuspended,
};
use pgwire::messages::response::EmptyQueryResponse;
use tributary_sql::pgtype::{self, PgType};

use super::rows::{Rows, Sent};
use super::{Backend, Stop, caught, guarded};
use crate::server::decode;
use crate::server::encode::{Format, row_description};
use crate::server::error::PgError;
use crate::server::message::{Bind, Parse, Target};
use crate::server::transport::put;
use crate::session::{Outcome, Prepared, RowsTag};

/// Type number of `unknown`, which leaves a parameter's type to the server as 0 does.
const UNKNOWN_OID: u32 = 705;

/// A statement that Parse has planned.
pub struct PreparedStatement {
    /// `None` for an empty statement.
    prepared: Option<Prepared>,
    /// The PostgreSQL types of its parameters, those declared as they were declared.
    parameter_types: Vec<&'static PgType>,
}

impl PreparedStatement {
    fn result(&self) -> Option<&Schema> {
        self.prepared.as_ref()?.result.as_deref()
    }
}

/// A statement with its parameters.
pub struct Portal {
    statement: Arc<PreparedStatement>,
    parameters: Vec<ScalarValue>,
    formats: Vec<Format>,
    state: PortalState,
}

enum PortalState {
    /// Bound and not run yet.
    Ready,
    /// Some of its rows are sent.
    Suspended(Box<Rows>),
    /// All of its rows are sent; the tag of none.
    Exhausted(RowsTag),
    /// Run; it yields no rows.
    Done,
}

impl Backend {
    pub(super) async fn parse(&mut self, parse: Parse) -> Result<(), Stop> {
        let Parse {
            name,
            sql,
            parameter_types,
        } = parse;
        if name.is_empty() {
            self.statements.remove("");
        } else if self.statements.contains_key(&name) {
            return Err(PgError::error(
                "42P05",
                format!("prepared statement \"{name}\" already exists"),
            )
            .into());
        }
        self.begin_statement();
        let mut statements = caught(|| self.session.parse(&sql))?;
        let declared = declared_types(&parameter_types)?;
        let prepared = match (statements.pop(), statements.is_empty()) {
            (None, _) => None,
            (Some(_), false) => {
                return Err(PgError::error(
                    "42601",
                    "cannot insert multiple commands into a prepared statement",
                )
                .into());
            }
            (Some(statement), true) => {
                let data_types: Vec<Option<DataType>> = declared
                    .iter()
                    .map(|declared| declared.as_ref().map(|(_, data_type)| data_type.clone()))
                    .collect();
                Some(
                    guarded(
                        &self.interrupt,
                        self.session.prepare(&statement, &data_types),
                    )
                    .await?,
                )
            }
        };
        let inferred = prepared.iter().flat_map(|prepared| &prepared.parameters);
        let parameter_types = inferred
            .enumerate()
            .map(|(index, field)| match declared.get(index) {
                Some(Some((pg_type, _))) => *pg_type,
                _ => pgtype::of_field(field),
            })
            .collect();
        let statement = PreparedStatement {
            prepared,
            parameter_types,
        };
        self.statements.insert(name, Arc::new(statement));
        put(&mut self.out, &ParseComplete::new())?;
        Ok(())
    }

    pub(super) fn bind(&mut self, bind: Bind) -> Result<(), Stop> {
        let statement = Arc::clone(self.statement(&bind.statement)?);
        if bind.portal.is_empty() {
            self.portals.remove("");
        } else if self.portals.contains_key(&bind.portal) {
            return Err(PgError::error(
                "42P03",
                format!("cursor \"{}\" already exists", bind.portal),
            )
            .into());
        }
        let wanted = statement.parameter_types.len();
        let given = bind.parameters.len();
        let parameter_formats = Format::expand(&bind.parameter_formats, given, |formats| {
            format!("bind message has {formats} parameter formats but {given} parameters")
        })?;
        if given != wanted {
            return Err(PgError::error(
                "08P01",
                format!(
                    "bind message supplies {given} parameters, but prepared statement \"{}\" requires {wanted}",
                    bind.statement
                ),
            )
            .into());
        }
        let columns = statement.result().map_or(0, |schema| schema.fields().len());
        let formats = Format::expand(&bind.result_formats, columns, |formats| {
            format!("bind message has {formats} result formats but query has {columns} columns")
        })?;
        let style = self.style();
        let fields = statement
            .prepared
            .iter()
            .flat_map(|prepared| &prepared.parameters);
        let parameters = bind
            .parameters
            .iter()
            .zip(parameter_formats)
            .zip(statement.parameter_types.iter().zip(fields))
            .map(|((bytes, format), (pg_type, field))| {
                decode::parameter(bytes.as_deref(), format, pg_type, field.data_type(), style)
            })
            .collect::<Result<Vec<_>, _>>()?;
        let portal = Portal {
            statement,
            parameters,
            formats,
            state: PortalState::Ready,
        };
        self.portals.insert(bind.portal, portal);
        put(&mut self.out, &BindComplete::new())?;
        Ok(())
    }

    pub(super) fn describe(&mut self, target: &Target) -> Result<(), Stop> {
        let description = match target {
            Target::Statement(name) => {
                let statement = Arc::clone(self.statement(name)?);
                let types = statement
                    .parameter_types
                    .iter()
                    .map(|pg_type| pg_type.oid)
                    .collect();
                put(&mut self.out, &ParameterDescription::new(types))?;
                statement
                    .result()
                    .map(|schema| row_description(schema, &[]))
                    .transpose()?
            }
            Target::Portal(name) => {
                let portal = self.portals.get(name).ok_or_else(|| no_portal(name))?;
                portal
                    .statement
                    .result()
                    .map(|schema| row_description(schema, &portal.formats))
                    .transpose()?
            }
        };
        match description {
            Some(description) => put(&mut self.out, &description)?,
            None => put(&mut self.out, &NoData::new())?,
        }
        Ok(())
    }

    /// Runs a portal, or goes on with one that was suspended.
    pub(super) async fn execute(&mut self, name: &str, rows_max: usize) -> Result<(), Stop> {
        // Out of the map while it runs: a statement may end the transaction, and all portals with it.
        let mut portal = self.portals.remove(name).ok_or_else(|| no_portal(name))?;
        let Some(prepared) = &portal.statement.prepared else {
            put(&mut self.out, &EmptyQueryResponse::new())?;
            self.portals.insert(name.to_owned(), portal);
            return Ok(());
        };
        self.begin_statement();
        let mut rows = match std::mem::replace(&mut portal.state, PortalState::Done) {
            PortalState::Done => {
                return Err(
                    PgError::error("55000", format!("portal \"{name}\" cannot be run")).into(),
                );
            }
            PortalState::Exhausted(tag) => {
                portal.state = PortalState::Exhausted(tag);
                self.portals.insert(name.to_owned(), portal);
                return self.complete(tag.text(0));
            }
            PortalState::Suspended(rows) => rows,
            PortalState::Ready => {
                // Statements up to the Sync are one transaction. One that stands alone before its Sync is a transaction of
                // its own, which is the same, and spares what a block costs.
                if self.queue.front().is_none_or(|frame| frame.kind != b'S') {
                    self.session.begin_implicit()?;
                }
                let parameters = portal.parameters.clone();
                let outcome =
                    guarded(&self.interrupt, self.session.execute(prepared, parameters)).await?;
                match outcome {
                    Outcome::Done { tag } => {
                        self.portals.insert(name.to_owned(), portal);
                        return self.complete(tag);
                    }
                    Outcome::CopyOut {
                        schema,
                        stream,
                        format,
                    } => {
                        let tag = self.copy_out(&schema, stream, format).await?;
                        return self.complete(tag);
                    }
                    Outcome::CopyIn(copying) => {
                        let tag = self.copy_in(*copying).await?;
                        return self.complete(tag);
                    }
                    Outcome::Rows {
                        schema,
                        stream,
                        tag,
                    } => {
                        check_columns(prepared, &schema)?;
                        let style = self.style();
                        Box::new(Rows::new(&schema, &portal.formats, style, stream, tag))
                    }
                }
            }
        };
        let limit = (rows_max > 0).then_some(rows_max);
        let Sent {
            rows: sent,
            finished,
        } = self.send_rows(&mut rows, limit).await?;
        if finished {
            portal.state = PortalState::Exhausted(rows.tag);
            let tag = rows.tag.text(sent);
            self.portals.insert(name.to_owned(), portal);
            self.complete(tag)
        } else {
            portal.state = PortalState::Suspended(rows);
            self.portals.insert(name.to_owned(), portal);
            self.put_notices()?;
            put(&mut self.out, &PortalSuspended::new())?;
            Ok(())
        }
    }

    /// Forgets a statement or portal; one that does not exist is no error.
    pub(super) fn close(&mut self, target: &Target) -> Result<(), Stop> {
        match target {
            Target::Statement(name) => {
                self.statements.remove(name);
            }
            Target::Portal(name) => {
                self.portals.remove(name);
            }
        }
        put(&mut self.out, &CloseComplete::new())?;
        Ok(())
    }

    fn statement(&self, name: &str) -> Result<&Arc<PreparedStatement>, PgError> {
        self.statements.get(name).ok_or_else(|| {
            let message = if name.is_empty() {
                "unnamed prepared statement does not exist".to_owned()
            } else {
                format!("prepared statement \"{name}\" does not exist")
            };
            PgError::error("26000", message)
        })
    }
}

/// The types that Parse declares; `None` where it leaves one to the server.
fn declared_types(oids: &[u32]) -> Result<Vec<Option<(&'static PgType, DataType)>>, PgError> {
    oids.iter()
        .map(|oid| {
            if matches!(*oid, 0 | UNKNOWN_OID) {
                return Ok(None);
            }
            let pg_type = pgtype::by_oid(*oid).ok_or_else(|| {
                PgError::error("42704", format!("type with OID {oid} does not exist"))
            })?;
            let data_type = pgtype::data_type_of(*oid).ok_or_else(|| {
                PgError::error(
                    "0A000",
                    format!("parameters of type {} are not supported", pg_type.name),
                )
                .hint("Declare the parameter as text and cast it in the statement.")
            })?;
            Ok(Some((pg_type, data_type)))
        })
        .collect()
}

/// A client that was told of other columns would read these wrongly.
fn check_columns(prepared: &Prepared, schema: &Schema) -> Result<(), PgError> {
    let same = prepared.result.as_deref().is_some_and(|told| {
        told.fields().len() == schema.fields().len()
            && told
                .fields()
                .iter()
                .zip(schema.fields())
                .all(|(told, now)| pgtype::of_field(told) == pgtype::of_field(now))
    });
    if same {
        Ok(())
    } else {
        Err(PgError::error(
            "0A000",
            "cached plan must not change result type",
        ))
    }
}

fn no_portal(name: &str) -> PgError {
    PgError::error("34000", format!("portal \"{name}\" does not exist"))
}
