-- Wrong calls, damaged models and odd data: each is refused with an error that tells what
-- is wrong (or works), none is an internal error, and afterwards the model predicts as
-- before and nothing is left in the store.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS sessionlen;

CREATE ROLE regress_bad_owner;
CREATE ROLE regress_bad_other;
GRANT regress_bad_owner, regress_bad_other TO CURRENT_USER;
GRANT CREATE ON SCHEMA public TO regress_bad_owner, regress_bad_other;
SET ROLE regress_bad_owner;

CREATE TABLE bad_plays AS
	SELECT i % 30 AS u, timestamp '2024-01-01' + i * interval '1 hour' AS t, i % 7 + 0.5 AS a,
		   CASE WHEN i % 5 > 0 THEN (i % 11)::float8 END AS b, 'artist ' || i % 6 AS c,
		   'c' || i % 3 AS d, 60 + 10.0::float8 * (i % 9) AS y, i % 40 = 7 AS open,
		   CASE WHEN i % 10 < 8 THEN 'train' ELSE 'test' END AS part
	FROM generate_series(1, 240) i;
GRANT SELECT ON bad_plays TO regress_bad_other;
CREATE TABLE bad_secret AS SELECT * FROM bad_plays;
CREATE TABLE bad_empty (LIKE bad_plays);
CREATE TYPE bad_pair AS (a float8, y float8);

-- Two versions; the second serves.
SELECT version FROM sessionlen.train('bad_model', 'bad_plays', 'y', 'u', 't',
	known => '{a,b}', static => '{c,d}', observed => '{y}', censored => 'open',
	options => '{"epochs": 1, "hidden_dim": 4, "verbose": false, "columns": {"d": "one_hot"}}');
SELECT version FROM sessionlen.train('bad_model', 'bad_plays', 'y', 'u', 't',
	known => '{a,b}', static => '{c,d}', observed => '{y}', censored => 'open',
	options => '{"epochs": 2, "hidden_dim": 4, "verbose": false, "columns": {"d": "one_hot"}}');
SELECT version FROM sessionlen.train('bad_one', 'bad_plays', 'y', 'u', 't', known => '{a}',
	options => '{"epochs": 1, "hidden_dim": 4, "verbose": false}');
SELECT version FROM sessionlen.train('bad_large', 'bad_plays', 'y', 'u', 't', known => '{a,c}',
	options => '{"epochs": 1, "hidden_dim": [40, 20], "verbose": false}');

CREATE VIEW bad_predictions AS
	SELECT u, t, sessionlen.predict('bad_model', p) OVER (PARTITION BY u ORDER BY t) AS value
	FROM bad_plays p;
CREATE TABLE bad_before AS SELECT * FROM bad_predictions;
CREATE VIEW bad_store AS
	SELECT 'models' AS relation, md5(string_agg(m::text, ',' ORDER BY m::text)) FROM sessionlen.models m
	UNION ALL SELECT 'grants', count(*)::text FROM sessionlen.model_grants
	UNION ALL SELECT 'versions', md5(string_agg(v::text, ',' ORDER BY v::text)) FROM sessionlen.model_versions v
	UNION ALL SELECT 'weights', md5(string_agg(w::text, ',' ORDER BY w::text)) FROM sessionlen.weights w
	UNION ALL SELECT 'checkpoints', count(*)::text FROM sessionlen.checkpoints
	UNION ALL SELECT 'vocabularies', count(*)::text FROM sessionlen.vocabularies
	UNION ALL SELECT 'baselines', count(*)::text FROM sessionlen.baselines
	UNION ALL SELECT 'log', count(*)::text FROM sessionlen.training_log;
CREATE TABLE bad_store_before AS SELECT * FROM bad_store;

