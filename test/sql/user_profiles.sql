-- user_profiles(): one row a user, from tables, views or queries.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS sessionlen;
SET timezone = 'UTC';
SET datestyle = 'ISO, MDY';

CREATE SCHEMA sep;
SET search_path = sep;
CREATE TABLE plays (user_id text, ts timestamptz, artist_name text, track_name text, duration float8);
INSERT INTO plays VALUES
	('u1', '2020-01-01 00:00', 'A', 'x', 240), ('u1', '2020-01-01 00:10', 'B', 'x', 240),
	('u1', '2020-01-01 00:43', 'A', 'y', 240), ('u1', '2020-01-01 01:18', 'A', ' ', NULL),
	('u1', '2020-01-01 01:48', 'B', 'x', 180), ('u1', '2020-01-02', NULL, 'x', 60), ('u1', '2020-01-02', '', 'x', 60),
	('u2', '2020-01-01 00:00', 'b', 'q', 100), ('u2', '2020-01-01 00:00', 'a', 'q', 90),
	('u3', NULL, 'A', 'x', 240), (NULL, '2020-01-01', 'A', 'x', 240),
	('u4', '2020-01-01', NULL, NULL, NULL);
CREATE TABLE users (user_id text, gender text, age text, country text, registered text);
INSERT INTO users VALUES ('u1', ' F', '22', 'Mexico', 'Aug 13, 2006'), ('u2', 'm', '', '', ''),
	('u3', 'f', '30', 'Peru', 'Aug 14, 2006'), ('u4', 'x', '-1', NULL, NULL);
SELECT * FROM sessionlen.user_profiles('plays', 'users');
-- what is said of people, with spaces around it
SELECT user_id, gender, age, country || '|' AS country, registered
  FROM sessionlen.user_profiles('plays', $$
	SELECT * FROM (VALUES ('u1', ' Male ', ' 22 ', ' PERU ', ' Aug 13, 2006 '), ('u2', '0', '  ', '  ', ' '),
						  ('u4', '', NULL, 'Two Words ', NULL)) p (user_id, gender, age, country, registered)$$);
-- without people; another gap; a view; a query, with what some people leave at its end
SELECT user_id, gender, age, country, registered, total_sessions FROM sessionlen.user_profiles('plays', gap => '20 min');
CREATE VIEW "Plays, all" AS SELECT user_id, ts AS timestamp, duration FROM plays;
SELECT user_id, top_artist, top_track, average_session_length FROM sessionlen.user_profiles('sep."Plays, all"', gap => NULL);
SELECT user_id, total_session_rows, max_session_length, gender, age
  FROM sessionlen.user_profiles($$ select * from plays where ts < '2020-01-01 01:00' -- training$$,
                                $$(select user_id, 1 as gender, 30.0 as age from users)$$);
SELECT user_id, total_sessions, total_session_rows
  FROM sessionlen.user_profiles('WITH p AS (TABLE plays) SELECT 7 AS user_id, ts::timestamp FROM p ; ');
-- the same by hand
SELECT user_id, count(*), avg(session_length), max(session_length),
       percentile_cont(0.5) WITHIN GROUP (ORDER BY session_length) AS median, sum(event_count)
  FROM (SELECT user_id, sessionlen.sessions(ts, duration, '30 min') l FROM plays GROUP BY user_id) p, unnest(l)
 WHERE user_id IS NOT NULL GROUP BY user_id ORDER BY user_id;
-- What lies on the caller's path is for the caller's own text alone.
CREATE FUNCTION btrim(text) RETURNS text LANGUAGE sql AS $$ SELECT 'hijacked' $$;
CREATE FUNCTION unequal(text, text) RETURNS boolean LANGUAGE sql AS $$ SELECT false $$;
CREATE OPERATOR <> (LEFTARG = text, RIGHTARG = text, FUNCTION = unequal);
SET search_path = sep, pg_catalog;
SELECT user_id, gender, top_artist, top_track FROM sessionlen.user_profiles('plays', 'users');
-- The caller's rights
CREATE ROLE sep_reader;
GRANT USAGE ON SCHEMA sep, sessionlen TO sep_reader;
GRANT SELECT ON plays TO sep_reader;
SET ROLE sep_reader;
SELECT count(*) FROM sessionlen.user_profiles('plays');
\set VERBOSITY sqlstate
SELECT count(*) FROM sessionlen.user_profiles('plays', 'users');
RESET ROLE;
-- Errors
SELECT * FROM sessionlen.user_profiles(NULL);
SELECT * FROM sessionlen.user_profiles(' ; ');
SELECT * FROM sessionlen.user_profiles('nowhere');
SELECT * FROM sessionlen.user_profiles('nowhere.plays');
SELECT * FROM sessionlen.user_profiles('plays p; DROP TABLE plays');
SELECT * FROM sessionlen.user_profiles('SELECT * FROM plays; DROP TABLE plays');
SELECT * FROM sessionlen.user_profiles('SELECT * FROM plays) s, (SELECT 1');
SELECT * FROM sessionlen.user_profiles('WITH d AS (DELETE FROM plays RETURNING *) SELECT * FROM d');
SELECT * FROM sessionlen.user_profiles('SELECT ts FROM plays');
SELECT * FROM sessionlen.user_profiles('SELECT user_id FROM plays');
SELECT * FROM sessionlen.user_profiles('plays', 'SELECT gender FROM users');
SELECT * FROM sessionlen.user_profiles('plays', 'SELECT * FROM users UNION ALL SELECT user_id, NULL, NULL, NULL, NULL FROM users');
SELECT * FROM sessionlen.user_profiles('plays', gap => '-1 s');
SELECT * FROM sessionlen.user_profiles($$SELECT 1 AS user_id, timestamptz 'infinity' AS ts$$);
SELECT count(*) FROM plays;
DROP OWNED BY sep_reader;
DROP ROLE sep_reader;
SET client_min_messages = error;
DROP SCHEMA sep CASCADE;
