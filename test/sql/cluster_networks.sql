-- A network for each cluster of users.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS sessionlen;
SET client_min_messages = notice;

-- 100 users in three groups of 50, 40 and 10: the level of y tells them apart.
CREATE TABLE cn_rows AS
SELECT u AS user_id, t, g, (hashint4(u * 1000 + t) & 1023) / 1023.0 AS a,
       g * 100 + (1 + g) * (hashint4(u * 1000 + t) & 1023) / 1023.0 AS y
  FROM generate_series(1, 100) u, generate_series(1, 12) t,
       LATERAL (SELECT CASE WHEN u <= 50 THEN 0 WHEN u <= 90 THEN 1 ELSE 2 END AS g) x;
CREATE VIEW cn_users AS SELECT user_id, avg(y) AS level FROM cn_rows GROUP BY user_id;
SELECT sizes FROM sessionlen.cluster('cn_groups', 'cn_users', 'user_id', '{level}', 3);

-- Same options, without and with clusters.
SELECT version FROM sessionlen.train('cn_whole', 'cn_rows', 'y', 'user_id', 't', known => '{a}',
    options => '{"epochs": 3, "hidden_dim": 8, "verbose": false}');
SELECT version FROM sessionlen.train('cn_parts', 'cn_rows', 'y', 'user_id', 't', known => '{a}', clusters => 'cn_groups',
    options => '{"epochs": 3, "hidden_dim": 8, "by_cluster": {"1": {"epochs": 1, "hidden_dim": 4}}, "verbose": false}');

-- A network where there are at least 31 users, with its own preparation and options.
SELECT cluster, sequences, epochs, options -> 'hidden_dim' AS hidden_dim, cardinality(keys) AS keys,
       abs((target_scale ->> 'mean')::float8 - 100 * cluster - (1 + cluster) / 2.0) < 0.2 AS own_mean
  FROM sessionlen.cluster_networks JOIN sessionlen.network_members USING (model, version, cluster)
 WHERE model = 'cn_parts' ORDER BY cluster;
SELECT cluster, count(DISTINCT name) AS weights FROM sessionlen.weights WHERE model = 'cn_parts' GROUP BY cluster ORDER BY cluster;
SELECT cluster, max(epoch) AS epochs FROM sessionlen.training_log WHERE model = 'cn_parts' GROUP BY cluster ORDER BY cluster;

-- The network of all users is the one that is trained without clusters, bit for bit.
SELECT bool_and(a.data = b.data) AS same
  FROM sessionlen.weights a JOIN sessionlen.weights b USING (name, chunk)
 WHERE a.model = 'cn_whole' AND b.model = 'cn_parts' AND b.cluster IS NULL;

-- Three ways to predict agree; users of the small cluster and new ones get the network of all.
CREATE VIEW cn_predicted AS
SELECT s.*, sessionlen.predict('cn_parts', s) OVER (PARTITION BY user_id ORDER BY t) AS parts,
       sessionlen.predict('cn_whole', s) OVER (PARTITION BY user_id ORDER BY t) AS whole
  FROM (SELECT * FROM cn_rows UNION ALL SELECT 999, t, 0, a, y FROM cn_rows WHERE user_id = 1) s;
SELECT g, bool_and(parts = whole) AS as_whole, bool_or(parts = whole) AS any_as_whole, count(*)
  FROM cn_predicted WHERE user_id < 999 GROUP BY g ORDER BY g;
SELECT bool_and(parts = whole) AS new_user_as_whole FROM cn_predicted WHERE user_id = 999;
SELECT count(*) AS rows, max(abs(p.parts - t.prediction)) < 1e-3 AS table_agrees
  FROM cn_predicted p JOIN sessionlen.predict_table('cn_parts', 'cn_rows') t
    ON t.partition_key = p.user_id::text AND t.order_key = p.t::text;
SELECT max(abs(p.parts - s.last)) < 1e-3 AS sequence_agrees
  FROM cn_predicted p JOIN (SELECT user_id, sessionlen.predict_sequence('cn_parts', array_agg(r ORDER BY t)) AS last
                              FROM cn_rows r GROUP BY user_id) s USING (user_id) WHERE p.t = 12;
-- a mixed partition's first row decides; without the key the row can't be placed
SELECT sessionlen.predict('cn_parts', s) OVER (ORDER BY t) FROM (SELECT t, a FROM cn_rows LIMIT 1) s;

