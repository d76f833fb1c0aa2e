-- Prediction of future rows: by window, by sequence and by table alike, blind to what is
-- hidden, and what evaluate() makes of it, all checked with plain SQL.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS sessionlen;

CREATE TABLE pf_plays AS
	SELECT s, n, 't' || (s * 7 + n * n) % 11 AS track, ((s * 5 + n * 3) % 7)::float8 AS energy, 'c' || s % 3 AS country,
		   CASE (s + n) % 3 WHEN 0 THEN 'button' ELSE 'done' END AS reason, (s * n + n / 3 + s / 4) % 3 = 0 AS skip
	FROM generate_series(1, 120) s, generate_series(1, 1 + s % 12) n;

-- A binary task and the networks of task skip; pf_sum predicts a number with a horizon.
CREATE FUNCTION pf_train(name text, task text, options jsonb, target text DEFAULT 'skip') RETURNS int LANGUAGE sql AS $$
	SELECT version FROM sessionlen.train('pf_' || name, 'SELECT *, energy + n AS total FROM pf_plays', target, 's', 'n', known => '{energy}', static => '{country}', observed => '{reason}',
		item => 'track', task => task, options => '{"epochs": 2, "hidden_dim": 6, "batch_size": 16, "verbose": false, "split": {"validation": 0.2, "test": 0.3}}' || options)
$$;
SELECT pf_train('gru', 'skip', '{}'), pf_train('lstm', 'skip', '{"architecture": "lstm", "past_skips": "both", "horizon": 3}'),
	   pf_train('coder', 'skip', '{"architecture": "encoder_decoder", "cell": "lstm", "past_skips": "token"}'),
	   pf_train('both', 'skip', '{"architecture": "encoder_decoder", "bidirectional": true, "sequence_length": 6}'),
	   pf_train('inputs', 'skip', '{"architecture": "multi_input_lstm"}'), pf_train('rate', 'binary', '{"split": {"by": "user_tail", "validation": 0.2, "test": 0.3}}'),
	   pf_train('last', 'binary', '{"horizon": 2}'), pf_train('sum', 'regression', '{"horizon": 2}', 'total');
CREATE TABLE pf_model AS SELECT model, task, length, CASE WHEN horizon <> 'half' THEN horizon::int END AS horizon
	FROM (SELECT model, task, (options ->> 'sequence_length')::int AS length, trim(options ->> 'horizon', '"') AS horizon FROM sessionlen.model_versions WHERE model LIKE 'pf\_%') v;
CREATE VIEW pf_source AS SELECT *, energy + n AS total FROM pf_plays;
CREATE VIEW pf_windows AS SELECT model, s, n, sessionlen.predict(model, p) OVER (PARTITION BY model, s ORDER BY n) AS value FROM pf_model, pf_source p;
CREATE VIEW pf_tables AS SELECT model, partition_key::int AS s, order_key::int AS n, prediction AS value FROM pf_model, sessionlen.predict_table(model, 'pf_source');
CREATE FUNCTION pf_near(a float8, b float8) RETURNS boolean LANGUAGE sql AS
	$$ SELECT abs(a - b) <= 1e-5 * greatest(abs(a), abs(b)) OR a IS NULL AND b IS NULL $$;

-- The rows predicted are those that the horizon says; the three ways agree.
SELECT model, bool_and((w.value IS NOT NULL) = CASE WHEN horizon = 0 THEN true WHEN horizon > 0 THEN back <= horizon ELSE back <= used - used / 2 END) AS rule,
	   count(w.value), bool_and(pf_near(w.value, t.value)) AS "table", min(w.value) >= 0 AND (max(w.value) <= 1 OR task = 'regression') AS sound
FROM pf_windows w JOIN pf_tables t USING (model, s, n) JOIN pf_model USING (model), LATERAL (SELECT 2 + s % 12 - n AS back, least(1 + s % 12, length) AS used) r
GROUP BY model, task ORDER BY model;
SELECT model, bool_and(pf_near(w.value, sessionlen.predict_sequence(model, rows))) AS sequence
FROM pf_windows w JOIN (SELECT s, max(n) AS n, array_agg(p ORDER BY n) AS rows FROM pf_source p GROUP BY s) r USING (s, n) GROUP BY model ORDER BY model;
-- A frame changes nothing; a row that is NULL is none.
SELECT bool_and(a IS NOT DISTINCT FROM b) AS same FROM (SELECT sessionlen.predict('pf_both', p) OVER (PARTITION BY s ORDER BY n) AS a,
	sessionlen.predict('pf_both', p) OVER (PARTITION BY s ORDER BY n ROWS BETWEEN 1 FOLLOWING AND 2 FOLLOWING) AS b FROM pf_source p) f;
