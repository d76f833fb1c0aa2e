/*
 * step_sql.c: the aggregate kmeans_step().
 */
#include "postgres.h"

#include <math.h>

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/array.h"
#include "utils/memutils.h"

#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

#include "argument.h"
#include "cluster/step.h"

PG_FUNCTION_INFO_V1(sl_kmeans_step_add);
PG_FUNCTION_INFO_V1(sl_kmeans_step_combine);
PG_FUNCTION_INFO_V1(sl_kmeans_step_serial);
PG_FUNCTION_INFO_V1(sl_kmeans_step_deserial);
PG_FUNCTION_INFO_V1(sl_kmeans_step_final);

static SlStep *
new_step(MemoryContext context, int k, int columns)
{
	Size bytes = sl_step_bytes(k, columns);
	SlStep *step;

	if (bytes == 0 || bytes > MaxAllocSize)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED), errmsg("too many centroids"),
				 errdetail("There are %d of %d columns.", k, columns)));
	step = MemoryContextAlloc(context, sizeof(SlStep));
	sl_step_init(step, k, columns, MemoryContextAlloc(context, bytes));
	return step;
}

/* The numbers of an array argument of so many dimensions, which must be finite. */
static const double *
numbers_arg(ArrayType *array, int dimensions, const char *name)
{
	const double *data = (const double *) ARR_DATA_PTR(array);
	int n;

	if (ARR_NDIM(array) != dimensions)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("%s must be an array of %d dimension%s", name, dimensions,
						dimensions > 1 ? "s" : ""),
				 errdetail("It has %d.", ARR_NDIM(array)),
				 errhint("For example kmeans_step(ARRAY[x, y], '{{0, 0}, {1, 1}}').")));
	if (ARR_HASNULL(array) && array_contains_nulls(array))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("%s must not hold NULL", name),
						errhint("Leave such rows out with FILTER.")));
	n = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));
	for (int i = 0; i < n; i++)
		if (!isfinite(data[i]))
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("%s holds NaN or infinity", name),
							errhint("Leave such rows out with FILTER.")));
	return data;
}

static void
centroids_differ(void)
{
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("centroids must be the same in a whole group")));
}

/* Whether an array holds the centroids of this step. */
static bool
same_centroids(const SlStep *step, ArrayType *array)
{
	return ARR_NDIM(array) == 2 && ARR_DIMS(array)[0] == step->k &&
		   ARR_DIMS(array)[1] == step->columns && !ARR_HASNULL(array) &&
		   memcmp(step->centroid, ARR_DATA_PTR(array),
				  sizeof(double) * (Size) step->k * step->columns) == 0;
}

/* A row without a point is left out. */
Datum
sl_kmeans_step_add(PG_FUNCTION_ARGS)
{
	MemoryContext context = sl_aggregate_context(fcinfo);
	SlStep *step = PG_ARGISNULL(0) ? NULL : (SlStep *) PG_GETARG_POINTER(0);
	ArrayType *point, *centroids;
	const double *x;

	if (PG_ARGISNULL(1))
	{
		if (step == NULL)
			PG_RETURN_NULL();
		PG_RETURN_POINTER(step);
	}
	if (PG_ARGISNULL(2))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("centroids must not be null")));
	centroids = PG_GETARG_ARRAYTYPE_P(2);
	if (step == NULL)
	{
		const double *c = numbers_arg(centroids, 2, "centroids");

		step = new_step(context, ARR_DIMS(centroids)[0], ARR_DIMS(centroids)[1]);
		memcpy(step->centroid, c, sizeof(double) * (Size) step->k * step->columns);
	}
	else if (!same_centroids(step, centroids))
		centroids_differ();
	point = PG_GETARG_ARRAYTYPE_P(1);
	x = numbers_arg(point, 1, "point");
	if (ARR_DIMS(point)[0] != step->columns)
		ereport(ERROR, (errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
						errmsg("point must have as many elements as each centroid"),
						errdetail("It has %d, centroids have %d.", ARR_DIMS(point)[0],
								  step->columns)));
	sl_step_add(step, x);
	PG_FREE_IF_COPY(point, 1);
	PG_FREE_IF_COPY(centroids, 2);
	PG_RETURN_POINTER(step);
}

