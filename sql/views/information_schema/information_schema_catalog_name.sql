-- The one database.
SELECT pg_catalog.current_database() AS catalog_name
