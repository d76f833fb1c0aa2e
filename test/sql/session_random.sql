-- Thousands of random logs: the aggregate under every plan and the window functions
-- against plain SQL over numbers (a difference of far timestamps wraps as an interval).
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS sessionlen;
SET timezone = 'UTC';
SET datestyle = 'ISO, MDY';

-- Each log has its own gap, density, era and share of unknown durations.
CREATE FUNCTION ser_us(ts timestamptz) RETURNS numeric IMMUTABLE LANGUAGE sql AS -- since 1970
$$ SELECT ((ts AT TIME ZONE 'UTC')::date - date '1970-01-01')::numeric * 86400000000
        + extract(epoch FROM (ts AT TIME ZONE 'UTC')::time) * 1000000 $$;
SELECT setseed(0.30) IS NOT NULL AS seeded;
CREATE TABLE ser_logs AS
	SELECT log,
	       (ARRAY['0', '00:00:01', '00:30:00', '7 days', '36525 days', '100000000 days'])[1 + floor(random() * 6)]::interval AS gap,
	       (ARRAY[timestamptz '2009-05-04', '4714-11-24 BC', '0001-01-01 BC', '294246-01-01', '1999-12-31'])[1 + floor(random() * 5)] AS origin,
	       (ARRAY[interval '1 us', '1 s', '10 min', '3 days', '1000 days'])[1 + floor(random() * 5)] AS step,
	       CASE WHEN log % 400 = 0 THEN 100000 ELSE (ARRAY[1, 5, 60])[1 + floor(random() * 3)] END AS steps,
	       (ARRAY[1, 1000, 1000000, 600000000, 5000000000000])[1 + floor(random() * 5)] AS longest,
	       random() ^ 2 AS unknown,
	       CASE WHEN log % 400 = 0 THEN 6000 WHEN log % 10 = 0 THEN 1 ELSE floor(random() * 45)::int END AS events
	  FROM generate_series(1, 2000) log;
CREATE TABLE ser_events AS
	SELECT log, gap, CASE WHEN random() > 0.03 THEN ts END AS ts,
	       CASE WHEN random() < unknown THEN (ARRAY[NULL, 0, -3.5])[1 + floor(random() * 3)]
	            ELSE floor(random() * longest)::numeric / 1000000 END::float8 AS duration,
	       random() AS shuffle
	  FROM ser_logs, generate_series(1, events) i,
	       LATERAL (SELECT origin + floor(random() * steps)
	                * CASE WHEN origin < '200000-01-01' THEN step ELSE least(step, interval '10900 days' / steps) END, i) t(ts);
-- some logs reach over all of time
UPDATE ser_events SET ts = '294276-12-31 23:59:59', duration = NULL
 WHERE log % 40 = 7 AND shuffle < 0.2;
-- and some rows come twice, in another place
INSERT INTO ser_events SELECT log, gap, ts, duration, random() FROM ser_events WHERE shuffle < 0.1;
ANALYZE ser_events;
SELECT count(*) > 50000 AS many, count(*) FILTER (WHERE ts IS NULL) > 1000 AS no_time,
       count(*) FILTER (WHERE ts < '0001-01-01') > 10000 AS bc, count(*) FILTER (WHERE ts > '290000-01-01') > 10000 AS far
  FROM ser_events;

