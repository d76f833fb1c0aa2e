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

\echo '5. Errors on held-out sessions, in seconds, beside the baselines.'
SET client_min_messages = warning;
SELECT CASE predictor WHEN 'model' THEN 'network: ' || m ELSE 'baseline: ' || predictor END AS predictor,
       max(row_count) AS sessions, round(max(mae)) AS mae, round(max(rmse)) AS rmse,
       round(max(normalized_mae)::numeric, 3) AS normalized_mae
  FROM unnest('{gru,lstm,layered_lstm,listening}'::text[]) m, sessionlen.evaluate(m)
 GROUP BY 1 ORDER BY mae;

\if :made_up
\echo '   The log is made up, so the best possible prediction is known: gap 0 is perfect,'
\echo '   1 is no better than the best baseline. Below it the gap again, and what it stays'
\echo '   under in 95 % of draws of other users.'
\set model listening
\i bench/ideal.sql
\endif

\echo '6. How long will the session be that each user starts a day after the last one?'
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
