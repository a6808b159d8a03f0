-- A session whose output is, to the byte, that of psql 15 at a PostgreSQL 15 server.
SELECT 1;
SELECT 1 AS one, 'text' AS word, NULL AS nothing, true AS yes, 1.50 AS exact, 0.1::float8 AS inexact;
SELECT count(*), 'a' || 'b', upper('x') FROM (VALUES (1), (2)) AS v (n);
SELECT DATE '2017-01-31' AS day, TIMESTAMP '2017-01-31 23:59:59.5' AS at, ARRAY[1, 2] AS pair, ARRAY['a b', NULL] AS words;
SELECT 'ünïcödé 🌊' AS word, '' AS empty;
SELECT 1 AS n WHERE false;

CREATE SCHEMA web;
CREATE TABLE web.orders (
    id bigint NOT NULL,
    account text,
    amount numeric(12,2) DEFAULT 0,
    note character varying(20),
    paid boolean,
    day date,
    at timestamp with time zone
);
INSERT INTO web.orders (id, account, amount, note, paid, day)
VALUES (1, 'anna', 12.50, 'first', true, '2017-01-31'), (2, 'bert', 7, NULL, false, '2017-02-01');
SELECT id, account, amount, note, paid, day, at FROM web.orders ORDER BY id;
CREATE TABLE totals AS SELECT account, count(*) AS orders, max(day) AS last_day FROM web.orders GROUP BY account;
SELECT * FROM totals ORDER BY account;
CREATE VIEW large AS SELECT id, amount FROM web.orders WHERE amount > 10;
SELECT * FROM large;
\x
SELECT id, account FROM web.orders ORDER BY id;
\x
SELECT amount FROM web.orders WHERE id = 1 \gset
\echo the amount is :amount
\pset format csv
SELECT id, account, at FROM web.orders ORDER BY id;
\pset format aligned
\pset null '(null)'
SELECT at FROM web.orders WHERE id = 1;

\d
\dt
\dt web.*
\dv
\d web.orders
\d totals
\d large
\dt no_such*
\d no_such

SELECT * FROM nowhere;
\echo :SQLSTATE
SELECT xyz FROM totals;
\echo :SQLSTATE
SELEC 1;
\echo :SQLSTATE
SELECT 1 / 0;
\echo :SQLSTATE
\set VERBOSITY sqlstate
SELECT 'seven'::integer;
\set VERBOSITY default

BEGIN;
CREATE TABLE passing (n integer);
INSERT INTO passing VALUES (1), (2);
SELECT count(*) FROM passing;
ROLLBACK;
SELECT count(*) FROM passing;
BEGIN;
SELECT nothing;
SELECT 1;
COMMIT;
SELECT 1 AS after_it; SELECT 2 AS two \; SELECT 3 AS three;

DROP VIEW large;
DROP TABLE totals;
DROP SCHEMA web;
DROP SCHEMA web CASCADE;
\d