-- Runs a statement in a subtransaction that is always undone; tells what came of it.
CREATE FUNCTION bad_try(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	state text;
	message text;
	hint text;
BEGIN
	BEGIN
		EXECUTE statement;
		RAISE EXCEPTION USING ERRCODE = 'BAD00', MESSAGE = 'no error';
	EXCEPTION WHEN OTHERS THEN
		GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT,
			hint = PG_EXCEPTION_HINT;
	END;
	-- In the words of PostgreSQL 15, where later versions have others.
	message := replace(replace(regexp_replace(message, '\d+ MB', 'N MB', 'g'),
		'cannot open relation "bad_pair"', '"bad_pair" is a composite type'),
		'(1024 kB .. 2147483647 kB)', '(1024 .. 2147483647)');
	RETURN CASE state WHEN 'BAD00' THEN '      works' ELSE format('      %s %s', state, message) END
		|| CASE WHEN hint <> '' THEN E'\n      ' || hint ELSE '' END;
END
$$;

-- <train> stands for a call up to its options, <v> for changing versions behind their
-- back, <predict> for asking a model so damaged (under another id, as it is not cached).
CREATE FUNCTION bad_expand(statement text) RETURNS text LANGUAGE sql AS $$
	SELECT replace(replace(replace(statement,
		'<train>', 'SELECT * FROM sessionlen.train(''bad_t'', ''bad_plays'', ''y'', ''u'', ''t'', known => ''{a}'', options => '),
		'<predict>', 'UPDATE sessionlen.model_versions SET id = gen_random_uuid(); SELECT sessionlen.predict(''bad_model'', p) OVER (PARTITION BY u ORDER BY t) FROM bad_plays p'),
		'<v>', 'sessionlen.model_versions SET')
$$;

CREATE TABLE bad_case (n int GENERATED ALWAYS AS IDENTITY, topic text, statement text);

INSERT INTO bad_case (topic, statement) SELECT 'arguments of train()', s FROM unnest(ARRAY[
$$SELECT sessionlen.train(NULL, 'bad_plays', 'y', 'u', 't', known => '{a}')$$,
$$SELECT sessionlen.train('', 'bad_plays', 'y', 'u', 't', known => '{a}')$$,
$$SELECT sessionlen.train(repeat('m', 64), 'bad_plays', 'y', 'u', 't', known => '{a}')$$,
$$SELECT sessionlen.train('bad_t', NULL, 'y', 'u', 't', known => '{a}')$$,
$$SELECT sessionlen.train('bad_t', ' ', 'y', 'u', 't', known => '{a}')$$,
$$SELECT sessionlen.train('bad_t', 'bad_nothing', 'y', 'u', 't', known => '{a}')$$,
$$SELECT sessionlen.train('bad_t', 'bad_pair', 'y', 'u', 't', known => '{a}')$$,
$$SELECT sessionlen.train('bad_t', 'Robert''); DROP TABLE bad_plays; --', 'y', 'u', 't', known => '{a}')$$,
$$SELECT sessionlen.train('bad_t', 'bad_plays', 'Robert"); DROP TABLE bad_plays; --', 'u', 't', known => '{a}')$$,
$$SELECT sessionlen.train('bad_t', 'bad_plays', 'y', 'Robert''); DROP TABLE bad_plays; --', 't', known => '{a}')$$,
$$SELECT sessionlen.train('bad_t', 'bad_plays', NULL, 'u', 't', known => '{a}')$$,
$$SELECT sessionlen.train('bad_t', 'bad_plays', 'y', NULL, 't', known => '{a}')$$,
$$SELECT sessionlen.train('bad_t', 'bad_plays', 'y', 'u', NULL, known => '{a}')$$,
$$SELECT sessionlen.train('bad_t', 'bad_plays', 'y', 'u', 't')$$,
$$SELECT sessionlen.train('bad_t', 'bad_plays', 'y', 'u', 't', known => NULL, static => NULL)$$,
$$SELECT sessionlen.train('bad_t', 'bad_plays', 'y', 'u', 't', known => '{a,NULL}')$$,
$$SELECT sessionlen.train('bad_t', 'bad_plays', 'y', 'u', 't', known => '{a,a}')$$,
$$SELECT sessionlen.train('bad_t', 'bad_plays', 'y', 'u', 't', known => '{a}', static => '{a}')$$,
$$SELECT sessionlen.train('bad_t', 'bad_plays', 'y', 'u', 't', known => '{zz}')$$,
$$SELECT sessionlen.train('bad_t', 'bad_plays', 'y', 'u', 't', known => '{""}')$$,
$$SELECT sessionlen.train('bad_t', 'bad_plays', 'y', 'u', 't', known => ARRAY[repeat('n', 64)])$$,
$$SELECT sessionlen.train('bad_t', 'bad_plays', 'y', 'u', 't', known => '{s}')$$,
$$SELECT sessionlen.train('bad_t', 'bad_plays', 'y', 'u', 't', known => '{bad_plays}')$$,
$$SELECT sessionlen.train('bad_t', 'bad_plays', 'y', 'u', 't', known => '{y}')$$,
$$SELECT sessionlen.train('bad_t', 'bad_plays', 'y', 'u', 't', known => '{a,open}', censored => 'open')$$,
$$SELECT sessionlen.train('bad_t', 'bad_plays', 'y', 'u', 't', known => '{a}', censored => 'a')$$,
$$SELECT sessionlen.train('bad_t', 'bad_plays', 'c', 'u', 't', known => '{a}')$$,
$$SELECT sessionlen.train('bad_t', 'bad_plays', 'zz', 'u', 't', known => '{a}')$$,
$$SELECT sessionlen.train('bad_t', 'bad_plays', 'y', 'u', 'zz', known => '{a}')$$,
$$SELECT sessionlen.train('bad_t', 'bad_plays', 'y', 'u', 't', known => '{a}', task => 'tarot')$$,
$$SELECT sessionlen.train('bad_model', 'bad_plays', 'y', 'u', 't', known => '{zz}')$$
]) s;

INSERT INTO bad_case (topic, statement) SELECT 'sources', s FROM unnest(ARRAY[
$$SELECT sessionlen.train('bad_t', 'SELECT FROM WHERE', 'y', 'u', 't', known => '{a}')$$,
$$SELECT sessionlen.train('bad_t', 'SELECT 1; DROP TABLE bad_plays', 'y', 'u', 't', known => '{a}')$$,
$$SELECT sessionlen.train('bad_t', 'SELECT * FROM bad_plays) AS s; DROP TABLE bad_plays; --', 'y', 'u', 't', known => '{a}')$$,
$$SELECT sessionlen.train('bad_t', 'SELECT * FROM bad_plays) AS s) AS c; SELECT 1 WHERE false; --', 'y', 'u', 't', known => '{a}', options => '{"split": {"by": "time"}}')$$,
$$SELECT sessionlen.train('bad_t', 'SELECT * FROM bad_plays) AS s) AS c WHERE false UNION ALL SELECT NULL, NULL FROM (SELECT * FROM (SELECT 1', 'y', 'u', 't', known => '{a}', options => '{"split": {"by": "time"}}')$$,
$$SELECT sessionlen.train('bad_t', 'SELECT * FROM bad_plays /*', 'y', 'u', 't', known => '{a}')$$,
$$SELECT sessionlen.train('bad_t', 'DELETE FROM bad_plays RETURNING *', 'y', 'u', 't', known => '{a}')$$,
$$SELECT sessionlen.train('bad_t', 'WITH d AS (DELETE FROM bad_plays RETURNING *) SELECT * FROM d', 'y', 'u', 't', known => '{a}')$$,
$$SELECT sessionlen.train('bad_t', 'SELECT * FROM bad_plays FOR UPDATE', 'y', 'u', 't', known => '{a}')$$,
$$SELECT sessionlen.train('bad_t', 'SELECT u, t, 1 / (a - 0.5) AS k, y FROM bad_plays', 'y', 'u', 't', known => '{k}')$$,
$$SELECT sessionlen.train('bad_t', 'SELECT a, * FROM bad_plays', 'y', 'u', 't', known => '{a}')$$,
$$SELECT sessionlen.train('bad_t', 'bad_empty', 'y', 'u', 't', known => '{a}')$$,
$$SELECT sessionlen.train('bad_t', 'bad_empty', 'y', 'u', 't', known => '{a}', options => '{"split": {"by": "time"}}')$$,
$$SELECT sessionlen.train('bad_t', 'SELECT * FROM bad_plays LIMIT 1', 'y', 'u', 't', known => '{a}', options => '{"verbose": false}')$$,
$$SELECT sessionlen.train('bad_t', 'SELECT * FROM bad_plays LIMIT 1', 'y', 'u', 't', known => '{a}', options => '{"split": {"by": "time"}}')$$,
$$SELECT sessionlen.train('bad_t', 'SELECT u, t, a, NULL::float8 AS y FROM bad_plays', 'y', 'u', 't', known => '{a}')$$,
$$SELECT sessionlen.train('bad_t', 'SELECT u, t, NULL::float8 AS a, NULL::text AS c, 1 AS k, ''x'' AS l, y FROM bad_plays', 'y', 'u', 't', known => '{a,c,k,l}', options => '{"verbose": false, "epochs": 1}')$$,
$$SELECT sessionlen.train('bad_t', 'SELECT u, t, NULL::text AS c, y FROM bad_plays', 'y', 'u', 't', known => '{c}', options => '{"columns": {"c": "one_hot"}}')$$,
$$SELECT sessionlen.train('bad_t', 'SELECT u, t, a, 5 AS y FROM bad_plays', 'y', 'u', 't', known => '{a}', options => '{"verbose": false, "epochs": 1}')$$,
$$SELECT sessionlen.train('bad_t', 'SELECT NULL::int AS u, t, a, y FROM bad_plays', 'y', 'u', 't', known => '{a}')$$,
$$SELECT sessionlen.train('bad_t', 'SELECT u, NULL::int AS t, a, y FROM bad_plays', 'y', 'u', 't', known => '{a}')$$,
$$SELECT sessionlen.train('bad_t', 'SELECT ''NaN''::float8 AS u, ''NaN''::float8 AS t, a, y FROM bad_plays', 'y', 'u', 't', known => '{a}', options => '{"verbose": false, "epochs": 1}')$$,
$$SELECT sessionlen.train('bad_t', 'SELECT u, t, ''NaN''::float8 AS a, y FROM bad_plays', 'y', 'u', 't', known => '{a}')$$,
$$SELECT sessionlen.train('bad_t', 'SELECT u, t, ''-Infinity''::numeric AS a, y FROM bad_plays', 'y', 'u', 't', known => '{a}')$$,
$$SELECT sessionlen.train('bad_t', 'SELECT u, t, 1e300::float8 AS a, y FROM bad_plays', 'y', 'u', 't', known => '{a}')$$,
$$SELECT sessionlen.train('bad_t', 'SELECT u, t, 1e400::numeric AS a, y FROM bad_plays', 'y', 'u', 't', known => '{a}')$$,
$$SELECT sessionlen.train('bad_t', 'SELECT u, t, ''infinity''::timestamp AS a, y FROM bad_plays', 'y', 'u', 't', known => '{a}')$$,
$$SELECT sessionlen.train('bad_t', 'SELECT u, t, a, ''NaN''::float4 AS y FROM bad_plays', 'y', 'u', 't', known => '{a}')$$,
$$SELECT sessionlen.train('bad_t', 'SELECT u, t, a, 1e39::float8 AS y FROM bad_plays', 'y', 'u', 't', known => '{a}')$$,
$$SELECT sessionlen.train('bad_t', 'SELECT u, t, a, -y AS y FROM bad_plays', 'y', 'u', 't', known => '{a}', options => '{"loss": "mape"}')$$,
$$SELECT sessionlen.train('bad_t', 'SELECT u, t, 3e38::float4 * (CASE WHEN a > 3 THEN 1 ELSE -1 END) AS a, y FROM bad_plays', 'y', 'u', 't', known => '{a}', options => '{"verbose": false, "standardize": false}')$$,
$$SELECT sessionlen.train('bad_t', 'SELECT i % 100 AS u, i AS t, md5(i::text) AS h, 1.0 * (i % 10) AS y FROM generate_series(1, 100000) i', 'y', 'u', 't', known => '{h}', options => '{"columns": {"h": "one_hot"}}')$$,
$$SELECT sessionlen.train('bad_t', 'SELECT t AS u, u AS t, t AS "Robert""); DROP", a AS " ", c AS "émile – 字", b AS "' || repeat('n', 63) || '", y AS "s" FROM bad_plays', 's', 'u', 't', known => ARRAY['Robert"); DROP', ' ', 'émile – 字', repeat('n', 63)], options => '{"verbose": false, "epochs": 1}')$$,
$$SET LOCAL ROLE regress_bad_other; SELECT sessionlen.train('bad_t', 'bad_secret', 'y', 'u', 't', known => '{a}')$$
]) s;

INSERT INTO bad_case (topic, statement) SELECT 'options', s FROM unnest(ARRAY[
$$<train> '5')$$,
$$<train> '[]')$$,
$$<train> '"epochs"')$$,
$$<train> '{"epocs": 5}')$$,
$$<train> '{"": 5}')$$,
$$<train> '{"epochs": "five"}')$$,
$$<train> '{"epochs": 0}')$$,
$$<train> '{"epochs": 2.5}')$$,
$$<train> '{"epochs": 1e400}')$$,
$$<train> '{"learning_rate": -1}')$$,
$$<train> '{"learning_rate": true}')$$,
$$<train> '{"shuffle": "yes"}')$$,
$$<train> '{"architecture": "oracle"}')$$,
$$<train> '{"architecture": ["gru"]}')$$,
$$<train> '{"optimizer": 1}')$$,
$$<train> '{"dropout": 1}')$$,
$$<train> '{"hidden_dim": []}')$$,
$$<train> '{"hidden_dim": [1, "2"]}')$$,
$$<train> '{"hidden_dim": [1, 2, 3, 4, 5, 6, 7, 8, 9]}')$$,
$$<train> '{"hidden_dim": 5000}')$$,
$$<train> '{"hidden_dim": {"layers": 2}}')$$,
$$<train> '{"hidden_dim": [4096, 4096, 4096, 4096, 4096, 4096, 4096, 4096]}')$$,
$$<train> '{"batch_size": 1048576, "sequence_length": 4096, "verbose": false, "epochs": 1, "hidden_dim": 1}')$$,
$$<train> '{"batch_size": 1048577}')$$,
$$<train> '{"sequence_length": 100000}')$$,
$$<train> '{"seed": 1e17}')$$,
$$<train> '{"loss": "cross_entropy"}')$$,
$$<train> '{"loss": "mape", "target_transform": "log1p"}')$$,
$$<train> '{"quantiles": [0.9, 0.1]}')$$,
$$<train> '{"quantiles": [0, 1]}')$$,
$$<train> '{"quantiles": "median"}')$$,
$$<train> '{"quantiles": [0.5], "loss": "mae"}')$$,
$$<train> '{"columns": 5}')$$,
$$<train> '{"columns": {"zz": "none"}}')$$,
$$<train> '{"columns": {"a": "magic"}}')$$,
$$<train> '{"columns": {"a": 5}}')$$,
$$<train> '{"columns": {"a": {}}}')$$,
$$<train> '{"columns": {"a": {"as": 5}}}')$$,
$$<train> '{"columns": {"a": {"as": "code", "fold": 5}}}')$$,
$$<train> '{"columns": {"a": {"as": "none", "colour": "red"}}}')$$,
$$<train> '{"columns": {"a": {"embedding": 0}}}')$$,
$$<train> '{"columns": {"a": {"embedding": 1e9}}}')$$,
$$<train> '{"split": "user"}')$$,
$$<train> '{"split": {"by": "luck"}}')$$,
$$<train> '{"split": {"by": 5}}')$$,
$$<train> '{"split": {"test": 2}}')$$,
$$<train> '{"split": {"test": 0.5, "validation": 0.5}}')$$,
$$<train> '{"split": {"tail": 0}}')$$,
$$<train> '{"split": {"bye": "user"}}')$$,
$$<train> '{"split": {"by": "column"}}')$$,
$$<train> '{"split": {"by": "column", "column": "zz"}}')$$,
$$<train> '{"split": {"by": "column", "column": "c"}}')$$,
$$<train> '{"split": {"by": "column", "column": "b"}}')$$,
$$<train> '{"split": {"by": "time", "test_from": 5}}')$$,
$$<train> '{"split": {"by": "time", "test_from": "soon"}}')$$,
$$<train> '{"split": {"by": "time", "test_from": "2024-01-09"}, "verbose": false, "epochs": 1}')$$,
$$<train> '{"split": {"by": "time", "validation_from": "2000-01-01"}}')$$,
$$<train> '{"search": 5}')$$,
$$<train> '{"search": {}, "verbose": false, "epochs": 1}')$$,
$$<train> '{"search": {"dropout": 0.1}}')$$,
$$<train> '{"search": {"dropout": []}}')$$,
$$<train> '{"search": {"dropuot": [0.1]}}')$$,
$$<train> '{"search": {"dropout": [0.1, 7]}}')$$,
$$<train> '{"search": {"standardize": [true]}}')$$,
$$<train> '{"search": {"upper_percentile": [90]}}')$$,
$$<train> '{"search": {"loss": ["mae", "mape"]}}')$$,
$$<train> '{"search": {"loss": ["mae", "mse"]}, "split": {"validation": 0}}')$$,
$$<train> jsonb_build_object('search', jsonb_build_object('seed', (SELECT jsonb_agg(i) FROM generate_series(1, 1001) i))))$$,
$$<train> '{"warm_start": true}')$$,
$$SELECT sessionlen.train('bad_model', 'bad_plays', 'y', 'u', 't', known => '{a}', options => '{"warm_start": true}')$$,
$$SELECT sessionlen.train('bad_one', 'bad_plays', 'y', 'u', 't', known => '{a}', options => '{"warm_start": true}')$$,
$$SELECT sessionlen.train('bad_one', 'bad_plays', 'y', 'u', 't', known => '{a}', options => '{"warm_start": true, "hidden_dim": 4, "loss": "mape"}')$$,
$$SELECT sessionlen.train('bad_one', 'bad_plays', 'y', 'u', 't', known => '{a}', options => '{"warm_start": true, "hidden_dim": 4, "target_transform": "log1p"}')$$,
$$SELECT sessionlen.train('bad_one', 'bad_plays', 'y', 'u', 't', known => '{a}', options => '{"epochs": 200, "optimizer": "sgd", "learning_rate": 1000, "clip_norm": 0, "loss": "mse", "verbose": false}')$$,
$$SET LOCAL sessionlen.memory_limit = '1MB'; <train> '{"hidden_dim": 200}')$$,
$$SET LOCAL sessionlen.memory_limit = '1MB'; SELECT sessionlen.train('bad_t', 'SELECT i AS u, i AS t, i AS a, i AS y FROM generate_series(1, 100000) i', 'y', 'u', 't', known => '{a}')$$,
$$SET LOCAL sessionlen.memory_limit = '2MB'; SELECT sessionlen.train('bad_t', 'SELECT i % 1000 AS u, i AS t, ''t'' || i % 200 AS a, i AS y FROM generate_series(1, 10000) i', 'y', 'u', 't', known => '{a}', options => '{"columns": {"a": "one_hot"}}')$$,
$$SET LOCAL sessionlen.memory_limit = 5$$
]) s;

