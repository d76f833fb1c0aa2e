-- The aggregate sessions(), what comes before and after it, and its errors.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS sessionlen;
RESET client_min_messages;
SET timezone = 'UTC';
SET datestyle = 'ISO, MDY';
SET intervalstyle = 'postgres';

-- Idle times are 6, 29, 31 and 30 minutes.
CREATE TABLE ses_plays (user_id int, ts timestamptz, duration float8);
INSERT INTO ses_plays VALUES
	(1, '2020-01-01 01:18', NULL),
	(1, '2020-01-01 00:00', 240),
	(1, '2020-01-01 01:48', 180),
	(1, '2020-01-01 00:43', 240),
	(1, '2020-01-01 00:10', 240);
SELECT user_id, s.*
  FROM (SELECT user_id, sessionlen.sessions(ts, duration, '30 min') l
          FROM ses_plays GROUP BY user_id) p, unnest(p.l) s;

-- The three forms.  Without durations the pauses are longer by them.
SELECT session_number, session_start, session_length, event_count, absence
  FROM unnest((SELECT sessionlen.sessions(ts) FROM ses_plays));
SELECT session_number, session_start, session_length, event_count, absence
  FROM unnest((SELECT sessionlen.sessions(ts, '35 min') FROM ses_plays));
SELECT sessionlen.sessions(ts) = sessionlen.sessions(ts, '30 min') AS default_gap,
       sessionlen.sessions(ts, NULL, NULL) = sessionlen.sessions(ts, '30 min') AS null_gap,
       sessionlen.sessions(ts, duration, '1 day') = sessionlen.sessions(ts, duration, '24 h') AS day
  FROM ses_plays;

CREATE FUNCTION ses_brief(l sessionlen.session[]) RETURNS text LANGUAGE sql AS
$$ SELECT string_agg(format('%s:%s/%s', session_number, event_count, session_length), ' '
                     ORDER BY session_number) FROM unnest(l) $$;

-- A gap of exactly the limit is none; one microsecond more is.
SELECT ses_brief(sessionlen.sessions(ts, '1 min'))
  FROM (VALUES (timestamptz '2020-01-01 00:00:00'), ('2020-01-01 00:01:00'),
               ('2020-01-01 00:02:00.000001')) e(ts);
-- gap 0: every later event is a session, equal ones are not
SELECT ses_brief(sessionlen.sessions(ts, '0'))
  FROM (VALUES (timestamptz '2020-01-01 00:00:00'), ('2020-01-01 00:00:00'),
               ('2020-01-01 00:00:00.000001')) e(ts);
-- The longest of events at one time counts, wherever it stands.
SELECT ses_brief(sessionlen.sessions(ts, d, '10 s' ORDER BY o)),
       ses_brief(sessionlen.sessions(ts, d, '10 s' ORDER BY o DESC))
  FROM (VALUES (1, timestamptz '2020-01-01 00:00:00', 5.0), (2, '2020-01-01 00:00:00', 30),
               (3, '2020-01-01 00:00:00', NULL), (4, '2020-01-01 00:00:40', 0)) e(o, ts, d);
-- A play cut short by the next does not lengthen its session.
SELECT ses_brief(sessionlen.sessions(ts, d, '10 s'))
  FROM (VALUES (timestamptz '2020-01-01 00:00:00', 3600.0), ('2020-01-01 00:00:05', 4)) e(ts, d);
-- Unknown durations: NULL, zero, negative, less than half a microsecond.
SELECT ses_brief(sessionlen.sessions(ts, d, '10 s'))
  FROM (VALUES (timestamptz '2020-01-01 00:00:00', NULL::float8), ('2020-01-01 00:01:00', 0),
               ('2020-01-01 00:02:00', -5), ('2020-01-01 00:03:00', 4e-7),
               ('2020-01-01 00:04:00', 6e-7)) e(ts, d);
-- Nothing, and only unknown times.
SELECT sessionlen.sessions(ts, d, '10 s') IS NULL AS nothing
  FROM (VALUES (NULL::timestamptz, 1.0), (NULL, 'NaN')) e(ts, d);
SELECT sessionlen.sessions(ts) IS NULL AS nothing FROM ses_plays WHERE false;
SELECT ses_brief(sessionlen.sessions(ts, '1 h'))
  FROM (VALUES (NULL::timestamptz), ('2020-01-01'), (NULL), ('2020-01-01 00:10')) e(ts);

-- The whole range of timestamps, where differences exceed 64 signed bits.
SELECT session_number, session_start, session_length, absence
  FROM unnest((SELECT sessionlen.sessions(ts, '30 min')
                 FROM (VALUES (timestamptz '294276-12-31 23:59:59.999999'),
                              ('4714-11-24 00:00:00 BC'), ('2020-01-01')) e(ts)));
SELECT ses_brief(sessionlen.sessions(ts, '106751990 days'))
  FROM (VALUES (timestamptz '294276-12-31 23:59:59.999999'), ('4714-11-24 00:00:00 BC')) e(ts);
SELECT ses_brief(sessionlen.sessions(ts, 9223372036, '106751990 days'))
  FROM (VALUES (timestamptz '294276-12-31'), ('4714-11-24 00:00:00 BC'), ('1000-01-01')) e(ts)
 WHERE ts < '2000-01-01';

-- The running form: a state that was read goes on taking events, in any order.
SELECT i, ses_brief(sessionlen.sessions(ts, '10 min') OVER (ORDER BY i)) AS so_far,
       ses_brief(sessionlen.sessions(ts, '10 min')
                 OVER (ORDER BY i ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)) AS last_two
  FROM (VALUES (1, timestamptz '2020-01-01 00:20'), (2, '2020-01-01 00:00'),
               (3, '2020-01-01 00:10'), (4, '2020-01-01 01:00'), (5, '2020-01-01 00:05')) e(i, ts)
 ORDER BY i;

