-- Prediction row by row, by sequence and by table: equal to each other and to the
-- trainer's own forward pass, blind to the future, the same whatever surrounds the row.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS sessionlen;

CREATE TABLE pr_plays AS
	SELECT u, n, timestamptz '2024-03-01 UTC' + (n * 50 + u) * interval '1 hour' AS t, a, b, country, artist, y,
		   (u + n) % 13 = 0 AS open
	FROM generate_series(1, 40) u, generate_series(1, CASE u WHEN 1 THEN 1 WHEN 2 THEN 100 ELSE 3 + u % 15 END) n,
		 LATERAL (SELECT ((u * 7 + n * 13) % 17)::float8 AS a, CASE WHEN (u + n) % 9 > 0 THEN ((u * n) % 8)::numeric END AS b) i,
		 LATERAL (SELECT CASE u % 4 WHEN 0 THEN ' LAND ' WHEN 1 THEN 'Land' ELSE 'isle' END AS country, CASE WHEN (u * n) % 11 > 0 THEN 'artist ' || (u * n) % 12 END AS artist) j,
		 LATERAL (SELECT 100 + 20.0::float8 * (u % 5) + 10 * a AS y) k;

-- pr_gru, pr_lstm (two layers, quantiles), pr_row (no state), pr_weibull (censored), pr_plain (no observed column).
CREATE FUNCTION pr_train(name text, options jsonb, observed text[], censored text DEFAULT NULL) RETURNS int LANGUAGE sql AS $$
	SELECT version FROM sessionlen.train('pr_' || name, 'pr_plays', 'y', 'u', 't', known => '{a,b}', static => '{country}',
		observed => observed, censored => censored,
		options => '{"epochs": 4, "hidden_dim": 7, "batch_size": 10, "sequence_length": 8, "verbose": false, "learning_rate": 0.01,
					 "split": {"validation": 0.3, "test": 0.2}, "columns": {"country": {"as": "one_hot", "fold": true}}}' || options)
$$;
SELECT pr_train('gru', '{}', '{artist,y}'),
	   pr_train('lstm', '{"architecture": "lstm", "hidden_dim": [9, 5], "quantiles": [0.1, 0.5, 0.9], "target_transform": "log1p"}', '{artist,y}'),
	   pr_train('row', '{"sequence_length": 1}', '{artist,y}'),
	   pr_train('weibull', '{"loss": "weibull"}', '{y}', 'open'),
	   pr_train('plain', '{"architecture": "lstm"}', '{}');
CREATE TABLE pr_model AS SELECT 'pr_' || unnest('{gru,lstm,row,weibull,plain}'::text[]) AS model;

CREATE VIEW pr_windows AS
	SELECT model, u, t, sessionlen.predict(model, p) OVER (PARTITION BY model, u ORDER BY t) AS value FROM pr_model, pr_plays p;
CREATE VIEW pr_tables AS
	SELECT model, partition_key::int AS u, order_key::timestamptz AS t, prediction AS value, quantiles, place
	FROM pr_model, sessionlen.predict_table(model, 'pr_plays') WITH ORDINALITY r(partition_key, order_key, prediction, quantiles, place);
CREATE VIEW pr_sequences AS
	SELECT model, u, t, sessionlen.predict_sequence(model, (SELECT array_agg(q ORDER BY q.t) FROM pr_plays q WHERE q.u = p.u AND q.t <= p.t)) AS value
	FROM pr_model, pr_plays p WHERE u % 5 < 2 OR u = 2 AND n % 9 = 0;
CREATE FUNCTION pr_near(a float8, b float8) RETURNS boolean LANGUAGE sql AS
	$$ SELECT abs(a - b) <= 1e-5 * greatest(abs(a), abs(b)) $$;