INSERT INTO bad_case (topic, statement) SELECT 'prediction', s FROM unnest(ARRAY[
$$SELECT sessionlen.predict('bad_model', p) FROM bad_plays p$$,
$$SELECT sessionlen.predict(NULL, p) OVER () FROM bad_plays p$$,
$$SELECT sessionlen.predict('', p) OVER () FROM bad_plays p$$,
$$SELECT sessionlen.predict('bad_nothing', p) OVER () FROM bad_plays p$$,
$$SELECT sessionlen.predict('bad_model', NULL) OVER ()$$,
$$SELECT sessionlen.predict('bad_model', NULL::bad_plays) OVER ()$$,
$$SELECT sessionlen.predict('bad_model', p) OVER () FROM (SELECT a FROM bad_plays) p$$,
$$SELECT sessionlen.predict('bad_model', ROW(1, 2)) OVER ()$$,
$$SELECT sessionlen.predict('bad_model', p) OVER () FROM (SELECT 'x'::text AS a, b, c, d, y FROM bad_plays) p$$,
$$SELECT sessionlen.predict('bad_model', p) OVER () FROM (SELECT a, b, c, 5 AS d, now() AS y FROM bad_plays) p$$,
$$SELECT sessionlen.predict('bad_model', p) OVER () FROM (SELECT 'NaN'::float8 AS a, b, c, d, y FROM bad_plays) p$$,
$$SELECT sessionlen.predict('bad_model', p) OVER () FROM (SELECT 1e200::float8 AS a, b, c, d, y FROM bad_plays) p$$,
$$SELECT sessionlen.predict(CASE WHEN p.t < '2024-01-05' THEN 'bad_one' ELSE 'bad_large' END, p) OVER (ORDER BY t) FROM bad_plays p$$,
$$SELECT sessionlen.predict(CASE WHEN p.t < '2024-01-05' THEN 'bad_one' ELSE 'bad_large' END, CASE WHEN p.t < '2024-01-05' THEN NULL ELSE p END) OVER (ORDER BY t) FROM bad_plays p$$,
$$SELECT sessionlen.predict(CASE WHEN p.u < 9 THEN 'bad_one' ELSE 'bad_large' END, p) OVER (PARTITION BY u) FROM bad_plays p$$,
$$SELECT sessionlen.predict_sequence(NULL, array_agg(p)) FROM bad_plays p$$,
$$SELECT sessionlen.predict_sequence('bad_nothing', array_agg(p)) FROM bad_plays p$$,
$$SELECT sessionlen.predict_sequence('bad_model', ARRAY[1, 2])$$,
$$SELECT sessionlen.predict_sequence('bad_model', '{}'::text[])$$,
$$SELECT sessionlen.predict_sequence('bad_model', '{}'::bad_plays[])$$,
$$SELECT sessionlen.predict_sequence('bad_model', ARRAY[NULL]::bad_plays[])$$,
$$SELECT sessionlen.predict_sequence('bad_model', array_agg(p) || NULL::bad_plays) FROM bad_plays p$$,
$$SELECT sessionlen.predict_sequence('bad_model', ARRAY[(1, 2)::bad_pair])$$,
$$SELECT sessionlen.predict_sequence('bad_one', ARRAY[(1, 2)::bad_pair])$$,
$$SELECT sessionlen.predict_sequence('bad_one', ARRAY[ROW(1), ROW('x', 2)])$$,
$$SELECT sessionlen.predict_sequence('bad_one', (SELECT array_agg(r) FROM (SELECT 1 AS a) r) || (SELECT array_agg(r) FROM (SELECT 'x' AS b, 2.5 AS a) r))$$,
$$SELECT sessionlen.predict_sequence('bad_one', (SELECT array_agg(r) FROM (SELECT 1 AS a) r) || (SELECT array_agg(r) FROM (SELECT 'x' AS b, 2.5 AS y) r))$$,
$$SELECT sessionlen.predict_table(NULL, 'bad_plays')$$,
$$SELECT sessionlen.predict_table('bad_model', NULL)$$,
$$SELECT sessionlen.predict_table('bad_model', '')$$,
$$SELECT sessionlen.predict_table('bad_nothing', 'bad_plays')$$,
$$SELECT sessionlen.predict_table('bad_model', 'bad_nothing')$$,
$$SELECT * FROM sessionlen.predict_table('bad_model', 'bad_empty')$$,
$$SELECT * FROM sessionlen.predict_table('bad_model', 'SELECT u, t, a FROM bad_plays')$$,
$$SELECT * FROM sessionlen.predict_table('bad_model', 'SELECT * FROM bad_plays) AS s; DROP TABLE bad_plays; --')$$,
$$SELECT * FROM sessionlen.predict_table('bad_model', 'SELECT NULL::int AS u, t, a, b, c, d, y FROM bad_plays')$$,
$$SET LOCAL sessionlen.memory_limit = '1MB'; SELECT count(*) FROM sessionlen.predict_table('bad_model', 'SELECT i / 50 AS u, i AS t, 1.0 AS a, 1.0 AS b, '''' AS c, '''' AS d, 1 AS y FROM generate_series(1, 30000) i')$$,
$$SET LOCAL sessionlen.memory_limit = '1MB'; SELECT count(*) FROM sessionlen.predict_table('bad_model', 'SELECT 1 AS u, i AS t, 1.0 AS a, 1.0 AS b, '''' AS c, '''' AS d, 1 AS y FROM generate_series(1, 30000) i')$$,
$$SELECT * FROM sessionlen.predictions('bad_model', part => 'spare')$$,
$$SELECT * FROM sessionlen.predictions('bad_model', part => NULL)$$,
$$SELECT * FROM sessionlen.predictions(NULL)$$,
$$SELECT * FROM sessionlen.evaluate('bad_nothing')$$,
$$SELECT * FROM sessionlen.evaluate('bad_model', 'SELECT u, t, a, b, c, d, y, 1 AS open FROM bad_plays')$$,
$$SELECT * FROM sessionlen.evaluate('bad_model', 'SELECT u, t, a, b, c, d, ''long'' AS y, open FROM bad_plays')$$,
$$SELECT * FROM sessionlen.evaluate('bad_model', 'bad_empty')$$,
$$DROP TABLE bad_plays CASCADE; SELECT * FROM sessionlen.evaluate('bad_model')$$,
$$ALTER TABLE bad_plays DROP COLUMN y CASCADE; SELECT * FROM sessionlen.evaluate('bad_model')$$,
$$SELECT sessionlen.split_part('x', -1, 0)$$,
$$SELECT sessionlen.split_part('x', 'NaN', 0.1)$$,
$$SELECT sessionlen.split_part('x', 0.6, 0.6)$$,
$$SELECT sessionlen.split_part(NULL, 0.1, 0.1)$$
]) s;

