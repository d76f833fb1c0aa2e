-- Tasks binary and skip, item columns, past and future rows: what train() makes of the
-- data, seen from what it stores.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS sessionlen;

-- 90 sessions with 1 to 20 rows over some 40 tracks; skips follow the track and the mood.
CREATE TABLE it_plays AS
	SELECT s, p, 'track ' || track AS track, (track * 37 % 11) / 10.0 AS energy, NULLIF(track * 3 % 7, 0) AS tempo,
		   CASE p % 3 WHEN 0 THEN 'end' WHEN 1 THEN 'fwd' END AS reason, (s * p % 5)::float8 AS seek,
		   CASE WHEN s % 9 <> 0 OR p % 4 <> 0 THEN (track % 3 = 0) <> (s % 4 = 0) END AS skip,
		   sessionlen.split_part(s::text, 0.2, 0.2) AS part
	FROM generate_series(1, 90) s, generate_series(1, 1 + s * 7 % 20) p, LATERAL (SELECT (s * 5 + p * p * 3) % 43 AS track) t;
CREATE FUNCTION it_train(name text, options jsonb DEFAULT '{}', source text DEFAULT 'it_plays', task text DEFAULT 'skip', target text DEFAULT 'skip',
						 item text DEFAULT 'track') RETURNS int LANGUAGE sql AS $$
	SELECT version FROM sessionlen.train('it_' || name, source, target, 's', 'p', known => '{p}', observed => '{reason,seek}', item => item, task => task,
		options => '{"epochs": 3, "hidden_dim": 6, "batch_size": 16, "schedule": "constant", "verbose": false}' ||
			CASE task WHEN 'skip' THEN '{"split": {"by": "user", "validation": 0.2, "test": 0.2}}' ELSE '{}' END::jsonb || options)
$$;
CREATE FUNCTION it_next(name text, options jsonb DEFAULT '{}', source text DEFAULT 'it_plays') RETURNS int LANGUAGE sql AS $$
	SELECT version FROM sessionlen.train('it_next_' || name, source, partition_by => 's', order_by => 'p', known => '{p}', observed => '{reason,seek}', item => 'track', task => 'next_items',
		options => '{"epochs": 15, "hidden_dim": 8, "batch_size": 16, "learning_rate": 0.02, "schedule": "constant", "verbose": false, "split": {"by": "user", "validation": 0.2, "test": 0.2}}' || options)
$$;
CREATE FUNCTION it_weights(name text) RETURNS text LANGUAGE sql AS $$
	SELECT md5(string_agg(w.name || w.chunk || array_send(w.data)::text, ',' ORDER BY w.name, w.chunk))
	FROM sessionlen.weights w JOIN sessionlen.models m USING (model) WHERE model = 'it_' || $1 AND w.version = m.deployed
$$;

--
-- Task binary: probabilities from any table's 0/1 column, from the first step near the rate.
--
SELECT it_train('binary', '{"epochs": 1, "learning_rate": 1e-12}', task => 'binary');
SELECT it_train('number', '{"epochs": 1, "learning_rate": 1e-12}', 'SELECT s, p, track, reason, seek, skip::int::numeric AS skip FROM it_plays', 'binary');
SELECT it_weights('binary') = it_weights('number') AS same, task, target_scale, options ->> 'loss' AS loss, options ->> 'horizon' AS horizon
FROM sessionlen.model_versions WHERE model = 'it_binary';
SELECT abs(data[1] - ln(mean / (1 - mean))) < 1e-5 AS bias FROM sessionlen.weights w JOIN sessionlen.baselines b USING (model, version) WHERE model = 'it_binary' AND name = 'head.bias' AND key IS NULL;
SELECT it_train('learnt', '{"epochs": 60, "learning_rate": 0.02}', task => 'binary');
SELECT bool_and(prediction > 0 AND prediction < 1) AS probabilities, sessionlen.auc(actual, prediction) > 0.9 AS learnt FROM sessionlen.predictions('it_learnt', part => 'train');
SELECT predictor, mae < 0.35 AS right FROM sessionlen.evaluate('it_learnt', part => 'train') WHERE predictor = 'model';
-- All alike is no reason to fail.
SELECT it_train('alike', '{}', 'SELECT s, p, track, reason, seek, true AS skip FROM it_plays', 'binary');
SELECT min(prediction) > 0.9 AS sure FROM sessionlen.predict_table('it_alike', 'it_plays');
-- Without items too, whatever the past: an observed target enters a row later.
SELECT version FROM sessionlen.train('it_plain', 'it_plays', 'skip', 's', 'p', observed => '{skip}', task => 'binary', options => '{"epochs": 1, "verbose": false}');