-- The three ways agree.
SELECT model, count(*), bool_and(pr_near(w.value, s.value)) AS sequence, bool_and(pr_near(w.value, b.value)) AS "table", count(DISTINCT w.value) > 100 AS differ
FROM pr_windows w JOIN pr_sequences s USING (model, u, t) JOIN pr_tables b USING (model, u, t) GROUP BY model ORDER BY model;
-- predict_table() keeps the order of partitions and rows, and has quantiles where there are any.
SELECT model, bool_and((u, t) > (lu, lt)) AS ordered, count(quantiles) = count(*) AS quantiles
FROM (SELECT model, u, t, quantiles, lag(u) OVER w AS lu, lag(t) OVER w AS lt FROM pr_tables WINDOW w AS (PARTITION BY model ORDER BY place)) o GROUP BY model ORDER BY model;
-- The trainer's own forward pass had the same errors.
SELECT v.model, pr_near(validation_mae, e.mae) AS equal, e.row_count > 20 AS rows
FROM sessionlen.model_versions v JOIN pr_model USING (model), sessionlen.evaluate(v.model, part => 'validation') e
WHERE predictor = 'model' ORDER BY 1;

-- A frame, its exclusions and the plan change nothing.
SELECT model, bool_and(float8send(f1) = float8send(f0)) AS f1, bool_and(float8send(f2) = float8send(f0)) AS f2, bool_and(float8send(f3) = float8send(f0)) AS f3,
	   bool_and(float8send(f4) = float8send(f0)) AS f4
FROM (SELECT model, sessionlen.predict(model, p) OVER (PARTITION BY model, u ORDER BY t) AS f0,
			 sessionlen.predict(model, p) OVER (PARTITION BY model, u ORDER BY t ROWS BETWEEN CURRENT ROW AND CURRENT ROW) AS f1,
			 sessionlen.predict(model, p) OVER (PARTITION BY model, u ORDER BY t ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING EXCLUDE CURRENT ROW) AS f2,
			 sessionlen.predict(model, p) OVER (PARTITION BY model, u ORDER BY t ROWS BETWEEN 3 FOLLOWING AND 5 FOLLOWING) AS f3,
			 sessionlen.predict(model, p) OVER (PARTITION BY model, u ORDER BY t GROUPS 1 PRECEDING EXCLUDE TIES) AS f4
	  FROM pr_model, pr_plays p) f GROUP BY model ORDER BY model;
-- A column of any type is an input, and read alike by all.
CREATE TABLE pr_types AS
	SELECT i % 8 AS u, i AS n, i % 7 AS y, i::smallint AS c1, i::bigint AS c2, i::real AS c3, i::numeric AS c4, i % 2 = 0 AS c5, date '2024-01-01' + i AS c6, timestamp '2024-01-01 10:00' + i * interval '1 min' AS c7,
		   time '10:00' + i * interval '1 min' AS c8, interval '1 month 1 day' * i AS c9, i::text::money AS c10, md5(i::text)::uuid AS c11, to_jsonb(i % 3) AS c12, to_json(i % 3) AS c13, '\x01'::bytea AS c14,
		   ARRAY[i % 2, NULL] AS c15, point(1, i % 3) AS c16, '10.0.0.1'::inet AS c17, B'101' AS c18, int4range(1, i) AS c19, 'x'::"char" AS c20, 'name'::name AS c21, i::oid AS c22, 'pad'::char(8) AS c23, NULL::text AS c24,
		   NULL::float8 AS c25, timetz '10:00+02' AS c26, to_tsvector('simple', 'a b') AS c27, '{NaN,1}'::float8[] AS c28
	FROM generate_series(1, 80) i;
