-- features.sql: what comes between a log and a model: unique tracks, and views of plays,
-- sessions and users.
--
--     psql -f doc/examples/features.sql
--     psql -v gap='20 min' -v zone=Europe/Rome -f doc/examples/features.sql
--
-- Works on the tables plays and users that the loaders fill, in the current schema, and makes
-- them if they are missing; needs the extension.  Run it once: the views follow what is
-- loaded later, and so do the tables unique_tracks, unique_artists and country_codes by
-- triggers.  Running it again changes nothing but gap, the idle time that ends a session
-- (30 minutes), and zone, the time zone of users who are not in user_time_zones (UTC).
--
--     listening_data     a row a play, with what is known of user and track
--     session_data       a row a play, with its session: the study's 15 columns
--     session_summary    a row a session: its 10 columns
--     user_profile       a row a user: its 12 columns
--     session_features   a row a session, with calendar, absence and moving averages;
--                        as a function, session_features(at), also with the session
--                        each user would start at that time

\set ON_ERROR_STOP on
\if :{?gap}
\else
	\set gap '30 min'
\endif
\if :{?zone}
\else
	\set zone UTC
\endif

\ir track_metadata.sql

BEGIN;
\ir plays_tables.sql

SELECT to_regclass('unique_tracks') IS NULL AS first_time,
	   quote_ident(current_schema()) AS schema,
	   now() AT TIME ZONE :'zone' IS NULL AS no_zone
\gset

-- ---- tables ----
-- A code, once given, stays: rows are never removed, and one without plays has count 0.