--
-- Task skip: the future is the second half of a session's last rows, held out whole.
--
SELECT it_train('skip', '{"item_features": ["energy", "tempo"], "min_count": 12, "sequence_length": 8}');
SELECT i ->> 'column' AS input, i ->> 'role' AS role, i ->> 'as' AS "as", i ->> 'indicator' AS indicator, i ->> 'dim' AS dim
FROM sessionlen.model_versions, jsonb_array_elements(inputs) WITH ORDINALITY e(i, place) WHERE model = 'it_skip' ORDER BY place;
SELECT name, shape FROM sessionlen.weights WHERE model = 'it_skip' AND name !~ 'hh|bias' ORDER BY 1;
-- Rows used, past and future, in plain SQL.
CREATE VIEW it_rows AS
	SELECT *, CASE WHEN back > 8 THEN 'unused' WHEN n - back < least(n / 2, unknown - 1) THEN 'past' ELSE 'future' END AS use
	FROM (SELECT *, least(total, 8) AS n, coalesce(min(total - back + 1) FILTER (WHERE skip IS NULL AND back <= 8) OVER (PARTITION BY s) - greatest(total - 8, 0), 9) AS unknown
		  FROM (SELECT *, count(*) OVER (PARTITION BY s) AS total, row_number() OVER (PARTITION BY s ORDER BY p DESC) AS back FROM it_plays) b) n;
SELECT training_rows = count(*) FILTER (WHERE part = 'train') AS train, validation_rows = count(*) FILTER (WHERE part = 'validation') AS validation,
	   test_rows = count(*) FILTER (WHERE part = 'test') AS test, count(*) > 250 AS enough
FROM sessionlen.model_versions, it_rows WHERE model = 'it_skip' AND use = 'future' AND skip IS NOT NULL GROUP BY training_rows, validation_rows, test_rows;
-- One baseline: the rate over the rows that are predicted.
SELECT key, row_count = n AS rows, abs(mean - rate) < 1e-9 AS mean FROM sessionlen.baselines, (SELECT count(*) AS n, avg(skip::int) AS rate FROM it_rows WHERE part = 'train' AND use = 'future' AND skip IS NOT NULL) r WHERE model = 'it_skip';
-- Items that come often enough in training rows, most frequent first, with their counts.
SELECT cardinality(entries) AS items, entries = array_agg(track ORDER BY n DESC, track COLLATE "C") AS kept, row_counts = array_agg(n ORDER BY n DESC, track COLLATE "C") AS counted
FROM sessionlen.vocabularies, (SELECT track, count(*) AS n FROM it_rows WHERE part = 'train' AND use <> 'unused' GROUP BY 1 HAVING count(*) >= 12) c
WHERE model = 'it_skip' AND column_name = 'track' GROUP BY entries, row_counts;
SELECT column_name, row_counts FROM sessionlen.vocabularies WHERE model = 'it_skip' AND column_name <> 'track';
-- Their features, standardised over them; tokens and the unknown have none.
SELECT f.place - 4 < 0 AS token, bool_and(abs(f.value - CASE WHEN f.place < 4 THEN 0 ELSE coalesce(e.z, 0) END) < 1e-5) AS features, count(*) > 7 AS enough
FROM (SELECT (i - 1) / 2 AS place, (i - 1) % 2 AS feature, value FROM sessionlen.weights, unnest(data) WITH ORDINALITY d(value, i) WHERE model = 'it_skip' AND name = 'item_features.weight') f
LEFT JOIN (SELECT place + 3 AS place, feature, (value - avg(value) OVER w) / stddev_pop(value) OVER w AS z
	FROM sessionlen.vocabularies, unnest(entries) WITH ORDINALITY v(track, place)
	JOIN (SELECT DISTINCT track, energy::float8, tempo::float8 FROM it_plays) t USING (track), LATERAL (VALUES (0, energy), (1, tempo)) x(feature, value)
	WHERE model = 'it_skip' AND column_name = 'track' WINDOW w AS (PARTITION BY feature)) e USING (place, feature) GROUP BY 1 ORDER BY 1;
