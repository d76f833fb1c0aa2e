-- How time and memory grow with the log: sessions(), user_profiles(), train(), predict_table().
--
--   psql -X -f bench/scaling.sql [-v events=1000000] [-v users=1000] [-v work_mem=64MB]
--                                [-v workers=0] [-v profiles=1] [-v rows=0]
--
-- Makes a log of so many events of so many users, in listening bursts of 20 plays whose rows
-- are far apart in the table, and asks sessions() and, unless profiles is 0, user_profiles()
-- (with 2,000 artists) of it; then, unless rows is 0, makes as many rows of 20-row sequences
-- with nine features, trains an LSTM of 16 units for one epoch and predicts the rows.  Every
-- query has a connection of its own.  For each the time that passed, the processor
-- time and the memory of the server process at its peak are printed, shared buffers beside it,
-- which the process counts as its own as well, and what a HashAggregate spilled.  Needs Linux
-- (/proc) and the right to read it by pg_read_file(); `events` must be no multiple of
-- 618033989.  A hundred million events take 5 GB, and up to as much again for what is spilled.
\set QUIET on
\if :{?events} \else \set events 1000000 \endif
\if :{?users} \else \set users 1000 \endif
\if :{?work_mem} \else \set work_mem 64MB \endif
\if :{?workers} \else \set workers 0 \endif
\if :{?profiles} \else \set profiles 1 \endif
\if :{?rows} \else \set rows 0 \endif
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS sessionlen;
DROP TABLE IF EXISTS scaling_log, scaling_rows, scaling_result;
CREATE TABLE scaling_result (id int GENERATED ALWAYS AS IDENTITY, what text, entries bigint, seconds float8,
	processor float8, peak bigint, buffers bigint, spilled bigint, batches bigint);

-- Seconds of processor time of this process and kB of a line of its status.
CREATE OR REPLACE FUNCTION scaling_processor() RETURNS float8 LANGUAGE sql AS $$
	SELECT (f[12]::float8 + f[13]::float8) / 100
	  FROM (SELECT string_to_array(split_part(pg_read_file('/proc/self/stat'), ') ', 2), ' ') AS f) s $$;
CREATE OR REPLACE FUNCTION scaling_memory(line text) RETURNS bigint LANGUAGE sql AS $$
	SELECT substring(pg_read_file('/proc/self/status') FROM line || ':\s+(\d+)')::bigint $$;
CREATE OR REPLACE PROCEDURE scaling_measure(what text, entries bigint, query text) LANGUAGE plpgsql AS $$
DECLARE
	began timestamptz := clock_timestamp();
	processor float8 := scaling_processor();
	plan jsonb;
BEGIN
	EXECUTE 'EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) ' || query INTO plan;
	INSERT INTO scaling_result (what, entries, seconds, processor, peak, buffers, spilled, batches)
	SELECT what, entries, extract(epoch FROM clock_timestamp() - began), scaling_processor() - processor,
	       scaling_memory('VmHWM'), scaling_memory('RssShmem') + scaling_memory('RssFile'),
	       jsonb_path_query_first(plan, '$.**."Disk Usage"')::bigint,
	       jsonb_path_query_first(plan, '$.**."HashAgg Batches"')::bigint;
END $$;

-- Multiples of the number, modulo events, are every event once, neighbours far apart.
CREATE UNLOGGED TABLE scaling_log AS
	SELECT (hashint8extended(i / 20, 1) & 9223372036854775807) % :users AS user_id,
	       timestamptz '2005-02-14 00:00+00' + ((hashint8extended(i / 20, 2) & 9223372036854775807) % 126000000
	         + i % 20 * 250 + (hashint8(i) & 63)) * interval '1 s' AS ts,
	       (60 + (hashint8(i) & 255))::float8 AS duration
	  FROM (SELECT k * 618033989 % :events AS i FROM generate_series(0, :events - 1::bigint) k) x;
VACUUM ANALYZE scaling_log;
\c -
SET work_mem = :'work_mem';
SET max_parallel_workers_per_gather = :workers;
CALL scaling_measure('the scan: GROUP BY user_id', :events,
	'SELECT count(*), max(n) FROM (SELECT user_id, count(*) AS n, max(ts), sum(duration) FROM scaling_log GROUP BY user_id) x');
\c -
SET work_mem = :'work_mem';
SET max_parallel_workers_per_gather = :workers;
CALL scaling_measure('sessions()', :events,
	'SELECT count(*), sum(cardinality(l)) FROM (SELECT user_id, sessionlen.sessions(ts, duration, ''30 min'') AS l FROM scaling_log GROUP BY user_id) x');
\if :profiles
\c -
SET work_mem = :'work_mem';
SET max_parallel_workers_per_gather = :workers;
CALL scaling_measure('user_profiles()', :events,
	'SELECT count(*) FROM sessionlen.user_profiles(''SELECT *, ''''artist '''' || hashfloat8(duration + user_id) % 1000 AS artist_name FROM scaling_log'')');
\endif
\set no_rows 0
SELECT :rows = 0 AS no_rows \gset
\if :no_rows
\else
CREATE UNLOGGED TABLE scaling_rows AS
	SELECT u AS user_id, t AS n, random() AS a, random() AS b, random() AS c, random() AS d, random() AS e,
	       random() AS f, random() AS g, random() AS h, random() AS i, random() AS y
	  FROM generate_series(1, :rows / 20) u, generate_series(1, 20) t;
VACUUM ANALYZE scaling_rows;
\c -
SET work_mem = :'work_mem';
SET max_parallel_workers_per_gather = :workers;
CALL scaling_measure('reading rows in order', :rows, 'SELECT count(*) FROM (SELECT * FROM scaling_rows ORDER BY user_id, n OFFSET 0) x');
\c -
SET client_min_messages = warning;
SET work_mem = :'work_mem';
SET max_parallel_workers_per_gather = :workers;
CALL scaling_measure('train(), one epoch', :rows,
	'SELECT sessionlen.train(''scaling'', ''scaling_rows'', ''y'', ''user_id'', ''n'', known => ''{a,b,c,d,e,f,g,h,i}'','
	' options => ''{"architecture": "lstm", "hidden_dim": 16, "epochs": 1, "sequence_length": 20, "batch_size": 256, "workers": 1}'')');
\c -
SET work_mem = :'work_mem';
SET max_parallel_workers_per_gather = :workers;
CALL scaling_measure('predict_table()', :rows, 'SELECT count(*) FROM sessionlen.predict_table(''scaling'', ''scaling_rows'')');
SELECT sessionlen.drop_model('scaling') \g /dev/null
\endif
SELECT what, entries, :users AS users, :'work_mem' AS work_mem, round(seconds::numeric, 1) AS seconds,
       round(processor::numeric, 2) AS processor, round((processor / entries * 1e6)::numeric, 2) AS "µs each",
       peak / 1024 AS "peak MB", buffers / 1024 AS "of it buffers and code", batches, spilled / 1024 AS "spilled MB"
  FROM scaling_result ORDER BY id;
DROP TABLE IF EXISTS scaling_log, scaling_rows;
DROP TABLE scaling_result;
DROP FUNCTION scaling_processor(), scaling_memory(text);
DROP PROCEDURE scaling_measure(text, bigint, text);