INSERT INTO bad_case (topic, statement) SELECT 'versions and roles', s FROM unnest(ARRAY[
$$SELECT sessionlen.deploy(NULL)$$,
$$SELECT sessionlen.deploy('bad_nothing')$$,
$$SELECT sessionlen.deploy('bad_model', 7)$$,
$$SELECT sessionlen.deploy('bad_model', -1)$$,
$$SELECT sessionlen.deploy('bad_one')$$,
$$SELECT sessionlen.drop_model(NULL)$$,
$$SELECT sessionlen.drop_model('bad_nothing')$$,
$$SELECT sessionlen.drop_model('bad_model', 7)$$,
$$SELECT sessionlen.drop_model('bad_model', 2)$$,
$$SELECT sessionlen.drop_model('bad_one', 1)$$,
$$SELECT sessionlen.grant_model(NULL, 'regress_bad_other')$$,
$$SELECT sessionlen.grant_model('bad_model', NULL)$$,
$$SELECT sessionlen.grant_model('bad_model', 'regress_bad_nobody')$$,
$$SELECT sessionlen.grant_model('bad_nothing', 'regress_bad_other')$$,
$$SELECT sessionlen.revoke_model('bad_model', 'regress_bad_other')$$,
$$SELECT sessionlen.revoke_model(NULL, NULL)$$,
$$SET LOCAL ROLE regress_bad_other; SELECT sessionlen.predict('bad_model', p) OVER () FROM bad_plays p$$,
$$SET LOCAL ROLE regress_bad_other; SELECT sessionlen.train('bad_model', 'bad_plays', 'y', 'u', 't', known => '{a}')$$,
$$SET LOCAL ROLE regress_bad_other; SELECT sessionlen.deploy('bad_model', 1)$$,
$$SET LOCAL ROLE regress_bad_other; SELECT sessionlen.drop_model('bad_model')$$,
$$SET LOCAL ROLE regress_bad_other; SELECT sessionlen.grant_model('bad_model', 'regress_bad_other')$$,
$$SET LOCAL ROLE regress_bad_other; INSERT INTO sessionlen.model_grants (model, role) VALUES ('bad_model', 'regress_bad_other')$$,
$$SET LOCAL ROLE regress_bad_other; INSERT INTO sessionlen.models (model, owner) VALUES ('bad_x', 'regress_bad_owner')$$,
$$SELECT sessionlen.grant_model('bad_model', 'regress_bad_other'); SET LOCAL ROLE regress_bad_other; SELECT sessionlen.predict('bad_model', p) OVER () FROM bad_plays p$$,
$$SELECT sessionlen.grant_model('bad_model', 'regress_bad_other'); SET LOCAL ROLE regress_bad_other; SELECT sessionlen.evaluate('bad_model')$$,
$$SELECT sessionlen.grant_model('bad_model', 'regress_bad_other'); SET LOCAL ROLE regress_bad_other; SELECT sessionlen.evaluate('bad_model', 'bad_plays')$$,
$$SELECT sessionlen.grant_model('bad_model', 'regress_bad_other'); SET LOCAL ROLE regress_bad_other; SELECT sessionlen.deploy('bad_model', 1)$$,
$$SELECT sessionlen.grant_model('bad_model', 'regress_bad_other'); SET LOCAL ROLE regress_bad_other; SELECT sessionlen.drop_model('bad_model')$$,
$$SELECT sessionlen.grant_model('bad_model', 'regress_bad_other'); SET LOCAL ROLE regress_bad_other; SELECT sessionlen.train('bad_model', 'bad_plays', 'y', 'u', 't', known => '{a}')$$,
$$SELECT sessionlen.grant_model('bad_model', 'regress_bad_other'); SELECT sessionlen.revoke_model('bad_model', 'regress_bad_other'); SET LOCAL ROLE regress_bad_other; SELECT sessionlen.predict('bad_model', p) OVER () FROM bad_plays p$$,
$$UPDATE sessionlen.models SET deployed = NULL; SELECT sessionlen.predict('bad_model', p) OVER () FROM bad_plays p$$,
$$UPDATE sessionlen.models SET deployed = NULL; SELECT sessionlen.deploy('bad_model')$$,
$$UPDATE sessionlen.models SET deployed = 99; SELECT sessionlen.predict('bad_model', p) OVER () FROM bad_plays p$$,
$$SET LOCAL default_transaction_read_only = on; SET LOCAL transaction_read_only = on; <train> '{"verbose": false}')$$
]) s;