-- How past skips enter: what the first layer reads.
SELECT it_train('skips_' || x, jsonb_build_object('past_skips', x)) FROM unnest('{column,token,both,none}'::text[]) x;
SELECT model, shape[2] AS columns FROM sessionlen.weights WHERE model LIKE 'it\_skips\_%' AND name = 'rnn.weight_ih_l0' ORDER BY 1;
SELECT count(DISTINCT it_weights('skips_' || x)) AS different FROM unnest('{column,token,both,none}'::text[]) x;
-- Horizons: as many rows at the end of each session.
SELECT it_train('last_' || h, jsonb_build_object('horizon', h)) FROM unnest('{1,3,31}'::int[]) h;
SELECT model, options ->> 'horizon' AS horizon, training_rows + validation_rows + test_rows = (SELECT count(*) FROM it_rows WHERE skip IS NOT NULL AND (back <= (options ->> 'horizon')::int
		OR total - back >= (SELECT min(total - back) FROM it_rows x WHERE x.s = it_rows.s AND x.skip IS NULL))) AS rows
FROM sessionlen.model_versions WHERE model LIKE 'it\_last\_%' ORDER BY 1;

--
-- No leak.  What future rows observed, and what held-out sessions held, changes no bit; the past does.
--
CREATE TABLE it_change (name text, changed text);
INSERT INTO it_change VALUES
	('observed', $$use = 'future'$$), ('unused', $$use = 'unused'$$), ('test', $$part = 'test'$$), ('past', $$use = 'past' AND part = 'train'$$);
CREATE FUNCTION it_changed(name text, changed text) RETURNS text LANGUAGE sql AS $$
	SELECT format($f$SELECT s, p, CASE WHEN x AND %2$L <> 'observed' THEN 'track 3' ELSE track END AS track, CASE WHEN x AND %2$L <> 'observed' THEN -5 ELSE energy END AS energy, tempo,
		CASE WHEN x THEN 'changed' ELSE reason END AS reason, CASE WHEN x THEN 1e6 ELSE seek END AS seek, CASE WHEN x AND %2$L <> 'observed' THEN NOT skip ELSE skip END AS skip
		FROM (SELECT *, %1$s AS x FROM it_rows) r$f$, changed, name)
$$;
CREATE TABLE it_network (network text, options jsonb);
INSERT INTO it_network VALUES ('gru', '{}'), ('both', '{"past_skips": "both", "item_features": ["energy"]}'), ('decoder', '{"architecture": "encoder_decoder", "bidirectional": true, "dropout": 0.2}'),
	('four', '{"architecture": "multi_input_lstm"}');
SELECT count(it_train(network, options || '{"sequence_length": 8}')), count(it_train(network || '_' || name, options || '{"sequence_length": 8}', it_changed(name, changed))) FROM it_network, it_change;
SELECT network, bool_or(it_weights(network) = it_weights(network || '_' || name)) FILTER (WHERE name = 'observed') AS observed,
	   bool_or(it_weights(network) = it_weights(network || '_' || name)) FILTER (WHERE name = 'unused') AS unused, bool_or(it_weights(network) = it_weights(network || '_' || name)) FILTER (WHERE name = 'test') AS test,
	   bool_or(it_weights(network) = it_weights(network || '_' || name)) FILTER (WHERE name = 'past') AS past
