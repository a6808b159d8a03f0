-- Roles that may log in.
SELECT a.rolname AS usename, a.oid AS usesysid, a.rolcreatedb AS usecreatedb, a.rolsuper AS usesuper,
       a.rolreplication AS userepl, a.rolbypassrls AS usebypassrls, '********' AS passwd
FROM pg_catalog.pg_authid AS a
WHERE a.rolcanlogin
