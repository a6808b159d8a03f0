//! The time, as the session sees it: that of the transaction, of the statement, and now.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::timezone::Tz;
use arrow::datatypes::{DataType, TimeUnit};
use chrono::{DateTime, Datelike, NaiveDateTime, Timelike};
use datafusion::common::{Result, ScalarValue, internal_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::super::SystemEnv;
use super::super::rows::Value;
use super::Declaration;

pub(super) const DECLARATIONS: &[Declaration] = &[
    Declaration::new("now", &[&[]], "timestamptz", |env, _| {
        Ok(Value::Time(env.transaction_started_at))
    }),
    Declaration::new("transaction_timestamp", &[&[]], "timestamptz", |env, _| {
        Ok(Value::Time(env.transaction_started_at))
    }),
    Declaration::new("current_timestamp", &[&[]], "timestamptz", |env, _| {
        Ok(Value::Time(env.transaction_started_at))
    }),
    Declaration::new("statement_timestamp", &[&[]], "timestamptz", |env, _| {
        Ok(Value::Time(env.statement_started_at))
    }),
    Declaration::new("clock_timestamp", &[&[]], "timestamptz", |env, _| {
        Ok(Value::Time((env.clock)()))
    })
    .volatile(),
];

/// Functions that tell the transaction's time on the clock of the session's time zone.
const LOCAL: &[(&str, Part)] = &[
    ("current_date", Part::Date),
    ("current_time", Part::Time),
    ("localtime", Part::Time),
    ("localtimestamp", Part::Both),
];

/// The functions of the local time, for the session that `env` describes.
pub(super) fn local(env: &Arc<SystemEnv>) -> impl Iterator<Item = Arc<ScalarUDF>> {
    LOCAL.iter().map(|(name, part)| {
        Arc::new(ScalarUDF::new_from_impl(Local {
            name,
            part: *part,
            env: Arc::clone(env),
            signature: Signature::nullary(Volatility::Stable),
        }))
    })
}

/// Whether `name` is such a function.
pub(super) fn is_local(name: &str) -> bool {
    LOCAL.iter().any(|(local, _)| *local == name)
}

/// What is told of the local time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Date,
    Time,
    Both,
}

struct Local {
    name: &'static str,
    part: Part,
    env: Arc<SystemEnv>,
    signature: Signature,
}

impl fmt::Debug for Local {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl PartialEq for Local {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && Arc::ptr_eq(&self.env, &other.env)
    }
}

impl Eq for Local {}

impl Hash for Local {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl Local {
    /// The transaction's start on the session's clock.
    fn time(&self) -> Option<NaiveDateTime> {
        let instant = DateTime::from_timestamp_micros(self.env.transaction_started_at)?;
        let zone = self.env.setting("timezone").unwrap_or("UTC");
        Some(match zone.parse::<Tz>() {
            Ok(zone) => instant.with_timezone(&zone).naive_local(),
            Err(_) => instant.naive_utc(),
        })
    }
}

impl ScalarUDFImpl for Local {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(match self.part {
            Part::Date => DataType::Date32,
            Part::Time => DataType::Time64(TimeUnit::Microsecond),
            Part::Both => DataType::Timestamp(TimeUnit::Microsecond, None),
        })
    }

    fn invoke_with_args(&self, _arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        const DAYS_TO_1970: i32 = 719_163;
        let Some(time) = self.time() else {
            return internal_err!("the time of the transaction is out of range");
        };
        let of_day = i64::from(time.num_seconds_from_midnight()) * 1_000_000
            + i64::from(time.and_utc().timestamp_subsec_micros());
        Ok(ColumnarValue::Scalar(match self.part {
            Part::Date => ScalarValue::Date32(Some(time.num_days_from_ce() - DAYS_TO_1970)),
            Part::Time => ScalarValue::Time64Microsecond(Some(of_day)),
            Part::Both => {
                ScalarValue::TimestampMicrosecond(Some(time.and_utc().timestamp_micros()), None)
            }
        }))
    }
}
