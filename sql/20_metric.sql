-- ---------------------------------------------------------------------------
-- Metrics: aggregates of y (what happened) and p (what was predicted)
-- ---------------------------------------------------------------------------

-- Means.  State: rows, then one or two compensated sums of two elements.

CREATE FUNCTION sessionlen.mae_accum(state float8[], y float8, p float8) RETURNS float8[]
	AS 'MODULE_PATHNAME', 'sl_mae_accum' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION sessionlen.mae_accum(float8[], y float8, p float8) IS
	'transition of mae()';

CREATE FUNCTION sessionlen.rmse_accum(state float8[], y float8, p float8) RETURNS float8[]
	AS 'MODULE_PATHNAME', 'sl_rmse_accum' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION sessionlen.rmse_accum(float8[], y float8, p float8) IS
	'transition of rmse()';

CREATE FUNCTION sessionlen.log_loss_accum(state float8[], y float8, p float8) RETURNS float8[]
	AS 'MODULE_PATHNAME', 'sl_log_loss_accum' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION sessionlen.log_loss_accum(float8[], y float8, p float8) IS
	'transition of log_loss()';

CREATE FUNCTION sessionlen.log_loss_accum(state float8[], y boolean, p float8) RETURNS float8[]
	AS 'MODULE_PATHNAME', 'sl_log_loss_accum_bool' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION sessionlen.log_loss_accum(float8[], y boolean, p float8) IS
	'transition of log_loss()';

CREATE FUNCTION sessionlen.accuracy_accum(state float8[], y float8, p float8) RETURNS float8[]
	AS 'MODULE_PATHNAME', 'sl_accuracy_accum' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION sessionlen.accuracy_accum(float8[], y float8, p float8) IS
	'transition of accuracy()';

CREATE FUNCTION sessionlen.accuracy_accum(state float8[], y boolean, p float8) RETURNS float8[]
	AS 'MODULE_PATHNAME', 'sl_accuracy_accum_bool_float8' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION sessionlen.accuracy_accum(float8[], y boolean, p float8) IS
	'transition of accuracy()';

CREATE FUNCTION sessionlen.accuracy_accum(state float8[], y boolean, p boolean) RETURNS float8[]
	AS 'MODULE_PATHNAME', 'sl_accuracy_accum_bool' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION sessionlen.accuracy_accum(float8[], y boolean, p boolean) IS
	'transition of accuracy()';

CREATE FUNCTION sessionlen.accuracy_accum(state float8[], y integer, p integer) RETURNS float8[]
	AS 'MODULE_PATHNAME', 'sl_accuracy_accum_int4' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION sessionlen.accuracy_accum(float8[], y integer, p integer) IS
	'transition of accuracy()';

CREATE FUNCTION sessionlen.accuracy_accum(state float8[], y bigint, p bigint) RETURNS float8[]
	AS 'MODULE_PATHNAME', 'sl_accuracy_accum_int8' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION sessionlen.accuracy_accum(float8[], y bigint, p bigint) IS
	'transition of accuracy()';

CREATE FUNCTION sessionlen.accuracy_accum(state float8[], y text, p text) RETURNS float8[]
	AS 'MODULE_PATHNAME', 'sl_accuracy_accum_text' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION sessionlen.accuracy_accum(float8[], y text, p text) IS
	'transition of accuracy()';

CREATE FUNCTION sessionlen.normalized_mae_accum(state float8[], y float8, p float8, baseline float8) RETURNS float8[]
	AS 'MODULE_PATHNAME', 'sl_normalized_mae_accum' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION sessionlen.normalized_mae_accum(float8[], y float8, p float8, baseline float8) IS
	'transition of normalized_mae()';

CREATE FUNCTION sessionlen.recall_accum(state float8[], rank bigint, k integer) RETURNS float8[]
	AS 'MODULE_PATHNAME', 'sl_recall_accum' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION sessionlen.recall_accum(float8[], rank bigint, k integer) IS
	'transition of recall()';

CREATE FUNCTION sessionlen.mrr_accum(state float8[], rank bigint, k integer) RETURNS float8[]
	AS 'MODULE_PATHNAME', 'sl_mrr_accum' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION sessionlen.mrr_accum(float8[], rank bigint, k integer) IS
	'transition of mrr()';

