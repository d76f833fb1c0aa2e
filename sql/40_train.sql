-- Training, its options, and the split it shares with every other query.

CREATE FUNCTION sessionlen.split_part(key text, validation float8 DEFAULT 0.1, test float8 DEFAULT 0.1,
	seed bigint DEFAULT 0) RETURNS text
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'sl_split_part';
COMMENT ON FUNCTION sessionlen.split_part(text, float8, float8, bigint)
	IS 'train, validation or test, by a hash of the key: the split train() uses for users';

CREATE FUNCTION sessionlen.options(OUT option text, OUT type text, OUT "default" text, OUT valid text,
	OUT meaning text) RETURNS SETOF record
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'sl_options_list';
COMMENT ON FUNCTION sessionlen.options() IS 'the options of train(), with defaults, ranges and meaning';

CREATE FUNCTION sessionlen.train(
	model text,
	source text,
	target text DEFAULT NULL,
	partition_by text DEFAULT NULL,
	order_by text DEFAULT NULL,
	known text[] DEFAULT '{}',
	static text[] DEFAULT '{}',
	observed text[] DEFAULT '{}',
	item text DEFAULT NULL,
	censored text DEFAULT NULL,
	task text DEFAULT 'regression',
	clusters text DEFAULT NULL,
	options jsonb DEFAULT '{}',
	OUT model text,
	OUT version int,
	OUT epochs int,
	OUT training_loss float8,
	OUT validation_loss float8,
	OUT validation_mae float8,
	OUT seconds float8,
	OUT rows_per_second float8,
	OUT deployed boolean,
	OUT stopped_early boolean)
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'sl_train_model';
COMMENT ON FUNCTION sessionlen.train(text, text, text, text, text, text[], text[], text[], text, text, text, text, jsonb)
	IS 'trains a new version of a model on a table, view or query, and lets it serve';
