-- The metrics: hand-made numbers, plain SQL and scikit-learn beside them, every plan.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS sessionlen;
SET extra_float_digits = 0;

-- Errors 1, 2, 3, 10 against a baseline that errs by 2, 4, 6, 8.
CREATE TABLE metric_hand (y float8, p float8, b float8);
INSERT INTO metric_hand VALUES (10, 11, 8), (20, 18, 24), (30, 33, 36), (40, 50, 48);
SELECT sessionlen.mae(y, p), sessionlen.rmse(y, p) ^ 2 AS mse, sessionlen.median_ae(y, p),
	   sessionlen.normalized_mae(y, p, b) FROM metric_hand;
SELECT sessionlen.median_ae(y, p) FROM metric_hand WHERE y < 40;

-- A certain and wrong prediction costs about -ln(1e-15), a certain and right one next to nothing.
SELECT y, p, sessionlen.log_loss(y, p), sessionlen.log_loss(y = 1, p) = sessionlen.log_loss(y, p) AS same
FROM (VALUES (1, 0.5), (1, 0.25), (0, 0.25), (1, 0), (0, 1)) v (y, p)
GROUP BY y, p ORDER BY y, p;
SELECT sessionlen.log_loss(y, p) < 1e-14 AS certain FROM (VALUES (1, 1), (0, 0)) v (y, p);

-- Accuracy of probabilities, of yes and no, of classes.  One half is not yet a yes.
SELECT sessionlen.accuracy(y, p) AS numbers, sessionlen.accuracy(y = 1, p) AS booleans,
	   sessionlen.accuracy(y = 1, p > 0.5) AS decided
FROM (VALUES (1, 0.9), (1, 0.5), (0, 0.5), (0, 0.2), (0, 0.7)) v (y, p);
SELECT sessionlen.accuracy(a, b) AS integer, sessionlen.accuracy(a::bigint, b::bigint) AS bigint,
	   sessionlen.accuracy(a::bigint, b) AS mixed, sessionlen.accuracy('k' || a, 'k' || b) AS text
FROM (VALUES (3, 3), (7, 5), (5, 5), (0, 1)) v (a, b);
SELECT sessionlen.accuracy(2147483648, x) FROM (VALUES (2147483648), (0)) v (x);

-- AUC: 3 of 4 pairs in order; then ties, a perfect and a reversed order, one class.
SELECT sessionlen.auc(y, p), sessionlen.auc(y = 1, p) AS booleans, sessionlen.auc(1 - y, p) AS reversed,
	   sessionlen.auc(y, 0.5) AS tied, sessionlen.auc(y, y) AS perfect, sessionlen.auc(0, p) AS one_class
FROM (VALUES (0, 0.1), (0, 0.4), (1, 0.35), (1, 0.8)) v (y, p);
SELECT sessionlen.auc(y, p) FROM (VALUES (1, 0.0), (0, 0.0), (1, 0.3), (0, 0.3), (1, 1), (0, '-0')) v (y, p);

-- Right, wrong, right, right: (1/1 + 0 + 2/3 + 3/4) / 4, in whatever order the rows come.
CREATE TABLE metric_session (id int, pos int, y boolean, p float8);
INSERT INTO metric_session VALUES
	(1, 3, true, 0.8), (1, 1, false, 0.1), (1, 4, false, 0.5), (1, 2, true, 0.3),
	(2, 11, true, 0.2), (2, 14, true, 0.9),
	(3, -5, false, 0.2),
	(4, 1, NULL, 0.2), (4, 2, true, NULL), (4, NULL, NULL, NULL),
	(5, 7, NULL, 0.2), (5, 8, true, 0.7);
SELECT id, sessionlen.average_accuracy(y, p, pos), sessionlen.first_accuracy(y, p, pos),
	   sessionlen.average_accuracy(y, p > 0.5, pos) AS decided, sessionlen.average_accuracy(y::int, p, pos) AS numbers,
	   sessionlen.first_accuracy(y, p > 0.5, pos) AS first_decided, sessionlen.first_accuracy(y::int, p, pos) AS first_numbers
FROM metric_session GROUP BY id ORDER BY id;
SELECT avg(aa) AS maa, avg(first) AS first_accuracy
FROM (SELECT sessionlen.average_accuracy(y, p, pos) AS aa, sessionlen.first_accuracy(y, p, pos) AS first
	  FROM metric_session GROUP BY id) s;

