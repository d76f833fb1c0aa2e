-- The queries of bench/sessions.sql in DuckDB: the scan, and the same sessions by window
-- functions in three ways.
--
--   psql -X -v rounds=1 -v csv=/tmp/log.csv -f bench/sessions.sql
--   duckdb /tmp/log.duckdb -c "CREATE TABLE log (user_id BIGINT, ts TIMESTAMP, duration DOUBLE)" \
--          -c "COPY log FROM '/tmp/log.csv' (FORMAT csv, HEADER false)"
--   for i in 1 2 3; do
--     (echo "SET threads = 2;"; cat bench/sessions_duckdb.sql) | duckdb -readonly /tmp/log.duckdb
--   done
--
-- Every query is followed by a line `Run Time (s): real ... user ... sys ...`.  All three ways
-- find the same sessions (counts and the sum of lengths are printed; where two events start at once, the
-- first and the third take the end of any) and every column of the type session; the
-- result is a temporary table, since a query that only counts would leave columns out.
-- The first is what one writes.  The second asks for windows over the events only once, and
-- goes on with the first events of sessions.  The third sorts the log and then relies on
-- subqueries handing on their order, which DuckDB keeps by default (preserve_insertion_order)
-- and its windows without a partition then run through row by row.
.mode list
.headers off
.timer on
.print scan: count, max, sum
SELECT count(n) FROM (SELECT count(*) AS n, max(ts), sum(duration) FROM log GROUP BY user_id) x;

.print windows: by partition
CREATE OR REPLACE TEMP TABLE found AS
WITH events AS (
	SELECT user_id, epoch_us(ts) AS t, epoch_us(ts) + (duration * 1000000)::BIGINT AS e FROM log
), marked AS (
	SELECT *, CASE WHEN t - lag(e) OVER (PARTITION BY user_id ORDER BY t, e) <= 1800000000 THEN 0 ELSE 1 END AS new
	  FROM events
), numbered AS (
	SELECT *, sum(new) OVER (PARTITION BY user_id ORDER BY t, e ROWS UNBOUNDED PRECEDING) AS number FROM marked
), cut AS (
	SELECT user_id, number, min(t) AS b, arg_max(e, t) AS e, count(*) AS n FROM numbered GROUP BY user_id, number
)
SELECT user_id, number, b, e, e - b AS length, n, coalesce(lag(e - b) OVER w, 0) AS previous,
       coalesce(avg(e - b) OVER (w ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS average,
       b - lag(e) OVER w AS absence
  FROM cut WINDOW w AS (PARTITION BY user_id ORDER BY b);
.timer off
SELECT count(*), sum(n), sum(length) FROM found;
.timer on

.print windows: first events of sessions
CREATE OR REPLACE TEMP TABLE found AS
WITH events AS (
	SELECT user_id, epoch_us(ts) AS t, epoch_us(ts) + (duration * 1000000)::BIGINT AS e FROM log
), firsts AS (
	SELECT user_id, t AS b, lag(e) OVER w AS before, row_number() OVER w AS place
	  FROM events WINDOW w AS (PARTITION BY user_id ORDER BY t, e) QUALIFY before IS NULL OR t - before > 1800000000
), lasts AS (
	SELECT user_id, max((t, e)) AS last, count(*) AS n FROM events GROUP BY user_id
), cut AS (
	SELECT user_id, row_number() OVER w AS number, b, coalesce(lead(before) OVER w, last[2]) AS e,
	       coalesce(lead(place) OVER w, n + 1) - place AS n
	  FROM firsts JOIN lasts USING (user_id) WINDOW w AS (PARTITION BY user_id ORDER BY b)
)
SELECT user_id, number, b, e, e - b AS length, n, coalesce(lag(e - b) OVER w, 0) AS previous,
       coalesce(avg(e - b) OVER (w ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS average,
       b - lag(e) OVER w AS absence
  FROM cut WINDOW w AS (PARTITION BY user_id ORDER BY b);
.timer off
SELECT count(*), sum(n), sum(length) FROM found;
.timer on

.print windows: over the sorted log
CREATE OR REPLACE TEMP TABLE found AS
WITH events AS (
	SELECT user_id, epoch_us(ts) AS t, epoch_us(ts) + (duration * 1000000)::BIGINT AS e FROM log ORDER BY user_id, t, e
), marked AS (
	SELECT *, CASE WHEN user_id = lag(user_id) OVER () AND t - lag(e) OVER () <= 1800000000 THEN 0 ELSE 1 END AS new
	  FROM events
), numbered AS (
	SELECT *, sum(new) OVER (ROWS UNBOUNDED PRECEDING) AS k FROM marked
), cut AS (
	SELECT user_id, k, min(t) AS b, arg_max(e, t) AS e, count(*) AS n FROM numbered GROUP BY user_id, k
)
SELECT user_id, row_number() OVER w AS number, b, e, e - b AS length, n, coalesce(lag(e - b) OVER w, 0) AS previous,
       coalesce(avg(e - b) OVER (w ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS average,
       b - lag(e) OVER w AS absence
  FROM cut WINDOW w AS (PARTITION BY user_id ORDER BY b);
.timer off
SELECT count(*), sum(n), sum(length) FROM found;
