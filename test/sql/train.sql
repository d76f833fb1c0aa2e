-- What every option of train() does, seen from its results.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS sessionlen;

-- 60 users with 6 to 25 rows; the target follows the user, a known column and the row before.
CREATE TABLE tr_plays AS
	SELECT u, n, timestamp '2024-01-01' + (n * 60 + u) * interval '1 hour' AS t, a, b, country, artist,
		   y, n > 4 + u % 20 AS open,
		   CASE WHEN n <= (6 + u % 20) * 0.7 THEN 'train' WHEN u % 2 = 0 THEN 'validation' ELSE 'test' END AS part
	FROM generate_series(1, 60) u, generate_series(1, 6 + u % 20) n,
		 LATERAL (SELECT ((u * 7 + n * 13) % 17)::float8 AS a,
						 CASE WHEN (u + n) % 9 > 0 THEN exp((u * n) % 8)::float8 END AS b) i,
		 LATERAL (SELECT 'land ' || u % 4 AS country, CASE WHEN (u * n) % 11 > 0 THEN 'artist ' || (u * n) % 12 END AS artist) j,
		 LATERAL (SELECT 100 + 20.0::float8 * (u % 5) + 10 * a + 15 * ((u * 7 + n * 13 - 13) % 3) AS y) k;

-- Trains tr_<name> quietly with few epochs; all but the options is the same every time.
CREATE FUNCTION tr_train(name text, options jsonb DEFAULT '{}', source text DEFAULT 'tr_plays', censored text DEFAULT NULL)
RETURNS int LANGUAGE sql AS $$
	SELECT version FROM sessionlen.train('tr_' || name, source, 'y', 'u', 't', known => '{a,b}', static => '{country}',
		observed => '{artist,y}', censored => censored,
		options => '{"epochs": 3, "hidden_dim": 6, "batch_size": 16, "sequence_length": 8, "schedule": "constant", "verbose": false}' || options)
$$;
CREATE FUNCTION tr_weights(name text, number int DEFAULT NULL) RETURNS text LANGUAGE sql AS $$
	SELECT md5(string_agg(w.name || w.chunk || array_send(w.data)::text, ',' ORDER BY w.name, w.chunk))
	FROM sessionlen.weights w JOIN sessionlen.models m USING (model)
	WHERE model = 'tr_' || $1 AND w.version = coalesce(number, m.deployed)
$$;
CREATE FUNCTION tr_near(a float8, b float8, tolerance float8 DEFAULT 1e-5) RETURNS boolean LANGUAGE sql AS
	$$ SELECT abs(a - b) <= tolerance * greatest(abs(a), abs(b)) $$;

--
-- Losses: learning lowers each, and each is what it says, computed anew from predictions.
--
SELECT tr_train('loss_' || l, jsonb_build_object('loss', l, 'epochs', 12, 'learning_rate', 0.01),
	censored => CASE l WHEN 'weibull' THEN 'open' END)
FROM unnest('{mae,mse,huber,log_cosh,mape,weibull,quantile}'::text[]) l;
SELECT l AS loss, last.training_loss < first.training_loss AS learns, last.validation_loss < first.validation_loss AS generalises
FROM unnest('{mae,mse,huber,log_cosh,mape,weibull,quantile}'::text[]) l
JOIN sessionlen.training_log first ON first.model = 'tr_loss_' || l AND first.epoch = 1
JOIN sessionlen.training_log last ON last.model = 'tr_loss_' || l AND last.epoch = 12
ORDER BY l COLLATE "C";
CREATE VIEW tr_validation AS
	SELECT replace(model, 'tr_loss_', '') AS loss, v.validation_loss, v.validation_mae, p.quantiles, open,
		   p.actual, p.prediction, (p.actual - m) / s AS y, (p.prediction - m) / s AS o, m, s
	FROM sessionlen.model_versions v, sessionlen.predictions(model, 'tr_plays', 'validation') p,
		 LATERAL (SELECT (target_scale ->> 'mean')::float8 AS m, (target_scale ->> 'scale')::float8 AS s) t,
		 LATERAL (SELECT open FROM tr_plays r WHERE r.u::text = p.partition_key AND r.t::text = p.order_key) r
	WHERE model LIKE 'tr\_loss\_%';