-- Rows with a NULL do not count; in normalized_mae none of the three may be NULL.
CREATE TABLE metric_null (y float8, p float8, b float8);
INSERT INTO metric_null VALUES (1, 0.5, 0), (NULL, 0.9, 0), (0, NULL, 9), (0, 0.25, NULL), (NULL, NULL, NULL);
SELECT sessionlen.mae(y, p), sessionlen.rmse(y, p), sessionlen.median_ae(y, p), sessionlen.normalized_mae(y, p, b),
	   sessionlen.accuracy(y, p), sessionlen.auc(y, p), sessionlen.log_loss(y, p)
FROM metric_null;
-- No rows, and rows that do not count: NULL.
SELECT sessionlen.mae(y, p), sessionlen.rmse(y, p), sessionlen.median_ae(y, p), sessionlen.normalized_mae(y, p, b),
	   sessionlen.accuracy(y, p), sessionlen.auc(y, p), sessionlen.log_loss(y, p),
	   sessionlen.average_accuracy(y, p, 1), sessionlen.first_accuracy(y, p, 1)
FROM metric_null WHERE false;
SELECT sessionlen.mae(y, p), sessionlen.rmse(y, p), sessionlen.median_ae(y, p), sessionlen.normalized_mae(y, p, b),
	   sessionlen.accuracy(y, p), sessionlen.auc(y, p), sessionlen.log_loss(y, p),
	   sessionlen.average_accuracy(y, p, 1), sessionlen.first_accuracy(y, p, 1)
FROM metric_null WHERE y IS NULL;
-- One row.
SELECT sessionlen.mae(1, 0.25), sessionlen.rmse(1, 0.25), sessionlen.median_ae(1, 0.25),
	   sessionlen.normalized_mae(1, 0.25, 0.5), sessionlen.accuracy(1, 0.25), sessionlen.auc(1, 0.25),
	   sessionlen.log_loss(1, 0.25), sessionlen.average_accuracy(1, 0.75, 1), sessionlen.first_accuracy(1, 0.75, 1);
-- Nothing can be measured against a baseline without errors.
SELECT sessionlen.normalized_mae(y, p, y) FROM metric_hand;

-- Integers, numerics and reals are taken as they are.
SELECT sessionlen.mae(3, 5), sessionlen.mae(3.5, 5), sessionlen.rmse(3::smallint, 5::real),
	   sessionlen.median_ae(3::bigint, 5.25), sessionlen.normalized_mae(1, 2::real, 3.0);

-- scikit-learn's answers on the rows of test/data/make_metric_fixtures.py.
CREATE TABLE metric_fixture AS
	SELECT (k * k % 997) / 8.0::float8 AS y, (k * 31 % 1013) / 8.0::float8 AS p,
		   (k * k % 3 = 0) AS outcome, (k * 17 % 101) / 100.0::float8 AS probability
	FROM (SELECT i * 7919 % 1009 AS k FROM generate_series(0, 999) i) s;
SELECT metric, abs(ours - theirs) <= 1e-13 * theirs AS equal
FROM (SELECT sessionlen.mae(y, p) AS mae, sessionlen.rmse(y, p) AS rmse, sessionlen.median_ae(y, p) AS median_ae,
			 sessionlen.log_loss(outcome, probability) AS log_loss, sessionlen.accuracy(outcome, probability) AS accuracy,
			 sessionlen.auc(outcome, probability) AS auc FROM metric_fixture) s,
	LATERAL (VALUES ('mae', mae, 41.437125), ('rmse', rmse, 50.606753656256195), ('median_ae', median_ae, 36.8125),
			 ('log_loss', log_loss, 1.3695922275262697), ('accuracy', accuracy, 0.501),
			 ('auc', auc, 0.4760046784893357)) v (metric, ours, theirs);

-- The same as plain SQL on random rows, group by group, with NULLs and ties.
SELECT setseed(0.5);
CREATE TABLE metric_random AS
	SELECT i, (i % 7)::int AS part, (random() * 30)::int AS g, CASE WHEN random() > 0.05 THEN exp(6 + 2 * random()) END AS y,
		   CASE WHEN random() > 0.05 THEN exp(6 + 2 * random()) END AS p, exp(6 + 2 * random()) AS b,
		   random() < 0.3 AS outcome, round(random()::numeric, 2)::float8 AS prob
	FROM generate_series(1, 20000) i;
