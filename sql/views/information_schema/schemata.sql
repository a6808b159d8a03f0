-- Schemas.
SELECT pg_catalog.current_database() AS catalog_name, n.nspname AS schema_name,
       pg_catalog.pg_get_userbyid(n.nspowner) AS schema_owner
FROM pg_catalog.pg_namespace AS n
