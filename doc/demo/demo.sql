-- demo.sql: from plays to a table of errors and the length of everyone's next session.
-- Works on the tables plays and users that the loaders in doc/examples/ fill; run from the
-- project's top folder: psql < doc/demo/demo.sql
\set ON_ERROR_STOP on
\pset footer off
SET client_min_messages = warning;
SELECT to_regclass('truth') IS NOT NULL AS made_up \gset

\echo
\echo '1. Plays become sessions: a gap of more than 30 minutes starts a new one.'
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
SELECT count(DISTINCT user_id) AS users, count(*) AS sessions, sum(event_count) AS plays,
       round(avg(session_length)) AS mean_seconds,
       round(percentile_cont(0.5) WITHIN GROUP (ORDER BY session_length)) AS median_seconds,
       round(max(session_length)) AS longest
  FROM listening_sessions;

\echo '2. Profiles, from the plays of training users only.'
SELECT user_id, gender, age, country, top_artist, total_sessions,
       round(average_session_length) AS average, round(median_session_length) AS median
  FROM sessionlen.user_profiles(
           'SELECT * FROM plays WHERE sessionlen.split_part(user_id) = ''train''', 'users')
 ORDER BY total_sessions DESC LIMIT 5;

-- What all networks below share: columns and their preparation.
\set known '{previous_session_length,average_session_length,absence,session_number,hour,weekday}'
\set static '{gender,age,country}'
\set columns '{"columns": {"previous_session_length": "log1p", "average_session_length": "log1p", "absence": "log1p", "session_number": "log1p", "hour": "one_hot", "weekday": "one_hot"}}'
\set others '{"columns": {"absence": "log1p", "session_number": "log1p", "hour": "one_hot", "weekday": "one_hot"}}'
-- The study's options; it ran 150 epochs.
\set study '{"sequence_length": 1, "batch_size": 400, "epochs": 4, "shuffle": false, "upper_percentile": 99.5, "loss": "mae", "optimizer": "adam", "schedule": "constant"}'
-- Real sequences: the state is carried through all of a user's sessions.
\set sequences '{"architecture": "gru", "hidden_dim": 32, "epochs": 12, "batch_size": 16, "target_transform": "log1p", "learning_rate": 0.005}'

\echo '3. Networks that see one session at a time, as in the study, at 4 epochs instead of 150.'
SET client_min_messages = notice;
SELECT * FROM sessionlen.train('gru', 'listening_sessions', 'session_length', 'user_id', 'session_start',
    known => :'known', static => :'static',
    options => :'columns'::jsonb || :'study' || '{"architecture": "gru", "hidden_dim": 250}');
SELECT * FROM sessionlen.train('lstm', 'listening_sessions', 'session_length', 'user_id', 'session_start',
    known => :'known', static => :'static',
    options => :'columns'::jsonb || :'study' || '{"architecture": "lstm", "hidden_dim": 250}');
SELECT * FROM sessionlen.train('layered_lstm', 'listening_sessions', 'session_length', 'user_id', 'session_start',
    known => :'known', static => :'static',
    options => :'columns'::jsonb || :'study' || '{"architecture": "lstm", "hidden_dim": [150, 250], "dropout": 0.1}');

\echo '4. A network that reads each user''s sessions as a sequence.'
SELECT * FROM sessionlen.train('listening', 'listening_sessions', 'session_length', 'user_id', 'session_start',
    known => :'known', static => :'static',
    options => :'columns'::jsonb || :'sequences');

\echo '5. Clusters of users with more than 30 training sessions, and an LSTM for each.'
SET client_min_messages = warning;
CREATE TABLE habits AS
SELECT partition_key AS user_id, ln(1 + avg(actual)) AS log_length, ln(count(*)) AS log_sessions
  FROM sessionlen.predictions('lstm', part => 'train')
 GROUP BY partition_key HAVING count(*) > 30 AND avg(actual) < 20000;
SELECT c.name, c.sizes, round(c.silhouette::numeric, 3) AS silhouette
  FROM unnest('{kmeans,spectral}'::text[]) method,
       sessionlen.cluster(method, 'habits', 'user_id', '{log_length,log_sessions}', 5, method, '{"standardize": true}') c;
-- The study's epochs by users of a cluster, a fortieth of them as above.
CREATE VIEW epochs AS
SELECT name, jsonb_object_agg(cluster, jsonb_build_object('epochs',
           CASE WHEN size > 400 THEN 3 WHEN size > 200 THEN 9 WHEN size > 75 THEN 10 ELSE 13 END)) AS by_cluster
  FROM sessionlen.cluster_centroids GROUP BY name;
-- Lengths raw, standardised in each cluster, or standardised in those of at most 200 users.
CREATE TABLE settings (suffix text, options jsonb);
INSERT INTO settings VALUES
    ('', :'columns'::jsonb || '{"standardize": false}'),
    ('_standardized', '{"standardize": true}'),
    ('_mixed', '{"standardize": "mixed"}');
