-- Evaluation: predictions beside the baselines, row by row and summed up.

CREATE FUNCTION sessionlen.predictions(model text, source text DEFAULT NULL, part text DEFAULT 'test',
	OUT partition_key text, OUT order_key text, OUT prediction float8, OUT quantiles float8[],
	OUT part text, OUT actual float8, OUT user_mean float8, OUT user_median float8,
	OUT last_value float8, OUT global_median float8, OUT cluster int, OUT global_mean float8,
	OUT "position" bigint) RETURNS SETOF record
LANGUAGE c STABLE PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'sl_predictions';
COMMENT ON FUNCTION sessionlen.predictions(text, text, text)
	IS 'every held-out row with its actual value, the prediction and what each baseline says';

CREATE FUNCTION sessionlen.evaluate(model text, source text DEFAULT NULL, part text DEFAULT 'test',
	OUT predictor text, OUT row_count bigint, OUT mae float8, OUT rmse float8, OUT median_ae float8,
	OUT normalized_mae float8, OUT cluster text) RETURNS SETOF record
LANGUAGE sql STABLE PARALLEL RESTRICTED
BEGIN ATOMIC
	WITH p AS MATERIALIZED (
		SELECT * FROM sessionlen.predictions($1, $2, $3) p WHERE p.actual IS NOT NULL)
	SELECT v.predictor, count(*), sessionlen.mae(p.actual, v.value), sessionlen.rmse(p.actual, v.value),
	       sessionlen.median_ae(p.actual, v.value),
	       sessionlen.normalized_mae(p.actual, v.value, p.user_mean),
	       CASE WHEN grouping(p.cluster) = 0 THEN coalesce(p.cluster::text, 'none') END
	  FROM p
	 CROSS JOIN LATERAL (VALUES (1, 'model', p.prediction), (2, 'user mean', p.user_mean),
	                            (3, 'user median', p.user_median), (4, 'last value', p.last_value),
	                            (5, 'global median', p.global_median)) v(place, predictor, value)
	 GROUP BY GROUPING SETS ((v.place, v.predictor), (v.place, v.predictor, p.cluster))
	HAVING grouping(p.cluster) = 1 OR (SELECT bool_or(q.cluster IS NOT NULL) FROM p q)
	 ORDER BY grouping(p.cluster) DESC, p.cluster NULLS LAST, v.place;
END;
COMMENT ON FUNCTION sessionlen.evaluate(text, text, text)
	IS 'errors of a model beside the baselines, on the same held-out rows';
