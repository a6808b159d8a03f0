//! What can go wrong in an algorithm, by what the caller does about it.

/// The result of every fallible call of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Why an algorithm gave no result.
///
/// A variant exists where the caller acts differently: a cancelled run is not a fault, memory may be given and the run
/// repeated, a parameter is corrected in the statement, data is corrected in the relation, and an internal error is a
/// defect of this crate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The host asked the run to stop.
    #[error("canceled")]
    Cancelled,

    /// The host refused memory that the run needs; nothing was allocated for it.
    #[error("{purpose} needs {wanted} bytes of memory, more than is left of the limit")]
    OutOfMemory {
        /// Bytes asked for by the refused reservation.
        wanted: usize,
        /// What the bytes were for, in words, such as `user factors`.
        purpose: String,
    },

    /// A parameter has a value that the algorithm does not take.
    #[error("{message}")]
    Parameter {
        /// Name of the parameter as documented, which is also its name in SQL.
        name: &'static str,
        /// The fault, naming the parameter in double quotes.
        message: String,
        /// What to do, a full sentence.
        hint: String,
    },

    /// The data cannot be worked on: empty, not finite, contradictory.
    #[error("{message}")]
    Data {
        /// The fault, naming row, column or id by its index, which the caller can translate.
        message: String,
        /// What to do, a full sentence.
        hint: String,
    },

    /// A broken invariant: a defect of this crate, never of the data.
    #[error("internal error: {0}")]
    Internal(&'static str),
}

impl Error {
    /// A parameter fault with its hint.
    pub fn parameter(
        name: &'static str,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self::Parameter {
            name,
            message: message.into(),
            hint: hint.into(),
        }
    }

    /// A data fault with its hint.
    pub fn data(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Data {
            message: message.into(),
            hint: hint.into(),
        }
    }

    /// What the user can do about it, a full sentence, where there is something.
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::Parameter { hint, .. } | Self::Data { hint, .. } => Some(hint),
            Self::Cancelled | Self::OutOfMemory { .. } | Self::Internal(_) => None,
        }
    }
}
