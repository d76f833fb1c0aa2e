/*
 * metric_values_sql.c: the metric aggregates that need every row.
 *
 * median_ae, auc, average_accuracy and first_accuracy share one growing array.  Their
 * final functions sort a copy: the state itself goes on to take rows when the
 * aggregate runs over a window.
 */
#include "postgres.h"

#include <math.h>

#include "fmgr.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

#include "argument.h"
#include "metric/metric.h"
#include "metric/metric_sql.h"

/* ---- states that keep their rows ---- */

typedef struct SlValues
{
	SlValueKind kind;
	size_t count;	 /* rows */
	size_t capacity; /* rows */
	uint64_t *words; /* sl_values_words(kind) a row */
} SlValues;

/* Sessions are short and there are many of them: start small. */
#define VALUES_START 8

static SlValues *
make_values(MemoryContext context, SlValueKind kind, size_t capacity)
{
	SlValues *state = MemoryContextAlloc(context, sizeof(SlValues));
	size_t width = sl_values_words(kind) * sizeof(uint64_t);

	Assert(capacity <= MaxAllocHugeSize / width);
	state->kind = kind;
	state->count = 0;
	state->capacity = capacity;
	state->words = MemoryContextAllocHuge(context, capacity * width);
	return state;
}

/* Room for `extra` more rows, at least doubling what there is. */
static void
reserve_values(SlValues *state, size_t extra)
{
	size_t width = sl_values_words(state->kind) * sizeof(uint64_t);
	size_t limit = MaxAllocHugeSize / width;
	size_t capacity;

	if (likely(extra <= state->capacity - state->count))
		return;
	if (extra > limit - state->count)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("too many rows for a metric that keeps them")));
	capacity = state->capacity > limit / 2 ? limit : state->capacity * 2;
	capacity = Max(capacity, state->count + extra);
	state->words = repalloc_huge(state->words, capacity * width);
	state->capacity = capacity;
}

/* The row to fill next; the state is made when there is none yet. */
static uint64_t *
next_row(FunctionCallInfo fcinfo, SlValueKind kind, SlValues **state)
{
	*state = PG_ARGISNULL(0)
				 ? make_values(sl_aggregate_context(fcinfo), kind, VALUES_START)
				 : (SlValues *) PG_GETARG_POINTER(0);
	if ((*state)->kind != kind)
		elog(ERROR, "metric state of kind %d, not %d", (*state)->kind, kind);
	reserve_values(*state, 1);
	return (*state)->words + (*state)->count++ * sl_values_words(kind);
}

/* A transition for a row with a NULL: the state as it is. */
static Datum
skip_row(FunctionCallInfo fcinfo)
{
	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	PG_RETURN_DATUM(PG_GETARG_DATUM(0));
}

static Datum
keep_double(FunctionCallInfo fcinfo, SlValueKind kind, double value)
{
	SlValues *state;
	uint64_t *row;

	(void) sl_aggregate_context(fcinfo);
	row = next_row(fcinfo, kind, &state);
	memcpy(row, &value, sizeof(value));
	PG_RETURN_POINTER(state);
}

PG_FUNCTION_INFO_V1(sl_median_ae_accum);
Datum
sl_median_ae_accum(PG_FUNCTION_ARGS)
{
	if (PG_ARGISNULL(1) || PG_ARGISNULL(2))
		return skip_row(fcinfo);
	return keep_double(
		fcinfo, SL_VALUES_ERROR,
		sl_metric_absolute_error(PG_GETARG_FLOAT8(1), PG_GETARG_FLOAT8(2), "p"));
}

PG_FUNCTION_INFO_V1(sl_auc_accum);
Datum
sl_auc_accum(PG_FUNCTION_ARGS)
{
	bool y;

	if (PG_ARGISNULL(1) || PG_ARGISNULL(2))
		return skip_row(fcinfo);
	y = sl_metric_class(PG_GETARG_FLOAT8(1));
	return keep_double(fcinfo, SL_VALUES_SCORE,
					   sl_score(y, sl_metric_probability(PG_GETARG_FLOAT8(2))));
}

PG_FUNCTION_INFO_V1(sl_auc_accum_bool);
Datum
sl_auc_accum_bool(PG_FUNCTION_ARGS)
{
	if (PG_ARGISNULL(1) || PG_ARGISNULL(2))
		return skip_row(fcinfo);
	return keep_double(
		fcinfo, SL_VALUES_SCORE,
		sl_score(PG_GETARG_BOOL(1), sl_metric_probability(PG_GETARG_FLOAT8(2))));
}