CREATE VIEW metric_ours AS
	SELECT g, sessionlen.mae(y, p), sessionlen.rmse(y, p), sessionlen.median_ae(y, p) AS median,
		   sessionlen.normalized_mae(y, p, b) AS ratio, sessionlen.log_loss(outcome, prob),
		   sessionlen.accuracy(outcome, prob), sessionlen.auc(outcome, prob),
		   sessionlen.average_accuracy(outcome, prob, i) AS aa, sessionlen.first_accuracy(outcome, prob, i) AS first
	FROM metric_random GROUP BY g;
CREATE VIEW metric_plain AS
	SELECT g, avg(abs(y - p)) AS mae, sqrt(avg((y - p) ^ 2)) AS rmse,
		   percentile_cont(0.5) WITHIN GROUP (ORDER BY abs(y - p)) AS median,
		   avg(abs(y - p)) / avg(abs(y - b)) FILTER (WHERE p IS NOT NULL) AS ratio,
		   avg(-ln(CASE WHEN outcome THEN clipped ELSE 1 - clipped END)) AS log_loss,
		   avg(((prob > 0.5) = outcome)::int)::float8 AS accuracy,
		   (sum(mid) FILTER (WHERE outcome) - count(*) FILTER (WHERE outcome) * (count(*) FILTER (WHERE outcome) + 1) / 2.0)
			   / (count(*) FILTER (WHERE outcome) * count(*) FILTER (WHERE NOT outcome)) AS auc,
		   avg(CASE WHEN (prob > 0.5) = outcome THEN so_far ELSE 0 END) AS aa,
		   (array_agg(((prob > 0.5) = outcome)::int ORDER BY i))[1]::float8 AS first
	FROM (SELECT *, least(greatest(prob, 1e-15), 1 - 1e-15::float8) AS clipped,
				 rank() OVER (PARTITION BY g ORDER BY prob)
					+ (count(*) OVER (PARTITION BY g, prob) - 1) / 2.0::float8 AS mid,
				 avg(((prob > 0.5) = outcome)::int) OVER (PARTITION BY g ORDER BY i)::float8 AS so_far
		  FROM metric_random) r
	GROUP BY g;