SELECT loss, count(*) > 20 AS rows, tr_near(avg(abs(actual - prediction)), min(validation_mae)) AS mae,
	   tr_near(avg(CASE loss WHEN 'mae' THEN abs(o - y)
					 WHEN 'mse' THEN (o - y) ^ 2
					 WHEN 'huber' THEN CASE WHEN abs(o - y) < 1 THEN (o - y) ^ 2 / 2 ELSE abs(o - y) - 0.5 END
					 WHEN 'log_cosh' THEN ln(cosh(o - y))
					 WHEN 'mape' THEN abs(prediction - actual) / actual
					 WHEN 'quantile' THEN (SELECT avg(greatest(l * (y - q), (l - 1) * (y - q)))
										   FROM unnest(quantiles, '{0.1,0.5,0.9}'::float8[]) x(value, l),
												LATERAL (SELECT (value - m) / s AS q) z) END),
			   min(validation_loss)) AS loss
FROM tr_validation WHERE loss <> 'weibull' GROUP BY 1 ORDER BY 1;
-- Weibull: its parameters follow from two quantiles; open sessions count as "at least".
SELECT tr_near(avg(hazard + CASE WHEN open THEN 0 ELSE ln(y) - shape * ln(y / scale) - ln(shape) END), min(validation_loss), 1e-4) AS loss,
	   count(*) FILTER (WHERE open) > 0 AS some_open
FROM (SELECT *, (quantiles[2] / s) / (ln(2) ^ (1 / shape)) AS scale
	  FROM (SELECT *, ln(ln(10) / -ln(0.9)) / ln(quantiles[3] / quantiles[1]) AS shape
			FROM sessionlen.model_versions v, sessionlen.predictions(model, 'SELECT u, t, a, b, country, artist, y, false AS open FROM tr_plays', 'validation') p,
				 LATERAL (SELECT (target_scale ->> 'scale')::float8 AS s) t,
				 LATERAL (SELECT p.actual / s AS y) y,
				 LATERAL (SELECT open FROM tr_plays r WHERE r.u::text = p.partition_key AND r.t::text = p.order_key) r
			WHERE model = 'tr_loss_weibull') w) w,
	 LATERAL (SELECT (y / scale) ^ shape AS hazard) h;
-- Censoring matters: lengths known to be longer pull predictions up.
SELECT tr_train(name, '{"loss": "weibull", "epochs": 40, "learning_rate": 0.02}',
				'SELECT u, t, a, b, country, artist, y, n % 2 = 0 AS open FROM tr_plays', censored)
FROM (VALUES ('open', 'open'), ('closed', NULL)) v(name, censored);
SELECT avg(c.prediction) > 1.1 * avg(p.prediction) AS longer
FROM sessionlen.predict_table('tr_open', 'tr_plays') c JOIN sessionlen.predict_table('tr_closed', 'tr_plays') p USING (partition_key, order_key);
-- Quantiles rise, the prediction is the median, and 80 % of training rows lie between.
SELECT tr_train('levels', '{"quantiles": [0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 0.98], "target_transform": "log1p", "epochs": 60, "learning_rate": 0.02, "hidden_dim": 16}');
SELECT bool_and((SELECT bool_and(q > coalesce(before, q - 1)) FROM (SELECT q, lag(q) OVER () AS before FROM unnest(quantiles) q) o)) AS rise,
	   bool_and(prediction = quantiles[4]) AS median, abs(avg((actual BETWEEN quantiles[2] AND quantiles[6])::int) - 0.8) < 0.1 AS covered
FROM sessionlen.predictions('tr_levels', part => 'train');

--
-- Optimisers and schedules.
--
SELECT tr_train('optim_' || o, jsonb_build_object('optimizer', o, 'epochs', 8))
FROM unnest('{adam,adamw,nadam,rmsprop,adagrad,sgd}'::text[]) o;
SELECT v.options ->> 'optimizer' AS optimizer, (v.options ->> 'learning_rate')::real AS default_rate,
	   last.training_loss < first.training_loss AS learns, (SELECT count(DISTINCT moment) FROM sessionlen.checkpoints c WHERE c.model = v.model) AS moments
