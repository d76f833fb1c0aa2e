-- The window functions session_number() and session_seconds().
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS sessionlen;
SET timezone = 'UTC';
SET datestyle = 'ISO, MDY';

CREATE TABLE sew_plays (user_id int, ts timestamptz, duration float8);
INSERT INTO sew_plays VALUES
	(1, '2020-01-01 00:00', 240), (1, '2020-01-01 00:10', 240), (1, '2020-01-01 00:43', 240),
	(1, '2020-01-01 01:18', NULL), (1, '2020-01-01 01:48', 180),
	(2, '2020-01-01 00:43', 240), (2, NULL, 60), (2, '2020-01-01 01:18', 60),
	-- ties: a long play, a short one and one of unknown length at once, and one 30 minutes after
	(3, '2020-01-01 00:00', 600), (3, '2020-01-01 00:00', 60), (3, '2020-01-01 00:00', NULL),
	(3, '2020-01-01 00:40', 60), (3, '2020-01-01 01:11:00.000001', 1);
SELECT user_id, ts, duration,
       sessionlen.session_number(ts, duration) OVER w AS number,
       sessionlen.session_seconds(ts, duration) OVER w AS seconds,
       sessionlen.session_number(ts) OVER w AS without_durations,
       sessionlen.session_seconds(ts, gap => '29 min') OVER w AS shorter_gap
  FROM sew_plays WINDOW w AS (PARTITION BY user_id ORDER BY ts, duration) ORDER BY user_id, ts, duration;
-- Any frame, any order among equal times, NULL times first
SELECT bool_and(a = b AND b = c AND c = d) AS same
  FROM (SELECT sessionlen.session_number(ts, duration) OVER (PARTITION BY user_id ORDER BY ts, duration) AS a,
               sessionlen.session_number(ts, duration) OVER (PARTITION BY user_id ORDER BY ts, duration ROWS BETWEEN 1 FOLLOWING AND 2 FOLLOWING) AS b,
               sessionlen.session_number(ts, duration) OVER (PARTITION BY user_id ORDER BY ts NULLS FIRST, duration DESC) AS c,
               sessionlen.session_number(ts, duration, NULL) OVER (PARTITION BY user_id ORDER BY ts NULLS FIRST, duration NULLS FIRST) AS d
          FROM sew_plays) x;
-- again for each outer row, and through a scrollable cursor
SELECT g.user_id, x.numbers
  FROM (VALUES (1), (3), (1)) g(user_id),
       LATERAL (SELECT string_agg(n::text, ' ') AS numbers
                  FROM (SELECT sessionlen.session_number(ts, duration) OVER (ORDER BY ts, duration) AS n
                          FROM sew_plays p WHERE p.user_id = g.user_id) y) x;
BEGIN;
DECLARE sew_cursor SCROLL CURSOR FOR
	SELECT sessionlen.session_number(ts, duration) OVER (PARTITION BY user_id ORDER BY ts, duration)
	  FROM sew_plays WHERE user_id <> 2;
MOVE FORWARD 4 IN sew_cursor;
FETCH BACKWARD 2 FROM sew_cursor;
FETCH FORWARD 4 FROM sew_cursor;
COMMIT;
-- A gap of each user's own is one value a partition.
SELECT user_id, max(n) FROM (SELECT user_id, sessionlen.session_number(ts, duration, user_id * interval '10 min')
	OVER (PARTITION BY user_id ORDER BY ts) AS n FROM sew_plays) x GROUP BY user_id ORDER BY user_id;

-- Errors
SELECT sessionlen.session_number(ts, duration) OVER (PARTITION BY user_id ORDER BY ts DESC) FROM sew_plays;
\set VERBOSITY sqlstate
SELECT sessionlen.session_seconds(ts, duration) OVER (PARTITION BY user_id ORDER BY ts DESC) FROM sew_plays;
SELECT sessionlen.session_number(ts, duration, user_id * interval '10 min') OVER (ORDER BY ts) FROM sew_plays;
SELECT sessionlen.session_number(ts, duration, '-1 s') OVER (ORDER BY ts) FROM sew_plays;
SELECT sessionlen.session_number(ts, duration, '1 month') OVER (ORDER BY ts) FROM sew_plays;
SELECT sessionlen.session_number(ts, 'NaN') OVER (ORDER BY ts) FROM sew_plays;
SELECT sessionlen.session_seconds(ts, 'infinity') OVER (ORDER BY ts) FROM sew_plays;
SELECT sessionlen.session_number(ts, 1e13) OVER (ORDER BY ts) FROM sew_plays;
SELECT sessionlen.session_number('infinity') OVER (ORDER BY ts) FROM sew_plays;
SELECT sessionlen.session_number(ts) FROM sew_plays;
DROP TABLE sew_plays;
