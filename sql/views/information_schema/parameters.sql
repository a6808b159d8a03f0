-- Arguments of functions.
SELECT pg_catalog.current_database() AS specific_catalog, n.nspname AS specific_schema,
       p.proname || '_' || CAST(p.oid AS text) AS specific_name, u.ordinal AS ordinal_position,
       'IN' AS parameter_mode, 'NO' AS is_result, 'NO' AS as_locator,
       p.proargnames[u.ordinal] AS parameter_name,
       CASE WHEN t.typelem <> 0 AND t.typlen = -1 THEN 'ARRAY'
            ELSE pg_catalog.format_type(t.oid, NULL) END AS data_type,
       pg_catalog.current_database() AS udt_catalog, 'pg_catalog' AS udt_schema,
       t.typname AS udt_name, CAST(u.ordinal AS text) AS dtd_identifier
FROM pg_catalog.pg_proc AS p
JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
CROSS JOIN LATERAL unnest(p.proargtypes) WITH ORDINALITY AS u (type, ordinal)
JOIN pg_catalog.pg_type AS t ON t.oid = u.type
