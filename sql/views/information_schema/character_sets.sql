-- The one encoding.
SELECT 'UTF8' AS character_set_name, 'UCS' AS character_repertoire, 'UTF8' AS form_of_use,
       pg_catalog.current_database() AS default_collate_catalog,
       'pg_catalog' AS default_collate_schema, 'C' AS default_collate_name
