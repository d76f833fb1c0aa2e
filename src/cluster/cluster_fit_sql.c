/*
 * cluster_fit_sql.c: from points that were read to clusters: scales, order, memory, the
 * calls of the core.
 */
#include "postgres.h"

#include <math.h>

#include "miscadmin.h"
#include "utils/memutils.h"

#include "cluster/cluster_sql.h"
#include "cluster/silhouette.h"
#include "cluster/tiles.h"
#include "sessionlen.h"

/* Only what ends the statement. */
static bool
should_stop(void *arg)
{
	return InterruptPending && (QueryCancelPending || ProcDiePending);
}

SlStop sl_cluster_stop = {should_stop, NULL};

void
sl_cluster_check_status(SlStatus status)
{
	switch (status)
	{
		case SL_OK:
			return;
		case SL_STOPPED:
			CHECK_FOR_INTERRUPTS();
			ereport(ERROR,
					(errcode(ERRCODE_QUERY_CANCELED), errmsg("clustering was canceled")));
		case SL_NO_BLAS:
			ereport(ERROR,
					(errcode(ERRCODE_SYSTEM_ERROR), errmsg("could not load OpenBLAS"),
					 errhint("Install the package libopenblas0-pthread.")));
		case SL_NOT_FINITE:
			ereport(ERROR, (errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
							errmsg("clustering did not converge"),
							errhint("Standardize the columns.")));
		default:
			elog(ERROR, "clustering failed with status %d", (int) status);
	}
}

MemoryContext
sl_cluster_arena(SlArena *arena, Size bytes, Size taken, const char *what)
{
	Size limit = (Size) sl_memory_limit * 1024;
	MemoryContext context;

	if (bytes > limit || taken > limit - bytes)
		ereport(
			ERROR,
			(errcode(ERRCODE_OUT_OF_MEMORY),
			 bytes == SIZE_MAX
				 ? errmsg("%s is not possible in memory", what)
				 : errmsg(
					   "%s would need %zu MB, more than sessionlen.memory_limit (%zu MB)",
					   what, (bytes + taken + (1 << 20) - 1) >> 20, limit >> 20),
			 errhint("Raise sessionlen.memory_limit, name fewer columns, or cluster a "
					 "sample and label the rest with assign_cluster().")));
	context = AllocSetContextCreate(CurrentMemoryContext, "sessionlen clustering",
									ALLOCSET_DEFAULT_SIZES);
	*arena = (SlArena){
		(char *) TYPEALIGN(SL_ALIGN, MemoryContextAllocHuge(context, bytes + SL_ALIGN)),
		bytes, 0};
	return context;
}

/* Puts the points into an order of their own. */
static void
order_points(SlClusterInput *input, const double *x)
{
	int n = input->points.count;
	int d = input->points.columns;
	SlArena count = {NULL, SIZE_MAX, 0};
	SlArena work;
	MemoryContext context;
	double *ordered;

	input->place = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(int) * (Size) n);
	(void) sl_points_order(&input->points, 0, NULL, &count, NULL, NULL);
	input->bytes += (Size) n * (sizeof(int) + sizeof(double) * d);
	context = sl_cluster_arena(&work, count.used, input->bytes, "clustering");
	sl_cluster_check_status(sl_points_order(&input->points, input->options->kmeans.seed,
											&sl_cluster_stop, &work, input->place,
											&input->distinct));
	MemoryContextDelete(context);
	ordered = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(double) * (Size) n * d);
	for (int i = 0; i < n; i++)
		memcpy(ordered + (Size) i * d, x + (Size) input->place[i] * d,
			   sizeof(double) * d);
	input->points.x = ordered;
}

/* In the order that is the points' own, so that means don't depend on how they were read.
 */
static void
standardize(SlClusterInput *input)
{
	double *x = unconstify(double *, input->points.x);
	int d = input->points.columns;

	input->mean = palloc(sizeof(double) * d);
	input->deviation = palloc(sizeof(double) * d);
	sl_points_scale(&input->points, input->mean, input->deviation);
	for (int i = 0; i < input->points.count; i++)
		for (int j = 0; j < d; j++)
			x[(Size) i * d + j] =
				(x[(Size) i * d + j] - input->mean[j]) / input->deviation[j];
}

