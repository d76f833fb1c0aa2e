-- Clusters: k-means, its labels and centroids, elbow, silhouettes, wrong calls.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS sessionlen;

-- Four groups of 30, 60, 90 and 120 users on the corners of a square; x and y are within
-- 1 of the corner.
CREATE TABLE cluster_users AS
SELECT 'u' || lpad(i::text, 3, '0') AS user_id, g AS truth,
	   10.0::float8 * (g % 2) + sin(i * 12.9898) AS x, 10.0::float8 * (g / 2) + cos(i * 78.233) AS y
  FROM (SELECT i, CASE WHEN i <= 30 THEN 0 WHEN i <= 90 THEN 1 WHEN i <= 180 THEN 2 ELSE 3 END AS g
		  FROM generate_series(1, 300) i) s;

SELECT name, method, k, points, sizes, round(inertia::numeric, 6) AS inertia,
	   round(silhouette::numeric, 6) AS silhouette, silhouette_points, seconds > 0 AS took_time
  FROM sessionlen.cluster('cluster_a', 'cluster_users', 'user_id', '{x,y}', 4);

-- Labels go by falling size.
SELECT cluster, truth, count(*) FROM sessionlen.cluster_labels JOIN cluster_users ON key = user_id
 WHERE name = 'cluster_a' GROUP BY 1, 2 ORDER BY 1;
-- Centroids are means, the inertia is what its definition says.
SELECT count(*) FILTER (WHERE abs(centroid[1] - mx) < 1e-12 AND abs(centroid[2] - my) < 1e-12 AND size = n)
  FROM sessionlen.cluster_centroids c JOIN
	   (SELECT cluster, avg(x) mx, avg(y) my, count(*) n
		  FROM sessionlen.cluster_labels JOIN cluster_users ON key = user_id
		 WHERE name = 'cluster_a' GROUP BY 1) m USING (cluster)
 WHERE name = 'cluster_a';
SELECT abs(c.inertia - sum((x - centroid[1]) ^ 2 + (y - centroid[2]) ^ 2)) < 1e-9 AS same
  FROM sessionlen.clusterings c JOIN sessionlen.cluster_labels l USING (name)
  JOIN sessionlen.cluster_centroids USING (name, cluster) JOIN cluster_users ON l.key = user_id
 WHERE name = 'cluster_a' GROUP BY c.inertia;
-- Every fitted row is assigned to its own cluster; rows may have other columns and types.
SELECT count(*) FROM sessionlen.cluster_labels JOIN cluster_users u ON key = user_id
 WHERE name = 'cluster_a' AND cluster = sessionlen.assign_cluster('cluster_a', u);
SELECT sessionlen.assign_cluster('cluster_a', s) FROM (VALUES (11, 9.5::numeric), (0, 0), (NULL, 1)) s(x, y);

-- Silhouettes against their definition.
CREATE VIEW cluster_silhouettes AS
WITH p AS (SELECT key, cluster, x, y FROM sessionlen.cluster_labels JOIN cluster_users ON key = user_id
			WHERE name = 'cluster_a'),
	 d AS (SELECT p.key, p.cluster, q.cluster AS other,
				  sum(sqrt((p.x - q.x) ^ 2 + (p.y - q.y) ^ 2)) AS total, count(*) AS n
			 FROM p, p q GROUP BY 1, 2, 3),
	 m AS (SELECT key, cluster, sum(total / (n - 1)) FILTER (WHERE cluster = other) AS a,
				  min(total / n) FILTER (WHERE cluster <> other) AS b
			 FROM d GROUP BY 1, 2)
SELECT key, cluster, (b - a) / greatest(a, b) AS silhouette FROM m;
SELECT count(*), max(abs(s.silhouette - d.silhouette)) < 1e-12 AS same
  FROM sessionlen.silhouette('cluster_a') s JOIN cluster_silhouettes d USING (key, cluster);
SELECT abs(sessionlen.silhouette_score('cluster_a') - avg(silhouette)) < 1e-12 AS same
  FROM cluster_silhouettes;