CREATE TABLE IF NOT EXISTS unique_tracks (
	code bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	artist_name text,
	track_name text NOT NULL,
	plays bigint NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS unique_tracks_names_idx
	ON unique_tracks (track_name, coalesce(artist_name, ''));
COMMENT ON TABLE unique_tracks IS 'every (artist, track) of plays, with the number of plays';

CREATE TABLE IF NOT EXISTS unique_artists (
	code bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	artist_name text NOT NULL UNIQUE,
	plays bigint NOT NULL
);
COMMENT ON TABLE unique_artists IS 'every artist of plays, with the number of plays';

CREATE TABLE IF NOT EXISTS country_codes (
	code integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	country text NOT NULL UNIQUE
);
COMMENT ON TABLE country_codes IS 'every country of users, in lower case';

CREATE TABLE IF NOT EXISTS user_time_zones (
	user_id text PRIMARY KEY,
	time_zone text NOT NULL CHECK (timestamptz 'epoch' AT TIME ZONE time_zone IS NOT NULL)
);
COMMENT ON TABLE user_time_zones IS 'time zones of users, such as Europe/Rome';

CREATE TABLE IF NOT EXISTS holidays (
	day date NOT NULL,
	country text,
	name text
);
CREATE UNIQUE INDEX IF NOT EXISTS holidays_day_idx ON holidays (day, lower(coalesce(country, '')));
COMMENT ON TABLE holidays IS 'days off';
COMMENT ON COLUMN holidays.country IS 'as in users; NULL is everywhere';

-- ---- codes and counts follow plays and users ----
-- The functions run with the rights of their owner, so that who may add plays needs no others.
-- The lock keeps two loads from waiting for each other.

CREATE OR REPLACE FUNCTION count_tracks() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = :schema, pg_temp
AS $$
DECLARE
	changes text := CASE TG_OP
		WHEN 'INSERT' THEN 'SELECT artist_name, track_name, 1 AS n FROM added'
		WHEN 'DELETE' THEN 'SELECT artist_name, track_name, -1 AS n FROM removed'
		WHEN 'UPDATE' THEN 'SELECT artist_name, track_name, 1 AS n FROM added'
						   ' UNION ALL SELECT artist_name, track_name, -1 FROM removed'
	END;
BEGIN
	LOCK TABLE unique_tracks IN SHARE ROW EXCLUSIVE MODE;

	IF TG_OP = 'TRUNCATE' THEN
		UPDATE unique_tracks SET plays = 0 WHERE plays <> 0;
		UPDATE unique_artists SET plays = 0 WHERE plays <> 0;
		RETURN NULL;
	END IF;

	EXECUTE format($q$
		WITH changed AS (
			SELECT nullif(artist_name, '') AS artist_name, track_name, sum(n) AS n
			  FROM (%s) c WHERE track_name <> ''
			 GROUP BY 1, 2 HAVING sum(n) <> 0),
		known AS (
			UPDATE unique_tracks u SET plays = u.plays + c.n
			  FROM changed c
			 WHERE u.track_name = c.track_name
			   AND coalesce(u.artist_name, '') = coalesce(c.artist_name, '')
			RETURNING u.track_name, coalesce(u.artist_name, '') AS artist_name)
		INSERT INTO unique_tracks (artist_name, track_name, plays)
		SELECT artist_name, track_name, n
		  FROM changed c
		 WHERE NOT EXISTS (SELECT FROM known k
							WHERE k.track_name = c.track_name
							  AND k.artist_name = coalesce(c.artist_name, ''))
		 ORDER BY n DESC, artist_name COLLATE "C", track_name COLLATE "C" $q$, changes);
	EXECUTE format($q$
		WITH changed AS (
			SELECT artist_name, sum(n) AS n
			  FROM (%s) c WHERE artist_name <> ''
			 GROUP BY 1 HAVING sum(n) <> 0),
		known AS (
			UPDATE unique_artists u SET plays = u.plays + c.n
			  FROM changed c
			 WHERE u.artist_name = c.artist_name
			RETURNING u.artist_name)
		INSERT INTO unique_artists (artist_name, plays)
		SELECT artist_name, n
		  FROM changed c
		 WHERE NOT EXISTS (SELECT FROM known k WHERE k.artist_name = c.artist_name)
		 ORDER BY n DESC, artist_name COLLATE "C" $q$, changes);
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION count_tracks() IS 'keeps unique_tracks and unique_artists up to date with plays';

CREATE OR REPLACE FUNCTION code_countries() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = :schema, pg_temp
AS $$
BEGIN
	LOCK TABLE country_codes IN SHARE ROW EXCLUSIVE MODE;
	INSERT INTO country_codes (country)
	SELECT country
	  FROM (SELECT DISTINCT lower(btrim(country)) AS country FROM added) a
	 WHERE country <> ''
	   AND NOT EXISTS (SELECT FROM country_codes c WHERE c.country = a.country)
	 ORDER BY country COLLATE "C";
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION code_countries() IS 'gives every country of users a code';

CREATE OR REPLACE TRIGGER count_added AFTER INSERT ON plays
	REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION count_tracks();
CREATE OR REPLACE TRIGGER count_removed AFTER DELETE ON plays
	REFERENCING OLD TABLE AS removed FOR EACH STATEMENT EXECUTE FUNCTION count_tracks();
CREATE OR REPLACE TRIGGER count_changed AFTER UPDATE ON plays
	REFERENCING NEW TABLE AS added OLD TABLE AS removed FOR EACH STATEMENT EXECUTE FUNCTION count_tracks();
CREATE OR REPLACE TRIGGER count_none AFTER TRUNCATE ON plays
	FOR EACH STATEMENT EXECUTE FUNCTION count_tracks();
CREATE OR REPLACE TRIGGER code_added AFTER INSERT ON users
	REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION code_countries();
CREATE OR REPLACE TRIGGER code_changed AFTER UPDATE ON users
	REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION code_countries();

\if :first_time
	INSERT INTO unique_tracks (artist_name, track_name, plays)
	SELECT *
	  FROM (SELECT nullif(artist_name, '') AS artist, track_name AS track, count(*) AS n
			  FROM plays WHERE track_name <> '' GROUP BY 1, 2) t
	 ORDER BY n DESC, artist COLLATE "C", track COLLATE "C";
	INSERT INTO unique_artists (artist_name, plays)
	SELECT artist_name, count(*) AS n
	  FROM plays WHERE artist_name <> '' GROUP BY artist_name
	 ORDER BY n DESC, artist_name COLLATE "C";
	INSERT INTO country_codes (country)
	SELECT DISTINCT lower(btrim(country)) COLLATE "C" FROM users WHERE btrim(country) <> '' ORDER BY 1;
\endif

-- ---- views ----

-- What users say about themselves is read here, by the rules of sessionlen.user_profiles(),
-- and nowhere else.
CREATE OR REPLACE VIEW user_data AS
SELECT u.user_id, u.gender, u.age, u.country, u.registered,
	   CASE u.gender WHEN 'm' THEN 1 WHEN 'f' THEN 0 ELSE -1 END AS gender_code,
	   coalesce(c.code, 0) AS country_code
  FROM (SELECT user_id,
			   CASE
				   WHEN lower(btrim(gender)) IN ('m', 'male', '1') THEN 'm'
				   WHEN lower(btrim(gender)) IN ('f', 'female', '0') THEN 'f'
			   END AS gender,
			   CASE WHEN age >= 0 THEN age END AS age,
			   nullif(btrim(country), '') AS country, registered
		  FROM users) u
  LEFT JOIN country_codes c ON c.country = lower(u.country);
COMMENT ON VIEW user_data IS 'users as all other views know them';
COMMENT ON COLUMN user_data.gender IS 'm, f or NULL';
COMMENT ON COLUMN user_data.age IS 'years, when the user registered';
COMMENT ON COLUMN user_data.country IS 'without spaces around it; NULL is unknown';
COMMENT ON COLUMN user_data.gender_code IS '1 m, 0 f, -1 unknown';
COMMENT ON COLUMN user_data.country_code IS 'code of country_codes; 0 is unknown';

CREATE OR REPLACE VIEW listening_data AS
SELECT p.user_id, p.ts AS "timestamp", p.artist_name, p.track_name, u.gender,
	   sessionlen.age_at(p.ts, u.age, u.registered) AS age, u.country, u.registered,
	   CASE WHEN p.duration > 0 THEN p.duration ELSE m.duration END AS duration,
	   m.genres[1] AS genre
  FROM plays p
  LEFT JOIN user_data u USING (user_id)
  LEFT JOIN track_metadata m
	ON m.artist_name = lower(p.artist_name) AND m.track_name = lower(p.track_name);
COMMENT ON VIEW listening_data IS 'a row a play, with what is known of user and track';
COMMENT ON COLUMN listening_data.age IS 'years at the time of the play';
COMMENT ON COLUMN listening_data.duration IS 'seconds, of the play or else of the track; NULL is unknown';
COMMENT ON COLUMN listening_data.genre IS 'the most used tag of the track';

CREATE OR REPLACE VIEW session_lists AS
SELECT user_id, sessionlen.sessions("timestamp", duration, :'gap') AS list
  FROM listening_data
 GROUP BY user_id;
COMMENT ON VIEW session_lists IS 'the sessions of every user as an array';

CREATE OR REPLACE VIEW session_summary AS
SELECT s.session_start AS start_timestamp, l.user_id, s.session_number AS session_id,
	   coalesce(u.gender_code, -1) AS gender,
	   sessionlen.age_at(s.session_start, u.age, u.registered) AS age,
	   coalesce(u.country_code, 0) AS country, u.registered,
	   s.previous_session_length, s.average_session_length, s.session_length
  FROM session_lists l
 CROSS JOIN unnest(l.list) s
  LEFT JOIN user_data u USING (user_id);
COMMENT ON VIEW session_summary IS 'a row a session: what the study predicts session_length from';
COMMENT ON COLUMN session_summary.session_id IS 'number of the user''s session, from 1';
COMMENT ON COLUMN session_summary.gender IS '1 m, 0 f, -1 unknown';
COMMENT ON COLUMN session_summary.country IS 'code of country_codes; 0 is unknown';
COMMENT ON COLUMN session_summary.average_session_length IS 'mean of all earlier sessions, 0 for the first';

-- As unnest(), which the planner believes to give ten rows: joined by so few, every play of a
-- user would be compared with every session.  (It is STRICT to stay a function of its own.)
CREATE OR REPLACE FUNCTION session_rows(list sessionlen.session[])
RETURNS SETOF sessionlen.session
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE ROWS 1000
BEGIN ATOMIC
	SELECT e FROM unnest(list) e;
END;
COMMENT ON FUNCTION session_rows(sessionlen.session[]) IS 'a row an element, about a thousand of them';

-- Plays in one order for both windows, so that they are sorted once; of plays at the same
-- time the longest is the last.
CREATE OR REPLACE VIEW session_data AS
WITH numbered AS (
	SELECT *, sessionlen.session_number("timestamp", duration, :'gap') OVER play AS session_id
	  FROM listening_data
	WINDOW play AS (PARTITION BY user_id
					ORDER BY "timestamp", coalesce(duration, 0), artist_name, track_name)),
followed AS (
	SELECT *, CASE WHEN lead(session_id) OVER play = session_id
				   THEN lead("timestamp") OVER play
			  END AS next
	  FROM numbered
	WINDOW play AS (PARTITION BY user_id
					ORDER BY "timestamp", coalesce(duration, 0), artist_name, track_name))
SELECT p.user_id, p."timestamp" AS "current_timestamp", s.session_start AS start_timestamp,
	   p.session_id, s.previous_session_length, s.average_session_length,
	   coalesce(u.gender_code, -1) AS gender,
	   p.age, coalesce(u.country_code, 0) AS country, p.registered, p.duration AS track_duration,
	   CASE
		   WHEN p.next IS NULL THEN 1
		   WHEN p.duration IS NULL THEN 0
		   ELSE extract(epoch FROM p.next - p."timestamp")::float8 / p.duration
	   END AS times_played,
	   coalesce(a.code, 0) AS artist_name, coalesce(t.code, 0) AS track_name,
	   CASE
		   WHEN p.next IS NULL THEN s.session_length
		   ELSE extract(epoch FROM p.next - s.session_start)::float8
	   END AS session_length
  FROM followed p
  JOIN (SELECT user_id, e.* FROM session_lists CROSS JOIN session_rows(list) e) s
	ON s.user_id = p.user_id AND s.session_number = p.session_id
  LEFT JOIN user_data u ON u.user_id = p.user_id
  LEFT JOIN unique_artists a ON a.artist_name = p.artist_name
  LEFT JOIN unique_tracks t
	ON t.track_name = p.track_name AND coalesce(t.artist_name, '') = coalesce(p.artist_name, '');
COMMENT ON VIEW session_data IS 'a row a play, with its session, as in the study';
COMMENT ON COLUMN session_data.session_id IS 'number of the user''s session, from 1';
COMMENT ON COLUMN session_data."current_timestamp" IS 'when the play started';
COMMENT ON COLUMN session_data.gender IS '1 m, 0 f, -1 unknown';
COMMENT ON COLUMN session_data.country IS 'code of country_codes; 0 is unknown';
COMMENT ON COLUMN session_data.track_duration IS 'seconds; NULL is unknown';
COMMENT ON COLUMN session_data.times_played IS 'time until the session''s next play / duration; 1 for its last play, 0 where the duration is unknown';
COMMENT ON COLUMN session_data.artist_name IS 'code of unique_artists; 0 is unknown';
COMMENT ON COLUMN session_data.track_name IS 'code of unique_tracks; 0 is unknown';
COMMENT ON COLUMN session_data.session_length IS 'seconds from the session''s start to its next play, for its last play to its end';

SELECT format('SELECT user_id, "timestamp", duration, artist_name, track_name FROM %s.listening_data',
			  :'schema') AS plays_of_profiles,
	   :'schema' || '.user_data' AS users_of_profiles
\gset
CREATE OR REPLACE VIEW user_profile AS
SELECT p.user_id, p.gender, p.age, coalesce(u.country_code, 0) AS country, p.registered, p.top_artist,
	   p.top_track, p.total_sessions, p.average_session_length, p.max_session_length,
	   p.median_session_length, p.total_session_rows
  FROM sessionlen.user_profiles(:'plays_of_profiles', :'users_of_profiles', :'gap') p
  LEFT JOIN user_data u USING (user_id);
COMMENT ON VIEW user_profile IS 'a row a user with plays, from all of them';
COMMENT ON COLUMN user_profile.gender IS '1 m, 0 f, -1 unknown';
COMMENT ON COLUMN user_profile.country IS 'code of country_codes; 0 is unknown';
COMMENT ON COLUMN user_profile.total_session_rows IS 'plays';

-- ---- features of a session that are known when it starts ----

CREATE OR REPLACE FUNCTION session_features(at timestamptz DEFAULT NULL)
RETURNS TABLE (
	user_id text, session_id bigint, start_timestamp timestamptz, gender text, age integer,
	country text, registered date, previous_session_length float8,
	average_session_length float8, absence float8, moving_average_5 float8,
	moving_average_10 float8, session_of_day bigint, hour integer, weekday integer,
	time_of_day text, holiday boolean, session_length float8)
LANGUAGE sql STABLE
BEGIN ATOMIC
	SELECT s.user_id, s.session_number, s.session_start, s.gender,
		   sessionlen.age_at(s.session_start, s.age, s.registered), s.country, s.registered,
		   s.previous_session_length, s.average_session_length, s.absence,
		   coalesce(avg(s.session_length) OVER (earlier ROWS BETWEEN 5 PRECEDING AND 1 PRECEDING), 0),
		   coalesce(avg(s.session_length) OVER (earlier ROWS BETWEEN 10 PRECEDING AND 1 PRECEDING), 0),
		   row_number() OVER (PARTITION BY s.user_id, s.local::date ORDER BY s.session_start),
		   extract(hour FROM s.local)::integer,
		   extract(isodow FROM s.local)::integer,
		   CASE
			   WHEN extract(hour FROM s.local) BETWEEN 5 AND 11 THEN 'morning'
			   WHEN extract(hour FROM s.local) BETWEEN 12 AND 16 THEN 'afternoon'
			   WHEN extract(hour FROM s.local) BETWEEN 17 AND 21 THEN 'evening'
			   ELSE 'night'
		   END,
		   coalesce(s.local::date IN (SELECT h.day FROM holidays h WHERE h.country IS NULL), false)
		   OR coalesce((s.local::date, lower(s.country))
					   IN (SELECT h.day, lower(btrim(h.country)) FROM holidays h WHERE h.country IS NOT NULL), false),
		   s.session_length
	  FROM (SELECT l.user_id, e.*, u.gender, u.age, u.country, u.registered,
				   e.session_start AT TIME ZONE coalesce(z.time_zone, :'zone') AS local
			  FROM session_lists l
			 CROSS JOIN unnest(CASE WHEN at IS NULL THEN l.list
									ELSE l.list || sessionlen.next_session(l.list, at) END) e
			  LEFT JOIN user_data u ON u.user_id = l.user_id
			  LEFT JOIN user_time_zones z ON z.user_id = l.user_id
			 WHERE at IS NULL OR e.session_start < at OR e.session_length IS NULL) s
	WINDOW earlier AS (PARTITION BY s.user_id ORDER BY s.session_start);
END;
COMMENT ON FUNCTION session_features(timestamptz) IS
	'a row a session with what is known when it starts; with a time, the sessions before it and the one each user would start then';

CREATE OR REPLACE VIEW session_features AS SELECT * FROM session_features();
COMMENT ON VIEW session_features IS 'a row a session with what is known when it starts';
COMMENT ON COLUMN session_features.absence IS 'seconds since the end of the session before, NULL for the first';
COMMENT ON COLUMN session_features.moving_average_5 IS 'mean length of the last five sessions before, 0 for the first';
COMMENT ON COLUMN session_features.moving_average_10 IS 'mean length of the last ten sessions before, 0 for the first';
COMMENT ON COLUMN session_features.session_of_day IS 'number of the session on this day, in the user''s time zone';
COMMENT ON COLUMN session_features.hour IS 'in the user''s time zone';
COMMENT ON COLUMN session_features.weekday IS '1 Monday to 7 Sunday, in the user''s time zone';
COMMENT ON COLUMN session_features.time_of_day IS 'morning from 5, afternoon from 12, evening from 17, night from 22';
COMMENT ON COLUMN session_features.holiday IS 'a day off everywhere or in the user''s country';

COMMIT;
VACUUM ANALYZE unique_tracks;
VACUUM ANALYZE unique_artists;
VACUUM ANALYZE country_codes;
