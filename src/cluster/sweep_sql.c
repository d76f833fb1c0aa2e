/*
 * sweep_sql.c: elbow() and silhouette_sweep(): one source, many k.
 */
#include "postgres.h"

#include <math.h>

#include "executor/spi.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/tuplestore.h"

#include "cluster/cluster_sql.h"

PG_FUNCTION_INFO_V1(sl_elbow);
PG_FUNCTION_INFO_V1(sl_silhouette_sweep);

/* As far as the study plots. */
#define DEFAULT_K_TO 29

typedef struct Sweep
{
	SlClusterOptions options;
	SlClusterMethod method;
	SlClusterInput *input;
	int from;
	int to;
	double *inertia;	/* [to - from + 1] */
	double *silhouette; /* NULL: not asked for */
	int points;			/* the silhouettes are of */
} Sweep;

/* k_from and k_to, the latter the largest useful one by default. */
static void
read_range(FunctionCallInfo fcinfo, Sweep *sweep)
{
	if (PG_ARGISNULL(2))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("k_from must not be null")));
	sweep->from = PG_GETARG_INT32(2);
	sweep->to = PG_ARGISNULL(3)
					? Max(Min(DEFAULT_K_TO, sweep->input->distinct), sweep->from)
					: PG_GETARG_INT32(3);
	if (sweep->to < sweep->from)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("k_to must not be less than k_from"),
						errdetail("They are %d and %d.", sweep->to, sweep->from)));
	sl_cluster_check_k(sweep->input, sweep->from);
	sl_cluster_check_k(sweep->input, sweep->to);
}

static void
read_points(FunctionCallInfo fcinfo, Sweep *sweep)
{
	char *source = sl_cluster_text_arg(fcinfo, 0, "source");
	int columns;
	char **names = sl_cluster_columns_arg(fcinfo, 1, &columns);

	SPI_connect();
	sweep->input = sl_cluster_prepare(sl_cluster_read(source, NULL, columns, names),
									  &sweep->options, sweep->method);
	read_range(fcinfo, sweep);
}

static void
fit_all(Sweep *sweep, bool silhouettes)
{
	int count = sweep->to - sweep->from + 1;

	sweep->inertia = palloc(sizeof(double) * count);
	sweep->silhouette = silhouettes ? palloc(sizeof(double) * count) : NULL;
	for (int i = 0; i < count; i++)
	{
		MemoryContext context = AllocSetContextCreate(
			CurrentMemoryContext, "sessionlen sweep", ALLOCSET_DEFAULT_SIZES);
		MemoryContext old = MemoryContextSwitchTo(context);
		SlClusterFit fit;

		CHECK_FOR_INTERRUPTS();
		sl_cluster_fit(sweep->input, sweep->from + i, sweep->to, &fit);
		sweep->inertia[i] = fit.inertia;
		if (silhouettes)
			sweep->silhouette[i] =
				sl_cluster_silhouette(sweep->input, &fit, &sweep->points);
		MemoryContextSwitchTo(old);
		MemoryContextDelete(context);
	}
}

/*
 * Where the curve bends: the point farthest below the line from its first to its last
 * point; -1 for a curve that has none below.
 */
static int
find_knee(const double *y, int count)
{
	double most = 1e-9 * fabs(y[0]);
	int knee = -1;

	for (int i = 1; i < count - 1; i++)
	{
		double below = y[0] + (y[count - 1] - y[0]) * i / (count - 1) - y[i];

		if (below > most)
		{
			most = below;
			knee = i;
		}
	}
	return knee;
}

Datum
sl_elbow(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	Sweep sweep = {.method = SL_METHOD_KMEANS};
	int knee;

	InitMaterializedSRF(fcinfo, 0);
	sl_cluster_options_read(&sweep.options,
							PG_ARGISNULL(4) ? NULL : PG_GETARG_JSONB_P(4));
	read_points(fcinfo, &sweep);
	fit_all(&sweep, false);
	knee = find_knee(sweep.inertia, sweep.to - sweep.from + 1);
	for (int i = 0; i <= sweep.to - sweep.from; i++)
	{
		Datum values[] = {Int32GetDatum(sweep.from + i), Float8GetDatum(sweep.inertia[i]),
						  BoolGetDatum(i == knee)};

		tuplestore_putvalues(result->setResult, result->setDesc, values,
							 (bool[]){0, 0, 0});
	}
	SPI_finish();
	return (Datum) 0;
}

Datum
sl_silhouette_sweep(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	Sweep sweep = {0};

	InitMaterializedSRF(fcinfo, 0);
	sweep.method = sl_cluster_method_read(
		PG_ARGISNULL(4) ? "kmeans" : sl_cluster_text_arg(fcinfo, 4, "method"));
	sl_cluster_options_read(&sweep.options,
							PG_ARGISNULL(5) ? NULL : PG_GETARG_JSONB_P(5));
	read_points(fcinfo, &sweep);
	fit_all(&sweep, true);
	for (int i = 0; i <= sweep.to - sweep.from; i++)
	{
		Datum values[] = {Int32GetDatum(sweep.from + i),
						  Float8GetDatum(sweep.silhouette[i]),
						  Int32GetDatum(sweep.points), Float8GetDatum(sweep.inertia[i])};
		bool nulls[] = {false, isnan(sweep.silhouette[i]), false, false};

		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	SPI_finish();
	return (Datum) 0;
}
