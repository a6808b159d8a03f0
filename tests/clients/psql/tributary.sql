-- What only Tributary answers: its functions, schemas, roles and the one database.
\l
\dn
\du
\df ml.kmeans
\df ml.*
\df fusion.*
CREATE TABLE points AS
SELECT * FROM (VALUES ('a', 0.0, 0.0), ('b', 0.0, 1.0), ('c', 9.0, 9.0), ('d', 9.0, 8.0)) AS p (name, x, y);
SELECT * FROM ml.kmeans(points, features => 'x, y', k => 2, seed => 1) ORDER BY name;
CREATE TABLE links AS SELECT * FROM (VALUES ('a', 'b'), ('b', 'c'), ('d', 'd')) AS l (one, other);
SELECT * FROM fusion.connected_components(links, source => 'one', target => 'other') ORDER BY node;
SELECT * FROM ml.kmeans(points, features => 'x, y', clusters => 2);
SELECT * FROM ml.kmeans(points, features => 'name', k => 2);
SELECT * FROM ml.kmeans(points, features => 'x, y', k => 9);
SELECT * FROM ml.no_such(points);