INSERT INTO bad_case (topic, statement) SELECT 'damaged models', s FROM unnest(ARRAY[
$$DELETE FROM sessionlen.weights WHERE name = 'head.bias'; <predict>$$,
$$DELETE FROM sessionlen.weights; <predict>$$,
$$UPDATE sessionlen.weights SET data = data[1:3]; <predict>$$,
$$UPDATE sessionlen.weights SET data = data || data; <predict>$$,
$$UPDATE sessionlen.weights SET data = '{}'; <predict>$$,
$$UPDATE sessionlen.weights SET data[1] = NULL; <predict>$$,
$$UPDATE sessionlen.weights SET data[1] = 'NaN'; <predict>$$,
$$UPDATE sessionlen.weights SET data[1] = '-Infinity'; <predict>$$,
$$UPDATE sessionlen.weights SET data = ARRAY[data, data]; <predict>$$,
$$UPDATE sessionlen.weights SET data = array_fill(3e38::real, ARRAY[cardinality(data)]); <predict>$$,
$$UPDATE sessionlen.weights SET chunk = 1 WHERE name = 'head.weight'; <predict>$$,
$$UPDATE sessionlen.weights SET name = 'tail.weight' WHERE name = 'head.weight'; <predict>$$,
$$UPDATE sessionlen.weights SET shape = '{1}'; <predict>$$,
$$UPDATE sessionlen.weights SET shape = '{}'; <predict>$$,
$$UPDATE sessionlen.weights SET shape = shape[2:2] || shape[1:1] WHERE name = 'rnn.weight_ih_l0'; <predict>$$,
$$INSERT INTO sessionlen.weights VALUES ('bad_model', 2, NULL, 'extra', 0, '{1}', '{1}'); <predict>$$,
$$INSERT INTO sessionlen.weights SELECT model, version, 1, name, chunk, shape, data FROM sessionlen.weights; <predict>$$,
$$DELETE FROM sessionlen.vocabularies; <predict>$$,
$$UPDATE sessionlen.vocabularies SET entries = entries[1:1]; <predict>$$,
$$UPDATE sessionlen.vocabularies SET entries[2] = entries[1]; <predict>$$,
$$UPDATE sessionlen.vocabularies SET entries[2] = NULL; <predict>$$,
$$UPDATE sessionlen.vocabularies SET entries = ARRAY[entries, entries]; <predict>$$,
$$UPDATE <v> inputs = '5'; <predict>$$,
$$UPDATE <v> inputs = '[]'; <predict>$$,
$$UPDATE <v> inputs = '{}'; <predict>$$,
$$UPDATE <v> inputs = '[1, 2]'; <predict>$$,
$$UPDATE <v> inputs = '[[[]]]'; <predict>$$,
$$UPDATE <v> inputs = 'null'; <predict>$$,
$$UPDATE <v> inputs = inputs - 0; <predict>$$,
$$UPDATE <v> inputs = inputs #- '{0,mean}'; <predict>$$,
$$UPDATE <v> inputs = jsonb_set(inputs, '{0,mean}', '"x"'); <predict>$$,
$$UPDATE <v> inputs = jsonb_set(inputs, '{0,mean}', 'null'); <predict>$$,
$$UPDATE <v> inputs = jsonb_set(inputs, '{0,mean}', '1e999'); <predict>$$,
$$UPDATE <v> inputs = jsonb_set(inputs, '{0,scale}', '0'); <predict>$$,
$$UPDATE <v> inputs = jsonb_set(inputs, '{0,scale}', '1e-320'); <predict>$$,
$$UPDATE <v> inputs = jsonb_set(inputs, '{0,role}', '"spy"'); <predict>$$,
$$UPDATE <v> inputs = jsonb_set(inputs, '{0,as}', '"magic"'); <predict>$$,
$$UPDATE <v> inputs = jsonb_set(inputs, '{0,as}', '"embedding"'); <predict>$$,
$$UPDATE <v> inputs = jsonb_set(inputs, '{0,indicator}', 'true'); <predict>$$,
$$UPDATE <v> inputs = jsonb_set(inputs, '{0,column}', '"zz"'); <predict>$$,
$$UPDATE <v> inputs = jsonb_set(inputs, '{0,column}', '"bad_evil"'); UPDATE sessionlen.model_versions SET id = gen_random_uuid(); SELECT * FROM sessionlen.predict_table('bad_model', 'bad_plays')$$,
$$UPDATE <v> inputs = jsonb_set(inputs, '{2,dim}', '1e9'); <predict>$$,
$$UPDATE <v> inputs = jsonb_set(inputs, '{2,dim}', '3.5'); <predict>$$,
$$UPDATE <v> inputs = (SELECT jsonb_agg(e) FROM generate_series(1, 40), (SELECT inputs -> 2 AS e) i); <predict>$$,
$$UPDATE <v> options = '5'; <predict>$$,
$$UPDATE <v> options = '[]'; <predict>$$,
$$UPDATE <v> options = '{}'; <predict>$$,
$$UPDATE <v> options = options || '{"hidden_dim": 1e300}'; <predict>$$,
$$UPDATE <v> options = options || '{"hidden_dim": [4096, 4096, 4096, 4096, 4096, 4096, 4096, 4096]}'; <predict>$$,
$$UPDATE <v> options = options || '{"hidden_dim": 5}'; <predict>$$,
$$UPDATE <v> options = options || '{"architecture": "lstm"}'; <predict>$$,
$$UPDATE <v> options = options || '{"architecture": null}'; <predict>$$,
$$UPDATE <v> options = options || '{"loss": "weibull"}'; <predict>$$,
$$UPDATE <v> options = options || '{"quantiles": [0.1, 0.1]}'; <predict>$$,
$$UPDATE <v> options = options || '{"split": {"by": "column"}}'; <predict>$$,
$$UPDATE <v> options = options || '{"surprise": 1}'; <predict>$$,
$$UPDATE <v> target_scale = '5'; <predict>$$,
$$UPDATE <v> target_scale = '{}'; <predict>$$,
$$UPDATE <v> target_scale = target_scale || '{"scale": 0}'; <predict>$$,
$$UPDATE <v> target_scale = target_scale || '{"scale": "NaN"}'; <predict>$$,
$$UPDATE <v> target_scale = target_scale || '{"scale": 1e308, "mean": 1e308}'; <predict>$$,
$$UPDATE <v> target_scale = target_scale || '{"log1p": 1}'; <predict>$$,
$$UPDATE <v> split = '5'; <predict>$$,
$$UPDATE <v> split = '[]'; <predict>$$,
$$UPDATE <v> split = '{"by": "time"}'; UPDATE sessionlen.model_versions SET id = gen_random_uuid(); SELECT * FROM sessionlen.evaluate('bad_model')$$,
$$UPDATE <v> split = '{"by": "time", "test_from": "x"}'; UPDATE sessionlen.model_versions SET id = gen_random_uuid(); SELECT * FROM sessionlen.evaluate('bad_model')$$,
$$UPDATE <v> split = '{"by": "column", "column": "Robert\"; DROP TABLE bad_plays"}'; UPDATE sessionlen.model_versions SET id = gen_random_uuid(); SELECT * FROM sessionlen.evaluate('bad_model')$$,
$$UPDATE <v> source = ''; UPDATE sessionlen.model_versions SET id = gen_random_uuid(); SELECT * FROM sessionlen.evaluate('bad_model')$$,
$$UPDATE <v> source = 'bad_secret" AS s; DROP TABLE bad_plays'; UPDATE sessionlen.model_versions SET id = gen_random_uuid(); SELECT * FROM sessionlen.evaluate('bad_model')$$,
$$UPDATE <v> partition_by = '', order_by = ''; UPDATE sessionlen.model_versions SET id = gen_random_uuid(); SELECT * FROM sessionlen.predict_table('bad_model', 'bad_plays')$$,
$$UPDATE <v> censored = 'c'; UPDATE sessionlen.model_versions SET id = gen_random_uuid(); SELECT * FROM sessionlen.evaluate('bad_model')$$,
$$DELETE FROM sessionlen.baselines; SELECT * FROM sessionlen.evaluate('bad_model')$$,
$$UPDATE sessionlen.checkpoints SET data = data || data; SELECT sessionlen.train('bad_one', 'bad_plays', 'y', 'u', 't', known => '{a}', options => '{"warm_start": true, "hidden_dim": 4, "verbose": false}')$$,
$$UPDATE sessionlen.checkpoints SET data[1] = NULL; SELECT sessionlen.train('bad_one', 'bad_plays', 'y', 'u', 't', known => '{a}', options => '{"warm_start": true, "hidden_dim": 4, "verbose": false}')$$,
$$UPDATE sessionlen.checkpoints SET data[1] = 'NaN'; SELECT sessionlen.train('bad_one', 'bad_plays', 'y', 'u', 't', known => '{a}', options => '{"warm_start": true, "hidden_dim": 4, "verbose": false, "epochs": 1}')$$,
$$UPDATE sessionlen.checkpoints SET data = array_fill(-1::real, ARRAY[cardinality(data)]); SELECT sessionlen.train('bad_one', 'bad_plays', 'y', 'u', 't', known => '{a}', options => '{"warm_start": true, "hidden_dim": 4, "verbose": false, "epochs": 1}')$$,
$$UPDATE sessionlen.checkpoints SET step = -5; SELECT sessionlen.train('bad_one', 'bad_plays', 'y', 'u', 't', known => '{a}', options => '{"warm_start": true, "hidden_dim": 4, "verbose": false, "epochs": 1}')$$,
$$UPDATE sessionlen.checkpoints SET step = 9223372036854775807; SELECT sessionlen.train('bad_one', 'bad_plays', 'y', 'u', 't', known => '{a}', options => '{"warm_start": true, "hidden_dim": 4, "verbose": false, "epochs": 1}')$$,
$$DELETE FROM sessionlen.checkpoints; SELECT sessionlen.train('bad_one', 'bad_plays', 'y', 'u', 't', known => '{a}', options => '{"warm_start": true, "hidden_dim": 4, "verbose": false, "epochs": 1}')$$
]) s;