static Datum
keep_position(FunctionCallInfo fcinfo, bool right)
{
	SlValues *state;
	SlPosition row;
	uint64_t *place;

	if (PG_ARGISNULL(3))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("argument \"position\" must not be null"),
						errhint("Leave such rows out with FILTER.")));
	(void) sl_aggregate_context(fcinfo);
	row.position = PG_GETARG_INT64(3);
	row.right = right;
	place = next_row(fcinfo, SL_VALUES_POSITION, &state);
	memcpy(place, &row, sizeof(row));
	PG_RETURN_POINTER(state);
}

PG_FUNCTION_INFO_V1(sl_position_accum);
Datum
sl_position_accum(PG_FUNCTION_ARGS)
{
	bool y;

	if (PG_ARGISNULL(1) || PG_ARGISNULL(2))
		return skip_row(fcinfo);
	y = sl_metric_class(PG_GETARG_FLOAT8(1));
	return keep_position(fcinfo, y == sl_metric_predicted_class(PG_GETARG_FLOAT8(2)));
}

PG_FUNCTION_INFO_V1(sl_position_accum_bool_float8);
Datum
sl_position_accum_bool_float8(PG_FUNCTION_ARGS)
{
	if (PG_ARGISNULL(1) || PG_ARGISNULL(2))
		return skip_row(fcinfo);
	return keep_position(fcinfo, PG_GETARG_BOOL(1) ==
									 sl_metric_predicted_class(PG_GETARG_FLOAT8(2)));
}

PG_FUNCTION_INFO_V1(sl_position_accum_bool);
Datum
sl_position_accum_bool(PG_FUNCTION_ARGS)
{
	if (PG_ARGISNULL(1) || PG_ARGISNULL(2))
		return skip_row(fcinfo);
	return keep_position(fcinfo, PG_GETARG_BOOL(1) == PG_GETARG_BOOL(2));
}

PG_FUNCTION_INFO_V1(sl_metric_values_combine);
Datum
sl_metric_values_combine(PG_FUNCTION_ARGS)
{
	MemoryContext context = sl_aggregate_context(fcinfo);
	SlValues *other;
	SlValues *state;
	size_t words;

	if (PG_ARGISNULL(1))
		return skip_row(fcinfo);
	other = (SlValues *) PG_GETARG_POINTER(1);
	state = PG_ARGISNULL(0) ? make_values(context, other->kind, Max(other->count, 1))
							: (SlValues *) PG_GETARG_POINTER(0);
	if (state->kind != other->kind)
		elog(ERROR, "metric states of kinds %d and %d", state->kind, other->kind);
	reserve_values(state, other->count);
	words = sl_values_words(state->kind);
	memcpy(state->words + state->count * words, other->words,
		   other->count * words * sizeof(uint64_t));
	state->count += other->count;
	PG_RETURN_POINTER(state);
}

PG_FUNCTION_INFO_V1(sl_metric_values_serial);
Datum
sl_metric_values_serial(PG_FUNCTION_ARGS)
{
	SlValues *state = (SlValues *) PG_GETARG_POINTER(0);
	size_t size;
	bytea *result;

	(void) sl_aggregate_context(fcinfo);
	size = sl_values_serial_size(state->kind, state->count);
	if (size == 0 || size > MaxAllocSize - VARHDRSZ)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("too many rows for a partial metric"),
						errdetail("A worker's share of %zu rows does not fit into 1 GB.",
								  state->count),
						errhint("Set max_parallel_workers_per_gather to 0.")));
	result = palloc(VARHDRSZ + size);
	SET_VARSIZE(result, VARHDRSZ + size);
	sl_values_encode(state->kind, state->count, state->words,
					 (unsigned char *) VARDATA(result));
	PG_RETURN_BYTEA_P(result);
}

static void
reject_serial(const char *detail)
{
	ereport(ERROR, (errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
					errmsg("invalid serialized metric state"), errdetail("%s", detail)));
}

PG_FUNCTION_INFO_V1(sl_metric_values_deserial);
Datum
sl_metric_values_deserial(PG_FUNCTION_ARGS)
{
	bytea *serial = PG_GETARG_BYTEA_PP(0);
	const unsigned char *bytes = (const unsigned char *) VARDATA_ANY(serial);
	SlValues *state;
	SlValueKind kind;
	size_t count;
	const char *wrong;

	(void) sl_aggregate_context(fcinfo);
	wrong = sl_values_parse(bytes, VARSIZE_ANY_EXHDR(serial), &kind, &count);
	if (wrong != NULL)
		reject_serial(wrong);
	state = make_values(CurrentMemoryContext, kind, Max(count, 1));
	wrong = sl_values_decode(bytes, kind, count, state->words);
	if (wrong != NULL)
		reject_serial(wrong);
	state->count = count;
	PG_RETURN_POINTER(state);
}

