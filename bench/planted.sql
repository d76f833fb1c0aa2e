-- planted.sql: does a network for each cluster of users beat one network of all?
--
--     psql -v users=2000 -v clusters=4 -f doc/examples/load_listening.sql
--     psql -f bench/planted.sql
--
-- In such a log users belong to planted clusters with laws of their own, so it is known both
-- which users belong together (table members) and what the best possible prediction is
-- (column ideal of truth, by a predictor that knows each user's cluster).  K-means looks for
-- the clusters in profiles of the training rows; then the same network is trained three
-- times: on all users, on all users with the found cluster as a column, and once for each
-- cluster.  Options: epochs (12), seed (0), keep (0; 1 leaves tables, clustering and
-- models there).

\set ON_ERROR_STOP on
\pset footer off
SET client_min_messages = warning;
\if :{?epochs}
\else
	\set epochs 12
\endif
\if :{?seed}
\else
	\set seed 0
\endif
\if :{?keep}
\else
	\set keep 0
\endif
SELECT to_regclass('members') IS NULL AS no_members \gset
\if :no_members
	\warn 'There is no table members: load a log with -v clusters=4.'
	\quit
\endif

CREATE TABLE listening_sessions AS
SELECT p.user_id, s.*,
       extract(hour FROM s.session_start AT TIME ZONE 'UTC')::int AS hour,
       extract(isodow FROM s.session_start AT TIME ZONE 'UTC')::int AS weekday,
       u.gender, sessionlen.age_at(s.session_start, u.age, u.registered) AS age, u.country
  FROM (SELECT user_id, sessionlen.sessions(ts, duration, '30 min') AS list
          FROM plays GROUP BY user_id) p
 CROSS JOIN unnest(p.list) s
  LEFT JOIN users u USING (user_id);
ANALYZE listening_sessions;

-- Training rows as train() splits them by default: held-out users give their first half,
-- so that every user has a profile and no held-out row is in any.
CREATE VIEW training_profiles AS
SELECT user_id, avg(ln(session_length)) AS mean_log_length,
       stddev_samp(ln(session_length)) AS spread,
       ln(count(*) / (extract(epoch FROM max(session_start) - min(session_start)) / (7 * 86400)))::float8
         AS log_sessions_a_week,
       avg((hour >= 17 OR hour < 1)::int)::float8 AS evening_share,
       ln(percentile_cont(0.5) WITHIN GROUP (ORDER BY absence)) AS log_median_absence
  FROM (SELECT *, count(*) OVER (PARTITION BY user_id) AS n FROM listening_sessions) s
 WHERE sessionlen.split_part(user_id) = 'train' OR session_number <= ceil(n * 0.5)
 GROUP BY user_id;

\echo
\echo '1. K-means on standardised profiles of the training rows.'
SELECT count(DISTINCT cluster) AS planted FROM members \gset
SELECT k, points, sizes, round(silhouette::numeric, 3) AS silhouette
  FROM sessionlen.cluster('planted', 'training_profiles', 'user_id',
           '{mean_log_length,spread,log_sessions_a_week,evening_share,log_median_absence}',
           :planted, options => '{"standardize": true}');

CREATE TEMPORARY TABLE found AS
SELECT m.user_id, m.cluster AS planted, l.cluster AS found
  FROM members m JOIN sessionlen.cluster_labels l ON l.key = m.user_id
 WHERE l.name = 'planted';
SELECT found, planted, count(*) AS users FROM found GROUP BY found, planted ORDER BY found, users DESC;

-- Pairs of users put together by both partitions, beyond what chance would put together.
WITH cell AS (
	SELECT planted, found, count(*)::float8 AS n FROM found GROUP BY planted, found
), pairs AS (
	SELECT (SELECT sum(n * (n - 1) / 2) FROM cell) AS shared,
	       (SELECT sum(n * (n - 1) / 2) FROM (SELECT sum(n) AS n FROM cell GROUP BY planted) a) AS a,
	       (SELECT sum(n * (n - 1) / 2) FROM (SELECT sum(n) AS n FROM cell GROUP BY found) b) AS b,
	       (SELECT sum(n) * (sum(n) - 1) / 2 FROM cell) AS every
)
SELECT round(((shared - a * b / every) / ((a + b) / 2 - a * b / every))::numeric, 4) AS adjusted_rand_index
  FROM pairs;

CREATE TABLE labelled_sessions AS
SELECT s.*, f.found AS user_cluster FROM listening_sessions s JOIN found f USING (user_id);
ANALYZE labelled_sessions;

\set known '{previous_session_length,average_session_length,absence,session_number,hour,weekday}'
\set columns '{"columns": {"previous_session_length": "log1p", "average_session_length": "log1p", "absence": "log1p", "session_number": "log1p", "hour": "one_hot", "weekday": "one_hot"}}'
\set columns_label '{"columns": {"previous_session_length": "log1p", "average_session_length": "log1p", "absence": "log1p", "session_number": "log1p", "hour": "one_hot", "weekday": "one_hot", "user_cluster": "one_hot"}}'
SELECT '{"architecture": "gru", "hidden_dim": 32, "batch_size": 16, "target_transform": "log1p", "learning_rate": 0.005, "verbose": false}'::jsonb
       || jsonb_build_object('epochs', :epochs, 'seed', :seed) AS options \gset

\echo '2. The same network, three times.'
SELECT model, epochs, round(validation_mae) AS validation_mae, round(seconds::numeric, 1) AS seconds
  FROM sessionlen.train('planted_all', 'listening_sessions', 'session_length', 'user_id', 'session_start',
           known => :'known', static => '{gender,age,country}', options => :'options'::jsonb || :'columns')
UNION ALL
SELECT model, epochs, round(validation_mae), round(seconds::numeric, 1)
  FROM sessionlen.train('planted_label', 'labelled_sessions', 'session_length', 'user_id', 'session_start',
           known => :'known', static => '{gender,age,country,user_cluster}', options => :'options'::jsonb || :'columns_label')
UNION ALL
SELECT model, epochs, round(validation_mae), round(seconds::numeric, 1)
  FROM sessionlen.train('planted_each', 'listening_sessions', 'session_length', 'user_id', 'session_start',
           known => :'known', static => '{gender,age,country}', clusters => 'planted', options => :'options'::jsonb || :'columns');
SELECT cluster, sequences, epochs FROM sessionlen.cluster_networks WHERE model = 'planted_each' ORDER BY cluster;

\echo '3. evaluate() of each on all held-out rows: one denominator, the mean of each user.'
SELECT m AS model, predictor, row_count, round(mae) AS mae, round(rmse) AS rmse,
       round(median_ae) AS median_ae, round(normalized_mae::numeric, 4) AS normalized_mae
  FROM unnest('{planted_all,planted_label,planted_each}'::text[]) m, sessionlen.evaluate(m)
 WHERE cluster IS NULL AND (predictor = 'model' OR m = 'planted_all')
 ORDER BY normalized_mae;

-- Row by row, so that all errors are of the same rows; clusters are the found ones.
CREATE TEMPORARY TABLE errors AS
SELECT a.partition_key AS user_id, f.found, a.actual, a.user_mean, t.ideal,
       a.prediction AS of_all, l.prediction AS with_label, e.prediction AS of_each
  FROM sessionlen.predictions('planted_all') a
  JOIN sessionlen.predictions('planted_label') l USING (partition_key, order_key)
  JOIN sessionlen.predictions('planted_each') e USING (partition_key, order_key)
  JOIN found f ON f.user_id = a.partition_key
  JOIN truth t ON t.user_id = a.partition_key AND t.session_start = a.order_key::timestamptz;

\echo '4. MAE in seconds by found cluster beside the ideal, which knows the planted one.'
SELECT coalesce(found::text, 'all') AS cluster, count(DISTINCT user_id) AS users, count(*) AS rows,
       round(sessionlen.mae(actual, user_mean)) AS user_mean,
       round(sessionlen.mae(actual, of_all)::numeric, 1) AS one_network,
       round(sessionlen.mae(actual, with_label)::numeric, 1) AS with_label,
       round(sessionlen.mae(actual, of_each)::numeric, 1) AS one_each,
       round(sessionlen.mae(actual, ideal)::numeric, 1) AS ideal
  FROM errors GROUP BY ROLLUP (found) ORDER BY errors.found NULLS FIRST;

\echo '5. How far from the ideal: 0 is perfect, 1 is the mean of each user. The standard'
\echo '   error is that of the difference to one network, by user.'
WITH v AS (
	SELECT user_id, place, name, count(*) AS n, sum(abs(actual - of_all)) AS base,
	       sum(abs(actual - value)) AS error, sum(abs(actual - ideal)) AS ideal,
	       sum(abs(actual - user_mean)) AS user_mean
	  FROM errors
	 CROSS JOIN LATERAL (VALUES (1, 'one network', of_all), (2, 'with label', with_label),
	                            (3, 'one each', of_each)) x(place, name, value)
	 GROUP BY user_id, place, name
), total AS (
	SELECT place, sum(error - base) / sum(n) AS difference FROM v GROUP BY place
)
SELECT name, round((sum(error - ideal) / sum(user_mean - ideal))::numeric, 4) AS gap,
       round(max(difference)::numeric, 1) AS difference_s,
       round((sqrt(sum((error - base - difference * n) ^ 2) * count(*) / (count(*) - 1)) / sum(n))::numeric, 1)
         AS standard_error_s
  FROM v JOIN total USING (place) GROUP BY place, name ORDER BY place;

\if :keep
\else
	SELECT sessionlen.drop_model(m) FROM unnest('{planted_all,planted_label,planted_each}'::text[]) m \g /dev/null
	SELECT sessionlen.drop_clustering('planted') \g /dev/null
	DROP VIEW training_profiles;
	DROP TABLE listening_sessions, labelled_sessions;
\endif
DROP TABLE found, errors;