-- More events than an insertion sort takes, than the small radix takes, and descending
SELECT n, ses_brief(sessionlen.sessions(ts, '1 h' ORDER BY ts DESC)) = format('1:%s/%s', n, n - 1) AS right
  FROM unnest('{1,31,32,33,4096,4097,20000}'::int[]) n,
       LATERAL (SELECT timestamptz '2020-01-01' + i * interval '1 s' AS ts
                  FROM generate_series(1, n) i) e
 GROUP BY n ORDER BY n;

-- Errors
\set VERBOSITY sqlstate
SELECT sessionlen.sessions('infinity'::timestamptz);
SELECT sessionlen.sessions('-infinity'::timestamptz, '1 h');
SELECT sessionlen.sessions('2020-01-01'::timestamptz, 'NaN', '1 h');
SELECT sessionlen.sessions('2020-01-01'::timestamptz, 'infinity', '1 h');
SELECT sessionlen.sessions('2020-01-01'::timestamptz, '-infinity', '1 h');
SELECT sessionlen.sessions('2020-01-01'::timestamptz, 1e300, '1 h');
SELECT sessionlen.sessions('294276-12-31 23:59:59'::timestamptz, 1, '1 h');
SELECT sessionlen.sessions('2020-01-01'::timestamptz, '-1 us');
SELECT sessionlen.sessions('2020-01-01'::timestamptz, '1 month');
SELECT sessionlen.sessions('2020-01-01'::timestamptz, '1 month -30 days');
SELECT sessionlen.sessions('2020-01-01'::timestamptz, '2147483647 days');
SELECT sessionlen.sessions(ts, g) FROM (VALUES (timestamptz '2020-01-01', interval '1 h'),
	('2020-01-01', '60 min'), ('2020-01-01', '61 min')) e(ts, g);
SELECT sessionlen.sessions(ts, g) FROM (VALUES (timestamptz '2020-01-01', interval '1 h'),
	('2020-01-01', NULL)) e(ts, g);
\set VERBOSITY terse
SELECT ses_brief(sessionlen.sessions(ts, g)) FROM (VALUES (timestamptz '2020-01-01', interval '1 day'),
	('2020-01-01', '24 h'), (NULL, '61 min')) e(ts, g);
SELECT ses_brief(sessionlen.sessions('294276-12-31 23:59:59'::timestamptz, 0.999999, '1 h'));

-- The upcoming session
CREATE TABLE ses_lists AS
	SELECT sessionlen.sessions(ts, duration, '30 min') AS l FROM ses_plays;
SELECT n.* FROM ses_lists, sessionlen.next_session(l, '2020-01-01 03:00') n;
-- while the last one is running: nobody was absent
SELECT n.* FROM ses_lists, sessionlen.next_session(l, '2020-01-01 01:50') n;
-- as of a session's own start: its own history
SELECT s.session_number,
       (s.session_number, s.session_start, s.previous_session_length, s.average_session_length, s.absence)
       IS NOT DISTINCT FROM
       (n.session_number, n.session_start, n.previous_session_length, n.average_session_length, n.absence) AS same
  FROM ses_lists, unnest(l) s, sessionlen.next_session(l, s.session_start) n ORDER BY 1;
SELECT * FROM sessionlen.next_session(NULL, '2020-01-01');
SELECT * FROM sessionlen.next_session('{}', '2020-01-01');
SELECT (sessionlen.next_session(l)).session_start = now() AS now FROM ses_lists;
SELECT sessionlen.next_session(l, NULL) IS NULL AS unknown FROM ses_lists;
-- a part of the array, and its order
SELECT n.session_number, n.average_session_length, n.absence
  FROM ses_lists, sessionlen.next_session(ARRAY[l[2], l[1]], '2020-01-01 03:00') n;
\set VERBOSITY sqlstate
SELECT sessionlen.next_session(l, 'infinity') FROM ses_lists;
SELECT sessionlen.next_session(l || NULL::sessionlen.session) FROM ses_lists;
SELECT sessionlen.next_session(l || ROW(1, NULL, now(), 1, 1, 1, 1, 1)::sessionlen.session) FROM ses_lists;
SELECT sessionlen.next_session(l || ROW(1, '2020-01-02', '2020-01-01', 1, 1, 1, 1, 1)::sessionlen.session) FROM ses_lists;
SELECT sessionlen.next_session(l || ROW(0, '2020-01-01', '2020-01-02', 1, 1, 1, 1, 1)::sessionlen.session) FROM ses_lists;
SELECT sessionlen.next_session(l || ROW(1, '-infinity', '2020-01-02', 1, 1, 1, 1, 1)::sessionlen.session) FROM ses_lists;
\set VERBOSITY default

-- Ages
SELECT sessionlen.age_at('2009-05-04', 22, 'Aug 13, 2006'), sessionlen.age_at('2006-08-13', 22, '2006-08-13'),
       sessionlen.age_at('2004-12-31', 22, '2006-08-13') AS earlier,
       sessionlen.age_at(NULL, 22, '2006-08-13') AS no_ts, sessionlen.age_at('2009-05-04', NULL, '2006-08-13') AS no_age,
       sessionlen.age_at('2009-05-04', 22, NULL) AS no_registered;
SET timezone = 'America/New_York';
SELECT sessionlen.age_at('2010-01-01 00:00+00', 22, '2006-08-13') AS utc_year;

DROP TABLE ses_plays, ses_lists;
DROP FUNCTION ses_brief;
