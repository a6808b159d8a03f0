-- Roles without their passwords.
SELECT a.rolname, a.rolsuper, a.rolinherit, a.rolcreaterole, a.rolcreatedb, a.rolcanlogin,
       a.rolreplication, a.rolconnlimit, '********' AS rolpassword, a.rolbypassrls, a.oid
FROM pg_catalog.pg_authid AS a