FROM sessionlen.model_versions v
JOIN sessionlen.training_log first ON first.model = v.model AND first.epoch = 1
JOIN sessionlen.training_log last ON last.model = v.model AND last.epoch = 8
WHERE v.model LIKE 'tr\_optim%' ORDER BY 1;
SELECT count(DISTINCT tr_weights('optim_' || o)) FROM unnest('{adam,adamw,nadam,rmsprop,adagrad,sgd}'::text[]) o;
SELECT tr_train('rate_' || s, jsonb_build_object('schedule', s, 'epochs', 8, 'learning_rate', 0.01))
FROM unnest('{constant,linear,cosine,exponential,step}'::text[]) s;
-- The rate at the end of each epoch, as a share of the full one.
SELECT replace(model, 'tr_rate_', '') AS schedule, array_agg(round((learning_rate / 0.01)::numeric, 1) ORDER BY epoch) AS rates,
	   min(learning_rate) > 0 AS positive
FROM sessionlen.training_log WHERE model LIKE 'tr\_rate%' GROUP BY model ORDER BY 1;
SELECT tr_train('warmup', '{"warmup": 12, "epochs": 6}');
SELECT bool_and(learning_rate < 0.00099) FILTER (WHERE epoch = 1) AS rising, bool_and(tr_near(learning_rate, 0.001)) FILTER (WHERE epoch = 6) AS full
FROM sessionlen.training_log WHERE model = 'tr_warmup';
-- A decoupled decay shrinks the weights; clipping bounds the step, not the norm in the log.
SELECT tr_train('decay', '{"optimizer": "adamw", "weight_decay": 20}');
SELECT tr_train('no_decay', '{"optimizer": "adamw", "weight_decay": 0}');
SELECT tr_train('clip', '{"optimizer": "sgd", "clip_norm": 1e-6}');
SELECT (SELECT sum(w * w) FROM sessionlen.weights, unnest(data) w WHERE model = 'tr_decay' AND name LIKE 'rnn.weight%')
	 < (SELECT sum(w * w) FROM sessionlen.weights, unnest(data) w WHERE model = 'tr_no_decay' AND name LIKE 'rnn.weight%') / 2 AS shrunk,
	   (SELECT min(gradient_norm) FROM sessionlen.training_log WHERE model = 'tr_clip') > 0.01 AS norm_before_clipping,
	   (SELECT max(training_loss) - min(training_loss) FROM sessionlen.training_log WHERE model = 'tr_clip') < 1e-3 AS hardly_moved;

--
-- Seeds and what else decides the bits.
--
SELECT tr_train(n, o) FROM (VALUES ('s1', '{}'::jsonb), ('s2', '{}'), ('s3', '{"seed": 5}'), ('s4', '{"init": "torch"}'), ('s5', '{"shuffle": false}'),
	('s6', '{"dropout": 0.3}'), ('s7', '{"dropout": 0.3}'), ('s8', '{"recurrent_dropout": 0.3}'), ('s9', '{"architecture": "lstm"}'),
	('s10', '{"hidden_dim": [6, 5]}'), ('s11', '{"batch_size": 7}'), ('s12', '{"sequence_length": 5}'), ('s13', '{"verbose": false, "patience": 100}')) v(n, o);
SELECT tr_weights('s1') = tr_weights('s2') AS same_seed, tr_weights('s6') = tr_weights('s7') AS same_dropout, tr_weights('s1') = tr_weights('s3') AS other_seed,
	   count(DISTINCT tr_weights('s' || i)) AS different FROM generate_series(1, 12) i;
-- The rows' place in the table decides nothing, even where users share a time.
CREATE TABLE tr_shuffled AS SELECT * FROM tr_plays ORDER BY md5(u::text || n);
SELECT tr_train('day', '{}', 'SELECT u, t::date AS t, a, b, country, artist, y FROM tr_plays'), tr_train('shuffled', '{}', 'SELECT u, t::date AS t, a, b, country, artist, y FROM tr_shuffled'),
	   tr_train('day_rows', '{"sequence_length": 1}', 'SELECT u, t::date AS t, a, b, country, artist, y FROM tr_plays'), tr_train('shuffled_rows', '{"sequence_length": 1}', 'SELECT u, t::date AS t, a, b, country, artist, y FROM tr_shuffled');