-- A function that a column's name could call, were it written after the table's.
CREATE FUNCTION bad_evil(bad_plays) RETURNS float8 LANGUAGE plpgsql AS
	$$ BEGIN RAISE EXCEPTION 'called by name'; END $$;

ALTER TABLE bad_case ADD outcome text;
UPDATE bad_case b SET outcome = o FROM (SELECT n, bad_try(bad_expand(statement)) AS o FROM bad_case ORDER BY n) c
WHERE b.n = c.n;
\pset format unaligned
\pset tuples_only on
SELECT CASE WHEN lag(topic) OVER w IS DISTINCT FROM topic THEN E'\n-- ' || topic || E'\n' ELSE '' END
	|| format(E'%s. %s\n%s', n, statement, outcome)
FROM bad_case WINDOW w AS (ORDER BY n) ORDER BY n;
\pset tuples_only off
\pset format aligned

-- Every option, and every field of split, with values of every JSON type: never an internal error.
CREATE TABLE bad_value AS SELECT v::jsonb AS v FROM unnest(ARRAY['null', 'true', '"x"', '""', '-1', '0', '1', '2', '0.5', '1e308', '1e-300', '-1e400', '99999', '[]', '{}', '[[]]', '[null]',
	'{"a": 1}', '{"by": "time"}', '[1, 2]', '[0.1, 0.9]', '{"a": "none"}', '{"dropout": [0]}', '"gru"', '[1, [2]]']) v;
