-- load_spotify.sql: loads the original files of the sequential skip prediction challenge.
--
--     psql -v folder=/path/to/files -f doc/examples/load_spotify.sql
--     psql -v folder=/path/to/files -v logs='log_*_20180715_*.csv' -f doc/examples/load_spotify.sql
--
-- Reads every log_*.csv (or what the pattern logs says) and every tf_*.csv in the folder and
-- below it, whole or in parts: the training set's logs of some days, the mini set, the test
-- set's log_prehistory_* and log_input_*, the track features.  Columns are found by the
-- file's header, and one that is not there is NULL.
--
-- Fills the tables plays, tracks and rejects of the current schema and makes them if they
-- are missing.  Loading again adds nothing; of two plays at one position, or two tracks with
-- one id, the first stays; a line that can't be used goes to rejects with its number and
-- the reason and stops nothing.

\set ON_ERROR_STOP on
\if :{?folder}
\else
	\warn 'usage: psql -v folder=/path/to/files -f load_spotify.sql'
	DO $$ BEGIN RAISE 'the variable folder is not set'; END $$;
\endif
\if :{?logs}
\else
	\set logs 'log_*.csv'
\endif

SELECT current_setting('server_encoding') <> 'UTF8' AS wrong_encoding \gset
\if :wrong_encoding
	DO $$ BEGIN RAISE 'the database must have encoding UTF8'; END $$;
\endif

\setenv SPOTIFY_LOGS :logs
\ir spotify_lines.sql

BEGIN;
SET LOCAL work_mem = '256MB';
SET LOCAL client_min_messages = warning;

DO $$
BEGIN
	IF to_regclass('plays') IS NOT NULL
	   AND NOT EXISTS (SELECT FROM pg_attribute
						WHERE attrelid = to_regclass('plays') AND attname = 'session_position')
	THEN
		RAISE 'the table plays holds another kind of log'
			USING HINT = 'Load into a schema of its own: PGOPTIONS="-c search_path=spotify" psql ...';
	END IF;
END $$;

CREATE TABLE IF NOT EXISTS plays (
	session_id text,
	session_position smallint,
	session_length smallint NOT NULL,
	track_id text NOT NULL,
	skip_1 boolean,
	skip_2 boolean,
	skip_3 boolean,
	not_skipped boolean,
	context_switch boolean,
	no_pause_before_play boolean,
	short_pause_before_play boolean,
	long_pause_before_play boolean,
	hist_user_behavior_n_seekfwd integer,
	hist_user_behavior_n_seekback integer,
	hist_user_behavior_is_shuffle boolean,
	hour_of_day smallint,
	date date,
	premium boolean,
	context_type text,
	hist_user_behavior_reason_start text,
	hist_user_behavior_reason_end text,
	PRIMARY KEY (session_id, session_position)
);
COMMENT ON TABLE plays IS 'one row for every track a session began; NULL is unknown';
COMMENT ON COLUMN plays.track_id IS 'the files'' track_id_clean';
COMMENT ON COLUMN plays.skip_1 IS 'played very briefly';
COMMENT ON COLUMN plays.skip_2 IS 'played briefly: what the challenge asks for, where session_position * 2 > session_length';
COMMENT ON COLUMN plays.skip_3 IS 'not played to the end';
COMMENT ON COLUMN plays.not_skipped IS 'played to the end';

CREATE TABLE IF NOT EXISTS tracks (
	track_id text PRIMARY KEY,
	duration double precision,
	release_year smallint,
	us_popularity_estimate double precision,
	acousticness double precision,
	beat_strength double precision,
	bounciness double precision,
	danceability double precision,
	dyn_range_mean double precision,
	energy double precision,
	flatness double precision,
	instrumentalness double precision,
	key smallint,
	liveness double precision,
	loudness double precision,
	mechanism double precision,
	mode text,
	organism double precision,
	speechiness double precision,
	tempo double precision,
	time_signature smallint,
	valence double precision,
	acoustic_vector_0 double precision,
	acoustic_vector_1 double precision,
	acoustic_vector_2 double precision,
	acoustic_vector_3 double precision,
	acoustic_vector_4 double precision,
	acoustic_vector_5 double precision,
	acoustic_vector_6 double precision,
	acoustic_vector_7 double precision
);
COMMENT ON TABLE tracks IS 'what is known of a track; NULL is unknown';
COMMENT ON COLUMN tracks.duration IS 'seconds';
COMMENT ON COLUMN tracks.key IS 'pitch class, 0 is C';
COMMENT ON COLUMN tracks.mode IS 'major or minor';

CREATE TABLE IF NOT EXISTS rejects (
	file text NOT NULL,
	line bigint NOT NULL,
	reason text NOT NULL,
	content text
);
COMMENT ON TABLE rejects IS 'what the last load of a file could not use, and why';

-- Two loads at the same time must not both find a play missing.
LOCK TABLE plays, tracks, rejects IN SHARE ROW EXCLUSIVE MODE;

-- ---- reading ----

CREATE TEMPORARY TABLE new_plays (
	file text, line bigint, reason text, content text, LIKE plays
) ON COMMIT DROP;
CREATE TEMPORARY TABLE new_tracks (
	file text, line bigint, reason text, content text, LIKE tracks
) ON COMMIT DROP;

