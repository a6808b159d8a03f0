-- Tables and views.
SELECT pg_catalog.current_database() AS table_catalog, n.nspname AS table_schema,
       c.relname AS table_name,
       CASE WHEN c.relkind = 'v' THEN 'VIEW'
            WHEN c.relpersistence = 't' THEN 'LOCAL TEMPORARY'
            ELSE 'BASE TABLE' END AS table_type,
       CASE WHEN c.relkind = 'r' THEN 'YES' ELSE 'NO' END AS is_insertable_into,
       'NO' AS is_typed
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'v')