CREATE FUNCTION sessionlen.metric_mean_combine(state float8[], other float8[]) RETURNS float8[]
	AS 'MODULE_PATHNAME', 'sl_metric_mean_combine' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION sessionlen.metric_mean_combine(state float8[], other float8[]) IS
	'combine of the metrics with one sum';

CREATE FUNCTION sessionlen.metric_ratio_combine(state float8[], other float8[]) RETURNS float8[]
	AS 'MODULE_PATHNAME', 'sl_metric_ratio_combine' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION sessionlen.metric_ratio_combine(state float8[], other float8[]) IS
	'combine of the metrics with two sums';

CREATE FUNCTION sessionlen.metric_mean_final(state float8[]) RETURNS float8
	AS 'MODULE_PATHNAME', 'sl_metric_mean_final' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION sessionlen.metric_mean_final(state float8[]) IS
	'final of mae(), log_loss(), accuracy(), recall() and mrr()';

CREATE FUNCTION sessionlen.metric_root_final(state float8[]) RETURNS float8
	AS 'MODULE_PATHNAME', 'sl_metric_root_final' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION sessionlen.metric_root_final(state float8[]) IS
	'final of rmse()';

CREATE FUNCTION sessionlen.metric_ratio_final(state float8[]) RETURNS float8
	AS 'MODULE_PATHNAME', 'sl_metric_ratio_final' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION sessionlen.metric_ratio_final(state float8[]) IS
	'final of normalized_mae()';

