-- How long predictions take: of single sequences, in one statement, and of a whole table.
--
--   psql -X -f bench/predict.sql [-v calls=20000] [-v sequences=50000] [-v rounds=3]
--
-- Sequences have 20 rows of 9 numbers; the networks are LSTMs of 64 and 250 units, trained
-- for one epoch, since what they predict does not matter.  Reading alone is timed beside
-- them: the same rows, but only counted.  Takes the best of each.  GFLOP/s are those of
-- the network's products.
\set QUIET on
\if :{?calls} \else \set calls 20000 \endif
\if :{?sequences} \else \set sequences 50000 \endif
\if :{?rounds} \else \set rounds 3 \endif
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS sessionlen;
DROP TABLE IF EXISTS bench_rows, bench_arrays;
SELECT setseed(0.5) \g /dev/null
CREATE UNLOGGED TABLE bench_rows AS
	SELECT u AS user_id, t AS n, random() AS a, random() AS b, random() AS c, random() AS d, random() AS e,
	       random() AS f, random() AS g, random() AS h, random() AS i, random() AS y
	  FROM generate_series(1, :sequences) u, generate_series(1, 20) t;
-- as array_agg() would hand them over: not out of line, from where each would take 5 µs to fetch
CREATE UNLOGGED TABLE bench_arrays (rows bench_rows[]);
ALTER TABLE bench_arrays ALTER rows SET STORAGE PLAIN;
INSERT INTO bench_arrays
	SELECT r.rows FROM (SELECT array_agg(s ORDER BY n) AS rows FROM bench_rows s WHERE user_id <= 100 GROUP BY user_id) r,
	       generate_series(1, :calls / least(100, :sequences)) k;
VACUUM ANALYZE bench_rows, bench_arrays;
SELECT sessionlen.train('bench_' || hidden, 'SELECT * FROM bench_rows WHERE user_id <= 1000', 'y', 'user_id', 'n',
		known => '{a,b,c,d,e,f,g,h,i}',
		options => jsonb_build_object('architecture', 'lstm', 'hidden_dim', hidden, 'epochs', 1))
  FROM (VALUES (64), (250)) v (hidden) \g /dev/null

CREATE TEMP TABLE bench_query (id int, what text, hidden int, of text, query text);
INSERT INTO bench_query VALUES
(1, 'reading arrays', NULL, 'array', 'SELECT count(*) FROM bench_arrays WHERE cardinality(rows) > 0'),
(2, 'predict_sequence(), hidden 64', 64, 'array', $$SELECT count(sessionlen.predict_sequence('bench_64', rows)) FROM bench_arrays$$),
(3, 'reading rows, by sequence', NULL, 'row', 'SELECT count(*) FROM (SELECT * FROM bench_rows ORDER BY user_id, n OFFSET 0) r'),
(4, 'predict_table(), hidden 64', 64, 'row', $$SELECT count(*) FROM sessionlen.predict_table('bench_64', 'bench_rows')$$),
(5, 'predict_table(), hidden 250', 250, 'row', $$SELECT count(*) FROM sessionlen.predict_table('bench_250', 'bench_rows')$$);
CREATE TEMP TABLE bench_time (id int, seconds float8, result bigint);
SET max_parallel_workers_per_gather = 0;
SET work_mem = '1GB';
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
			INSERT INTO bench_time VALUES (q.id, extract(epoch FROM clock_timestamp() - began), n);
		END LOOP;
	END LOOP;
END $$;
SELECT what, round(min(seconds)::numeric, 3) AS seconds, min(result) AS count,
       round((min(seconds) / min(result) * 1e6)::numeric, 2) || ' µs per ' || min(of) AS each,
       round((min(result) * CASE min(of) WHEN 'array' THEN 20 ELSE 1 END * 8.0 * hidden * (9 + hidden) / min(seconds) / 1e9)::numeric, 1) AS "GFLOP/s"
  FROM bench_time JOIN bench_query USING (id) GROUP BY id, what, hidden ORDER BY id;
-- for table.pl: a call of one sequence, or a whole table
\pset format unaligned
\pset fieldsep '\t'
\pset tuples_only on
WITH work AS (
	SELECT CASE of WHEN 'array' THEN 'predict_sequence(), 20 rows, hidden 64'
	       ELSE format('predict_table(), %s rows, hidden %s', trim(to_char(min(result), '999,999,999')), hidden) END AS work,
	       min(seconds) / CASE of WHEN 'array' THEN min(result) ELSE 1 END AS seconds,
	       CASE of WHEN 'array' THEN 20 ELSE min(result) END * 8.0 * hidden * (9 + hidden) AS operations,
	       CASE of WHEN 'array' THEN 'operations, one core' ELSE 'operations' END AS of
	  FROM bench_time JOIN bench_query USING (id) WHERE hidden IS NOT NULL GROUP BY id, of, hidden)
SELECT 'RESULT', work, side, number FROM work, LATERAL (VALUES ('ours', seconds), (of, operations)) v (side, number) ORDER BY work, side DESC;
SELECT sessionlen.drop_model('bench_' || hidden) FROM (VALUES (64), (250)) v (hidden) \g /dev/null
DROP TABLE bench_rows, bench_arrays;