CREATE FUNCTION pg_temp.worst(a text, b text, tolerance float8) RETURNS TABLE (differing text) LANGUAGE plpgsql AS $$
BEGIN
	RETURN QUERY EXECUTE format(
		'SELECT a.g || '' '' || m.key || '': '' || m.value || '' and '' || n.value
		 FROM %1$s a FULL JOIN %2$s b USING (g), jsonb_each_text(to_jsonb(a)) m
			 JOIN jsonb_each_text(to_jsonb(b)) n USING (key)
		 WHERE (abs(m.value::float8 - n.value::float8) <= %3$s * abs(n.value::float8)) IS NOT TRUE', a, b, tolerance);
END $$;
SELECT count(*) AS groups, count(auc) AS aucs FROM metric_ours;
SELECT pg_temp.worst('metric_ours', 'metric_plain', 1e-12);

-- Running and moving values: each row sees its frame, and the state lives on.
SELECT i, sessionlen.mae(y, p) OVER r AS mae, sessionlen.median_ae(y, p) OVER r AS median,
	   sessionlen.auc(o, q) OVER r AS auc, sessionlen.average_accuracy(o, q, -i) OVER r AS aa,
	   sessionlen.first_accuracy(o, q, -i) OVER r AS first,
	   sessionlen.mae(y, p) OVER m AS moving_mae, sessionlen.median_ae(y, p) OVER m AS moving_median
FROM (VALUES (1, 10, 13, 1, 0.9), (2, 20, 21, 0, 0.4), (3, 30, 23, 0, 0.9), (4, 40, NULL, 1, 0.6), (5, 50, 55, 1, 0.1)) v (i, y, p, o, q)
WINDOW r AS (ORDER BY i), m AS (ORDER BY i ROWS BETWEEN 1 PRECEDING AND CURRENT ROW);
SELECT count(*) FROM
	(SELECT sessionlen.rmse(y, p) OVER w AS r, sqrt(avg((y - p) ^ 2) OVER w) AS r2,
			sessionlen.normalized_mae(y, p, b) OVER w AS n, avg(abs(y - p)) OVER w / avg(abs(y - b)) FILTER (WHERE p IS NOT NULL) OVER w AS n2,
			sessionlen.log_loss(outcome, prob) OVER w AS l, avg(-ln(greatest(CASE WHEN outcome THEN prob ELSE 1 - prob END, 1e-15))) OVER w AS l2
	 FROM metric_random WHERE i <= 500 WINDOW w AS (ORDER BY i)) s
WHERE abs(r - r2) > 1e-12 * r2 OR abs(n - n2) > 1e-12 * n2 OR abs(l - l2) > 1e-12 * l2;

-- The same from parallel workers.  The serial plan's answers first.
CREATE TABLE metric_serial AS SELECT * FROM metric_ours;
CREATE TABLE metric_serial_all AS
	SELECT 0 AS g, sessionlen.mae(y, p), sessionlen.rmse(y, p), sessionlen.median_ae(y, p) AS median,
		   sessionlen.normalized_mae(y, p, b) AS ratio, sessionlen.log_loss(outcome, prob),
		   sessionlen.accuracy(outcome, prob), sessionlen.auc(outcome, prob),
		   sessionlen.average_accuracy(outcome, prob, i) AS aa, sessionlen.first_accuracy(outcome, prob, i) AS first
	FROM metric_random;
CREATE VIEW metric_all AS
	SELECT 0 AS g, sessionlen.mae(y, p), sessionlen.rmse(y, p), sessionlen.median_ae(y, p) AS median,
		   sessionlen.normalized_mae(y, p, b) AS ratio, sessionlen.log_loss(outcome, prob),
		   sessionlen.accuracy(outcome, prob), sessionlen.auc(outcome, prob),
		   sessionlen.average_accuracy(outcome, prob, i) AS aa, sessionlen.first_accuracy(outcome, prob, i) AS first
	FROM metric_random;
ANALYZE metric_random;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SET max_parallel_workers_per_gather = 2;
EXPLAIN (COSTS OFF) SELECT * FROM metric_all;
EXPLAIN (COSTS OFF) SELECT * FROM metric_ours;
SELECT pg_temp.worst('metric_ours', 'metric_serial', 1e-14);
SELECT pg_temp.worst('metric_all', 'metric_serial_all', 1e-14);
-- Workers that see no row that counts.
SELECT sessionlen.mae(y, p) = sessionlen.median_ae(y, p) AS mae, sessionlen.first_accuracy(outcome, prob, i) IN (0, 1) AS first
FROM metric_random WHERE i = (SELECT min(i) FROM metric_random WHERE y - p <> 0);
SELECT sessionlen.mae(y, p), sessionlen.median_ae(y, p), sessionlen.auc(outcome, prob) FROM metric_random WHERE i < 0;
SET max_parallel_workers_per_gather = 0;

-- And from partitions.
CREATE TABLE metric_parts (LIKE metric_random) PARTITION BY LIST (part);
CREATE TABLE metric_parts_1 PARTITION OF metric_parts FOR VALUES IN (0, 1, 2);
CREATE TABLE metric_parts_2 PARTITION OF metric_parts FOR VALUES IN (3, 4, 5);
CREATE TABLE metric_parts_3 PARTITION OF metric_parts FOR VALUES IN (6, NULL);
INSERT INTO metric_parts SELECT * FROM metric_random;
ANALYZE metric_parts;
CREATE VIEW metric_by_parts AS
	SELECT g, sessionlen.mae(y, p), sessionlen.rmse(y, p), sessionlen.median_ae(y, p) AS median,
		   sessionlen.normalized_mae(y, p, b) AS ratio, sessionlen.log_loss(outcome, prob),
		   sessionlen.accuracy(outcome, prob), sessionlen.auc(outcome, prob),
		   sessionlen.average_accuracy(outcome, prob, i) AS aa, sessionlen.first_accuracy(outcome, prob, i) AS first
	FROM metric_parts GROUP BY g;
SET enable_partitionwise_aggregate = on;
EXPLAIN (COSTS OFF) SELECT * FROM metric_by_parts;
SELECT pg_temp.worst('metric_by_parts', 'metric_serial', 1e-14);
RESET enable_partitionwise_aggregate;

-- A sum keeps what doubles lose: a one beside 1e16 disappears in avg().
SELECT sessionlen.mae(x, 0) = 588235294117648 AS ours, avg(x) = 588235294117648 AS avg
FROM (SELECT 1e16::float8 AS x UNION ALL SELECT 1 FROM generate_series(1, 16)) s;

-- average_accuracy and first_accuracy of the same arguments share one state.
SELECT count(DISTINCT aggtransfn) FROM pg_aggregate
WHERE aggfnoid IN ('sessionlen.average_accuracy(boolean, float8, bigint)'::regprocedure,
				   'sessionlen.first_accuracy(boolean, float8, bigint)'::regprocedure);

-- What is not a number to measure is an error; NULL beside it skips the row.
CREATE FUNCTION pg_temp.try(call text) RETURNS TABLE (state text, message text, detail text) LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE 'SELECT ' || call INTO message;
	state := 'ok';
	RETURN NEXT;
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL;
	RETURN NEXT;
END $$;
SELECT call, t.* FROM unnest(ARRAY[
	$$sessionlen.mae('NaN', 1)$$, $$sessionlen.mae(1, 'NaN')$$, $$sessionlen.mae('infinity', 1)$$,
	$$sessionlen.mae(1, '-infinity')$$, $$sessionlen.mae('NaN', NULL)$$,
	$$sessionlen.mae(1e308, -1e308)$$, $$sessionlen.rmse('NaN', 1)$$, $$sessionlen.rmse(1, 'infinity')$$,
	$$sessionlen.rmse(1e200, 0)$$, $$sessionlen.mae(x, 0) FROM generate_series(1, 2) i, LATERAL (SELECT 1.5e308::float8 AS x) s$$,
	$$sessionlen.median_ae('NaN', 1)$$, $$sessionlen.median_ae(1, 'NaN')$$, $$sessionlen.median_ae(NULL, 'NaN')$$,
	$$sessionlen.median_ae(1e308, -1e308)$$,
	$$sessionlen.normalized_mae('NaN', 1, 1)$$, $$sessionlen.normalized_mae(1, 'NaN', 1)$$,
	$$sessionlen.normalized_mae(1, 1, 'infinity')$$, $$sessionlen.normalized_mae(1, NULL, 'infinity')$$,
	$$sessionlen.log_loss(0.5::float8, 0.5)$$, $$sessionlen.log_loss('NaN'::float8, 0.5)$$,
	$$sessionlen.log_loss(1, 1.5)$$, $$sessionlen.log_loss(true, -0.1)$$, $$sessionlen.log_loss(true, 'NaN')$$,
	$$sessionlen.auc(2, 0.5)$$, $$sessionlen.auc(1, 1.1)$$, $$sessionlen.auc(true, 'infinity')$$,
	$$sessionlen.accuracy(3::float8, 0.5)$$, $$sessionlen.accuracy(1, 3.5)$$, $$sessionlen.accuracy(true, 2.0)$$,
	$$sessionlen.average_accuracy(true, 0.5, NULL)$$, $$sessionlen.first_accuracy(true, true, NULL)$$,
	$$sessionlen.average_accuracy(true, NULL::float8, NULL)$$, $$sessionlen.average_accuracy(5, 0.5, 1)$$,
	$$sessionlen.average_accuracy(true, 7.0, 1)$$,
	$$sessionlen.average_accuracy(true, 0.5, i / 2) FROM generate_series(1, 3) i$$,
	$$sessionlen.first_accuracy(true, 0.5, i / 2) FROM generate_series(1, 3) i$$,
	$$sessionlen.mae_accum('{1,2}', 1, 1)$$, $$sessionlen.mae_accum('{1,NULL,2}', 1, 1)$$,
	$$sessionlen.mae_accum('{{1,2,3}}', 1, 1)$$, $$sessionlen.mae_accum('{}', 1, 1)$$,
	$$sessionlen.metric_mean_combine('{1,2,3}', '{NaN,2,3}')$$, $$sessionlen.metric_mean_combine('{1,2,3}', '{-1,2,3}')$$,
	$$sessionlen.metric_ratio_final('{1,2,3}')$$, $$sessionlen.metric_mean_combine('{1,2,3}', '{1,2,0}')$$
	]) WITH ORDINALITY c (call, n), pg_temp.try(call) t ORDER BY n;
-- The state of kept rows cannot be made by hand.
DO $$
BEGIN
	PERFORM sessionlen.metric_values_deserial('\x01', NULL);
EXCEPTION WHEN undefined_function OR feature_not_supported THEN RAISE WARNING 'refused';
END $$;
DO $$
BEGIN
	PERFORM sessionlen.median_ae_final(NULL);
EXCEPTION WHEN undefined_function OR feature_not_supported THEN RAISE WARNING 'refused';
END $$;

DROP TABLE metric_hand, metric_session, metric_null, metric_fixture, metric_random, metric_serial, metric_serial_all,
	metric_parts CASCADE;