FROM it_network, it_change WHERE network <> 'four' GROUP BY network ORDER BY network;
-- One future row: the last one.
SELECT it_weights('four') = it_weights('four_last') AS last FROM (SELECT it_train('four_last', '{"architecture": "multi_input_lstm", "sequence_length": 8}', it_changed('observed', 'back = 1'))) x;
-- The rows' place in the table decides nothing.
SELECT it_train('turned', '{"sequence_length": 8}', 'SELECT * FROM it_plays ORDER BY md5(s::text || p)');
SELECT it_weights('gru') = it_weights('turned') AS same;
-- A split by column or time takes whole sessions, by their last rows.
SELECT it_train('column', '{"split": {"by": "column", "column": "part"}, "sequence_length": 8}');
SELECT it_train('mixed', '{"split": {"by": "column", "column": "part"}, "sequence_length": 8}', $$SELECT s, p, track, reason, seek, skip, CASE WHEN p > 1 THEN 'train' ELSE part END AS part FROM it_plays$$);
SELECT it_weights('gru') = it_weights('column') AS as_by_user, it_weights('gru') = it_weights('mixed') AS one_row_is_enough;
-- Its default is by user, which means by session.
SELECT version FROM sessionlen.train('it_split', 'it_plays', 'skip', 's', 'p', item => 'track', task => 'skip', options => '{"epochs": 1, "verbose": false}');
SELECT split ->> 'by' AS split FROM sessionlen.model_versions WHERE model = 'it_split';

--
-- Warm start: two epochs and two more are four in one go, to the bit.
--
SELECT it_train('four_epochs', '{"epochs": 4, "shuffle": false, "past_skips": "both", "item_features": ["energy"]}'), it_train('two_epochs', '{"epochs": 2, "shuffle": false, "past_skips": "both", "item_features": ["energy"]}'),
	   it_train('two_epochs', '{"epochs": 2, "shuffle": false, "past_skips": "both", "item_features": ["energy"], "warm_start": true}');
SELECT it_weights('four_epochs') = it_weights('two_epochs') AS same;

--
-- Items start from a stored embedding, where it knows them.
--
SELECT items > 10 AS items FROM sessionlen.word2vec('it_tracks', $$SELECT * FROM it_plays WHERE track <> 'track 5'$$, item => 'track', partition_by => 's', order_by => 'p', options => '{"dim": 7, "epochs": 1, "min_count": 1, "verbose": false}');
SELECT it_train('pretrained', '{"pretrained": "it_tracks", "epochs": 1, "learning_rate": 1e-12}');
SELECT v.track = 'track 5' AS unknown, bool_and(abs(w.value - e.value) < 1e-6) AS equal, count(*) > 6 AS some
FROM sessionlen.vocabularies b, unnest(b.entries) WITH ORDINALITY v(track, place), sessionlen.weights x, LATERAL (SELECT k, x.data[(v.place + 3) * 7 + k] AS value FROM generate_series(1, 7) k) w
LEFT JOIN LATERAL (SELECT i AS k, value FROM unnest(sessionlen.embedding('it_tracks', v.track)) WITH ORDINALITY u(value, i)) e USING (k)
WHERE b.model = 'it_pretrained' AND column_name = 'track' AND x.model = 'it_pretrained' AND name = 'embedding.track.weight' GROUP BY 1 ORDER BY 1;

--
-- Task next_items: every loss learns, in every architecture that can; nothing observed in the future has a part in it.
--
SELECT n, count(it_next(n, o)) FROM (VALUES ('cross_entropy', '{}'::jsonb), ('sampled_softmax', '{"loss": "sampled_softmax", "negatives": 16}'), ('bpr_max', '{"loss": "bpr_max", "negatives": 16}'), ('top1_max', '{"loss": "top1_max", "negatives": 16}'), ('lstm', '{"architecture": "lstm", "horizon": 2}'),
	('decoder', '{"architecture": "encoder_decoder"}'), ('free', '{"architecture": "encoder_decoder", "teacher_forcing": 0.5}')) v(n, o) GROUP BY n ORDER BY n COLLATE "C";
SELECT m.model, m.target, m.task, m.options ->> 'loss' AS loss, m.options ->> 'horizon' AS horizon, z.training_loss < a.training_loss AS learns, m.validation_loss IS NOT NULL AS validated
FROM sessionlen.model_versions m JOIN sessionlen.training_log a USING (model) JOIN sessionlen.training_log z USING (model) WHERE model LIKE 'it\_next\_%' AND a.epoch = 1 AND z.epoch = 15 ORDER BY m.model COLLATE "C";
SELECT count(*) AS baselines FROM sessionlen.baselines WHERE model LIKE 'it\_next\_%';
SELECT n, count(it_next(n || '_x', o, it_changed('observed', 'back <= total - total / 2'))), bool_or(it_weights('next_' || n) = it_weights('next_' || n || '_x')) AS same
FROM (VALUES ('decoder', '{"architecture": "encoder_decoder"}'::jsonb), ('free', '{"architecture": "encoder_decoder", "teacher_forcing": 0.5}')) v(n, o) GROUP BY n ORDER BY n;

