//! Roles: who may log in, and with which SCRAM verifier.

/// A role of the warehouse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    /// Its name.
    pub name: String,
    /// Whether it may do everything.
    pub superuser: bool,
    /// Whether it may log in.
    pub login: bool,
    /// Its SCRAM-SHA-256 verifier in the form PostgreSQL stores (`SCRAM-SHA-256$...`); none if it has no password.
    pub scram_verifier: Option<String>,
}

/// A role to be made.
pub type NewRole = Role;
