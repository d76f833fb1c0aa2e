-- How long training takes from SQL, by one process and by two: a step, as epochs take it, and the whole statement.
--
--   psql -X -f bench/training.sql [-v rows=600000] [-v rounds=2] [-v workers=2] [-v only=lstm]
--
-- The shapes are those of bench/step.c: batch x steps x features - hidden.  Tables are full batches of sequences
-- of equal length, all of them trained on; rows alone are those of users with 600 each.  A step is the best epoch's
-- time by its steps; the statement, the best one.  Beside both, the other processes' part: 1 against the number of
-- workers.  What a statement takes beyond its epochs is reading, sorting and preparing the rows and storing the
-- network.  Takes some three minutes.
\set QUIET on
\if :{?rows} \else \set rows 600000 \endif
\if :{?rounds} \else \set rounds 2 \endif
\if :{?workers} \else \set workers 2 \endif
\if :{?only} \else \set only '' \endif
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS sessionlen;
DROP TABLE IF EXISTS bench_narrow, bench_wide;
SELECT setseed(0.5) \g /dev/null
CREATE UNLOGGED TABLE bench_narrow AS
	SELECT i AS n, random() AS a, random() AS b, random() AS c, random() AS d, random() AS e, random() AS f, random() AS g,
	       random() AS h, random() AS i, random() AS y
	  FROM generate_series(0, :rows - 1) i;
SELECT format('CREATE UNLOGGED TABLE bench_wide AS SELECT n, y, %s FROM bench_narrow LIMIT 256 * 20 * 8',
              string_agg(format('random()::float4 AS x%s', k), ', ' ORDER BY k)) FROM generate_series(1, 100) k \gexec
VACUUM ANALYZE bench_narrow, bench_wide;

CREATE TEMP TABLE bench_shape (id serial, cell text, batch int, steps int, features int, hidden int, layers int, count int, epochs int);
INSERT INTO bench_shape (cell, batch, steps, features, hidden, layers, count, epochs) VALUES
('lstm', 400, 1, 9, 250, 1, :rows / 400, 3),
('lstm', 400, 20, 9, 250, 1, 8, 4),
('gru', 400, 20, 9, 250, 1, 8, 4),
('lstm', 64, 50, 9, 64, 1, 40, 6),
('lstm', 32, 20, 9, 32, 1, 200, 6),
('lstm', 256, 20, 64, 128, 2, 8, 4),
('lstm', 256, 20, 100, 512, 1, 4, 3);
DELETE FROM bench_shape WHERE cell || ' ' || batch || 'x' || steps || 'x' || features || '-' || hidden NOT LIKE '%' || :'only' || '%';
CREATE TEMP TABLE bench_time (id int, workers int, step float8, epochs float8, statement float8, loss float8);
SET work_mem = '1GB';
SET bench.rounds = :rounds;
SET bench.workers = :workers;
DO $$
DECLARE
	s bench_shape;
	w int;
	began timestamptz;
	took float8;
	loss float8;
BEGIN
	FOR s IN SELECT * FROM bench_shape ORDER BY id LOOP
		FOR round IN 1 .. current_setting('bench.rounds')::int LOOP
			FOREACH w IN ARRAY ARRAY[1, current_setting('bench.workers')::int] LOOP
				began := clock_timestamp();
				SELECT training_loss INTO loss FROM sessionlen.train('bench_training',
					format('SELECT *, n / %s AS u FROM bench_%s WHERE n < %s', CASE s.steps WHEN 1 THEN 600 ELSE s.steps END,
						CASE WHEN s.features = 9 THEN 'narrow' ELSE 'wide' END, s.batch * s.steps * s.count),
					'y', 'u', 'n',
					known => CASE WHEN s.features = 9 THEN '{a,b,c,d,e,f,g,h,i}'
					              ELSE (SELECT array_agg('x' || k) FROM generate_series(1, s.features) k) END,
					options => jsonb_build_object('architecture', s.cell, 'hidden_dim', array_fill(s.hidden, ARRAY[s.layers]),
						'batch_size', s.batch, 'sequence_length', s.steps, 'epochs', s.epochs, 'workers', w, 'verbose', false,
						'split', jsonb_build_object('validation', 0, 'test', 0)));
				took := extract(epoch FROM clock_timestamp() - began);
				INSERT INTO bench_time
					SELECT s.id, w, min(seconds) / s.count, sum(seconds), took, loss
					  FROM sessionlen.training_log WHERE model = 'bench_training';
				PERFORM sessionlen.drop_model('bench_training');
			END LOOP;
		END LOOP;
	END LOOP;
END $$;
CREATE TEMP VIEW bench_result AS
	SELECT id, format('%s %sx%sx%s-%s%s', cell, batch, steps, features, hidden, repeat('-' || hidden, layers - 1)) AS network, steps, count, s.epochs,
	       workers, min(t.step) AS step, min(statement) AS statement, min(statement - t.epochs) AS rest, min(loss) AS low, max(loss) AS high
	  FROM bench_shape s JOIN bench_time t USING (id) GROUP BY id, cell, batch, steps, features, hidden, layers, count, s.epochs, workers;
SELECT network, round((one.step * 1e3)::numeric, 2) AS "ms a step", round((more.step * 1e3)::numeric, 2) AS "by several",
       round((one.step / more.step)::numeric, 2) AS gain,
       one.count || ' x ' || one.epochs AS steps,
       round(one.statement::numeric, 2) AS "statement, s", round(more.statement::numeric, 2) AS "by several",
       round((one.statement / more.statement)::numeric, 2) AS gain,
       round(least(one.rest, more.rest)::numeric, 3) AS "beyond epochs, s",
       one.low = more.low AND one.high = more.high AND one.low = one.high AS same
  FROM bench_result one JOIN bench_result more USING (id, network)
 WHERE one.workers = 1 AND more.workers > 1 ORDER BY id;
\pset format unaligned
\pset tuples_only on
\pset fieldsep '\t'
SELECT 'RESULT', 'step ' || network, format('ours, %s process%s', workers, CASE WHEN workers > 1 THEN 'es' ELSE '' END), step, ''
  FROM bench_result ORDER BY id, workers;
-- An epoch of single rows has to write and read a step's gates and their gradients, and read and write parameters and moments.
SELECT 'RESULT', 'epoch of ' || trim(to_char(400 * count, '999,999,999')) || ' rows, ' || replace(network, 'lstm', 'LSTM'), side, number, ''
  FROM (SELECT network, count, min(step) * count AS seconds FROM bench_result WHERE steps = 1 GROUP BY network, count) r,
       LATERAL (VALUES ('ours', seconds), ('bytes', count * 4.0 * (4 * 400 * 1000 + 7 * (1000 * (9 + 2) + 251)))) v (side, number);
SELECT 'RESULT', format('the statement, %s epochs of %s rows', epochs, trim(to_char(400 * count, '999,999,999'))), 'ours', min(statement), ''
  FROM bench_result WHERE steps = 1 GROUP BY count, epochs;
DROP TABLE bench_narrow, bench_wide;
