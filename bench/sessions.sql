-- How long sessions() takes beside the scan itself and beside plain window functions.
--
--   psql -X -f bench/sessions.sql [-v events=19150868] [-v users=992] [-v rounds=3] [-v workers=0] [-v csv=FILE]
--
-- Makes a log of listening bursts of 20 plays in random row order (about 1.7 GB with the
-- sort's files), times each query in turn, rounds times, takes the best of each and drops
-- the log.  Best on an idle machine; the ratios are of one run.
\set QUIET on
\if :{?events} \else \set events 19150868 \endif
\if :{?users} \else \set users 992 \endif
\if :{?rounds} \else \set rounds 3 \endif
\if :{?workers} \else \set workers 0 \endif
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS sessionlen;
DROP TABLE IF EXISTS bench_log;
CREATE UNLOGGED TABLE bench_log AS
	SELECT (hashint8extended(burst, 1) & 9223372036854775807) % :users AS user_id,
	       timestamptz '2005-02-14 00:00+00' + ((hashint8extended(burst, 2) & 9223372036854775807) % 126000000
	         + play * 250 + (hashint8(i) & 63)) * interval '1 s' AS ts,
	       (60 + (hashint8(i) & 255))::float8 AS duration
	  FROM (SELECT i, i / 20 AS burst, i % 20 AS play FROM generate_series(1, :events::bigint) i) x
	 ORDER BY hashint8extended(i, 3);
VACUUM ANALYZE bench_log;
\if :{?csv}
SET timezone = 'UTC';
COPY (SELECT user_id, ts::timestamp, duration FROM bench_log) TO STDOUT (FORMAT csv) \g :csv
\endif

CREATE TEMP TABLE bench_query (id int, what text, query text);
INSERT INTO bench_query VALUES
(1, 'the scan: count, max, sum', 'SELECT count(n) FROM (SELECT count(*) AS n, max(ts), sum(duration) FROM bench_log GROUP BY user_id) x'),
(2, 'sessions()', 'SELECT sum(cardinality(l)) FROM (SELECT sessionlen.sessions(ts, duration, ''30 min'') AS l FROM bench_log GROUP BY user_id) x'),
(3, 'sessions(), unnested', 'SELECT count(*) FROM (SELECT sessionlen.sessions(ts, duration, ''30 min'') AS l FROM bench_log GROUP BY user_id) x, unnest(l) s'),
(4, 'session_number()', 'SELECT count(*) FROM (SELECT DISTINCT user_id, n FROM (SELECT user_id, sessionlen.session_number(ts, duration)
      OVER (PARTITION BY user_id ORDER BY ts, duration) AS n FROM bench_log) x) y'),
(5, 'plain window functions', 'SELECT count(*) FROM (SELECT user_id, n, max(ts + duration * interval ''1 s'') - min(ts)
      FROM (SELECT *, count(*) FILTER (WHERE new) OVER (PARTITION BY user_id ORDER BY ts, duration ROWS UNBOUNDED PRECEDING) AS n
        FROM (SELECT *, coalesce(ts - lag(ts + duration * interval ''1 s'') OVER (PARTITION BY user_id ORDER BY ts, duration) > interval ''30 min'', true) AS new
          FROM bench_log) a) b GROUP BY user_id, n) c');
CREATE TEMP TABLE bench_time (id int, round int, seconds float8, result bigint);
SET work_mem = '1GB';
SET max_parallel_workers_per_gather = :workers;
SET bench.rounds = :rounds;
DO $$
DECLARE
	q record;
	began timestamptz;
	n bigint;
BEGIN
	FOR round IN 1 .. current_setting('bench.rounds')::int LOOP
		FOR q IN SELECT * FROM bench_query ORDER BY id LOOP
			began := clock_timestamp();
			EXECUTE q.query INTO n;
			INSERT INTO bench_time VALUES (q.id, round, extract(epoch FROM clock_timestamp() - began), n);
		END LOOP;
	END LOOP;
END $$;
SELECT what, round(min(seconds)::numeric, 2) AS seconds,
       round((min(seconds) / (SELECT min(seconds) FROM bench_time WHERE id = 1))::numeric, 2) AS "times the scan",
       min(result) AS result
  FROM bench_time JOIN bench_query USING (id) GROUP BY id, what ORDER BY id;
-- for table.pl
\pset format unaligned
\pset fieldsep '\t'
\pset tuples_only on
SELECT 'RESULT', format('sessions() of %s events', trim(to_char(:events, '999,999,999,999'))), side, min(seconds)
  FROM bench_time JOIN (VALUES (1, 'limit'), (2, 'ours'), (5, 'window functions')) v (id, side) USING (id)
 GROUP BY id, side ORDER BY id = 5, id;
DROP TABLE bench_log;