SELECT t.model, t.epochs, round(t.validation_mae) AS validation_mae, round(t.seconds::numeric, 1) AS seconds
  FROM epochs CROSS JOIN settings s
 CROSS JOIN LATERAL sessionlen.train(name || suffix, 'listening_sessions', 'session_length', 'user_id', 'session_start',
    known => :'known', static => :'static', clusters => name,
    options => :'others'::jsonb || :'study' || '{"architecture": "lstm", "hidden_dim": 250, "verbose": false}'
               || s.options || jsonb_build_object('by_cluster', by_cluster)) t;

\echo '6. Errors on held-out sessions, in seconds, beside the baselines: one denominator for all.'
CREATE TABLE errors AS
SELECT m AS model, e.*
  FROM unnest('{gru,lstm,layered_lstm,kmeans,kmeans_standardized,kmeans_mixed,spectral,spectral_standardized,spectral_mixed,listening}'::text[]) m,
       sessionlen.evaluate(m) e;
SELECT CASE predictor WHEN 'model' THEN 'network: ' || model ELSE 'baseline: ' || predictor END AS predictor,
       max(row_count) AS sessions, round(max(mae)) AS mae, round(max(rmse)) AS rmse,
       round(max(normalized_mae)::numeric, 3) AS normalized_mae
  FROM errors WHERE cluster IS NULL
 GROUP BY 1 ORDER BY mae;

\echo '7. The study''s table, with its scores of its own data beside ours of these.'
CREATE TABLE study (run text PRIMARY KEY, score float8[], note text);
INSERT INTO study VALUES
    ('user mean', '{1}', NULL),
    ('gru', '{0.87}', NULL), ('lstm', '{0.87}', NULL), ('layered_lstm', '{0.87}', NULL),
    ('kmeans', '{0.81,0.79}', 'users of a cluster by user number and average length, two runs; here by average length and number of sessions; lengths in seconds, not standardised.'),
    ('spectral', '{0.78}', 'the same, clusters of nearest neighbours.'),
    ('kmeans_standardized', '{0.81}', 'lengths standardised in each cluster, of rows that a join had scrambled.'),
    ('spectral_standardized', '{0.87}', 'lengths standardised in each cluster, of rows that a join had scrambled.'),
    ('kmeans_mixed', '{0.62}', 'divides each cluster''s error by a denominator of its own, 4932.859 s or, standardised, 0.766: not comparable with the rest.'),
    ('spectral_mixed', '{0.60}', 'divides each cluster''s error by a denominator of its own, 4932.859 s or, standardised, 0.766: not comparable with the rest.');
-- The mixed score, of clusters that have a network.
CREATE VIEW mixed_scores AS
SELECT e.model, sum(e.row_count * CASE WHEN (c.options ->> 'standardize')::boolean
                                       THEN e.mae / (c.target_scale ->> 'scale')::float8 / 0.766
                                       ELSE e.mae / 4932.859 END) / sum(e.row_count) AS score
  FROM errors e JOIN sessionlen.cluster_networks c ON c.model = e.model AND c.cluster::text = e.cluster
 WHERE e.predictor = 'model' AND e.model LIKE '%mixed'
 GROUP BY e.model;
CREATE VIEW study_beside_ours AS
SELECT s.run, s.score AS study, max(e.normalized_mae) AS ours, max(m.score) AS ours_by_its_measure, s.note
  FROM study s
  JOIN errors e ON e.cluster IS NULL AND s.run = CASE e.predictor WHEN 'model' THEN e.model ELSE e.predictor END
  LEFT JOIN mixed_scores m ON m.model = s.run
 GROUP BY s.run;
SELECT run, array_to_string(study, ', ') AS study, round(ours::numeric, 3) AS ours,
       round(ours_by_its_measure::numeric, 3) AS ours_by_its_measure
  FROM study_beside_ours ORDER BY ours DESC;

\if :made_up
\echo '   The log is made up, so the best possible prediction is known: gap 0 is perfect,'
\echo '   1 is no better than the best baseline. Below it the gap again, and what it stays'
\echo '   under in 95 % of draws of other users.'
\set model listening
\i bench/ideal.sql
\endif

\echo '8. How long will the session be that each user starts a day after the last one?'
CREATE VIEW next_sessions AS
SELECT p.user_id, s.*,
       extract(hour FROM s.session_start AT TIME ZONE 'UTC')::int AS hour,
       extract(isodow FROM s.session_start AT TIME ZONE 'UTC')::int AS weekday,
       u.gender, sessionlen.age_at(s.session_start, u.age, u.registered) AS age, u.country
  FROM (SELECT user_id, sessionlen.sessions(ts, duration, '30 min') AS list, max(ts) AS last
          FROM plays GROUP BY user_id) p
 CROSS JOIN unnest(p.list || sessionlen.next_session(p.list, p.last + interval '1 day')) s
  LEFT JOIN users u USING (user_id);
SELECT user_id, session_start, round(prediction) AS predicted_seconds,
       round(average_session_length) AS average_so_far
  FROM (SELECT *, sessionlen.predict('listening', s) OVER (PARTITION BY user_id ORDER BY session_start) AS prediction
          FROM next_sessions s WHERE user_id IN (SELECT user_id FROM users ORDER BY user_id LIMIT 8)) n
 WHERE session_length IS NULL
 ORDER BY user_id;