-- A rejected line has no values.
ALTER TABLE new_plays ALTER session_id DROP NOT NULL, ALTER session_position DROP NOT NULL,
	ALTER session_length DROP NOT NULL, ALTER track_id DROP NOT NULL;
ALTER TABLE new_tracks ALTER track_id DROP NOT NULL;

\set here `pwd`
\cd :folder
\copy new_plays from program 'find -L . -type f -name "$SPOTIFY_LOGS" -exec env LC_ALL=C awk -v needed=4 -v columns="$SPOTIFY_LOG_COLUMNS" "$SPOTIFY_READ" {} + | tr "\000" " "' with (format csv, delimiter E'\x02', quote E'\x01', encoding 'LATIN1')
\copy new_tracks from program 'find -L . -type f -name "tf_*.csv" -exec env LC_ALL=C awk -v needed=1 -v columns="$SPOTIFY_TRACK_COLUMNS" "$SPOTIFY_READ" {} + | tr "\000" " "' with (format csv, delimiter E'\x02', quote E'\x01', encoding 'LATIN1')
\cd :here

DO $$
BEGIN
	IF NOT EXISTS (SELECT FROM new_plays) AND NOT EXISTS (SELECT FROM new_tracks) THEN
		RAISE 'the folder holds neither logs (log_*.csv) nor track features (tf_*.csv)';
	END IF;
END $$;
ANALYZE new_plays;
ANALYZE new_tracks;

-- ---- plays and tracks ----
-- In the order of sessions, so that a session's plays lie together on disk.

INSERT INTO plays
SELECT DISTINCT ON (session_id COLLATE "C", session_position)
	   session_id, session_position, session_length, track_id, skip_1, skip_2, skip_3,
	   not_skipped, context_switch, no_pause_before_play, short_pause_before_play,
	   long_pause_before_play, hist_user_behavior_n_seekfwd,
	   hist_user_behavior_n_seekback, hist_user_behavior_is_shuffle, hour_of_day, date,
	   premium, context_type, hist_user_behavior_reason_start,
	   hist_user_behavior_reason_end
  FROM new_plays
 WHERE reason IS NULL
 ORDER BY session_id COLLATE "C", session_position, file COLLATE "C", line
ON CONFLICT DO NOTHING;

INSERT INTO tracks
SELECT DISTINCT ON (track_id COLLATE "C")
	   track_id, duration, release_year, us_popularity_estimate, acousticness,
	   beat_strength, bounciness, danceability, dyn_range_mean, energy, flatness,
	   instrumentalness, key, liveness, loudness, mechanism, mode, organism, speechiness,
	   tempo, time_signature, valence, acoustic_vector_0, acoustic_vector_1,
	   acoustic_vector_2, acoustic_vector_3, acoustic_vector_4, acoustic_vector_5,
	   acoustic_vector_6, acoustic_vector_7
  FROM new_tracks
 WHERE reason IS NULL
 ORDER BY track_id COLLATE "C", file COLLATE "C", line
ON CONFLICT DO NOTHING;

-- What is there now is not what the line says.
UPDATE new_plays n
   SET reason = 'another play at this position'
  FROM plays p
 WHERE n.reason IS NULL
   AND p.session_id = n.session_id AND p.session_position = n.session_position
   AND p IS DISTINCT FROM ROW(n.session_id, n.session_position, n.session_length, n.track_id, n.skip_1, n.skip_2,
	   n.skip_3, n.not_skipped, n.context_switch, n.no_pause_before_play,
	   n.short_pause_before_play, n.long_pause_before_play,
	   n.hist_user_behavior_n_seekfwd, n.hist_user_behavior_n_seekback,
	   n.hist_user_behavior_is_shuffle, n.hour_of_day, n.date, n.premium, n.context_type,
	   n.hist_user_behavior_reason_start, n.hist_user_behavior_reason_end)::plays;

UPDATE new_tracks n
   SET reason = 'another track with this id'
  FROM tracks t
 WHERE n.reason IS NULL
   AND t.track_id = n.track_id
   AND t IS DISTINCT FROM ROW(n.track_id, n.duration, n.release_year, n.us_popularity_estimate, n.acousticness,
	   n.beat_strength, n.bounciness, n.danceability, n.dyn_range_mean, n.energy,
	   n.flatness, n.instrumentalness, n.key, n.liveness, n.loudness, n.mechanism, n.mode,
	   n.organism, n.speechiness, n.tempo, n.time_signature, n.valence,
	   n.acoustic_vector_0, n.acoustic_vector_1, n.acoustic_vector_2, n.acoustic_vector_3,
	   n.acoustic_vector_4, n.acoustic_vector_5, n.acoustic_vector_6, n.acoustic_vector_7)::tracks;

DELETE FROM rejects WHERE file IN (SELECT file FROM new_plays UNION SELECT file FROM new_tracks);

INSERT INTO rejects (file, line, reason, content)
SELECT file, line, reason, content FROM new_plays WHERE reason IS NOT NULL
UNION ALL
SELECT file, line, reason, content FROM new_tracks WHERE reason IS NOT NULL
 ORDER BY file, line;

COMMIT;
VACUUM ANALYZE plays;
VACUUM ANALYZE tracks;