Datum
sl_kmeans_step_combine(PG_FUNCTION_ARGS)
{
	MemoryContext context = sl_aggregate_context(fcinfo);
	SlStep *to = PG_ARGISNULL(0) ? NULL : (SlStep *) PG_GETARG_POINTER(0);
	SlStep *from = PG_ARGISNULL(1) ? NULL : (SlStep *) PG_GETARG_POINTER(1);

	if (from == NULL)
	{
		if (to == NULL)
			PG_RETURN_NULL();
		PG_RETURN_POINTER(to);
	}
	if (to == NULL)
	{
		to = new_step(context, from->k, from->columns);
		memcpy(to->centroid, from->centroid, sizeof(double) * (Size) to->k * to->columns);
	}
	else if (!sl_step_same(to, from))
		centroids_differ();
	sl_step_merge(to, from);
	PG_RETURN_POINTER(to);
}

Datum
sl_kmeans_step_serial(PG_FUNCTION_ARGS)
{
	SlStep *step = (SlStep *) PG_GETARG_POINTER(0);
	Size size;
	bytea *result;

	(void) sl_aggregate_context(fcinfo);
	size = sl_step_wire_size(step->k, step->columns);
	if (size == 0 || size > MaxAllocSize - VARHDRSZ)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("too many centroids to pass between processes"),
				 errhint("Set max_parallel_workers_per_gather to 0 for this query.")));
	result = palloc(size + VARHDRSZ);
	SET_VARSIZE(result, size + VARHDRSZ);
	sl_step_write(step, (uint8 *) VARDATA(result));
	PG_RETURN_BYTEA_P(result);
}

static void
check_bytes(const char *wrong)
{
	if (wrong != NULL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
						errmsg("invalid state of the aggregate kmeans_step()"),
						errdetail_internal("%s", wrong)));
}

Datum
sl_kmeans_step_deserial(PG_FUNCTION_ARGS)
{
	bytea *input = PG_GETARG_BYTEA_PP(0);
	const uint8 *bytes = (const uint8 *) VARDATA_ANY(input);
	int k, columns;
	SlStep *step;

	(void) sl_aggregate_context(fcinfo);
	check_bytes(sl_step_check(bytes, VARSIZE_ANY_EXHDR(input), &k, &columns));
	step = new_step(CurrentMemoryContext, k, columns);
	check_bytes(sl_step_read(step, bytes));
	PG_RETURN_POINTER(step);
}

Datum
sl_kmeans_step_final(PG_FUNCTION_ARGS)
{
	SlStep *step = PG_ARGISNULL(0) ? NULL : (SlStep *) PG_GETARG_POINTER(0);
	TupleDesc desc;
	Datum *count, *sum;
	Datum values[3];
	bool nulls[3] = {false};

	(void) sl_aggregate_context(fcinfo);
	if (step == NULL)
		PG_RETURN_NULL();
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "kmeans_step() must return a row");
	count = palloc(sizeof(Datum) * step->k);
	sum =
		palloc_extended(sizeof(Datum) * (Size) step->k * step->columns, MCXT_ALLOC_HUGE);
	for (int c = 0; c < step->k; c++)
		count[c] = Int64GetDatum(step->count[c]);
	for (Size i = 0; i < (Size) step->k * step->columns; i++)
		sum[i] = Float8GetDatum(step->sum[i]);
	values[0] = PointerGetDatum(
		construct_array(count, step->k, INT8OID, 8, FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
	values[1] = PointerGetDatum(
		construct_md_array(sum, NULL, 2, (int[]){step->k, step->columns}, (int[]){1, 1},
						   FLOAT8OID, sizeof(float8), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
	values[2] = Float8GetDatum(step->inertia);
	PG_RETURN_DATUM(
		HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}
