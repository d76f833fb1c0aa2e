-- Prediction: row by row, for one sequence, for a whole source.

CREATE FUNCTION sessionlen.predict(model text, features record) RETURNS float8
LANGUAGE c STABLE WINDOW PARALLEL SAFE
AS 'MODULE_PATHNAME', 'sl_predict_row';
COMMENT ON FUNCTION sessionlen.predict(text, record)
	IS 'window function: predicts each row from itself and the rows before it in its partition';

CREATE FUNCTION sessionlen.predict_sequence(model text, rows anyarray) RETURNS float8
LANGUAGE c STABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'sl_predict_sequence';
COMMENT ON FUNCTION sessionlen.predict_sequence(text, anyarray)
	IS 'the prediction for the last row of one sequence given as an array of rows';

CREATE FUNCTION sessionlen.predict_table(model text, source text, OUT partition_key text,
	OUT order_key text, OUT prediction float8, OUT quantiles float8[]) RETURNS SETOF record
LANGUAGE c STABLE PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'sl_predict_table';
COMMENT ON FUNCTION sessionlen.predict_table(text, text)
	IS 'predictions for all rows of a table, view or query, many sequences at a time';

CREATE FUNCTION sessionlen.predict_items(model text, rows anyarray, n int DEFAULT 10, beam int DEFAULT 1,
	steps int DEFAULT 1, OUT rank int, OUT items text[], OUT probability float8) RETURNS SETOF record
LANGUAGE c STABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'sl_predict_items';
COMMENT ON FUNCTION sessionlen.predict_items(text, anyarray, int, int, int)
	IS 'the most probable next items of one sequence given as an array of rows, or sequences of as many as steps says';
