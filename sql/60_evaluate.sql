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

CREATE FUNCTION sessionlen.item_predictions(model text, source text DEFAULT NULL, part text DEFAULT 'test',
	OUT partition_key text, OUT order_key text, OUT item text, OUT rank bigint, OUT probability float8,
	OUT popularity_rank bigint, OUT cooccurrence_rank bigint, OUT part text, OUT cluster int,
	OUT "position" bigint) RETURNS SETOF record
LANGUAGE c STABLE PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'sl_item_predictions';
COMMENT ON FUNCTION sessionlen.item_predictions(text, text, text)
	IS 'every held-out row of a model that predicts items: where its item stands, by the model, by popularity and by what came after the item before';

CREATE FUNCTION sessionlen.evaluate(model text, source text DEFAULT NULL, part text DEFAULT 'test',
	k int DEFAULT 20, OUT predictor text, OUT row_count bigint, OUT mae float8, OUT rmse float8,
	OUT median_ae float8, OUT normalized_mae float8, OUT cluster text, OUT accuracy float8,
	OUT first_accuracy float8, OUT average_accuracy float8, OUT auc float8, OUT log_loss float8,
	OUT recall float8, OUT mrr float8) RETURNS SETOF record
LANGUAGE sql STABLE PARALLEL RESTRICTED
BEGIN ATOMIC
	WITH t AS MATERIALIZED ( -- a model that does not exist is for predictions() to report
		SELECT coalesce(max(v.task), 'regression') AS task, coalesce(max(v.options ->> 'horizon'), '0') <> '0' AS whole
		  FROM sessionlen.models m JOIN sessionlen.model_versions v ON v.model = m.model AND v.version = m.deployed
		 WHERE m.model = $1),
	p AS MATERIALIZED (
		SELECT t.task, t.whole, p.*
		  FROM t CROSS JOIN LATERAL sessionlen.predictions($1, $2, CASE WHEN t.task <> 'next_items' THEN $3 END) p
		 WHERE t.task <> 'next_items' AND p.actual IS NOT NULL),
	i AS MATERIALIZED (
		SELECT i.*
		  FROM t CROSS JOIN LATERAL sessionlen.item_predictions($1, $2, CASE WHEN t.task = 'next_items' THEN $3 END) i
		 WHERE t.task = 'next_items'),
	c AS ( -- is there a network for each cluster?
		SELECT EXISTS (SELECT FROM p WHERE p.cluster IS NOT NULL)
			   OR EXISTS (SELECT FROM i WHERE i.cluster IS NOT NULL) AS clusters),
	v AS MATERIALIZED (
		SELECT p.*, b.place, b.predictor, b.value
		  FROM p CROSS JOIN LATERAL (VALUES
				(1, 'model', p.prediction, '{regression,binary,skip}'::text[]),
				(2, 'user mean', p.user_mean, '{regression,binary}'),
				(3, 'user median', p.user_median, '{regression}'),
				(4, 'all skip', 1, '{skip}'),
				(5, CASE p.task WHEN 'skip' THEN 'last skip state' ELSE 'last value' END, p.last_value, '{regression,binary,skip}'),
				(6, 'global median', p.global_median, '{regression}'),
				(7, 'global rate', p.global_mean, '{binary,skip}')) b(place, predictor, value, tasks)
		 WHERE p.task = ANY (b.tasks)),
	s AS ( -- by sequence
		SELECT v.place, v.cluster, sessionlen.first_accuracy(v.actual, v.value, v."position") AS first_accuracy,
			   sessionlen.average_accuracy(v.actual, v.value, v."position") AS average_accuracy
		  FROM v WHERE v.task <> 'regression' AND v.whole GROUP BY v.place, v.cluster, v.partition_key),
	sequences AS (
		SELECT s.place, s.cluster, grouping(s.cluster) AS overall, avg(s.first_accuracy) AS first_accuracy,
			   avg(s.average_accuracy) AS average_accuracy
		  FROM s GROUP BY GROUPING SETS ((s.place), (s.place, s.cluster))),
	r AS (
		SELECT v.place, v.predictor, v.cluster, grouping(v.cluster) AS overall, count(*) AS row_count,
			   sessionlen.mae(v.actual, v.value) FILTER (WHERE v.task = 'regression') AS mae,
			   sessionlen.rmse(v.actual, v.value) FILTER (WHERE v.task = 'regression') AS rmse,
			   sessionlen.median_ae(v.actual, v.value) FILTER (WHERE v.task = 'regression') AS median_ae,
			   sessionlen.normalized_mae(v.actual, v.value, v.user_mean) FILTER (WHERE v.task = 'regression') AS normalized_mae,
			   sessionlen.accuracy(v.actual, v.value) FILTER (WHERE v.task <> 'regression') AS accuracy,
			   sessionlen.auc(v.actual, v.value) FILTER (WHERE v.task <> 'regression') AS auc,
			   sessionlen.log_loss(v.actual, v.value) FILTER (WHERE v.task <> 'regression') AS log_loss
		  FROM v GROUP BY GROUPING SETS ((v.place, v.predictor), (v.place, v.predictor, v.cluster))),
	n AS (
		SELECT b.place, b.predictor, i.cluster, grouping(i.cluster) AS overall, count(*) AS row_count,
			   sessionlen.recall(b.rank, $4) AS recall, sessionlen.mrr(b.rank, $4) AS mrr
		  FROM i CROSS JOIN LATERAL (VALUES (1, 'model', i.rank), (2, 'popularity', i.popularity_rank),
				(3, 'co-occurrence', i.cooccurrence_rank)) b(place, predictor, rank)
		 GROUP BY GROUPING SETS ((b.place, b.predictor), (b.place, b.predictor, i.cluster)))
	SELECT a.predictor, a.row_count, a.mae, a.rmse, a.median_ae, a.normalized_mae,
		   CASE WHEN a.overall = 0 THEN coalesce(a.cluster::text, 'none') END,
		   a.accuracy, a.first_accuracy, a.average_accuracy, a.auc, a.log_loss, a.recall, a.mrr
	  FROM (SELECT r.place, r.predictor, r.row_count, r.mae, r.rmse, r.median_ae, r.normalized_mae, r.cluster, r.overall,
				   r.accuracy, q.first_accuracy, q.average_accuracy, r.auc, r.log_loss, NULL::float8 AS recall, NULL::float8 AS mrr
			  FROM r LEFT JOIN sequences q ON q.place = r.place AND q.overall = r.overall AND q.cluster IS NOT DISTINCT FROM r.cluster
			UNION ALL
			SELECT n.place, n.predictor, n.row_count, NULL, NULL, NULL, NULL, n.cluster, n.overall, NULL, NULL, NULL, NULL, NULL,
				   n.recall, n.mrr FROM n) a
	 WHERE a.overall = 1 OR (SELECT c.clusters FROM c)
	 ORDER BY a.overall DESC, a.cluster NULLS LAST, a.place;
END;
COMMENT ON FUNCTION sessionlen.evaluate(text, text, text, int)
	IS 'how good a model is beside the baselines, on the same held-out rows: errors, or accuracy, or recall and MRR at k, by its task';
