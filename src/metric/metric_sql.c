/*
 * metric_sql.c: what the metric aggregates check, and those that are means.
 *
 * mae, rmse, log_loss, accuracy, recall, mrr and normalized_mae keep a float8[]: the
 * number of rows, then one or two compensated sums of two elements each.  It is changed
 * in place as float8_accum() changes its own, needs no serial form, and starts from an
 * initial value, so the transition functions are strict and NULLs never get here, but
 * for those of recall and mrr.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/float.h"

#include "metric/metric.h"
#include "metric/metric_sql.h"

/* ---- checking arguments ---- */

static void
check_finite(double value, const char *name)
{
	if (unlikely(!isfinite(value)))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"%s\" must be finite", name),
				 errdetail("Its value is %s.", float8out_internal(value)),
				 errhint("Use NULL for an unknown value: such rows are skipped.")));
}

bool
sl_metric_class(double y)
{
	check_finite(y, "y");
	if (unlikely(y != 0.0 && y != 1.0))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("argument \"y\" must be 0 or 1"),
						errdetail("Its value is %s.", float8out_internal(y)),
						errhint("To compare classes, give both as integer, bigint or "
								"text, or compare them with = and true.")));
	return y == 1.0;
}

double
sl_metric_probability(double p)
{
	check_finite(p, "p");
	if (unlikely(p < 0.0 || p > 1.0))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("argument \"p\" must be between 0 and 1"),
						errdetail("Its value is %s.", float8out_internal(p)),
						errhint("p is the probability that y is true.")));
	return p;
}

bool
sl_metric_predicted_class(double p)
{
	return sl_metric_probability(p) > 0.5;
}

double
sl_metric_absolute_error(double y, double p, const char *name)
{
	double error;

	check_finite(y, "y");
	check_finite(p, name);
	error = fabs(y - p);
	if (unlikely(isinf(error)))
		float_overflow_error();
	return error;
}

/* ---- means ---- */

/* The float8[] state: rows seen, then the sums. */
typedef struct SlMean
{
	double rows;
	SlSum sums[2];
} SlMean;

#define MEAN_LENGTH(sums) (1 + 2 * (sums))

/* The state in an array of ours; anything else comes from a direct call. */
static SlMean *
mean_state(ArrayType *array, int sums)
{
	SlMean *state = (SlMean *) ARR_DATA_PTR(array);

	if (unlikely(ARR_NDIM(array) != 1 || ARR_DIMS(array)[0] != MEAN_LENGTH(sums) ||
				 ARR_HASNULL(array) || ARR_ELEMTYPE(array) != FLOAT8OID))
		ereport(
			ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("invalid metric state"),
			 errdetail("A float8 array of %d elements is expected.", MEAN_LENGTH(sums))));
	if (unlikely(!(state->rows >= 0.0) || isinf(state->rows)))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("invalid metric state"),
				 errdetail("Its number of rows is %g.", state->rows)));
	return state;
}

/* The state argument, ours to change: a copy unless an aggregate calls. */
static ArrayType *
own_array(FunctionCallInfo fcinfo)
{
	return AggCheckCallContext(fcinfo, NULL) ? PG_GETARG_ARRAYTYPE_P(0)
											 : PG_GETARG_ARRAYTYPE_P_COPY(0);
}

static void
add_checked(SlSum *sum, double value)
{
	sl_sum_add(sum, value);
	if (unlikely(isinf(sum->sum)))
		float_overflow_error();
}

/* Count one row of the given value: the end of every one-sum transition. */
static Datum
add_to_mean(FunctionCallInfo fcinfo, double value)
{
	ArrayType *array = own_array(fcinfo);
	SlMean *state = mean_state(array, 1);

	state->rows += 1.0;
	add_checked(&state->sums[0], value);
	PG_RETURN_ARRAYTYPE_P(array);
}

