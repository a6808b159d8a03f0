-- Constraints: NOT NULL, as CHECK, is the one kind that there is, beside what pg_constraint has.
SELECT pg_catalog.current_database() AS constraint_catalog, n.nspname AS constraint_schema,
       k.conname AS constraint_name, pg_catalog.current_database() AS table_catalog,
       n.nspname AS table_schema, c.relname AS table_name,
       CASE k.contype WHEN 'c' THEN 'CHECK' WHEN 'f' THEN 'FOREIGN KEY' WHEN 'p' THEN 'PRIMARY KEY'
                      WHEN 'u' THEN 'UNIQUE' END AS constraint_type,
       CASE WHEN k.condeferrable THEN 'YES' ELSE 'NO' END AS is_deferrable,
       CASE WHEN k.condeferred THEN 'YES' ELSE 'NO' END AS initially_deferred,
       'YES' AS enforced
FROM pg_catalog.pg_constraint AS k
JOIN pg_catalog.pg_class AS c ON c.oid = k.conrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
UNION ALL
SELECT pg_catalog.current_database(), n.nspname,
       CAST(n.oid AS text) || '_' || CAST(c.oid AS text) || '_' || CAST(a.attnum AS text) || '_not_null',
       pg_catalog.current_database(), n.nspname, c.relname, 'CHECK', 'NO', 'NO', 'YES'
FROM pg_catalog.pg_attribute AS a
JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE a.attnotnull AND a.attnum > 0 AND c.relkind = 'r'
