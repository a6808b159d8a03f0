-- Functions.
SELECT pg_catalog.current_database() AS specific_catalog, n.nspname AS specific_schema,
       p.proname || '_' || CAST(p.oid AS text) AS specific_name,
       pg_catalog.current_database() AS routine_catalog, n.nspname AS routine_schema,
       p.proname AS routine_name, CASE p.prokind WHEN 'f' THEN 'FUNCTION' END AS routine_type,
       pg_catalog.format_type(p.prorettype, NULL) AS data_type,
       pg_catalog.current_database() AS type_udt_catalog, 'pg_catalog' AS type_udt_schema,
       t.typname AS type_udt_name, '0' AS dtd_identifier, 'EXTERNAL' AS routine_body,
       p.prosrc AS routine_definition, 'INTERNAL' AS external_language,
       'GENERAL' AS parameter_style,
       CASE WHEN p.provolatile = 'i' THEN 'YES' ELSE 'NO' END AS is_deterministic,
       'MODIFIES' AS sql_data_access,
       CASE WHEN p.proisstrict THEN 'YES' ELSE 'NO' END AS is_null_call,
       'YES' AS schema_level_routine, 0 AS max_dynamic_result_sets, 'INVOKER' AS security_type
FROM pg_catalog.pg_proc AS p
JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
JOIN pg_catalog.pg_type AS t ON t.oid = p.prorettype