SELECT tr_weights('day') = tr_weights('shuffled') AS sequences, tr_weights('day_rows') = tr_weights('shuffled_rows') AS rows;
-- Steps: batch_size rows of sequence_length 1, or batch_size sequences.
SELECT tr_train('rows', '{"sequence_length": 1, "batch_size": 100, "split": {"test": 0, "validation": 0}}');
SELECT tr_train('sequences', '{"sequence_length": 25, "batch_size": 60, "split": {"test": 0, "validation": 0}}');
SELECT DISTINCT model, step, row_count FROM sessionlen.checkpoints JOIN sessionlen.training_log USING (model, version)
WHERE model IN ('tr_rows', 'tr_sequences') ORDER BY model;
SELECT count(*) FROM tr_plays;

--
-- When training ends.
--
SELECT tr_train('patient', '{"epochs": 60, "patience": 4, "learning_rate": 0.2, "clip_norm": 0, "seed": 3}');
SELECT v.epochs < 60 AS early, v.epochs - v.best_epoch AS epochs_since, NOT v.stopped_early AS not_by_time,
	   v.best_epoch = (SELECT epoch FROM sessionlen.training_log l WHERE l.model = v.model ORDER BY validation_loss, epoch LIMIT 1) AS best,
	   tr_near(v.validation_mae, (SELECT mae FROM sessionlen.evaluate(v.model, part => 'validation') WHERE predictor = 'model')) AS kept
FROM sessionlen.model_versions v WHERE model = 'tr_patient';
SELECT epochs < 1000000 AS ended, stopped_early, deployed FROM sessionlen.train('tr_hasty', 'tr_plays', 'y', 'u', 't', known => '{a}',
	options => '{"epochs": 1000000, "time_limit": 0.05, "verbose": false}');
SELECT count(prediction) FROM sessionlen.predict_table('tr_hasty', 'tr_plays');

--
-- Preprocessing is fitted on training rows, as plain SQL would.
--
SELECT tr_train('columns', '{"upper_percentile": 90, "columns": {"a": "min_max", "b": "log1p", "country": "one_hot", "artist": {"embedding": 3}}}');
SELECT tr_train('columns2', '{"min_count": 15, "columns": {"a": "none", "country": "code", "artist": {"as": "embedding", "fold": true}}}');
SELECT tr_train('columns3', '{"standardize": false}');
CREATE VIEW tr_training AS
	SELECT r.* FROM sessionlen.predictions('tr_columns', part => 'train') p JOIN tr_plays r ON r.u::text = p.partition_key AND r.t::text = p.order_key;
SELECT i ->> 'column' AS input, i ->> 'role' AS role, i ->> 'as' AS "as", i ->> 'indicator' AS indicator, i ->> 'dim' AS dim, tr_near((i ->> 'mean')::float8, mean) AS mean, tr_near((i ->> 'scale')::float8, scale) AS scale
FROM sessionlen.model_versions, jsonb_array_elements(inputs) WITH ORDINALITY e(i, place),
	 (SELECT min(a) AS amin, max(a) - min(a) AS arange, avg(ln(1 + b)) AS bmean, stddev_pop(ln(1 + b)) AS bdev FROM tr_training) s,
	 LATERAL (SELECT CASE i ->> 'column' WHEN 'a' THEN amin WHEN 'b' THEN bmean WHEN 'y' THEN (i ->> 'mean')::float8 ELSE 0 END AS mean,
					 CASE i ->> 'column' WHEN 'a' THEN arange WHEN 'b' THEN bdev WHEN 'y' THEN (i ->> 'scale')::float8 ELSE 1 END AS scale) x
WHERE model = 'tr_columns' ORDER BY place;
-- Observed columns are fitted where they enter, one row later.
SELECT tr_near((i ->> 'mean')::float8, avg(before)) AS mean, tr_near((i ->> 'scale')::float8, stddev_pop(before)) AS scale, count(*) FILTER (WHERE before IS NULL) = 60 AS first_rows
FROM sessionlen.model_versions, jsonb_array_elements(inputs) i,
	 (SELECT u, t, lag(y) OVER (PARTITION BY u ORDER BY t) AS before FROM tr_plays) r