/* ---- finals: sort a copy, hand it to the core ---- */

#define ST_SORT sort_doubles
#define ST_ELEMENT_TYPE double
#define ST_COMPARE(a, b) (*(a) < *(b) ? -1 : *(a) > *(b))
#define ST_SCOPE static
#define ST_CHECK_FOR_INTERRUPTS
#define ST_DEFINE
#include "lib/sort_template.h"

#define ST_SORT sort_scores
#define ST_ELEMENT_TYPE double
#define ST_COMPARE(a, b) (fabs(*(a)) < fabs(*(b)) ? -1 : fabs(*(a)) > fabs(*(b)))
#define ST_SCOPE static
#define ST_CHECK_FOR_INTERRUPTS
#define ST_DEFINE
#include "lib/sort_template.h"

#define ST_SORT sort_positions
#define ST_ELEMENT_TYPE SlPosition
#define ST_COMPARE(a, b) \
	((a)->position < (b)->position ? -1 : (a)->position > (b)->position)
#define ST_SCOPE static
#define ST_CHECK_FOR_INTERRUPTS
#define ST_DEFINE
#include "lib/sort_template.h"

/* The state's rows sorted, to be freed by the caller; NULL when there are none. */
static void *
sorted_copy(FunctionCallInfo fcinfo, SlValueKind kind, size_t *count)
{
	SlValues *state;
	size_t size;
	void *copy;

	(void) sl_aggregate_context(fcinfo);
	state = PG_ARGISNULL(0) ? NULL : (SlValues *) PG_GETARG_POINTER(0);
	if (state == NULL || state->count == 0)
		return NULL;
	if (state->kind != kind)
		elog(ERROR, "metric state of kind %d, not %d", state->kind, kind);
	*count = state->count;
	size = state->count * sl_values_words(kind) * sizeof(uint64_t);
	copy = MemoryContextAllocHuge(CurrentMemoryContext, size);
	memcpy(copy, state->words, size);
	if (kind == SL_VALUES_ERROR)
		sort_doubles(copy, state->count);
	else if (kind == SL_VALUES_SCORE)
		sort_scores(copy, state->count);
	else
		sort_positions(copy, state->count);
	return copy;
}

PG_FUNCTION_INFO_V1(sl_median_ae_final);
Datum
sl_median_ae_final(PG_FUNCTION_ARGS)
{
	size_t count;
	double *errors = sorted_copy(fcinfo, SL_VALUES_ERROR, &count);
	double median;

	if (errors == NULL)
		PG_RETURN_NULL();
	median = sl_median(errors, count);
	pfree(errors);
	PG_RETURN_FLOAT8(median);
}

PG_FUNCTION_INFO_V1(sl_auc_final);
Datum
sl_auc_final(PG_FUNCTION_ARGS)
{
	size_t count;
	double *scores = sorted_copy(fcinfo, SL_VALUES_SCORE, &count);
	double auc = 0.0;
	bool both_classes;

	if (scores == NULL)
		PG_RETURN_NULL();
	both_classes = sl_auc(scores, count, &auc);
	pfree(scores);
	if (!both_classes)
		PG_RETURN_NULL();
	PG_RETURN_FLOAT8(auc);
}

/* Average accuracy of the rows and whether the first was right; false without rows. */
static bool
rate_positions(FunctionCallInfo fcinfo, double *average, bool *first)
{
	size_t count;
	SlPosition *rows = sorted_copy(fcinfo, SL_VALUES_POSITION, &count);
	int64_t duplicate;

	if (rows == NULL)
		return false;
	if (!sl_average_accuracy(rows, count, average, &duplicate))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"position\" must not repeat"),
				 errdetail("Position %lld comes more than once.", (long long) duplicate),
				 errhint("These metrics rate one session: use GROUP BY.")));
	*first = rows[0].right != 0;
	pfree(rows);
	return true;
}

PG_FUNCTION_INFO_V1(sl_average_accuracy_final);
Datum
sl_average_accuracy_final(PG_FUNCTION_ARGS)
{
	double average;
	bool first;

	if (!rate_positions(fcinfo, &average, &first))
		PG_RETURN_NULL();
	PG_RETURN_FLOAT8(average);
}

PG_FUNCTION_INFO_V1(sl_first_accuracy_final);
Datum
sl_first_accuracy_final(PG_FUNCTION_ARGS)
{
	double average;
	bool first;

	if (!rate_positions(fcinfo, &average, &first))
		PG_RETURN_NULL();
	PG_RETURN_FLOAT8(first ? 1.0 : 0.0);
}