SELECT bool_and(a.value IS NOT DISTINCT FROM w.value) AS same, count(*) FROM pf_windows w RIGHT JOIN (
	SELECT s, n, x, sessionlen.predict('pf_both', CASE WHEN NOT x THEN p END) OVER (PARTITION BY s ORDER BY n, x) AS value
	FROM pf_source p, LATERAL (SELECT false AS x UNION ALL SELECT n % 3 = 0 WHERE n % 3 = 0) b) a
	ON w.model = 'pf_both' AND w.s = a.s AND w.n = a.n AND NOT x;
-- The first target that is not known begins the future.
SELECT n, value IS NULL AS past FROM (SELECT n, sessionlen.predict('pf_gru', p) OVER (ORDER BY n) AS value
	FROM (SELECT s, n, track, energy, country, reason, CASE WHEN n <> 3 THEN skip END AS skip FROM pf_plays WHERE s = 11) p) f ORDER BY n;

-- No leak: all that is observed in future rows changes, and no prediction does, bit for bit.
CREATE FUNCTION pf_changed(future text, past text) RETURNS TABLE (model text, same boolean, "table" boolean) LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('CREATE TEMP VIEW pf_other AS SELECT m.model, p.s, p.n, p.track, p.energy, p.country, CASE WHEN %1$s THEN ''never seen'' ELSE p.reason END AS reason,
		(CASE WHEN %1$s THEN 1 - p.skip::int ELSE p.skip::int END)::boolean AS skip, CASE WHEN %1$s THEN -1000 ELSE p.total END AS total
		FROM pf_source p, pf_model m, LATERAL (SELECT CASE WHEN m.horizon > 0 THEN least(m.horizon, 1 + s %% 12) ELSE least(1 + s %% 12, m.length) - least(1 + s %% 12, m.length) / 2 END AS ahead) a
		WHERE m.horizon IS DISTINCT FROM 0', '(2 + s % 12 - n ' || future || ' AND ' || past || ')');
	RETURN QUERY SELECT o.model, bool_and(float8send(o.value) = float8send(w.value)), bool_and(float8send(t.prediction) = float8send(b.value))
		FROM (SELECT p.model, p.s, p.n, sessionlen.predict(p.model, p) OVER (PARTITION BY p.model, p.s ORDER BY p.n) AS value FROM pf_other p) o
		JOIN (SELECT m.model, t.* FROM pf_model m, sessionlen.predict_table(m.model, format('SELECT * FROM pf_other WHERE model = %L', m.model)) t WHERE m.horizon IS DISTINCT FROM 0) t
			ON t.model = o.model AND t.partition_key = o.s::text AND t.order_key = o.n::text
		JOIN pf_windows w ON (w.model, w.s, w.n) = (o.model, o.s, o.n) JOIN pf_tables b ON (b.model, b.s, b.n) = (o.model, o.s, o.n) GROUP BY o.model ORDER BY o.model;
	DROP VIEW pf_other;
END $$;
SELECT * FROM pf_changed('<= ahead', 'true');
-- What was observed in the past does reach them.
SELECT * FROM pf_changed('> ahead', 'true');

-- predictions(): rows that are predicted, the last known target before them, positions.
CREATE TABLE pf_predicted AS SELECT m.model, m.task, p.*, partition_key::int AS s, order_key::int AS n FROM pf_model m, sessionlen.predictions(m.model, part => 'all') p;
SELECT model, count(*) = count(w.value) AND bool_and(pf_near(prediction, w.value)) AS predicted, bool_and(actual = CASE model WHEN 'pf_sum' THEN total ELSE skip::int END) AS actual,
	   bool_and(pf_near(global_mean, rate) AND pf_near(last_value, coalesce(last, global_median))) AS baselines, min(position) AS first, bool_and(o.place = position) AS position
FROM pf_windows w JOIN pf_predicted r USING (model, s, n) JOIN pf_source p USING (s, n),
	 LATERAL (SELECT avg(actual) AS rate FROM pf_predicted t WHERE t.model = w.model AND part = 'train') g,
	 LATERAL (SELECT count(*) + 1 AS place FROM pf_predicted t WHERE t.model = w.model AND t.s = w.s AND t.n < w.n) o,
	 LATERAL (SELECT (array_agg(CASE r.model WHEN 'pf_sum' THEN q.total ELSE q.skip::int END ORDER BY q.n DESC))[1] AS last FROM pf_source q
			  WHERE q.s = w.s AND q.n < w.n - CASE model WHEN 'pf_rate' THEN 0 ELSE position - 1 END) l
GROUP BY model ORDER BY model;
SELECT model, count(DISTINCT part) AS parts, bool_or(cut) AS cut FROM (SELECT model, part, min(part) OVER w <> max(part) OVER w AS cut
	FROM pf_predicted p WINDOW w AS (PARTITION BY model, s)) x GROUP BY model ORDER BY model;

-- evaluate() is their summary: accuracy, and the challenge's average accuracy by session.
CREATE VIEW pf_by AS
	SELECT model, s, position, predictor, value, ((value > 0.5)::int = actual)::int AS good, actual
	FROM pf_predicted, LATERAL (VALUES ('model', prediction), ('user mean', user_mean), ('all skip', 1), ('last skip state', last_value), ('last value', last_value), ('global rate', global_mean)) v(predictor, value)
	WHERE part = 'test' AND task <> 'regression';
SELECT e.predictor, m.model, row_count, pf_near(e.accuracy, h.accuracy) AS accuracy, pf_near(first_accuracy, h.first) AS first, pf_near(average_accuracy, h.average) AS average, pf_near(e.log_loss, h.loss) AS log_loss,
	   pf_near(e.auc, h.auc) AS auc, num_nonnulls(mae, rmse, median_ae, normalized_mae, recall, mrr) AS others
FROM (VALUES ('pf_gru'), ('pf_inputs'), ('pf_rate'), ('pf_last')) m(model), sessionlen.evaluate(m.model) e, LATERAL (
	SELECT avg(good) AS accuracy, avg(-ln(CASE actual WHEN 1 THEN clipped ELSE 1 - clipped END)) AS loss,
		   (SELECT avg((a.value > b.value)::int + 0.5 * (a.value = b.value)::int) FROM pf_by a, pf_by b WHERE (a.model, a.predictor, a.actual, b.model, b.predictor, b.actual) = (m.model, e.predictor, 1, m.model, e.predictor, 0)) AS auc,
		   avg(good) FILTER (WHERE position = 1 AND m.model <> 'pf_rate') AS first,
		   (SELECT avg(aa) FROM (SELECT sum(good * so_far) / count(*) AS aa FROM (SELECT s, good, avg(good) OVER (PARTITION BY s ORDER BY position) AS so_far FROM pf_by b
				WHERE b.model = m.model AND b.predictor = e.predictor AND m.model <> 'pf_rate') r GROUP BY s) a) AS average
	FROM pf_by b, LATERAL (SELECT least(greatest(value, 1e-15), 1 - 1e-15) AS clipped) c WHERE b.model = m.model AND b.predictor = e.predictor) h ORDER BY 2, 1;
SELECT predictor, row_count, mae IS NOT NULL AS mae, num_nonnulls(accuracy, first_accuracy, average_accuracy, auc, log_loss, recall, mrr) AS others FROM sessionlen.evaluate('pf_sum');
-- A session made by hand: right, wrong, right is (1 + 0 + 2/3) / 3.
SELECT round(sessionlen.average_accuracy(y, p, i)::numeric, 6) AS average, sessionlen.first_accuracy(y, p, i) AS first FROM (VALUES (1, true, 0.9), (2, false, 0.8), (3, true, 0.7)) v(i, y, p);
-- Pages of all tasks.
SELECT model, html LIKE '%</html>%' AS page, html LIKE '%last skip state%' AS skips, html ILIKE '%NaN%' AS nan FROM pf_model, sessionlen.report(model) html ORDER BY model;

-- Bad input.
SELECT sessionlen.predict_sequence('pf_gru', ARRAY[p]) FROM (SELECT 1 AS s, 1 AS n, 't1' AS track, 1 AS energy, 'c1' AS country, 'x' AS reason) p;
SELECT sessionlen.predict_sequence('pf_gru', ARRAY[p]) FROM (SELECT 1 AS s, 1 AS n, 't1' AS track, 1 AS energy, 'c1' AS country, 'x' AS reason, 2 AS skip) p;
SELECT count(*) FROM sessionlen.predict_table('pf_gru', 'SELECT * FROM pf_source UNION ALL SELECT * FROM pf_source');
SELECT * FROM sessionlen.predict_items('pf_gru', (SELECT array_agg(p) FROM pf_source p));
SELECT * FROM sessionlen.item_predictions('pf_gru');
UPDATE sessionlen.model_versions SET id = gen_random_uuid(), inputs = inputs - -1 WHERE model = 'pf_both';
SELECT count(prediction) FROM sessionlen.predict_table('pf_both', 'pf_source');

SELECT count(sessionlen.drop_model(model)) FROM sessionlen.models WHERE model LIKE 'pf\_%';
DROP VIEW pf_windows, pf_tables, pf_by;
DROP FUNCTION pf_train, pf_near, pf_changed;
DROP TABLE pf_predicted, pf_model;
DROP VIEW pf_source;
DROP TABLE pf_plays;