WHERE model = 'tr_columns' AND i ->> 'column' = 'y' AND (u, t) IN (SELECT u, t FROM tr_training) GROUP BY i;
SELECT i ->> 'column' AS input, i ->> 'as' AS "as", i ->> 'indicator' AS indicator, i ->> 'dim' AS dim, i ->> 'fold' AS fold
FROM sessionlen.model_versions, jsonb_array_elements(inputs) WITH ORDINALITY e(i, place) WHERE model = 'tr_columns2' ORDER BY place;
SELECT i ->> 'column' AS input, i ->> 'as' AS "as", i ->> 'mean' AS mean, i ->> 'scale' AS scale, target_scale
FROM sessionlen.model_versions, jsonb_array_elements(inputs) WITH ORDINALITY e(i, place) WHERE model = 'tr_columns3' ORDER BY place;
-- Every feature has its column of weights: numbers with their indicators, one-hot values, embeddings.
SELECT model, name, shape FROM sessionlen.weights WHERE model IN ('tr_columns', 'tr_columns2') AND name ~ 'embedding|weight_ih' ORDER BY 1, 2;
SELECT model, column_name, cardinality(entries) AS entries FROM sessionlen.vocabularies WHERE model IN ('tr_columns', 'tr_columns2') ORDER BY 1, 2;
-- min_count: exactly the values frequent enough among training rows, most frequent first.
SELECT (SELECT entries FROM sessionlen.vocabularies WHERE model = 'tr_columns2' AND column_name = 'artist')
	 = (SELECT array_agg(before ORDER BY n DESC, before COLLATE "C") FROM (
		SELECT before, count(*) AS n FROM (SELECT u, t, lag(artist) OVER (PARTITION BY u ORDER BY t) AS before FROM tr_plays) r
		WHERE (u, t) IN (SELECT u, t FROM tr_training) AND before IS NOT NULL GROUP BY before HAVING count(*) >= 15) c) AS kept;
-- upper_percentile leaves rows out of training, not out of validation or statistics.
SELECT abs(l.row_count - 0.9 * v.training_rows) <= 0.02 * v.training_rows AS trimmed, v.training_rows = w.training_rows AS counted, v.validation_rows = w.validation_rows AS validated,
	   l.row_count = (SELECT count(*) FROM tr_training WHERE y <= (SELECT percentile_cont(0.9) WITHIN GROUP (ORDER BY y) FROM tr_training)) AS exactly
FROM sessionlen.training_log l JOIN sessionlen.model_versions v USING (model, version), sessionlen.model_versions w
WHERE l.model = 'tr_columns' AND l.epoch = 1 AND w.model = 'tr_columns2';

--
-- The target's transform.
--
SELECT tr_train('t_none', '{"target_transform": "none"}');
SELECT tr_train('t_log', '{"target_transform": "log1p"}');
SELECT tr_train('t_z', '{"target_transform": "standardize"}');
SELECT model, target_scale ->> 'log1p' AS log1p, tr_near((target_scale ->> 'mean')::float8, mean) AS mean, tr_near((target_scale ->> 'scale')::float8, scale) AS scale
FROM sessionlen.model_versions, (SELECT avg(y), stddev_pop(y), avg(ln(1 + y)), stddev_pop(ln(1 + y)) FROM tr_training) s(m, d, lm, ld),
	 LATERAL (SELECT CASE model WHEN 'tr_t_none' THEN 0 WHEN 'tr_t_log' THEN lm ELSE m END AS mean,
					 CASE model WHEN 'tr_t_none' THEN 1 WHEN 'tr_t_log' THEN ld ELSE d END AS scale) x
WHERE model LIKE 'tr\_t\_%' ORDER BY model;
-- Twice the target: the same network to the bit, and twice the prediction.
SELECT tr_train('double', '{}', 'SELECT u, t, a, b, country, artist, 2 * y AS y FROM tr_plays');
SELECT tr_weights('double') = tr_weights('s1') AS same_weights,
	   (SELECT bool_and(tr_near(d.prediction, 2 * s.prediction, 1e-9)) FROM sessionlen.predict_table('tr_double', 'SELECT u, t, a, b, country, artist, 2 * y AS y FROM tr_plays') d
		JOIN sessionlen.predict_table('tr_s1', 'tr_plays') s USING (partition_key, order_key)) AS twice;

--
-- Splits: the rows they hold out, and nothing of those rows in the model.
--
CREATE TABLE tr_split (name text, split jsonb);
INSERT INTO tr_split VALUES
	('user', '{"by": "user", "validation": 0.2, "test": 0.3, "seed": 4}'),
	('user_tail', '{"by": "user_tail", "validation": 0.3, "test": 0.4, "tail": 0.4, "seed": 9}'),
	('time', '{"by": "time", "validation": 0.2, "test": 0.3}'),
	('time_given', '{"by": "time", "validation_from": "2024-02-01", "test_from": "2024-02-10 12:00"}'),
	('column', '{"by": "column", "column": "part"}');