SlClusterInput *
sl_cluster_prepare(SlClusterData *data, const SlClusterOptions *options,
				   SlClusterMethod method)
{
	SlClusterInput *input = palloc0(sizeof(SlClusterInput));
	SlArena tiles = {NULL, SIZE_MAX, 0};

	input->options = options;
	input->method = method;
	input->points = (SlPoints){data->count, data->columns, data->x};
	input->bytes = data->bytes;
	order_points(input, data->x);
	pfree(data->x);
	data->x = NULL;
	input->bytes -= sizeof(double) * (Size) data->count * data->columns;
	if (options->standardize)
		standardize(input);
	(void) sl_alloc(&tiles, (Size) sl_tile_count(data->count) * SL_LANES,
					sizeof(double) * data->columns);
	(void) sl_cluster_arena(&tiles, tiles.used, input->bytes, "clustering");
	input->bytes += tiles.size;
	input->tiles = sl_points_tiles(&input->points, NULL, &tiles);
	return input;
}

void
sl_cluster_check_k(const SlClusterInput *input, int k)
{
	if (k < 1)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("k must be at least 1"), errdetail("It is %d.", k)));
	if (k > input->points.count)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("k is %d, but the source has only %d rows", k,
							   input->points.count)));
	if (k > input->distinct)
		ereport(
			ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("k is %d, but only %d rows of the source differ", k, input->distinct),
			 errdetail("Rows that are equal in all columns can't be told apart.")));
}

static void *
huge(Size count, Size width)
{
	return MemoryContextAllocHuge(CurrentMemoryContext, Max(count, 1) * width);
}

void
sl_cluster_fit(SlClusterInput *input, int k, int k_max, SlClusterFit *fit)
{
	int n = input->points.count;
	int d = input->points.columns;
	Size padded = (Size) sl_tile_count(n) * SL_LANES;
	SlKmeansResult result;
	SlArena count = {NULL, SIZE_MAX, 0};
	SlArena work;
	MemoryContext context;

	(void) sl_kmeans(NULL, n, d, k, &input->options->kmeans, NULL, &count, NULL, NULL,
					 NULL);
	fit->k = k;
	fit->label = huge(padded, sizeof(int32_t));
	fit->centroid = huge((Size) k * d, sizeof(double));
	fit->size = huge(k, sizeof(int64_t));
	context = sl_cluster_arena(&work, count.used + k * (Size) 64,
							   input->bytes + padded * sizeof(int32_t), "clustering");
	sl_cluster_check_status(sl_kmeans(input->tiles, n, d, k, &input->options->kmeans,
									  &sl_cluster_stop, &work, fit->centroid, fit->label,
									  &result));
	fit->inertia = result.inertia;
	fit->iterations = result.iterations;
	memset(fit->size, 0, sizeof(int64_t) * k);
	for (int i = 0; i < n; i++)
		fit->size[fit->label[i]]++;
	work.used = 0;
	sl_cluster_check_status(
		sl_labels_sort(n, fit->label, k, d, fit->centroid, fit->size, &work));
	MemoryContextDelete(context);
}

double
sl_cluster_silhouette(const SlClusterInput *input, const SlClusterFit *fit, int *points)
{
	SlPoints sample = input->points;
	SlArena work = {NULL, SIZE_MAX, 0};
	MemoryContext context;
	double *value;
	double sum = 0;
	bool several = false;

	sample.count = Min(sample.count, input->options->silhouette_sample);
	*points = sample.count;
	for (int i = 1; i < sample.count && !several; i++)
		several = fit->label[i] != fit->label[0];
	if (!several)
		return NAN;
	(void) sl_silhouette(&sample, NULL, fit->k, NULL, &work, NULL);
	context = sl_cluster_arena(&work, work.used, input->bytes, "the silhouette");
	value = huge(sample.count, sizeof(double));
	sl_cluster_check_status(
		sl_silhouette(&sample, fit->label, fit->k, &sl_cluster_stop, &work, value));
	for (int i = 0; i < sample.count; i++)
		sum += value[i];
	MemoryContextDelete(context);
	pfree(value);
	return sum / sample.count;
}