PG_FUNCTION_INFO_V1(sl_mae_accum);
Datum
sl_mae_accum(PG_FUNCTION_ARGS)
{
	return add_to_mean(
		fcinfo, sl_metric_absolute_error(PG_GETARG_FLOAT8(1), PG_GETARG_FLOAT8(2), "p"));
}

PG_FUNCTION_INFO_V1(sl_rmse_accum);
Datum
sl_rmse_accum(PG_FUNCTION_ARGS)
{
	double error =
		sl_metric_absolute_error(PG_GETARG_FLOAT8(1), PG_GETARG_FLOAT8(2), "p");

	return add_to_mean(fcinfo, error * error);
}

PG_FUNCTION_INFO_V1(sl_log_loss_accum);
Datum
sl_log_loss_accum(PG_FUNCTION_ARGS)
{
	bool y = sl_metric_class(PG_GETARG_FLOAT8(1));

	return add_to_mean(fcinfo,
					   sl_log_loss(y, sl_metric_probability(PG_GETARG_FLOAT8(2))));
}

PG_FUNCTION_INFO_V1(sl_log_loss_accum_bool);
Datum
sl_log_loss_accum_bool(PG_FUNCTION_ARGS)
{
	return add_to_mean(fcinfo, sl_log_loss(PG_GETARG_BOOL(1),
										   sl_metric_probability(PG_GETARG_FLOAT8(2))));
}

/* accuracy(): one transition for each pair of types */

PG_FUNCTION_INFO_V1(sl_accuracy_accum);
Datum
sl_accuracy_accum(PG_FUNCTION_ARGS)
{
	bool y = sl_metric_class(PG_GETARG_FLOAT8(1));

	return add_to_mean(fcinfo, y == sl_metric_predicted_class(PG_GETARG_FLOAT8(2)));
}

PG_FUNCTION_INFO_V1(sl_accuracy_accum_bool_float8);
Datum
sl_accuracy_accum_bool_float8(PG_FUNCTION_ARGS)
{
	return add_to_mean(fcinfo, PG_GETARG_BOOL(1) ==
								   sl_metric_predicted_class(PG_GETARG_FLOAT8(2)));
}

PG_FUNCTION_INFO_V1(sl_accuracy_accum_bool);
Datum
sl_accuracy_accum_bool(PG_FUNCTION_ARGS)
{
	return add_to_mean(fcinfo, PG_GETARG_BOOL(1) == PG_GETARG_BOOL(2));
}

PG_FUNCTION_INFO_V1(sl_accuracy_accum_int4);
Datum
sl_accuracy_accum_int4(PG_FUNCTION_ARGS)
{
	return add_to_mean(fcinfo, PG_GETARG_INT32(1) == PG_GETARG_INT32(2));
}

PG_FUNCTION_INFO_V1(sl_accuracy_accum_int8);
Datum
sl_accuracy_accum_int8(PG_FUNCTION_ARGS)
{
	return add_to_mean(fcinfo, PG_GETARG_INT64(1) == PG_GETARG_INT64(2));
}

PG_FUNCTION_INFO_V1(sl_accuracy_accum_text);
Datum
sl_accuracy_accum_text(PG_FUNCTION_ARGS)
{
	bool equal = DatumGetBool(DirectFunctionCall2Coll(
		texteq, PG_GET_COLLATION(), PG_GETARG_DATUM(1), PG_GETARG_DATUM(2)));

	return add_to_mean(fcinfo, equal);
}

/*
 * The rank of a row's item as a value to be averaged, 0 beyond k.  A rank that is NULL is
 * that of an item which was not found, so these transitions are not strict.
 */
static double
reciprocal_rank(FunctionCallInfo fcinfo)
{
	int64 rank;
	int32 k;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(2))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("%s must not be null", PG_ARGISNULL(0) ? "state" : "k")));
	k = PG_GETARG_INT32(2);
	if (k < 1)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("argument \"k\" must be at least 1"),
						errdetail("Its value is %d.", k)));
	if (PG_ARGISNULL(1))
		return 0;
	rank = PG_GETARG_INT64(1);
	if (rank < 1)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("argument \"rank\" must be at least 1"),
						errdetail("Its value is " INT64_FORMAT ".", rank),
						errhint("The best rank is 1; NULL is a miss.")));
	return rank <= k ? 1.0 / (double) rank : 0;
}