SELECT tr_train('split_' || name, jsonb_build_object('split', split)) FROM tr_split;
CREATE FUNCTION tr_expected(name text) RETURNS TABLE (u int, t timestamp, expected text) LANGUAGE sql AS $$
	SELECT u, t, CASE name
		WHEN 'user' THEN sessionlen.split_part(u::text, 0.2, 0.3, 4)
		WHEN 'user_tail' THEN CASE WHEN row_number() OVER (PARTITION BY u ORDER BY t) - 1 < count(*) OVER (PARTITION BY u) * 0.6 THEN 'train'
							  ELSE sessionlen.split_part(u::text, 0.3, 0.4, 9) END
		WHEN 'time' THEN CASE WHEN t >= test THEN 'test' WHEN t >= validation THEN 'validation' ELSE 'train' END
		WHEN 'time_given' THEN CASE WHEN t >= '2024-02-10 12:00' THEN 'test' WHEN t >= '2024-02-01' THEN 'validation' ELSE 'train' END
		ELSE part END
	FROM tr_plays, (SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY t), percentile_disc(0.7) WITHIN GROUP (ORDER BY t) FROM tr_plays) c(validation, test)
$$;
SELECT s.name, count(*) FILTER (WHERE p.part = 'train') > 300 AS train, count(*) FILTER (WHERE p.part = 'validation') > 50 AS validation, count(*) FILTER (WHERE p.part = 'test') > 50 AS test,
	   bool_and(p.part = e.expected) AS "as expected",
	   bool_and(v.training_rows + v.validation_rows + v.test_rows = 930) AS counted, count(*) FILTER (WHERE p.part = 'train') = min(v.training_rows) AS agree
FROM tr_split s JOIN sessionlen.model_versions v ON v.model = 'tr_split_' || name,
	 sessionlen.predictions('tr_split_' || name, part => 'all') p, tr_expected(s.name) e
WHERE e.u::text = p.partition_key AND e.t::text = p.order_key GROUP BY s.name ORDER BY s.name;
-- Whatever the test rows hold, the model is the same to the bit: weights, preprocessing, vocabularies, baselines, log.
CREATE FUNCTION tr_changed(name text, parts text) RETURNS text LANGUAGE sql AS $$
	SELECT format($f$SELECT r.u, r.t, part, CASE WHEN x THEN 1e6 * a + 5 ELSE a END AS a, CASE WHEN x THEN NULL ELSE b END AS b,
		CASE WHEN x THEN 'test land' ELSE country END AS country, CASE WHEN x THEN 'test artist' ELSE artist END AS artist,
		CASE WHEN x THEN 1e5 - y ELSE y END AS y FROM tr_plays r JOIN tr_expected(%L) e USING (u, t), LATERAL (SELECT expected = ANY (%L)) l(x)$f$, name, parts)
$$;
SELECT tr_train('changed_' || name, jsonb_build_object('split', split), tr_changed(name, '{test}')) FROM tr_split;
SELECT name, tr_weights('split_' || name) = tr_weights('changed_' || name) AS weights,
	   a.inputs = b.inputs AND a.target_scale = b.target_scale AND a.validation_loss = b.validation_loss AS version,
	   NOT EXISTS (SELECT column_name, entries FROM sessionlen.vocabularies WHERE model = a.model EXCEPT SELECT column_name, entries FROM sessionlen.vocabularies WHERE model = b.model) AS vocabularies,
	   NOT EXISTS (SELECT key, mean, median FROM sessionlen.baselines WHERE model = a.model EXCEPT SELECT key, mean, median FROM sessionlen.baselines WHERE model = b.model) AS baselines