CREATE FUNCTION pr_agree(name text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
	PERFORM sessionlen.train('pr_type', 'pr_types', 'y', 'u', 'n', known => ARRAY[name], observed => '{y}', options => '{"epochs": 1, "hidden_dim": 3, "verbose": false}');
	RETURN count(*) = 80 AND bool_and(pr_near(w.p, b.prediction))
	FROM (SELECT r.u, r.n, sessionlen.predict('pr_type', r) OVER (PARTITION BY r.u ORDER BY r.n) AS p FROM pr_types r) w
	JOIN sessionlen.predict_table('pr_type', 'pr_types') b ON b.partition_key = w.u::text AND b.order_key = w.n::text;
END $$;
SELECT count(*) FROM pg_attribute WHERE attrelid = 'pr_types'::regclass AND attnum > 3 AND pr_agree(attname);
-- Other columns, their order, and other types of the same values change nothing.
SELECT bool_and(float8send(w.value) = float8send(x.value)) AS same
FROM pr_windows w JOIN (
	SELECT u, t, sessionlen.predict('pr_gru', p) OVER (PARTITION BY u ORDER BY t) AS value
	FROM (SELECT y::numeric, 'spare' AS spare, artist::varchar, t, country::char(6), u, b::float4, a::int8 FROM pr_plays) p) x USING (u, t) WHERE model = 'pr_gru';

--
-- The future is not seen, the past only by models that carry it.  Row 50 of user 2 is
-- changed; d is a row's distance from it.
--
CREATE FUNCTION pr_changed(columns text) RETURNS TABLE (model text, earlier boolean, itself boolean, next boolean, later boolean, others boolean, ways boolean) LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE 'CREATE TEMP VIEW pr_other AS SELECT u, n, t, ' || columns || ' FROM pr_plays r, LATERAL (SELECT u = 2 AND n = 50 AS x) x';
	RETURN QUERY SELECT m.model,
		count(*) FILTER (WHERE changed AND u = 2 AND n < 50) > 0, bool_or(changed) FILTER (WHERE u = 2 AND n = 50),
		bool_or(changed) FILTER (WHERE u = 2 AND n = 51), count(*) FILTER (WHERE changed AND u = 2 AND n > 51) > 0, bool_or(changed) FILTER (WHERE u <> 2),
		bool_and(pr_near(now, tabled))
		FROM pr_model m, LATERAL (
			SELECT o.u, o.n, float8send(w.value) <> float8send(o.value) AS changed, o.value AS now, b.prediction AS tabled
			FROM (SELECT p.u, p.n, p.t, sessionlen.predict(m.model, p) OVER (PARTITION BY p.u ORDER BY p.t) AS value FROM pr_other p) o
			JOIN pr_windows w ON w.model = m.model AND w.u = o.u AND w.t = o.t
			JOIN sessionlen.predict_table(m.model, 'pr_other') b ON b.partition_key = o.u::text AND b.order_key = o.t::text) d
		GROUP BY m.model ORDER BY m.model;
	DROP VIEW pr_other;
END $$;
-- Observed: the row's own prediction stays, the next one's changes.
SELECT * FROM pr_changed($$a, b, country, CASE WHEN x THEN 'artist 5' ELSE artist END AS artist, CASE WHEN x THEN y + 1000 ELSE y END AS y$$);
-- Known: the row's own prediction changes.
SELECT * FROM pr_changed($$CASE WHEN x THEN a + 30 ELSE a END AS a, b, country, artist, y$$);
-- Nothing: NULL, a text never seen and another spelling of one that is folded.
SELECT * FROM pr_changed($$a, b, lower(trim(country)) AS country, CASE WHEN artist IS NULL THEN 'never heard' ELSE artist END AS artist, y$$);

-- sequence_length 1 carries no state: any order, any company.
SELECT bool_and(pr_near(w.value, o.value)) AS alone
FROM pr_windows w JOIN (SELECT u, t, CASE WHEN n > 1 THEN sessionlen.predict_sequence('pr_row', ARRAY[lag(p) OVER s, p]) END AS value FROM pr_plays p WINDOW s AS (PARTITION BY u ORDER BY t)) o USING (u, t)
WHERE model = 'pr_row' AND o.value IS NOT NULL;
SELECT model, bool_or(NOT pr_near(w.value, s.value)) AS needs_the_past
FROM pr_model JOIN pr_windows w USING (model), LATERAL (SELECT sessionlen.predict_sequence(model, ARRAY[p]) AS value FROM pr_plays p WHERE p.u = w.u AND p.t = w.t) s
WHERE u > 2 GROUP BY model ORDER BY model;
-- A NULL row is passed over; a NULL model predicts nothing.
SELECT bool_and(float8send(value) IS NOT DISTINCT FROM float8send(CASE WHEN n = 3 THEN NULL ELSE other END)) AS passed_over
FROM (SELECT u, n, sessionlen.predict('pr_gru', CASE WHEN n <> 3 THEN p END) OVER (PARTITION BY u ORDER BY t) AS value FROM pr_plays p) a
JOIN (SELECT u, n, sessionlen.predict('pr_gru', p) OVER (PARTITION BY u ORDER BY t) AS other FROM pr_plays p WHERE n <> 3
	  UNION ALL SELECT u, n, NULL FROM pr_plays WHERE n = 3) b USING (u, n);
SELECT count(x) FROM (SELECT sessionlen.predict(NULL, p) OVER () AS x FROM pr_plays p) n;

-- Baselines in predictions(): from training rows, by user; the last value before this row.
CREATE VIEW pr_baseline AS
	SELECT u, t, y, part, lag(y) OVER (PARTITION BY u ORDER BY t) AS last, user_mean, user_median, last_value, global_median, actual
	FROM pr_plays JOIN sessionlen.predictions('pr_gru', part => 'all') p ON u::text = partition_key AND t = order_key::timestamptz;
SELECT bool_and(actual = y) AS actual, bool_and(pr_near(b.user_mean, coalesce(mean, all_mean))) AS mean, bool_and(pr_near(b.user_median, coalesce(median, all_median))) AS median,
	   bool_and(last_value = coalesce(last, global_median)) AS last, bool_and(pr_near(global_median, all_median)) AS global_median, count(*) FILTER (WHERE mean IS NULL) AS unknown_users
FROM pr_baseline b LEFT JOIN (SELECT u, avg(y) AS mean, percentile_cont(0.5) WITHIN GROUP (ORDER BY y) AS median FROM pr_baseline WHERE part = 'train' GROUP BY u) m USING (u),
	 (SELECT avg(y) AS all_mean, percentile_cont(0.5) WITHIN GROUP (ORDER BY y) AS all_median FROM pr_baseline WHERE part = 'train') g;
-- evaluate() is their summary, on equal rows; a censored target is not evaluated.
SELECT predictor, row_count = (SELECT count(*) FROM pr_baseline WHERE part = 'test') AS rows, pr_near(mae, (SELECT avg(abs(actual - CASE predictor WHEN 'user mean' THEN user_mean WHEN 'user median' THEN user_median
	WHEN 'last value' THEN last_value ELSE global_median END)) FROM pr_baseline WHERE part = 'test')) AS mae, pr_near(normalized_mae, mae / first_value(mae) OVER ()) AS normalized
FROM sessionlen.evaluate('pr_gru') WHERE predictor <> 'model';
SELECT sum(row_count) / 5 = (SELECT count(*) FROM pr_plays WHERE NOT open) AS uncensored FROM sessionlen.evaluate('pr_weibull', part => 'all');
-- Users never seen in training fall back to the values over all.
SELECT count(DISTINCT user_mean), bool_and(user_median = global_median) AS median FROM sessionlen.predictions('pr_gru', 'SELECT u + 1000 AS u, t, a, b, country, artist, y FROM pr_plays', 'all');

-- What a statement, a cursor and PL/pgSQL see when another version is deployed.
CREATE TABLE pr_old AS SELECT * FROM pr_windows WHERE model = 'pr_gru';
SELECT version FROM sessionlen.train('pr_gru', 'pr_plays', 'y', 'u', 't', known => '{a}', options => '{"epochs": 1, "hidden_dim": 30, "verbose": false}');
CREATE TABLE pr_new AS SELECT * FROM pr_windows WHERE model = 'pr_gru';
SELECT count(*) FROM pr_old JOIN pr_new USING (u, t, value);
SELECT sessionlen.deploy('pr_gru');
SELECT count(*) = (SELECT count(*) FROM pr_plays) AS back FROM pr_old o JOIN pr_windows n USING (model, u, t) WHERE float8send(o.value) = float8send(n.value);
DO $$
DECLARE
	sequence pr_plays[] := (SELECT array_agg(p ORDER BY t) FROM pr_plays p WHERE u = 5);
	value float8[];
	old float8 := (SELECT o.value FROM pr_old o WHERE u = 5 ORDER BY t DESC LIMIT 1);
	new float8 := (SELECT n.value FROM pr_new n WHERE u = 5 ORDER BY t DESC LIMIT 1);
	c CURSOR FOR SELECT sessionlen.predict('pr_gru', p) OVER (PARTITION BY u ORDER BY t) AS x, u, t FROM pr_plays p ORDER BY u, t;
	wrong int := 0;
BEGIN
	FOR i IN 1..4 LOOP
		PERFORM sessionlen.deploy('pr_gru', 1 + i % 2);
		value[i] := sessionlen.predict_sequence('pr_gru', sequence);
		IF NOT pr_near(value[i], CASE i % 2 WHEN 0 THEN old ELSE new END) THEN
			RAISE 'expression % has the wrong version', i;
		END IF;
	END LOOP;
	FOR r IN c LOOP
		PERFORM sessionlen.deploy('pr_gru', 1 + r.u % 2);
		wrong := wrong + (SELECT (float8send(r.x) <> float8send(o.value))::int FROM pr_old o WHERE u = r.u AND t = r.t);
	END LOOP;
	IF wrong > 0 THEN
		RAISE 'a cursor changed its version % times', wrong;
	END IF;
END $$;
-- A column that changes its type between two calls of one expression is read anew.
CREATE TABLE pr_morph AS SELECT 5 AS a, 1.5 AS b;
DO $$
DECLARE
	value float8[];
	sequence pr_morph[];
BEGIN
	PERFORM sessionlen.deploy('pr_gru', 2);
	FOR i IN 1..2 LOOP
		EXECUTE 'SELECT array_agg(m) FROM pr_morph m' INTO sequence;
		value[i] := sessionlen.predict_sequence('pr_gru', sequence);
		IF i = 1 THEN
			ALTER TABLE pr_morph ALTER a TYPE numeric;
		END IF;
	END LOOP;
	IF value[1] <> value[2] THEN
		RAISE 'the column was misread';
	END IF;
END $$;

-- In parallel workers, under every plan, several models and several windows at once.
SELECT sessionlen.deploy('pr_gru', 1);
ALTER TABLE pr_plays SET (parallel_workers = 2);
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
EXPLAIN (COSTS OFF) SELECT count(sessionlen.predict_sequence('pr_plain', ARRAY[p])) FROM pr_plays p WHERE sessionlen.predict_sequence('pr_plain', ARRAY[p]) > 0;
CREATE TABLE pr_parallel AS SELECT u, t, sessionlen.predict_sequence('pr_plain', ARRAY[p]) AS value FROM pr_plays p;
SET max_parallel_workers_per_gather = 0;
SELECT count(*) = (SELECT count(*) FROM pr_plays) AS same FROM pr_parallel JOIN (SELECT u, t, sessionlen.predict_sequence('pr_plain', ARRAY[p]) AS value FROM pr_plays p) s USING (u, t, value);
RESET ALL;
SET client_min_messages = warning;

--
-- Weights are rows, with PyTorch's names and shapes, in chunks of at most a million.
--
SELECT model, name, chunk, shape, cardinality(data) = shape[1] * coalesce(shape[2], 1) AS complete FROM sessionlen.weights WHERE model IN ('pr_lstm', 'pr_plain') ORDER BY model, name COLLATE "C";
SELECT version FROM sessionlen.train('pr_large', 'SELECT i AS u, i AS t, ''track '' || i AS track, i % 7 AS y FROM generate_series(1, 35000) i', 'y', 'u', 't', known => '{track}',
	options => '{"epochs": 1, "batch_size": 8192, "sequence_length": 1, "hidden_dim": 4, "verbose": false, "columns": {"track": {"embedding": 31}}, "split": {"test": 0, "validation": 0}}');
SELECT name, chunk, shape, cardinality(data) FROM sessionlen.weights WHERE model = 'pr_large' AND name LIKE 'emb%' ORDER BY chunk;
SELECT count(DISTINCT prediction) > 10000 AS differ FROM sessionlen.predict_table('pr_large', 'SELECT i AS u, i AS t, ''track '' || i AS track FROM generate_series(1, 35000) i');
-- Its last rows come from the second chunk; one that is missing is noticed.
SELECT data[1] = data[2] AS alike FROM sessionlen.weights WHERE model = 'pr_large' AND chunk = 1 AND name LIKE 'emb%';
DELETE FROM sessionlen.weights WHERE model = 'pr_large' AND chunk = 1;
UPDATE sessionlen.model_versions SET id = gen_random_uuid() WHERE model = 'pr_large';
SELECT sessionlen.predict_sequence('pr_large', ARRAY[p]) FROM (SELECT 'track 1' AS track) p;

SELECT count(sessionlen.drop_model(model)) FROM sessionlen.models WHERE model LIKE 'pr\_%';
DROP VIEW pr_windows, pr_tables, pr_sequences, pr_baseline;
DROP FUNCTION pr_train, pr_near, pr_changed, pr_agree;
DROP TABLE pr_plays, pr_types, pr_model, pr_old, pr_new, pr_parallel, pr_morph;