SELECT o, outcome FROM (
	SELECT jsonb_build_object(option, v) AS o FROM sessionlen.options(), bad_value
	UNION ALL SELECT jsonb_build_object('split', jsonb_build_object(k, v, 'by', b)) FROM bad_value, unnest('{by,validation,test,tail,seed,column,validation_from,test_from,x}'::text[]) k, unnest('{user,time,column}'::text[]) b
	UNION ALL SELECT jsonb_build_object('columns', jsonb_build_object(k, v)) FROM bad_value, unnest('{a,y}'::text[]) k) x,
	LATERAL (SELECT bad_try(format('SELECT sessionlen.train(''bad_t'', ''bad_plays'', ''y'', ''u'', ''t'', known => ''{a}'', options => %L)', '{"time_limit": 0.005, "hidden_dim": 2, "verbose": false}'::jsonb || o)) AS outcome) y
WHERE outcome LIKE '%XX0%';

-- Nothing was left behind, and the model predicts the same bits.
SELECT relation FROM (TABLE bad_store EXCEPT TABLE bad_store_before) d;
SELECT count(*) AS predictions, count(*) FILTER (WHERE float8send(a.value) = float8send(b.value)) AS same
FROM bad_predictions a JOIN bad_before b USING (u, t);
-- None is an internal error.
SELECT n, outcome FROM bad_case WHERE outcome LIKE '%XX000%';

RESET ROLE;
SELECT count(sessionlen.drop_model(model)) FROM sessionlen.models WHERE owner = 'regress_bad_owner'::regrole;
DROP OWNED BY regress_bad_owner, regress_bad_other;
DROP ROLE regress_bad_owner, regress_bad_other;