-- The order in which rows are read does not matter, to the last bit.
SELECT inertia = (SELECT inertia FROM sessionlen.clusterings WHERE name = 'cluster_a') AS same
  FROM sessionlen.cluster('cluster_b', 'SELECT * FROM cluster_users ORDER BY md5(user_id)', 'user_id', '{x,y}', 4);
SELECT count(*) FROM sessionlen.cluster_labels a JOIN sessionlen.cluster_labels b USING (key, cluster)
 WHERE a.name = 'cluster_a' AND b.name = 'cluster_b';
-- Standardised: units don't matter.
SELECT round(inertia::numeric, 6) AS inertia, sizes
  FROM sessionlen.cluster('cluster_b', 'SELECT user_id, x, y * 1000 + 5e6 AS y, 7 AS constant FROM cluster_users',
	'user_id', '{x,y,constant}', 4, options => '{"standardize": true, "seed": 5}');
SELECT count(*) FROM sessionlen.cluster_labels a JOIN sessionlen.cluster_labels b USING (key, cluster)
 WHERE a.name = 'cluster_a' AND b.name = 'cluster_b';
SELECT count(*) FROM sessionlen.cluster_labels l JOIN cluster_users u ON key = user_id
 WHERE name = 'cluster_b' AND cluster = sessionlen.assign_cluster('cluster_b',
	   (SELECT s FROM (SELECT u.x, u.y * 1000 + 5e6 AS y, 7 AS constant) s));
SELECT means IS NOT NULL AS standardized, options FROM sessionlen.clusterings WHERE name LIKE 'cluster\__' ORDER BY name;

-- How many clusters?
SELECT k, round(inertia::numeric, 3) AS inertia, knee
  FROM sessionlen.elbow('cluster_users', '{x,y}', k_to => 8);
SELECT k, round(silhouette::numeric, 6) AS silhouette, silhouette_points
  FROM sessionlen.silhouette_sweep('cluster_users', '{x,y}', 1, 6);
SELECT silhouette_points FROM sessionlen.silhouette_sweep('cluster_users', '{x,y}', 4, 4,
	options => '{"silhouette_sample": 100}');
-- One user, one cluster.
SELECT sizes, inertia, silhouette FROM sessionlen.cluster('cluster_one',
	'SELECT * FROM cluster_users LIMIT 1', 'user_id', '{x,y}', 1);
SELECT * FROM sessionlen.elbow('SELECT * FROM cluster_users WHERE user_id = ''u001''', '{truth}');
SELECT sessionlen.silhouette_score('cluster_one');
-- As many clusters as points: each alone, silhouettes 0.
SELECT sizes, inertia, silhouette FROM sessionlen.cluster('cluster_one',
	'SELECT * FROM cluster_users LIMIT 3', 'user_id', '{x,y}', 3);

-- A constant column takes no part, standardised or not; nothing but constants is one point.
SELECT m AS method, standardize, c.sizes, round(c.silhouette::numeric, 6) = round(plain.silhouette::numeric, 6) AS as_without
  FROM unnest('{kmeans,spectral}'::text[]) m, unnest('{true,false}'::bool[]) standardize,
	   LATERAL sessionlen.cluster('cluster_c', 'SELECT user_id, x, y, 0.1 AS always FROM cluster_users', 'user_id', '{x,always,y}', 4,
								  m, jsonb_build_object('standardize', standardize)) c,
	   LATERAL sessionlen.cluster('cluster_c', 'cluster_users', 'user_id', '{x,y}', 4, m,
								  jsonb_build_object('standardize', standardize)) plain
 ORDER BY 1, 2;
SELECT c.k, c.points, c.inertia, c.silhouette
  FROM sessionlen.cluster('cluster_c', 'SELECT user_id, 0.1 AS always FROM cluster_users', 'user_id', '{always}', 1, options => '{"standardize": true}') c;