-- The total has one denominator: it is the clusters' errors weighted by their rows.
SELECT predictor, cluster, row_count FROM sessionlen.evaluate('cn_parts') WHERE predictor IN ('model', 'user mean');
WITH e AS (SELECT * FROM sessionlen.evaluate('cn_parts'))
SELECT abs(max(mae) FILTER (WHERE cluster IS NULL) - sum(mae * row_count) FILTER (WHERE cluster IS NOT NULL)
           / max(row_count) FILTER (WHERE cluster IS NULL)) < 1e-9 AS weighted,
       abs(max(normalized_mae) FILTER (WHERE cluster IS NULL)
           - max(mae) FILTER (WHERE cluster IS NULL)
             / (SELECT max(mae) FROM e WHERE predictor = 'user mean' AND cluster IS NULL)) < 1e-9 AS one_denominator
  FROM e WHERE predictor = 'model';

-- The study's mixed score beside the honest one, on hand-made numbers: each cluster has a
-- denominator of its own, so a cluster whose errors are in z-scores counts for little.
WITH e(cluster, row_count, mae, user_mean_mae, b) AS (VALUES
    ('0', 300, 4000.0, 5000.0, 4932.859), ('1', 100, 0.5, 2000.0, 0.766))
SELECT round(sum(row_count * mae / b) / sum(row_count), 4) AS mixed_score FROM e;
WITH e(cluster, row_count, mae, user_mean_mae) AS (VALUES
    ('0', 300, 4000.0, 5000.0), ('1', 100, 1500.0, 2000.0))
SELECT round(sum(row_count * mae) / sum(row_count * user_mean_mae), 4) AS honest_score FROM e;

-- Mixed: small clusters are standardised, larger ones raw.
SELECT version FROM sessionlen.train('cn_mixed', 'cn_rows', 'y', 'user_id', 't', known => '{a}', clusters => 'cn_groups',
    options => '{"epochs": 1, "standardize": "mixed", "mixed_threshold": 45, "min_users": 5, "verbose": false}');
SELECT cluster, options -> 'standardize' AS standardize, options -> 'target_transform' AS target, inputs -> 0 -> 'as' AS a
  FROM sessionlen.cluster_networks WHERE model = 'cn_mixed' ORDER BY cluster;
SELECT options -> 'standardize' AS all_users FROM sessionlen.model_versions WHERE model = 'cn_mixed';

-- Clusters without enough users get no network.
SELECT version FROM sessionlen.train('cn_parts', 'cn_rows', 'y', 'user_id', 't', known => '{a}', clusters => 'cn_groups',
    options => '{"epochs": 1, "hidden_dim": 8, "min_users": 1000, "verbose": false}');
SELECT count(*) AS networks FROM sessionlen.cluster_networks WHERE model = 'cn_parts' AND version = 2;
-- Going on from the version before, cluster by cluster.
SELECT sessionlen.deploy('cn_parts', 1);
SELECT version FROM sessionlen.train('cn_parts', 'cn_rows', 'y', 'user_id', 't', known => '{a}', clusters => 'cn_groups',
    options => '{"epochs": 1, "hidden_dim": 8, "by_cluster": {"1": {"hidden_dim": 4}}, "learning_rate": 1e-9, "warm_start": true, "verbose": false}');
SELECT cluster, max(abs(x - y)) < 1e-5 AS near
  FROM sessionlen.weights a JOIN sessionlen.weights b USING (model, cluster, name, chunk),
       unnest(a.data, b.data) u(x, y)
 WHERE model = 'cn_parts' AND a.version = 1 AND b.version = 3 GROUP BY cluster ORDER BY cluster;

-- Fitting or dropping the clusters changes nothing for the model.
CREATE TABLE cn_before AS SELECT * FROM cn_predicted;
SELECT sizes FROM sessionlen.cluster('cn_groups', 'cn_users', 'user_id', '{level}', 2);
SELECT sessionlen.drop_clustering('cn_groups');
SELECT count(*) AS changed FROM cn_before b JOIN cn_predicted p USING (user_id, t) WHERE b.parts <> p.parts;

-- Mistakes.
\set VERBOSITY default
SELECT sizes FROM sessionlen.cluster('cn_groups', 'cn_users', 'user_id', '{level}', 3);
SELECT version FROM sessionlen.train('cn_x', 'cn_rows', 'y', 'user_id', 't', known => '{a}', clusters => 'nobody');
SELECT version FROM sessionlen.train('cn_x', 'cn_rows', 'y', 'a', 't', known => '{g}', clusters => 'cn_groups');
SELECT version FROM sessionlen.train('cn_x', 'cn_rows', 'y', 'user_id', 't', known => '{a}',
    options => '{"standardize": "mixed"}');