-- The reference, in whole microseconds (extract(epoch) rounds far timestamps)
CREATE TABLE ser_reference AS
WITH e AS (
	SELECT log, extract(epoch FROM gap) * 1000000 AS gap, ser_us(ts) AS t,
	       CASE WHEN duration > 0 THEN round(duration::numeric, 6) * 1000000 ELSE 0 END AS d
	  FROM ser_events WHERE ts IS NOT NULL
), cut AS (
	SELECT *, coalesce(t - lag(t + d) OVER w > gap, true) AS new
	  FROM e WINDOW w AS (PARTITION BY log ORDER BY t, d)
), numbered AS (
	SELECT log, t, d, count(*) FILTER (WHERE new) OVER w AS n
	  FROM cut WINDOW w AS (PARTITION BY log ORDER BY t, d ROWS UNBOUNDED PRECEDING)
), list AS (
	SELECT log, n, min(t) AS t0, (array_agg(t + d ORDER BY t DESC, d DESC))[1] AS t1, count(*) AS events
	  FROM numbered GROUP BY log, n
)
SELECT log, n, t0, t1, ((t1 - t0) / 1000000)::float8 AS length, events,
       coalesce(lag((t1 - t0) / 1000000) OVER w, 0)::float8 AS previous,
       coalesce(trunc(sum(t1 - t0) OVER (w ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
                      * 1e30 / ((n - 1) * 1000000)) * 1e-30, 0)::float8 AS average,
       ((t0 - lag(t1) OVER w) / 1000000)::float8 AS absence
  FROM list WINDOW w AS (PARTITION BY log ORDER BY n);

-- The rows of any query over (log, session[]) that the reference does not have, and the other way
CREATE FUNCTION ser_differences(query text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE n bigint;
BEGIN
	EXECUTE format('CREATE TEMP TABLE ser_got AS SELECT log, session_number, ser_us(session_start) AS t0, '
	               'ser_us(session_end) AS t1, session_length, event_count, previous_session_length, '
	               'average_session_length, absence FROM (%s) q, unnest(l)', query);
	SELECT count(*) INTO n
	  FROM ((TABLE ser_got EXCEPT ALL TABLE ser_reference) UNION ALL (TABLE ser_reference EXCEPT ALL TABLE ser_got)) x;
	DROP TABLE ser_got;
	RETURN n;
END $$;
CREATE FUNCTION ser_plan_has(query text, node text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE line text;
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
		IF position(node IN line) > 0 THEN RETURN true; END IF;
	END LOOP;
	RETURN false;
END $$;

SELECT count(*) > 10000 AS many, max(n) > 1000 AS long, max(events) > 1000 AS big, bool_or(average > 1e9) AS far FROM ser_reference;
\set by_log 'SELECT log, sessionlen.sessions(ts, duration, gap) AS l FROM ser_events GROUP BY log'

-- One process, hashed
SET max_parallel_workers_per_gather = 0;
SET enable_sort = off;
SELECT ser_plan_has(:'by_log', 'HashAggregate') AS hashed, ser_differences(:'by_log');
RESET enable_sort;
-- sorted by group, and every group in order, in reverse and shuffled
SET enable_hashagg = off;
SELECT ser_plan_has(:'by_log', 'GroupAggregate') AS sorted, ser_differences(:'by_log');
SELECT ser_differences('SELECT log, sessionlen.sessions(ts, duration, gap ORDER BY ts, duration) l FROM ser_events GROUP BY log') AS in_order,
       ser_differences('SELECT log, sessionlen.sessions(ts, duration, gap ORDER BY ts DESC, duration DESC) l FROM ser_events GROUP BY log') AS in_reverse,
       ser_differences('SELECT log, sessionlen.sessions(ts, duration, gap ORDER BY shuffle) l FROM ser_events GROUP BY log') AS shuffled;
RESET enable_hashagg;

-- Parallel: states are serialized, sent, read and combined
SET max_parallel_workers_per_gather = 2;
SET enable_sort = off;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SELECT ser_plan_has(:'by_log', 'Partial HashAggregate') AS partial, ser_differences(:'by_log');
SET parallel_leader_participation = off;
SELECT ser_differences(:'by_log') AS workers_only;
RESET enable_sort;
SET enable_hashagg = off;
SELECT ser_plan_has(:'by_log', 'Partial GroupAggregate') AS partial, ser_differences(:'by_log');
RESET enable_hashagg;
RESET parallel_leader_participation;
SET max_parallel_workers_per_gather = 0;

-- Partitions by time, so that every group is in each and is combined
CREATE TABLE ser_parts (LIKE ser_events) PARTITION BY RANGE (shuffle);
CREATE TABLE ser_part1 PARTITION OF ser_parts FOR VALUES FROM (0) TO (0.2);
CREATE TABLE ser_part2 PARTITION OF ser_parts FOR VALUES FROM (0.2) TO (0.21);
CREATE TABLE ser_part3 PARTITION OF ser_parts FOR VALUES FROM (0.21) TO (2);
INSERT INTO ser_parts TABLE ser_events;
ANALYZE ser_parts;
\set by_parts 'SELECT log, sessionlen.sessions(ts, duration, gap) AS l FROM ser_parts GROUP BY log'
SET enable_partitionwise_aggregate = on;
SET enable_sort = off;
SET cpu_tuple_cost = 1; -- rows that leave a partition are dear
SELECT ser_plan_has(:'by_parts', 'Partial') AS partial, ser_differences(:'by_parts');
RESET enable_sort;
RESET cpu_tuple_cost;
RESET enable_partitionwise_aggregate;

-- A log that grows and is asked after every event
SELECT count(*) AS differences
  FROM (SELECT log, shuffle, sessionlen.sessions(ts, duration, gap) OVER (PARTITION BY log ORDER BY shuffle) AS running
          FROM ser_events WHERE log BETWEEN 101 AND 299) r
  JOIN (SELECT b.log, b.shuffle, sessionlen.sessions(a.ts, a.duration, a.gap) AS anew
          FROM ser_events a JOIN ser_events b ON a.log = b.log AND a.shuffle <= b.shuffle
         WHERE a.log BETWEEN 101 AND 299 AND b.log BETWEEN 101 AND 299
         GROUP BY b.log, b.shuffle) p USING (log, shuffle)
 WHERE running IS DISTINCT FROM anew;

-- The window functions, in their own order (unknown durations last) and frames
CREATE TABLE ser_rows AS
	SELECT log, ts, duration,
	       sessionlen.session_number(ts, duration, gap) OVER w AS n,
	       sessionlen.session_seconds(ts, duration, gap) OVER w AS seconds,
	       sessionlen.session_number(ts, duration, gap) OVER (w ROWS BETWEEN 2 FOLLOWING AND 5 FOLLOWING) AS other_frame,
	       sessionlen.session_number(ts, duration, gap) OVER (PARTITION BY log ORDER BY ts, shuffle) AS other_order
	  FROM ser_events WINDOW w AS (PARTITION BY log ORDER BY ts, duration);
SELECT count(*) FILTER (WHERE n IS DISTINCT FROM other_frame) AS other_frame,
       count(*) FILTER (WHERE n IS DISTINCT FROM other_order) AS other_order,
       count(*) FILTER (WHERE (ts IS NULL) <> (n IS NULL) OR (ts IS NULL) <> (seconds IS NULL)) AS nulls
  FROM ser_rows;
SELECT count(*) AS differences
  FROM (SELECT log, n, min(ser_us(ts)) AS t0, count(*) AS events
          FROM ser_rows WHERE ts IS NOT NULL GROUP BY log, n) g
  FULL JOIN ser_reference r USING (log, n)
 WHERE (g.t0, g.events) IS DISTINCT FROM (r.t0, r.events);
SELECT count(*) AS differences
  FROM ser_rows g JOIN ser_reference r USING (log, n)
 WHERE g.seconds <> ((ser_us(ts) - r.t0) / 1000000
                     + CASE WHEN duration > 0 THEN round(duration::numeric, 6) ELSE 0 END)::float8;
-- The last rows' seconds are the sessions' lengths
SELECT count(*) AS differences
  FROM (SELECT DISTINCT ON (log, n) log, n, seconds FROM ser_rows WHERE ts IS NOT NULL
         ORDER BY log, n, ts DESC, greatest(duration, 0) DESC NULLS LAST) g
  FULL JOIN ser_reference r USING (log, n) WHERE g.seconds IS DISTINCT FROM r.length;

-- The upcoming session, asked as of each one's start, is that session
SELECT count(*) AS differences
  FROM (:by_log) q, unnest(l) s, sessionlen.next_session(l, s.session_start) n
 WHERE (s.session_number, s.session_start, s.previous_session_length, s.average_session_length, s.absence)
       IS DISTINCT FROM
       (n.session_number, n.session_start, n.previous_session_length, n.average_session_length, n.absence)
   AND cardinality(l) < 100;

DROP TABLE ser_logs, ser_events, ser_reference, ser_parts, ser_rows;
DROP FUNCTION ser_us, ser_differences, ser_plan_has;