PG_FUNCTION_INFO_V1(sl_recall_accum);
Datum
sl_recall_accum(PG_FUNCTION_ARGS)
{
	return add_to_mean(fcinfo, reciprocal_rank(fcinfo) > 0);
}

PG_FUNCTION_INFO_V1(sl_mrr_accum);
Datum
sl_mrr_accum(PG_FUNCTION_ARGS)
{
	return add_to_mean(fcinfo, reciprocal_rank(fcinfo));
}

/* sums[0] of the model's errors, sums[1] of the baseline's on the same rows */
PG_FUNCTION_INFO_V1(sl_normalized_mae_accum);
Datum
sl_normalized_mae_accum(PG_FUNCTION_ARGS)
{
	double y = PG_GETARG_FLOAT8(1);
	double model = sl_metric_absolute_error(y, PG_GETARG_FLOAT8(2), "p");
	double baseline = sl_metric_absolute_error(y, PG_GETARG_FLOAT8(3), "baseline");
	ArrayType *array = own_array(fcinfo);
	SlMean *state = mean_state(array, 2);

	state->rows += 1.0;
	add_checked(&state->sums[0], model);
	add_checked(&state->sums[1], baseline);
	PG_RETURN_ARRAYTYPE_P(array);
}

static Datum
combine_means(FunctionCallInfo fcinfo, int sums)
{
	ArrayType *array = own_array(fcinfo);
	SlMean *state = mean_state(array, sums);
	SlMean *other = mean_state(PG_GETARG_ARRAYTYPE_P(1), sums);

	state->rows += other->rows;
	for (int i = 0; i < sums; i++)
	{
		sl_sum_merge(&state->sums[i], &other->sums[i]);
		if (unlikely(isinf(state->sums[i].sum)))
			float_overflow_error();
	}
	PG_RETURN_ARRAYTYPE_P(array);
}

PG_FUNCTION_INFO_V1(sl_metric_mean_combine);
Datum
sl_metric_mean_combine(PG_FUNCTION_ARGS)
{
	return combine_means(fcinfo, 1);
}

PG_FUNCTION_INFO_V1(sl_metric_ratio_combine);
Datum
sl_metric_ratio_combine(PG_FUNCTION_ARGS)
{
	return combine_means(fcinfo, 2);
}

PG_FUNCTION_INFO_V1(sl_metric_mean_final);
Datum
sl_metric_mean_final(PG_FUNCTION_ARGS)
{
	SlMean *state = mean_state(PG_GETARG_ARRAYTYPE_P(0), 1);

	if (state->rows == 0.0)
		PG_RETURN_NULL();
	PG_RETURN_FLOAT8(sl_sum_value(&state->sums[0]) / state->rows);
}

PG_FUNCTION_INFO_V1(sl_metric_root_final);
Datum
sl_metric_root_final(PG_FUNCTION_ARGS)
{
	SlMean *state = mean_state(PG_GETARG_ARRAYTYPE_P(0), 1);

	if (state->rows == 0.0)
		PG_RETURN_NULL();
	PG_RETURN_FLOAT8(sqrt(sl_sum_value(&state->sums[0]) / state->rows));
}

/* NULL where the baseline makes no error: nothing can be measured against it. */
PG_FUNCTION_INFO_V1(sl_metric_ratio_final);
Datum
sl_metric_ratio_final(PG_FUNCTION_ARGS)
{
	SlMean *state = mean_state(PG_GETARG_ARRAYTYPE_P(0), 2);
	double baseline = sl_sum_value(&state->sums[1]);

	if (state->rows == 0.0 || baseline == 0.0)
		PG_RETURN_NULL();
	PG_RETURN_FLOAT8(sl_sum_value(&state->sums[0]) / baseline);
}