FROM tr_split JOIN sessionlen.model_versions a ON a.model = 'tr_split_' || name JOIN sessionlen.model_versions b ON b.model = 'tr_changed_' || name ORDER BY name;
-- Validation rows only decide which epoch is kept.
SELECT tr_train('other_' || name, jsonb_build_object('split', split), tr_changed(name, '{test,validation}')) FROM tr_split;
SELECT name, tr_weights('split_' || name) = tr_weights('other_' || name) AS weights, a.validation_loss = b.validation_loss AS loss
FROM tr_split JOIN sessionlen.model_versions a ON a.model = 'tr_split_' || name JOIN sessionlen.model_versions b ON b.model = 'tr_other_' || name ORDER BY name;
-- Parts of size 0 are empty; split_part() splits any key in the shares asked for, the same everywhere.
SELECT tr_train('all_' || b, jsonb_build_object('split', jsonb_build_object('by', b, 'validation', 0, 'test', 0))) FROM unnest('{user,user_tail,time}'::text[]) b;
SELECT model, training_rows, validation_rows, test_rows, validation_loss FROM sessionlen.model_versions WHERE model LIKE 'tr\_all%' ORDER BY model;
SELECT sessionlen.split_part(k::text, 0.25, 0.25, 1) AS part, abs(count(*) - CASE sessionlen.split_part(k::text, 0.25, 0.25, 1) WHEN 'train' THEN 5000 ELSE 2500 END) < 150 AS share
FROM generate_series(1, 10000) k GROUP BY 1 ORDER BY 1;
SELECT sessionlen.split_part(k, 0.3, 0.3), sessionlen.split_part(k, 0.3, 0.3, 7), sessionlen.split_part(k, 0, 0), sessionlen.split_part(k, 0, 1) FROM unnest('{anna,bert,carl,"",ü}'::text[]) k;

--
-- Warm start: two epochs and two more are four in one go, to the bit.
--
SELECT o, tr_train('four_' || o, jsonb_build_object('optimizer', o, 'epochs', 4, 'shuffle', false)),
	   tr_train('warm_' || o, jsonb_build_object('optimizer', o, 'epochs', 2, 'shuffle', false)),
	   tr_train('warm_' || o, jsonb_build_object('optimizer', o, 'epochs', 2, 'shuffle', false, 'warm_start', true))
FROM unnest('{adam,nadam,rmsprop,sgd}'::text[]) o;
SELECT o, tr_weights('four_' || o) = tr_weights('warm_' || o) AS same, tr_weights('warm_' || o, 1) = tr_weights('warm_' || o) AS unchanged
FROM unnest('{adam,nadam,rmsprop,sgd}'::text[]) o;
SELECT a.inputs = b.inputs AS inputs, a.target_scale = b.target_scale AS target_scale,
	   (SELECT array_agg(DISTINCT version) FROM sessionlen.checkpoints c WHERE c.model = a.model) AS checkpoints_of,
	   (SELECT training_loss FROM sessionlen.training_log l WHERE l.model = a.model AND l.version = 2 AND epoch = 1)
	 < (SELECT training_loss FROM sessionlen.training_log l WHERE l.model = a.model AND l.version = 1 AND epoch = 2) AS goes_on
FROM sessionlen.model_versions a JOIN sessionlen.model_versions b USING (model) WHERE model = 'tr_warm_adam' AND a.version = 1 AND b.version = 2;
-- It starts from the version that serves, and sees new rows with the codes it knows.
SELECT sessionlen.deploy('tr_warm_adam');
SELECT tr_train('warm_adam', '{"epochs": 1, "learning_rate": 1e-12, "warm_start": true}', 'SELECT u, t, a, b, country || ''!'' AS country, artist, y FROM tr_plays');
SELECT max(abs(x - y)) < 1e-6 AS hardly_moved FROM sessionlen.weights a JOIN sessionlen.weights b USING (model, name, chunk), unnest(a.data, b.data) d(x, y)
WHERE model = 'tr_warm_adam' AND a.version = 1 AND b.version = 3;
SELECT count(DISTINCT entries) FROM sessionlen.vocabularies WHERE model = 'tr_warm_adam' AND column_name = 'country';

--
-- Search: a version for each combination, the best serves.
--
SELECT version = (SELECT v.version FROM sessionlen.model_versions v WHERE v.model = 'tr_search' ORDER BY validation_loss LIMIT 1) AS returned, deployed
FROM sessionlen.train('tr_search', 'tr_plays', 'y', 'u', 't', known => '{a}',
	options => '{"epochs": 3, "verbose": false, "search": {"hidden_dim": [4, [5, 3], 8], "learning_rate": [0.001, 0.01]}}');
