-- Columns of primary, unique and foreign keys.
SELECT pg_catalog.current_database() AS constraint_catalog, n.nspname AS constraint_schema,
       k.conname AS constraint_name, pg_catalog.current_database() AS table_catalog,
       n.nspname AS table_schema, c.relname AS table_name, a.attname AS column_name,
       u.ordinal AS ordinal_position
FROM pg_catalog.pg_constraint AS k
JOIN pg_catalog.pg_class AS c ON c.oid = k.conrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
CROSS JOIN LATERAL unnest(k.conkey) WITH ORDINALITY AS u (number, ordinal)
JOIN pg_catalog.pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = u.number
WHERE k.contype IN ('p', 'u', 'f')
