-- The one database and how many are connected; other activity is not counted.
SELECT d.oid AS datid, d.datname,
       (SELECT count(*) FROM pg_catalog.pg_stat_activity) AS numbackends
FROM pg_catalog.pg_database AS d