SELECT sessionlen.cluster('cluster_c', 'SELECT user_id, 0.1 AS always FROM cluster_users', 'user_id', '{always}', 2, options => '{"standardize": true}');

-- Spectral: two rings, which no centroids tell apart.
CREATE TABLE cluster_rings AS
SELECT i AS id, i % 2 AS truth, (1 + i % 2) * cos(i * 2.399963) + 0.1 * sin(i * 12.9898) AS x,
	   (1 + i % 2) * sin(i * 2.399963) + 0.1 * cos(i * 78.233) AS y
  FROM generate_series(1, 1000) i;
SELECT name, method, sizes, round(silhouette::numeric, 6) AS silhouette
  FROM sessionlen.cluster('cluster_r', 'cluster_rings', 'id', '{x,y}', 2, 'spectral');
SELECT cluster, truth, count(*), count(*) FILTER (WHERE sessionlen.assign_cluster('cluster_r', r) = cluster) AS assigned
  FROM sessionlen.cluster_labels JOIN cluster_rings r ON key = id::text
 WHERE name = 'cluster_r' GROUP BY 1, 2 ORDER BY 1, 2;
SELECT count(DISTINCT sessionlen.assign_cluster('cluster_r', r)) AS rings
  FROM (SELECT 2 * cos(a / 50.0) AS x, 2 * sin(a / 50.0) AS y FROM generate_series(1, 314) a) r;