SELECT version, options ->> 'hidden_dim' AS hidden_dim, options ->> 'learning_rate' AS learning_rate, epochs FROM sessionlen.model_versions WHERE model = 'tr_search' ORDER BY version;
SELECT deployed = (SELECT v.version FROM sessionlen.model_versions v WHERE v.model = 'tr_search' ORDER BY validation_loss LIMIT 1) AS best, last_version FROM sessionlen.models WHERE model = 'tr_search';
SELECT count(*) FROM sessionlen.training_log WHERE model = 'tr_search';
-- A combination that diverges is told of and not kept; the others go on.
SELECT version, deployed FROM sessionlen.train('tr_search_wild', 'tr_plays', 'y', 'u', 't', known => '{a}',
	options => '{"epochs": 4, "verbose": false, "optimizer": "sgd", "loss": "mse", "clip_norm": 0, "search": {"learning_rate": [1000, 0.001, 999]}}');
SELECT v.version, v.options ->> 'learning_rate' AS learning_rate, last_version, deployed, (SELECT count(*) FROM sessionlen.training_log l WHERE l.model = v.model) AS logged,
	(SELECT count(DISTINCT w.version) FROM sessionlen.weights w WHERE w.model = v.model) AS weights
FROM sessionlen.model_versions v JOIN sessionlen.models USING (model) WHERE model = 'tr_search_wild';
SELECT sessionlen.train('tr_search_none', 'tr_plays', 'y', 'u', 't', known => '{a}',
	options => '{"epochs": 4, "verbose": false, "optimizer": "sgd", "loss": "mse", "clip_norm": 0, "search": {"learning_rate": [1000, 999]}}');
SELECT count(*) FROM sessionlen.models WHERE model = 'tr_search_none';
-- Losses can't be compared with each other; their MAE can.
SELECT version = (SELECT v.version FROM sessionlen.model_versions v WHERE v.model = 'tr_search_loss' ORDER BY validation_mae LIMIT 1) AS by_mae
FROM sessionlen.train('tr_search_loss', 'tr_plays', 'y', 'u', 't', known => '{a}',
	options => '{"epochs": 3, "verbose": false, "search": {"loss": ["mae", "mse", "quantile"]}}');

--
-- Quiet when asked; sources of every kind; one row says what came of it.
--
SET client_min_messages = notice;
SELECT model, version, epochs, training_loss > 0 AS loss, rows_per_second > 0 AS speed, deployed, stopped_early
FROM sessionlen.train(model => 'tr_s1', source => E' \n(TABLE tr_plays) -- all of it', target => 'y', partition_by => 'u', order_by => 't', known => '{a}',
	options => '{"verbose": false, "epochs": 2, "split": null}');
SET client_min_messages = warning;
SELECT version FROM sessionlen.train('tr_s1', 'public.tr_plays', 'y', 'u', 't', known => '{a}', options => '{"verbose": false, "epochs": 1}');
SELECT version FROM sessionlen.train('tr_s1', 'WITH x AS (SELECT * FROM tr_plays) SELECT * FROM x; ', 'y', 'u', 't', known => '{a}', options => '{"verbose": false, "epochs": 1}');
SELECT version FROM sessionlen.train('tr_s1', 'VALUES (1, 1, 2, 3), (1, 2, 3, 4)', 'column4', 'column1', 'column2', known => '{column3}', options => '{"verbose": false, "epochs": 1}');
-- Every option is listed, valid and stored.
SELECT count(*) FILTER (WHERE meaning = '' OR type = '') AS undescribed,
	   array_agg(option ORDER BY option) = (SELECT array_agg(k ORDER BY k) FROM sessionlen.model_versions v, jsonb_object_keys(options || '{"search": 1, "quantiles": 1}') k WHERE model = 'tr_s2') AS stored
FROM sessionlen.options();
SELECT version FROM sessionlen.train('tr_defaults', 'tr_plays', 'y', 'u', 't', known => '{a}', options => (SELECT jsonb_object_agg(option, "default"::jsonb) FROM sessionlen.options() WHERE option NOT IN ('quantiles', 'verbose')) || '{"verbose": false}');

SELECT count(sessionlen.drop_model(model)) > 50 AS dropped FROM sessionlen.models WHERE model LIKE 'tr\_%';
DROP VIEW tr_validation, tr_training;
DROP FUNCTION tr_train, tr_weights, tr_near, tr_expected, tr_changed;
DROP TABLE tr_plays, tr_shuffled, tr_split;
