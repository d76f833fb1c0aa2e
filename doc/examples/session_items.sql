-- session_items.sql: what was played in each session, in order: sequences of items.
--
--     psql -f doc/examples/session_items.sql
--     psql -v gap='20 min' -v least=5 -f doc/examples/session_items.sql
--
-- From the table plays that load_30music.sql, load_lastfm_1k.sql or load_listening.sql has
-- filled, makes the table session_items anew, a row for each play, in the
-- current schema.  Sessions are cut at an idle time of more than gap (30 minutes), and
-- those of fewer than least plays (2) are left out.  An item is the artist's and the
-- track's name.

\set ON_ERROR_STOP on
\if :{?gap}
\else
	\set gap '30 min'
\endif
\if :{?least}
\else
	\set least 2
\endif

BEGIN;
SET LOCAL client_min_messages = warning;
DROP TABLE IF EXISTS session_items;
CREATE TABLE session_items AS
SELECT *
  FROM (SELECT user_id || '/' || session_number AS session_id,
			   (row_number() OVER play)::integer AS session_position,
			   (count(*) OVER (PARTITION BY user_id, session_number))::integer AS session_length,
			   item, user_id, session_number, ts
		  FROM (SELECT user_id, ts, duration,
					   concat_ws(' - ', artist_name, track_name) AS item,
					   sessionlen.session_number(ts, duration, :'gap')
						   OVER (PARTITION BY user_id ORDER BY ts, duration) AS session_number
				  FROM plays) n
		WINDOW play AS (PARTITION BY user_id, session_number
						ORDER BY ts, duration, item COLLATE "C")) s
 WHERE session_length >= :least
 ORDER BY user_id COLLATE "C", session_number, session_position;
ALTER TABLE session_items ADD PRIMARY KEY (session_id, session_position);
COMMENT ON TABLE session_items IS 'what was played in each session, in order';
COMMENT ON COLUMN session_items.session_id IS 'user and number of the session';
COMMENT ON COLUMN session_items.session_length IS 'plays';
COMMENT ON COLUMN session_items.item IS 'artist and track';
COMMIT;
VACUUM ANALYZE session_items;
