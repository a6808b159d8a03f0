-- The privileges of tables that concern the current role.
SELECT o.rolname AS grantor, o.rolname AS grantee, pg_catalog.current_database() AS table_catalog,
       n.nspname AS table_schema, c.relname AS table_name, p.privilege AS privilege_type,
       'YES' AS is_grantable,
       CASE WHEN p.privilege = 'SELECT' THEN 'YES' ELSE 'NO' END AS with_hierarchy
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_authid AS o ON o.oid = c.relowner
CROSS JOIN (VALUES ('SELECT'), ('INSERT'), ('UPDATE'), ('DELETE'), ('TRUNCATE'), ('REFERENCES'),
                   ('TRIGGER')) AS p (privilege)
WHERE c.relkind IN ('r', 'v')