--
-- Wrong calls and odd data: each is refused with an error that tells what is wrong, or works.
--
CREATE FUNCTION it_try(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	state text;
	message text;
	detail text;
	hint text;
BEGIN
	BEGIN
		EXECUTE statement;
		RAISE EXCEPTION USING ERRCODE = 'BAD00', MESSAGE = 'no error';
	EXCEPTION WHEN OTHERS THEN
		GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	END;
	RETURN CASE state WHEN 'BAD00' THEN '      works' ELSE format('      %s %s', state, message) END
		|| CASE WHEN detail <> '' THEN E'\n      ' || detail ELSE '' END || CASE WHEN hint <> '' THEN E'\n      ' || hint ELSE '' END;
END
$$;
-- <skip> and <next> stand for calls up to their options, <source> for one of skip on a query, <predict> for damage done.
CREATE FUNCTION it_expand(statement text) RETURNS text LANGUAGE sql AS $$
	SELECT replace(replace(replace(replace(replace(statement,
		'<skip>', 'SELECT sessionlen.train(''it_t'', ''it_plays'', ''skip'', ''s'', ''p'', item => ''track'', task => ''skip'', options => ''{"epochs": 1, "verbose": false}''::jsonb || '),
		'<next>', 'SELECT sessionlen.train(''it_t'', ''it_plays'', partition_by => ''s'', order_by => ''p'', item => ''track'', task => ''next_items'', options => ''{"epochs": 1, "verbose": false}''::jsonb || '),
		'<source>', 'SELECT sessionlen.train(task => ''skip'', model => ''it_t'', target => ''skip'', partition_by => ''s'', order_by => ''p'', item => ''track'', observed => ''{seek}'', options => ''{"epochs": 1, "verbose": false}'', source => '),
		'<predict>', 'UPDATE sessionlen.model_versions SET id = gen_random_uuid(); SELECT count(*) FROM sessionlen.predict_table(''it_learnt'', ''it_plays'')'),
		'<v>', 'sessionlen.model_versions SET')
$$;
CREATE TABLE it_case (n int GENERATED ALWAYS AS IDENTITY, topic text, statement text);
INSERT INTO it_case (topic, statement) SELECT 'arguments', c FROM unnest(ARRAY[
$$SELECT sessionlen.train('it_t', 'it_plays', partition_by => 's', order_by => 'p', known => '{seek}')$$,
$$SELECT sessionlen.train('it_t', 'it_plays', 'skip', order_by => 'p', known => '{seek}')$$,
$$SELECT sessionlen.train('it_t', 'it_plays', 'skip', 's', known => '{seek}')$$,
$$SELECT sessionlen.train('it_t', 'it_plays', 'skip', 's', 'p', task => 'skips')$$,
$$SELECT sessionlen.train('it_t', 'it_plays', 'skip', 's', 'p', task => '')$$,
$$SELECT sessionlen.train('it_t', 'it_plays', partition_by => 's', order_by => 'p', task => 'skip', item => 'track')$$,
$$SELECT sessionlen.train('it_t', 'it_plays', 'skip', 's', 'p', task => 'next_items', item => 'track')$$,
$$SELECT sessionlen.train('it_t', 'it_plays', partition_by => 's', order_by => 'p', task => 'next_items')$$,
$$SELECT sessionlen.train('it_t', 'it_plays', partition_by => 's', order_by => 'p', task => 'next_items', item => 'nothing')$$,
$$SELECT sessionlen.train('it_t', 'it_plays', 'skip', 's', 'p', task => 'skip', item => 'nothing')$$,
$$SELECT sessionlen.train('it_t', 'it_plays', 'skip', 's', 'p', task => 'skip', item => '')$$,
$$SELECT sessionlen.train('it_t', 'it_plays', 'skip', 's', 'p', task => 'skip', item => 'skip')$$,
$$SELECT sessionlen.train('it_t', 'it_plays', 'skip', 's', 'p', task => 'skip', item => 'track', known => '{track}')$$,
$$SELECT sessionlen.train('it_t', 'it_plays', 'skip', 's', 'p', task => 'skip', item => 'track', known => '{skip}')$$,
$$SELECT sessionlen.train('it_t', 'it_plays', 'skip', 's', 'p', task => 'skip', item => 'track', observed => '{skip}')$$,
$$SELECT sessionlen.train('it_t', 'it_plays', 'skip', 's', 'p', task => 'binary', known => '{skip}')$$,
$$SELECT sessionlen.train('it_t', 'it_plays', 'skip', 's', 'p', task => 'binary', item => 'track', censored => 'skip')$$,
$$SELECT sessionlen.train('it_t', 'it_plays', 'track', 's', 'p', task => 'binary', known => '{seek}')$$,
$$SELECT sessionlen.train('it_t', 'it_plays', 'skip', 's', 'p', task => 'skip')$$
]) c;
INSERT INTO it_case (topic, statement) SELECT 'options', c FROM unnest(ARRAY[
$$<skip> '{"horizon": 0}')$$, $$<skip> '{"horizon": -1}')$$, $$<skip> '{"horizon": "all"}')$$, $$<skip> '{"horizon": 2.5}')$$, $$<skip> '{"horizon": true}')$$, $$<skip> '{"horizon": 32}')$$, $$<skip> '{"horizon": 5000}')$$,
$$<skip> '{"horizon": 31}')$$, $$<skip> '{"horizon": 40, "sequence_length": 41}')$$, $$<skip> '{"sequence_length": 1}')$$, $$<skip> '{"sequence_length": 2}')$$,
$$<skip> '{"loss": "mae"}')$$, $$<skip> '{"loss": "cross_entropy"}')$$, $$<skip> '{"loss": "bce"}')$$, $$<skip> '{"quantiles": [0.5]}')$$, $$<skip> '{"target_transform": "log1p"}')$$, $$<skip> '{"upper_percentile": 99}')$$,
$$<skip> '{"cell": "lstm"}')$$, $$<skip> '{"bidirectional": true}')$$, $$<skip> '{"teacher_forcing": 0.5}')$$, $$<skip> '{"teacher_forcing": 2}')$$, $$<skip> '{"architecture": "encoder_decoder", "cell": "rnn"}')$$,
$$<skip> '{"architecture": "encoder_decoder", "horizon": 0}')$$, $$<skip> '{"architecture": "encoder_decoder", "teacher_forcing": 0.5}')$$,
$$<skip> '{"architecture": "multi_input_lstm", "horizon": "half"}')$$, $$<skip> '{"architecture": "multi_input_lstm", "horizon": 2}')$$, $$<skip> '{"architecture": "multi_input_lstm", "past_skips": "token"}')$$,
$$SELECT sessionlen.train('it_t', 'it_plays', 'skip', 's', 'p', item => 'track', task => 'binary', options => '{"architecture": "multi_input_lstm"}')$$,
$$SELECT sessionlen.train('it_t', 'it_plays', 'seek', 's', 'p', known => '{p}', options => '{"architecture": "multi_input_lstm"}')$$,
$$<next> '{"architecture": "multi_input_lstm"}')$$, $$<next> '{"loss": "bce"}')$$, $$<next> '{"negatives": 0}')$$, $$<next> '{"past_skips": "token"}')$$, $$<next> '{"search": {"loss": ["bpr_max", "top1_max"]}}')$$,
$$SELECT sessionlen.train('it_t', 'it_plays', 'seek', 's', 'p', known => '{p}', options => '{"past_skips": "none"}')$$,
$$SELECT sessionlen.train('it_t', 'it_plays', 'seek', 's', 'p', known => '{p}', options => '{"loss": "bce"}')$$,
$$SELECT sessionlen.train('it_t', 'it_plays', 'seek', 's', 'p', known => '{p}', options => '{"item_features": ["energy"]}')$$,
$$SELECT sessionlen.train('it_t', 'it_plays', 'seek', 's', 'p', known => '{p}', options => '{"pretrained": "it_tracks"}')$$,
$$SELECT sessionlen.train('it_t', 'it_plays', 'skip', 's', 'p', known => '{p}', task => 'skip', options => '{"past_skips": "token"}')$$,
$$<skip> '{"past_skips": "maybe"}')$$, $$<skip> '{"item_features": "energy"}')$$, $$<skip> '{"item_features": [1]}')$$, $$<skip> '{"item_features": ["energy", "energy"]}')$$, $$<skip> '{"item_features": [""]}')$$,
$$<skip> '{"item_features": ["nothing"]}')$$, $$<skip> '{"item_features": ["reason"]}')$$, $$<skip> '{"item_features": ["skip"]}')$$, $$<skip> '{"item_features": ["track"]}')$$, $$<skip> '{"item_features_trained": true}')$$,
$$<skip> '{"pretrained": "nothing"}')$$, $$<skip> '{"pretrained": ""}')$$, $$<skip> '{"pretrained": 5}')$$, $$<skip> '{"pretrained": "it_tracks", "columns": {"track": {"embedding": 5}}}')$$,
$$<skip> '{"columns": {"track": "one_hot"}}')$$, $$<skip> '{"columns": {"skip": "none"}}')$$, $$<skip> '{"columns": {"track": {"embedding": 5}}}')$$,
$$<skip> '{"split": {"by": "user_tail"}}')$$, $$<skip> '{"split": {"validation": 0.3}}')$$, $$<skip> '{"search": {"horizon": [1, 2]}}')$$, $$<skip> '{"search": {"sequence_length": [8, 16]}}')$$, $$<skip> '{"search": {"hidden_dim": [3, 4]}}')$$,
$$<skip> '{"search": {"architecture": ["gru", "encoder_decoder"]}}')$$, $$<skip> '{"min_count": 1000}')$$, $$<skip> '{"warm_start": true}')$$,
$$SELECT sessionlen.train('it_skip', 'it_plays', 'skip', 's', 'p', item => 'track', known => '{p}', observed => '{reason,seek}', task => 'binary', options => '{"warm_start": true}')$$,
$$SELECT sessionlen.train('it_skip', 'it_plays', 'skip', 's', 'p', item => 'track', known => '{p}', observed => '{reason,seek}', task => 'skip', options => '{"warm_start": true}')$$
]) c;
INSERT INTO it_case (topic, statement) SELECT 'data', c FROM unnest(ARRAY[
$$<source> 'SELECT s, p, track, seek, skip::int + 1 AS skip FROM it_plays')$$,
$$<source> 'SELECT s, p, track, seek, CASE WHEN s = 5 THEN 0.5 ELSE skip::int END AS skip FROM it_plays')$$,
$$<source> 'SELECT s, p, track, seek, ''NaN''::float8 AS skip FROM it_plays')$$,
$$<source> 'SELECT s, p, track, seek, skip::text AS skip FROM it_plays')$$,
$$<source> 'SELECT s, p, track, seek, NULL::boolean AS skip FROM it_plays')$$,
$$<source> 'SELECT s, NULLIF(p, 3) AS p, track, seek, skip FROM it_plays')$$,
$$<source> 'SELECT NULLIF(s, 3) AS s, p, track, seek, skip FROM it_plays')$$,
$$<source> 'SELECT s, p, track, seek, skip FROM it_plays UNION ALL SELECT 7, 2, ''x'', 0, true')$$,
$$<source> 'SELECT s, p / 2 AS p, track, seek, skip FROM it_plays')$$,
$$SELECT sessionlen.train('it_t', 'SELECT s, p / 2 AS p, skip FROM it_plays', 'skip', 's', 'p', observed => '{skip}', task => 'binary', options => '{"epochs": 1, "verbose": false}')$$,
$$<source> 'SELECT s, p, NULL::text AS track, seek, skip FROM it_plays')$$,
$$<source> 'SELECT s, p, NULLIF(track, ''track 7'') AS track, seek, skip FROM it_plays')$$,
$$<source> 'SELECT s, p, track, NULL::float8 AS seek, skip FROM it_plays')$$,
$$<source> 'SELECT s, p, repeat(track, 20000) AS track, seek, skip FROM it_plays WHERE s < 30')$$,
$$<source> 'SELECT s, p, 9223372036854775807 - length(track) AS track, seek, skip FROM it_plays')$$,
$$<source> 'SELECT s, p, 10.0 ^ 300 * length(track) AS track, seek, skip FROM it_plays')$$,
$$<source> 'SELECT s, p, track, seek, skip FROM it_plays WHERE p = 1')$$,
$$<source> 'SELECT s, p, track, seek, skip FROM it_plays WHERE false')$$,
$$<source> 'SELECT 1 AS s, s * 100 + p AS p, track, seek, skip FROM it_plays')$$,
$$SET LOCAL sessionlen.memory_limit = '1MB'; <source> 'SELECT s, p, repeat(md5(s::text || p), 100) AS track, seek, skip FROM it_plays')$$
]) c;
INSERT INTO it_case (topic, statement) SELECT 'damaged models', c FROM unnest(ARRAY[
$$<predict>$$,
$$UPDATE <v> task = 'tarot'; <predict>$$,
$$UPDATE <v> task = 'skip'; <predict>$$,
$$UPDATE <v> task = 'next_items'; <predict>$$,
$$UPDATE <v> task = 'regression'; <predict>$$,
$$UPDATE <v> options = options || '{"horizon": "half"}'; <predict>$$,
$$UPDATE <v> options = options || '{"horizon": -7}'; <predict>$$,
$$UPDATE <v> options = options || '{"item_features": ["energy"]}'; <predict>$$,
$$UPDATE <v> options = options || '{"item_features": [["energy"]]}'; <predict>$$,
$$UPDATE <v> options = options || '{"architecture": "encoder_decoder", "horizon": "half", "split": {"by": "user"}}'; <predict>$$,
$$UPDATE <v> inputs = jsonb_set(inputs, '{3,role}', '"known"'); <predict>$$,
$$UPDATE <v> inputs = jsonb_set(inputs, '{3,role}', '"target"'); <predict>$$,
$$UPDATE <v> inputs = jsonb_set(inputs, '{3,as}', '"one_hot"'); <predict>$$,
$$UPDATE <v> inputs = jsonb_set(inputs, '{0,role}', '"item"'); <predict>$$,
$$UPDATE <v> inputs = inputs || jsonb_build_array(inputs -> 3); <predict>$$,
$$UPDATE <v> inputs = (SELECT jsonb_agg(e ORDER BY place DESC) FROM jsonb_array_elements(inputs) WITH ORDINALITY i(e, place)) WHERE model = 'it_learnt'; <predict>$$,
$$UPDATE sessionlen.vocabularies SET entries = '{}'; <predict>$$,
$$UPDATE sessionlen.vocabularies SET entries = entries[2:]; <predict>$$,
$$UPDATE sessionlen.vocabularies SET row_counts = '{}'; <predict>$$,
$$UPDATE sessionlen.vocabularies SET row_counts = NULL; <predict>$$
]) c;
ALTER TABLE it_case ADD outcome text;
UPDATE it_case b SET outcome = o FROM (SELECT n, it_try(it_expand(statement)) AS o FROM it_case ORDER BY n) c WHERE b.n = c.n;
\pset format unaligned
\pset tuples_only on
SELECT CASE WHEN lag(topic) OVER w IS DISTINCT FROM topic THEN E'\n-- ' || topic || E'\n' ELSE '' END || format(E'%s. %s\n%s', n, statement, outcome) FROM it_case WINDOW w AS (ORDER BY n) ORDER BY n;
\pset tuples_only off
\pset format aligned
-- None is an internal error.
SELECT n, outcome FROM it_case WHERE outcome LIKE '%XX000%';

SELECT count(sessionlen.drop_model(model)) > 30 AS dropped FROM sessionlen.models WHERE model LIKE 'it\_%';
DELETE FROM sessionlen.embeddings WHERE name = 'it_tracks';
DROP FUNCTION it_train, it_next, it_weights, it_changed, it_try, it_expand;
DROP VIEW it_rows;
DROP TABLE it_plays, it_change, it_network, it_case;