SELECT version FROM sessionlen.train('cn_x', 'cn_rows', 'y', 'user_id', 't', known => '{a}',
    options => '{"standardize": "maybe"}');
SELECT version FROM sessionlen.train('cn_x', 'cn_rows', 'y', 'user_id', 't', known => '{a}', clusters => 'cn_groups',
    options => '{"search": {"seed": [1, 2]}}');
SELECT version FROM sessionlen.train('cn_x', 'cn_rows', 'y', 'user_id', 't', known => '{a}', clusters => 'cn_groups',
    options => '{"by_cluster": {"7": {}}}');
SELECT version FROM sessionlen.train('cn_x', 'cn_rows', 'y', 'user_id', 't', known => '{a}', clusters => 'cn_groups',
    options => '{"by_cluster": {"one": {}}}');
SELECT version FROM sessionlen.train('cn_x', 'cn_rows', 'y', 'user_id', 't', known => '{a}', clusters => 'cn_groups',
    options => '{"by_cluster": {"1": 5}}');
SELECT version FROM sessionlen.train('cn_x', 'cn_rows', 'y', 'user_id', 't', known => '{a}', clusters => 'cn_groups',
    options => '{"by_cluster": {"1": {"epochs": "five"}}}');
SELECT version FROM sessionlen.train('cn_x', 'cn_rows', 'y', 'user_id', 't', known => '{a}', clusters => 'cn_groups',
    options => '{"by_cluster": {"1": {"sequence_length": 1}}}');
SELECT version FROM sessionlen.train('cn_x', 'cn_rows', 'y', 'user_id', 't', known => '{a}', clusters => 'cn_groups',
    options => '{"min_users": 0}');

-- Damage.
CREATE FUNCTION cn_damage(change text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	said text;
BEGIN
	EXECUTE change;
	-- another id: this session has loaded the version before
	UPDATE sessionlen.model_versions SET id = gen_random_uuid() WHERE model = 'cn_parts';
	PERFORM sessionlen.predict_sequence('cn_parts', array_agg(r ORDER BY t)) FROM cn_rows r WHERE user_id = 60;
	RAISE EXCEPTION 'it predicts';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS said = MESSAGE_TEXT;
	RETURN SQLSTATE || ' ' || said;
END
$$;
SELECT cn_damage(change) FROM (VALUES
    ('DELETE FROM sessionlen.network_members WHERE model = ''cn_parts'' AND cluster = 1'),
    ('UPDATE sessionlen.network_members SET keys = ''{1,1}'' WHERE model = ''cn_parts'' AND cluster = 0'),
    ('UPDATE sessionlen.network_members SET keys = ''{1,NULL}'' WHERE model = ''cn_parts'' AND cluster = 0'),
    ('UPDATE sessionlen.cluster_networks SET inputs = ''[]'' WHERE model = ''cn_parts'' AND cluster = 0'),
    ('UPDATE sessionlen.cluster_networks SET inputs = ''5'' WHERE model = ''cn_parts'' AND cluster = 0'),
    ('UPDATE sessionlen.cluster_networks SET target_scale = ''{}'' WHERE model = ''cn_parts'' AND cluster = 0'),
    ('UPDATE sessionlen.cluster_networks SET options = options || ''{"hidden_dim": 9}'' WHERE model = ''cn_parts'' AND cluster = 0'),
    ('UPDATE sessionlen.cluster_networks SET options = options || ''{"sequence_length": 1}'' WHERE model = ''cn_parts'' AND cluster = 0'),
    ('DELETE FROM sessionlen.weights WHERE model = ''cn_parts'' AND cluster = 1 AND name = ''head.bias'''),
    ('UPDATE sessionlen.weights SET data[1] = ''NaN'' WHERE model = ''cn_parts'' AND cluster = 0'),
    ('SELECT 1')) d(change);

SELECT sessionlen.drop_model(m) FROM unnest('{cn_whole,cn_parts,cn_mixed}'::text[]) m;
SELECT count(*) AS left_behind FROM sessionlen.cluster_networks WHERE model ~ '^cn_';
SELECT sessionlen.drop_clustering('cn_groups');
DROP FUNCTION cn_damage;
DROP TABLE cn_before;
DROP VIEW cn_predicted, cn_users;
DROP TABLE cn_rows;