-- Few points go through LAPACK, with one ring joined to the other by a line of points.
SELECT sizes FROM sessionlen.cluster('cluster_r', 'SELECT * FROM cluster_rings WHERE id <= 300
	UNION ALL SELECT 1000 + i, 2, 1 + i / 10.0, 0 FROM generate_series(1, 9) i', 'id', '{x,y}', 2, 'spectral');
SELECT cluster, truth, count(*) FROM sessionlen.cluster_labels
  JOIN cluster_rings ON key = id::text WHERE name = 'cluster_r' GROUP BY 1, 2 ORDER BY 1, 2;
-- Many, joined the same way.
SELECT sizes FROM sessionlen.cluster('cluster_r', 'TABLE cluster_rings
	UNION ALL SELECT 1000 + i, 2, 1 + i / 10.0, 0 FROM generate_series(1, 9) i', 'id', '{x,y}', 2, 'spectral');
SELECT cluster, truth, count(*) FROM sessionlen.cluster_labels
  JOIN cluster_rings ON key = id::text WHERE name = 'cluster_r' GROUP BY 1, 2 ORDER BY 1, 2;
SELECT sizes FROM sessionlen.cluster('cluster_r', 'cluster_rings', 'id', '{x,y}', 2, 'spectral',
	'{"affinity": "rbf", "gamma": 30}');
SELECT cluster, truth, count(*) FROM sessionlen.cluster_labels
  JOIN cluster_rings ON key = id::text WHERE name = 'cluster_r' GROUP BY 1, 2 ORDER BY 1, 2;
SELECT k, round(silhouette::numeric, 4) AS silhouette
  FROM sessionlen.silhouette_sweep('cluster_users', '{x,y}', 2, 5, 'spectral');
SELECT sizes FROM sessionlen.cluster('cluster_r', 'SELECT * FROM cluster_rings LIMIT 3', 'id', '{x,y}', 1, 'spectral');
SELECT sizes FROM sessionlen.cluster('cluster_r', 'SELECT 1 AS id, 2 AS x', 'id', '{x}', 1, 'spectral');
SELECT sizes FROM sessionlen.cluster('cluster_r',
	'SELECT i AS id, i % 2 AS x FROM generate_series(1, 1000) i', 'id', '{x}', 2, 'spectral');
SET sessionlen.memory_limit = '4MB';
SELECT sessionlen.cluster('cluster_x', 'cluster_rings', 'id', '{x,y}', 2, 'spectral', '{"affinity": "rbf"}');
RESET sessionlen.memory_limit;

-- Lloyd's algorithm over a partitioned table.
CREATE TABLE cluster_parts (x float8, y float8) PARTITION BY RANGE (x);
CREATE TABLE cluster_part_1 PARTITION OF cluster_parts FOR VALUES FROM (MINVALUE) TO (5);
CREATE TABLE cluster_part_2 PARTITION OF cluster_parts FOR VALUES FROM (5) TO (MAXVALUE);
INSERT INTO cluster_parts SELECT x, y FROM cluster_users;
SELECT counts, round(inertia::numeric, 6) AS inertia
  FROM (SELECT (sessionlen.kmeans_step(ARRAY[x, y], '{{0,0},{10,0},{0,10},{10,10},{99,99}}')).* FROM cluster_parts) s;
CREATE FUNCTION cluster_lloyd() RETURNS TABLE (step int, inertia numeric) LANGUAGE plpgsql AS $$
DECLARE
	c float8[] := '{{0,0},{10,1},{1,10},{3,3}}';
	s sessionlen.kmeans_sums;
BEGIN
	FOR step IN 1..20 LOOP
		SELECT (sessionlen.kmeans_step(ARRAY[x, y], c)).* INTO s FROM cluster_parts;
		EXIT WHEN sessionlen.kmeans_centroids(s, c) = c;
		c := sessionlen.kmeans_centroids(s, c);
		cluster_lloyd.step := step;
		cluster_lloyd.inertia := round(s.inertia::numeric, 6);
		RETURN NEXT;
	END LOOP;
END
$$;
SELECT * FROM cluster_lloyd();
-- In parallel and partition by partition the same.
CREATE TABLE cluster_serial AS
	SELECT (sessionlen.kmeans_step(ARRAY[x, y], '{{0,0},{10,0},{0,10},{10,10}}')).* FROM cluster_parts;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SET enable_partitionwise_aggregate = on;
EXPLAIN (COSTS OFF) SELECT sessionlen.kmeans_step(ARRAY[x, y], '{{0,0},{10,0},{0,10},{10,10}}') FROM cluster_parts;
SELECT p.counts = s.counts AS counts, abs(p.inertia - s.inertia) < 1e-9 AS inertia,
	   (SELECT max(abs(a - b)) < 1e-9 FROM unnest(p.sums, s.sums) u(a, b)) AS sums
  FROM cluster_serial s, (SELECT (sessionlen.kmeans_step(ARRAY[x, y], '{{0,0},{10,0},{0,10},{10,10}}')).* FROM cluster_parts) p;
RESET parallel_setup_cost;
RESET parallel_tuple_cost;
RESET min_parallel_table_scan_size;
RESET enable_partitionwise_aggregate;
SELECT sessionlen.kmeans_step(ARRAY[x, y], '{{0,0}}') FROM cluster_parts WHERE false;
SELECT sessionlen.kmeans_step(p, '{{0},{9}}') FROM (VALUES ('{1}'::float8[]), (NULL), ('{7}')) v(p);
SELECT sessionlen.kmeans_step(ARRAY[x, y], '{0,0}') FROM cluster_parts;
SELECT sessionlen.kmeans_step(ARRAY[x], '{{0,0}}') FROM cluster_parts;
SELECT sessionlen.kmeans_step(ARRAY[x, NULL], '{{0,0}}') FROM cluster_parts;
SELECT sessionlen.kmeans_step(ARRAY[x, 'NaN'], '{{0,0}}') FROM cluster_parts;
SELECT sessionlen.kmeans_step(ARRAY[x, y], '{{0,NULL}}') FROM cluster_parts;
SELECT sessionlen.kmeans_step(ARRAY[x, y], NULL) FROM cluster_parts;
SELECT sessionlen.kmeans_step(ARRAY[x, y], ARRAY[ARRAY[x, y]]) FROM cluster_parts;
DROP FUNCTION cluster_lloyd;
DROP TABLE cluster_parts, cluster_serial;

-- Wrong calls.
SELECT sessionlen.cluster('cluster_x', 'cluster_users', 'user_id', '{x,y}', 0);
SELECT sessionlen.cluster('cluster_x', 'cluster_users', 'user_id', '{x,y}', 301);
SELECT sessionlen.cluster('cluster_x', 'cluster_users', 'user_id', '{truth}', 5);
SELECT sessionlen.cluster('cluster_x', 'cluster_users', 'user_id', '{x,y}', NULL);
SELECT sessionlen.cluster(NULL, 'cluster_users', 'user_id', '{x,y}', 2);
SELECT sessionlen.cluster('', 'cluster_users', 'user_id', '{x,y}', 2);
SELECT sessionlen.cluster('cluster_x', 'cluster_nothing', 'user_id', '{x,y}', 2);
SELECT sessionlen.cluster('cluster_x', 'SELECT * FROM cluster_users WHERE false', 'user_id', '{x,y}', 2);
SELECT sessionlen.cluster('cluster_x', 'SELECT 1; DROP TABLE cluster_users', 'user_id', '{x,y}', 2);
SELECT sessionlen.cluster('cluster_x', 'cluster_users', 'user_id', '{}', 2);
SELECT sessionlen.cluster('cluster_x', 'cluster_users', 'user_id', '{x,x}', 2);
SELECT sessionlen.cluster('cluster_x', 'cluster_users', 'user_id', '{x,NULL}', 2);
SELECT sessionlen.cluster('cluster_x', 'cluster_users', 'user_id', '{x,z}', 2);
SELECT sessionlen.cluster('cluster_x', 'cluster_users', 'user_id', '{x,s}', 2);
SELECT sessionlen.cluster('cluster_x', 'cluster_users', 'user_id', '{user_id}', 2);
SELECT sessionlen.cluster('cluster_x', 'cluster_users', 'truth', '{x,y}', 2);
SELECT sessionlen.cluster('cluster_x', 'SELECT nullif(user_id, ''u007'') AS user_id, x FROM cluster_users', 'user_id', '{x}', 2);
SELECT sessionlen.cluster('cluster_x', 'SELECT user_id, nullif(truth, 2) AS x FROM cluster_users', 'user_id', '{x}', 2);
SELECT sessionlen.cluster('cluster_x', 'SELECT user_id, x / 0.0 AS x FROM cluster_users', 'user_id', '{x}', 2);
SELECT sessionlen.cluster('cluster_x', 'SELECT user_id, ''NaN''::float8 AS x FROM cluster_users', 'user_id', '{x}', 2);
SELECT sessionlen.cluster('cluster_x', 'SELECT user_id, ''-infinity''::timestamptz AS x FROM cluster_users', 'user_id', '{x}', 2);
SELECT sessionlen.cluster('cluster_x', 'SELECT user_id, x * 1e150 AS x FROM cluster_users', 'user_id', '{x}', 2);
SELECT sessionlen.cluster('cluster_x', 'cluster_users', 'user_id', '{x,y}', 2, 'dbscan');
SELECT sessionlen.cluster('cluster_x', 'cluster_users', 'user_id', '{x,y}', 2, options => '[]');
SELECT sessionlen.cluster('cluster_x', 'cluster_users', 'user_id', '{x,y}', 2, options => '{"ninit": 3}');
SELECT sessionlen.cluster('cluster_x', 'cluster_users', 'user_id', '{x,y}', 2, options => '{"n_init": "3"}');
SELECT sessionlen.cluster('cluster_x', 'cluster_users', 'user_id', '{x,y}', 2, options => '{"n_init": 0}');
SELECT sessionlen.cluster('cluster_x', 'cluster_users', 'user_id', '{x,y}', 2, options => '{"max_iter": 1.5}');
SELECT sessionlen.cluster('cluster_x', 'cluster_users', 'user_id', '{x,y}', 2, options => '{"standardize": "yes", "n_init": null}');
SELECT sessionlen.cluster('cluster_x', 'cluster_users', 'user_id', '{x,y}', 2, options => '{"affinity": "cosine"}');
SELECT sessionlen.elbow('cluster_users', '{x,y}', 3, 2);
SELECT sessionlen.elbow('cluster_users', '{x,y}', 0, 2);
SELECT sessionlen.elbow('cluster_users', '{x,y}', 299, 301);
SELECT sessionlen.elbow('cluster_users', '{x,y}', NULL, 2);
SELECT sessionlen.silhouette_score('cluster_nothing');
SELECT sessionlen.silhouette(NULL);
SELECT sessionlen.assign_cluster('cluster_nothing', u) FROM cluster_users u;
SELECT sessionlen.assign_cluster('cluster_a', s) FROM (SELECT 1 AS x) s;
SELECT sessionlen.assign_cluster('cluster_a', s) FROM (SELECT 1 AS x, 'NaN'::float8 AS y) s;
SELECT sessionlen.assign_cluster('cluster_a', s) FROM (SELECT 1 AS x, 'one' AS y) s;
SET sessionlen.memory_limit = '1MB';
SELECT sessionlen.cluster('cluster_x', 'SELECT i, i * 1.5 AS x, i AS y FROM generate_series(1, 100000) i', 'i', '{x,y}', 2);
SELECT sessionlen.elbow('SELECT i * 1.5 AS x FROM generate_series(1, 60000) i', '{x}', 2, 2);
RESET sessionlen.memory_limit;
SELECT count(*) FROM sessionlen.clusterings WHERE name = 'cluster_x';

-- Whose they are.
CREATE ROLE regress_cluster_one;
CREATE ROLE regress_cluster_two;
GRANT SELECT ON cluster_users TO regress_cluster_one;
SET ROLE regress_cluster_one;
SELECT count(*) FROM sessionlen.clusterings WHERE name LIKE 'cluster\_%';
SELECT sizes FROM sessionlen.cluster('cluster_own', 'cluster_users', 'user_id', '{x,y}', 4);
SELECT count(*) FROM sessionlen.cluster_labels WHERE name LIKE 'cluster\_%';
SELECT sessionlen.cluster('cluster_a', 'cluster_users', 'user_id', '{x,y}', 2);
SELECT sessionlen.silhouette_score('cluster_a');
SELECT sessionlen.drop_clustering('cluster_a');
INSERT INTO sessionlen.cluster_centroids VALUES ('cluster_a', 9, 1, '{1,2}');
SET ROLE regress_cluster_two;
SELECT sessionlen.cluster('cluster_two', 'cluster_users', 'user_id', '{x,y}', 4);
SELECT sessionlen.assign_cluster('cluster_own', s) FROM (SELECT 1 AS x, 2 AS y) s;
SELECT count(*) FROM sessionlen.cluster_labels WHERE name LIKE 'cluster\_%';
RESET ROLE;
-- Replaced by a superuser it stays whose it was.
SELECT sizes FROM sessionlen.cluster('cluster_own', 'cluster_users', 'user_id', '{x,y}', 3);
SELECT owner, k FROM sessionlen.clusterings WHERE name = 'cluster_own';

-- The source changes, and goes.
DELETE FROM cluster_users WHERE user_id <= 'u010';
INSERT INTO cluster_users VALUES ('u999', 0, 1, 1);
SELECT count(*) FROM sessionlen.silhouette('cluster_a');
ALTER TABLE cluster_users RENAME TO cluster_gone;
SELECT sessionlen.silhouette_score('cluster_a');
SELECT sessionlen.assign_cluster('cluster_a', s) FROM (SELECT 1 AS x, 2 AS y) s;
ALTER TABLE cluster_gone RENAME TO cluster_users;

SELECT sessionlen.drop_clustering(name) FROM sessionlen.clusterings WHERE name LIKE 'cluster\_%';
SELECT count(*) FROM sessionlen.cluster_label_chunks WHERE name LIKE 'cluster\_%';
DROP VIEW cluster_silhouettes;
DROP TABLE cluster_users, cluster_rings;
DROP ROLE regress_cluster_one, regress_cluster_two;
