-- Columns of tables and views. Lengths and precisions are read out of the type modifier as pg_type's
-- output functions do: n + 4 for a length, (precision << 16 | scale) + 4 for a numeric.
SELECT pg_catalog.current_database() AS table_catalog, n.nspname AS table_schema,
       c.relname AS table_name, a.attname AS column_name, a.attnum AS ordinal_position,
       pg_catalog.pg_get_expr(d.adbin, d.adrelid) AS column_default,
       CASE WHEN a.attnotnull THEN 'NO' ELSE 'YES' END AS is_nullable,
       CASE WHEN t.typelem <> 0 AND t.typlen = -1 THEN 'ARRAY'
            ELSE pg_catalog.format_type(a.atttypid, NULL) END AS data_type,
       CASE WHEN t.typname IN ('varchar', 'bpchar') AND a.atttypmod >= 4
            THEN a.atttypmod - 4 END AS character_maximum_length,
       CASE WHEN t.typname IN ('varchar', 'bpchar') AND a.atttypmod >= 4
            THEN 4 * (a.atttypmod - 4)
            WHEN t.typname IN ('text', 'varchar', 'bpchar')
            THEN 1073741824 END AS character_octet_length,
       CASE t.typname WHEN 'int2' THEN 16 WHEN 'int4' THEN 32 WHEN 'int8' THEN 64
            WHEN 'float4' THEN 24 WHEN 'float8' THEN 53
            WHEN 'numeric' THEN CASE WHEN a.atttypmod >= 4
                                     THEN ((a.atttypmod - 4) >> 16) & 65535 END
            END AS numeric_precision,
       CASE WHEN t.typname IN ('int2', 'int4', 'int8', 'float4', 'float8') THEN 2
            WHEN t.typname = 'numeric' THEN 10 END AS numeric_precision_radix,
       CASE WHEN t.typname IN ('int2', 'int4', 'int8') THEN 0
            WHEN t.typname = 'numeric' AND a.atttypmod >= 4
            THEN (a.atttypmod - 4) & 2047 END AS numeric_scale,
       CASE WHEN t.typname = 'date' THEN 0
            WHEN t.typname IN ('time', 'timetz', 'timestamp', 'timestamptz', 'interval')
            THEN 6 END AS datetime_precision,
       CASE WHEN a.attcollation NOT IN (0, 100)
            THEN pg_catalog.current_database() END AS collation_catalog,
       CASE WHEN a.attcollation NOT IN (0, 100) THEN 'pg_catalog' END AS collation_schema,
       CASE WHEN a.attcollation NOT IN (0, 100) THEN 'C' END AS collation_name,
       pg_catalog.current_database() AS udt_catalog, 'pg_catalog' AS udt_schema,
       t.typname AS udt_name, CAST(a.attnum AS text) AS dtd_identifier,
       'NO' AS is_self_referencing, 'NO' AS is_identity, 'NO' AS identity_cycle,
       'NEVER' AS is_generated,
       CASE WHEN c.relkind = 'r' THEN 'YES' ELSE 'NO' END AS is_updatable
FROM pg_catalog.pg_attribute AS a
JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
LEFT JOIN pg_catalog.pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'v')
