//! Subqueries of every kind, their answers as PostgreSQL 15 gives them.