CREATE AGGREGATE sessionlen.mae(y float8, p float8) (
	SFUNC = sessionlen.mae_accum,
	STYPE = float8[],
	INITCOND = '{0,0,0}',
	COMBINEFUNC = sessionlen.metric_mean_combine,
	FINALFUNC = sessionlen.metric_mean_final,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE sessionlen.mae(y float8, p float8) IS
	'mean absolute error of p against y';

CREATE AGGREGATE sessionlen.rmse(y float8, p float8) (
	SFUNC = sessionlen.rmse_accum,
	STYPE = float8[],
	INITCOND = '{0,0,0}',
	COMBINEFUNC = sessionlen.metric_mean_combine,
	FINALFUNC = sessionlen.metric_root_final,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE sessionlen.rmse(y float8, p float8) IS
	'root of the mean squared error of p against y';

CREATE AGGREGATE sessionlen.log_loss(y float8, p float8) (
	SFUNC = sessionlen.log_loss_accum,
	STYPE = float8[],
	INITCOND = '{0,0,0}',
	COMBINEFUNC = sessionlen.metric_mean_combine,
	FINALFUNC = sessionlen.metric_mean_final,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE sessionlen.log_loss(y float8, p float8) IS
	'mean negative log-likelihood of 0/1 outcomes y under probabilities p, clipped at 1e-15';

CREATE AGGREGATE sessionlen.log_loss(y boolean, p float8) (
	SFUNC = sessionlen.log_loss_accum,
	STYPE = float8[],
	INITCOND = '{0,0,0}',
	COMBINEFUNC = sessionlen.metric_mean_combine,
	FINALFUNC = sessionlen.metric_mean_final,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE sessionlen.log_loss(y boolean, p float8) IS
	'mean negative log-likelihood of 0/1 outcomes y under probabilities p, clipped at 1e-15';

CREATE AGGREGATE sessionlen.accuracy(y float8, p float8) (
	SFUNC = sessionlen.accuracy_accum,
	STYPE = float8[],
	INITCOND = '{0,0,0}',
	COMBINEFUNC = sessionlen.metric_mean_combine,
	FINALFUNC = sessionlen.metric_mean_final,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE sessionlen.accuracy(y float8, p float8) IS
	'share of rows where the probability p is on the side of 0.5 that the 0/1 outcome y says';

CREATE AGGREGATE sessionlen.accuracy(y boolean, p float8) (
	SFUNC = sessionlen.accuracy_accum,
	STYPE = float8[],
	INITCOND = '{0,0,0}',
	COMBINEFUNC = sessionlen.metric_mean_combine,
	FINALFUNC = sessionlen.metric_mean_final,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE sessionlen.accuracy(y boolean, p float8) IS
	'share of rows where the probability p is on the side of 0.5 that the 0/1 outcome y says';

CREATE AGGREGATE sessionlen.accuracy(y boolean, p boolean) (
	SFUNC = sessionlen.accuracy_accum,
	STYPE = float8[],
	INITCOND = '{0,0,0}',
	COMBINEFUNC = sessionlen.metric_mean_combine,
	FINALFUNC = sessionlen.metric_mean_final,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE sessionlen.accuracy(y boolean, p boolean) IS
	'share of rows where p equals y';

CREATE AGGREGATE sessionlen.accuracy(y integer, p integer) (
	SFUNC = sessionlen.accuracy_accum,
	STYPE = float8[],
	INITCOND = '{0,0,0}',
	COMBINEFUNC = sessionlen.metric_mean_combine,
	FINALFUNC = sessionlen.metric_mean_final,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE sessionlen.accuracy(y integer, p integer) IS
	'share of rows where p equals y';

CREATE AGGREGATE sessionlen.accuracy(y bigint, p bigint) (
	SFUNC = sessionlen.accuracy_accum,
	STYPE = float8[],
	INITCOND = '{0,0,0}',
	COMBINEFUNC = sessionlen.metric_mean_combine,
	FINALFUNC = sessionlen.metric_mean_final,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE sessionlen.accuracy(y bigint, p bigint) IS
	'share of rows where p equals y';

CREATE AGGREGATE sessionlen.accuracy(y text, p text) (
	SFUNC = sessionlen.accuracy_accum,
	STYPE = float8[],
	INITCOND = '{0,0,0}',
	COMBINEFUNC = sessionlen.metric_mean_combine,
	FINALFUNC = sessionlen.metric_mean_final,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE sessionlen.accuracy(y text, p text) IS
	'share of rows where p equals y';

CREATE AGGREGATE sessionlen.recall(rank bigint, k integer) (
	SFUNC = sessionlen.recall_accum,
	STYPE = float8[],
	INITCOND = '{0,0,0}',
	COMBINEFUNC = sessionlen.metric_mean_combine,
	FINALFUNC = sessionlen.metric_mean_final,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE sessionlen.recall(rank bigint, k integer) IS
	'recall at k: share of rows whose item is among the first k; a rank of NULL is a miss';

CREATE AGGREGATE sessionlen.mrr(rank bigint, k integer) (
	SFUNC = sessionlen.mrr_accum,
	STYPE = float8[],
	INITCOND = '{0,0,0}',
	COMBINEFUNC = sessionlen.metric_mean_combine,
	FINALFUNC = sessionlen.metric_mean_final,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE sessionlen.mrr(rank bigint, k integer) IS
	'mean reciprocal rank at k: mean of 1 / rank, 0 beyond k and where the rank is NULL';

CREATE AGGREGATE sessionlen.normalized_mae(y float8, p float8, baseline float8) (
	SFUNC = sessionlen.normalized_mae_accum,
	STYPE = float8[],
	INITCOND = '{0,0,0,0,0}',
	COMBINEFUNC = sessionlen.metric_ratio_combine,
	FINALFUNC = sessionlen.metric_ratio_final,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE sessionlen.normalized_mae(y float8, p float8, baseline float8) IS
	'mean absolute error of p divided by that of the baseline on the same rows; NULL where the baseline makes no error';

-- Metrics that keep every row, in one growing array.

CREATE FUNCTION sessionlen.median_ae_accum(state internal, y float8, p float8) RETURNS internal
	AS 'MODULE_PATHNAME', 'sl_median_ae_accum' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION sessionlen.median_ae_accum(internal, y float8, p float8) IS
	'transition of median_ae()';

CREATE FUNCTION sessionlen.auc_accum(state internal, y float8, p float8) RETURNS internal
	AS 'MODULE_PATHNAME', 'sl_auc_accum' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION sessionlen.auc_accum(internal, y float8, p float8) IS
	'transition of auc()';

CREATE FUNCTION sessionlen.auc_accum(state internal, y boolean, p float8) RETURNS internal
	AS 'MODULE_PATHNAME', 'sl_auc_accum_bool' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION sessionlen.auc_accum(internal, y boolean, p float8) IS
	'transition of auc()';

CREATE FUNCTION sessionlen.position_accum(state internal, y float8, p float8, "position" bigint) RETURNS internal
	AS 'MODULE_PATHNAME', 'sl_position_accum' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION sessionlen.position_accum(internal, y float8, p float8, "position" bigint) IS
	'transition of average_accuracy() and first_accuracy()';

CREATE FUNCTION sessionlen.position_accum(state internal, y boolean, p float8, "position" bigint) RETURNS internal
	AS 'MODULE_PATHNAME', 'sl_position_accum_bool_float8' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION sessionlen.position_accum(internal, y boolean, p float8, "position" bigint) IS
	'transition of average_accuracy() and first_accuracy()';

CREATE FUNCTION sessionlen.position_accum(state internal, y boolean, p boolean, "position" bigint) RETURNS internal
	AS 'MODULE_PATHNAME', 'sl_position_accum_bool' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION sessionlen.position_accum(internal, y boolean, p boolean, "position" bigint) IS
	'transition of average_accuracy() and first_accuracy()';

CREATE FUNCTION sessionlen.metric_values_combine(state internal, other internal) RETURNS internal
	AS 'MODULE_PATHNAME', 'sl_metric_values_combine' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION sessionlen.metric_values_combine(state internal, other internal) IS
	'combine of the metrics that keep every row';

CREATE FUNCTION sessionlen.metric_values_serial(state internal) RETURNS bytea
	AS 'MODULE_PATHNAME', 'sl_metric_values_serial' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION sessionlen.metric_values_serial(state internal) IS
	'serial form of the state of metrics that keep every row';

CREATE FUNCTION sessionlen.metric_values_deserial(serial bytea, state internal) RETURNS internal
	AS 'MODULE_PATHNAME', 'sl_metric_values_deserial' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION sessionlen.metric_values_deserial(serial bytea, state internal) IS
	'state of metrics that keep every row, from its serial form';

CREATE FUNCTION sessionlen.median_ae_final(state internal) RETURNS float8
	AS 'MODULE_PATHNAME', 'sl_median_ae_final' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION sessionlen.median_ae_final(state internal) IS
	'final of median_ae()';

CREATE FUNCTION sessionlen.auc_final(state internal) RETURNS float8
	AS 'MODULE_PATHNAME', 'sl_auc_final' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION sessionlen.auc_final(state internal) IS
	'final of auc()';

CREATE FUNCTION sessionlen.average_accuracy_final(state internal) RETURNS float8
	AS 'MODULE_PATHNAME', 'sl_average_accuracy_final' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION sessionlen.average_accuracy_final(state internal) IS
	'final of average_accuracy()';

CREATE FUNCTION sessionlen.first_accuracy_final(state internal) RETURNS float8
	AS 'MODULE_PATHNAME', 'sl_first_accuracy_final' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION sessionlen.first_accuracy_final(state internal) IS
	'final of first_accuracy()';

CREATE AGGREGATE sessionlen.median_ae(y float8, p float8) (
	SFUNC = sessionlen.median_ae_accum,
	STYPE = internal,
	SSPACE = 8192,
	COMBINEFUNC = sessionlen.metric_values_combine,
	SERIALFUNC = sessionlen.metric_values_serial,
	DESERIALFUNC = sessionlen.metric_values_deserial,
	FINALFUNC = sessionlen.median_ae_final,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE sessionlen.median_ae(y float8, p float8) IS
	'median absolute error of p against y';

CREATE AGGREGATE sessionlen.auc(y float8, p float8) (
	SFUNC = sessionlen.auc_accum,
	STYPE = internal,
	SSPACE = 8192,
	COMBINEFUNC = sessionlen.metric_values_combine,
	SERIALFUNC = sessionlen.metric_values_serial,
	DESERIALFUNC = sessionlen.metric_values_deserial,
	FINALFUNC = sessionlen.auc_final,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE sessionlen.auc(y float8, p float8) IS
	'area under the ROC curve: the chance that p ranks a positive above a negative, ties counting half; NULL when one class is absent';

CREATE AGGREGATE sessionlen.auc(y boolean, p float8) (
	SFUNC = sessionlen.auc_accum,
	STYPE = internal,
	SSPACE = 8192,
	COMBINEFUNC = sessionlen.metric_values_combine,
	SERIALFUNC = sessionlen.metric_values_serial,
	DESERIALFUNC = sessionlen.metric_values_deserial,
	FINALFUNC = sessionlen.auc_final,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE sessionlen.auc(y boolean, p float8) IS
	'area under the ROC curve: the chance that p ranks a positive above a negative, ties counting half; NULL when one class is absent';

CREATE AGGREGATE sessionlen.average_accuracy(y float8, p float8, "position" bigint) (
	SFUNC = sessionlen.position_accum,
	STYPE = internal,
	SSPACE = 256,
	COMBINEFUNC = sessionlen.metric_values_combine,
	SERIALFUNC = sessionlen.metric_values_serial,
	DESERIALFUNC = sessionlen.metric_values_deserial,
	FINALFUNC = sessionlen.average_accuracy_final,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE sessionlen.average_accuracy(y float8, p float8, "position" bigint) IS
	'average accuracy of one session: mean over positions of accuracy so far where right, 0 where wrong';

CREATE AGGREGATE sessionlen.average_accuracy(y boolean, p float8, "position" bigint) (
	SFUNC = sessionlen.position_accum,
	STYPE = internal,
	SSPACE = 256,
	COMBINEFUNC = sessionlen.metric_values_combine,
	SERIALFUNC = sessionlen.metric_values_serial,
	DESERIALFUNC = sessionlen.metric_values_deserial,
	FINALFUNC = sessionlen.average_accuracy_final,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE sessionlen.average_accuracy(y boolean, p float8, "position" bigint) IS
	'average accuracy of one session: mean over positions of accuracy so far where right, 0 where wrong';

CREATE AGGREGATE sessionlen.average_accuracy(y boolean, p boolean, "position" bigint) (
	SFUNC = sessionlen.position_accum,
	STYPE = internal,
	SSPACE = 256,
	COMBINEFUNC = sessionlen.metric_values_combine,
	SERIALFUNC = sessionlen.metric_values_serial,
	DESERIALFUNC = sessionlen.metric_values_deserial,
	FINALFUNC = sessionlen.average_accuracy_final,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE sessionlen.average_accuracy(y boolean, p boolean, "position" bigint) IS
	'average accuracy of one session: mean over positions of accuracy so far where right, 0 where wrong';

CREATE AGGREGATE sessionlen.first_accuracy(y float8, p float8, "position" bigint) (
	SFUNC = sessionlen.position_accum,
	STYPE = internal,
	SSPACE = 256,
	COMBINEFUNC = sessionlen.metric_values_combine,
	SERIALFUNC = sessionlen.metric_values_serial,
	DESERIALFUNC = sessionlen.metric_values_deserial,
	FINALFUNC = sessionlen.first_accuracy_final,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE sessionlen.first_accuracy(y float8, p float8, "position" bigint) IS
	'1 if the prediction at the first position of one session was right, else 0';

CREATE AGGREGATE sessionlen.first_accuracy(y boolean, p float8, "position" bigint) (
	SFUNC = sessionlen.position_accum,
	STYPE = internal,
	SSPACE = 256,
	COMBINEFUNC = sessionlen.metric_values_combine,
	SERIALFUNC = sessionlen.metric_values_serial,
	DESERIALFUNC = sessionlen.metric_values_deserial,
	FINALFUNC = sessionlen.first_accuracy_final,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE sessionlen.first_accuracy(y boolean, p float8, "position" bigint) IS
	'1 if the prediction at the first position of one session was right, else 0';

CREATE AGGREGATE sessionlen.first_accuracy(y boolean, p boolean, "position" bigint) (
	SFUNC = sessionlen.position_accum,
	STYPE = internal,
	SSPACE = 256,
	COMBINEFUNC = sessionlen.metric_values_combine,
	SERIALFUNC = sessionlen.metric_values_serial,
	DESERIALFUNC = sessionlen.metric_values_deserial,
	FINALFUNC = sessionlen.first_accuracy_final,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE sessionlen.first_accuracy(y boolean, p boolean, "position" bigint) IS
	'1 if the prediction at the first position of one session was right, else 0';
