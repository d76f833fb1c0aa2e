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
#include "cluster/spectral.h"
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

static void *
huge(Size count, Size width)
{
	return MemoryContextAllocHuge(CurrentMemoryContext, Max(count, 1) * width);
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

	input->context = CurrentMemoryContext;
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

/* ---- spectral ---- */

/* The graph, in an arena of its own. */
static MemoryContext
build_graph(const SlClusterInput *input, SlArena *arena, SlGraph *graph)
{
	const SlClusterOptions *options = input->options;
	SlArena count = {NULL, SIZE_MAX, 0};
	int n = input->points.count;
	MemoryContext context;

	if (options->affinity == SL_AFFINITY_RBF)
		(void) sl_graph_rbf(&input->points, 0, NULL, &count, graph);
	else
	{
		(void) sl_graph_neighbours(&input->points, options->neighbors, NULL, &count,
								   graph);
		/* and its plan */
		(void) sl_alloc(&count, n, 2 * sizeof(double *) + 4 * sizeof(int) + 8);
		count.used += 16 * SL_ALIGN;
	}
	context = sl_cluster_arena(arena, count.used, input->bytes, "spectral clustering");
	sl_cluster_check_status(
		options->affinity == SL_AFFINITY_RBF
			? sl_graph_rbf(&input->points, options->gamma, &sl_cluster_stop, arena, graph)
			: sl_graph_neighbours(&input->points, options->neighbors, &sl_cluster_stop,
								  arena, graph));
	return context;
}

/* The embedding that clusterings into at most k_max share. */
static void
embed(SlClusterInput *input, int k_max)
{
	Size limit = (Size) sl_memory_limit * 1024;
	Size taken = input->bytes + sizeof(double) * (Size) input->points.count * k_max;
	SlArena arena, work;
	SlGraph graph;
	SlSpectralPlan plan;
	MemoryContext context = build_graph(input, &arena, &graph);
	MemoryContext work_context;

	taken += arena.size;
	sl_cluster_check_status(sl_spectral_plan(
		&graph, k_max, limit > taken ? limit - taken : 0, &arena, &plan));
	work_context = sl_cluster_arena(&work, plan.memory, taken, "spectral clustering");
	input->embedding = MemoryContextAllocHuge(input->context, (Size) input->points.count *
																  k_max * sizeof(double));
	input->vectors = k_max;
	input->bytes += sizeof(double) * (Size) input->points.count * k_max;
	sl_cluster_check_status(sl_spectral_embed(&graph, &plan, input->options->kmeans.seed,
											  &sl_cluster_stop, &work, input->embedding));
	MemoryContextDelete(work_context);
	MemoryContextDelete(context);
}

/* ---- fitting ---- */

static void
make_tiles(SlClusterInput *input, const SlPoints *points)
{
	SlArena arena = {NULL, SIZE_MAX, 0};

	(void) sl_alloc(&arena, (Size) sl_tile_count(points->count) * SL_LANES,
					sizeof(double) * points->columns);
	(void) sl_cluster_arena(&arena, arena.used, input->bytes, "clustering");
	input->bytes += arena.size;
	input->tiles = sl_points_tiles(points, NULL, &arena);
	input->tile_columns = points->columns;
}

/* The points k-means is to run on; those of an embedding go with the fit. */
static void
prepare_tiles(SlClusterInput *input, int k)
{
	int n = input->points.count;
	SlPoints embedded = {n, k, NULL};
	double *x;

	if (input->method == SL_METHOD_KMEANS)
	{
		MemoryContext old = MemoryContextSwitchTo(input->context);

		make_tiles(input, &input->points);
		MemoryContextSwitchTo(old);
		return;
	}
	x = huge((Size) n * k, sizeof(double));
	for (int i = 0; i < n; i++)
		memcpy(x + (Size) i * k, input->embedding + (Size) i * input->vectors,
			   sizeof(double) * k);
	embedded.x = x;
	make_tiles(input, &embedded);
	pfree(x);
}

/*
 * Sizes and the order of labels.  k-means comes with its centroids, to which its labels
 * are the nearest; others get means.
 */
static void
finish_fit(const SlClusterInput *input, SlClusterFit *fit, SlArena *work)
{
	int n = input->points.count;
	int d = input->points.columns;

	if (input->method == SL_METHOD_KMEANS)
	{
		memset(fit->size, 0, sizeof(int64_t) * fit->k);
		for (int i = 0; i < n; i++)
			fit->size[fit->label[i]]++;
	}
	else
		sl_labels_centroids(&input->points, fit->label, fit->k, fit->centroid, fit->size);
	work->used = 0;
	sl_cluster_check_status(
		sl_labels_sort(n, fit->label, fit->k, d, fit->centroid, fit->size, work));
	fit->inertia = sl_labels_inertia(&input->points, fit->label, fit->centroid);
}

void
sl_cluster_fit(SlClusterInput *input, int k, int k_max, SlClusterFit *fit)
{
	int n = input->points.count;
	int d = input->points.columns;
	Size padded = (Size) sl_tile_count(n) * SL_LANES;
	Size bytes = input->bytes;
	SlKmeansResult result;
	SlArena count = {NULL, SIZE_MAX, 0};
	SlArena work;
	MemoryContext context;
	double *centroid;

	if (input->method == SL_METHOD_SPECTRAL && input->embedding == NULL)
	{
		embed(input, k_max);
		bytes = input->bytes;
	}
	if (input->tiles == NULL)
		prepare_tiles(input, k);
	(void) sl_kmeans(NULL, n, input->tile_columns, k, &input->options->kmeans, NULL,
					 &count, NULL, NULL, NULL);
	(void) sl_labels_sort(0, NULL, k, d, NULL, NULL, &count);
	fit->k = k;
	fit->label = huge(padded, sizeof(int32_t));
	fit->centroid = huge((Size) k * d, sizeof(double));
	fit->size = huge(k, sizeof(int64_t));
	centroid = huge((Size) k * input->tile_columns, sizeof(double));
	context = sl_cluster_arena(&work, count.used, input->bytes + padded * sizeof(int32_t),
							   "clustering");
	sl_cluster_check_status(sl_kmeans(input->tiles, n, input->tile_columns, k,
									  &input->options->kmeans, &sl_cluster_stop, &work,
									  centroid, fit->label, &result));
	fit->iterations = result.iterations;
	if (input->method == SL_METHOD_KMEANS)
		memcpy(fit->centroid, centroid, sizeof(double) * (Size) k * d);
	finish_fit(input, fit, &work);
	MemoryContextDelete(context);
	pfree(centroid);
	if (input->method == SL_METHOD_SPECTRAL)
	{
		/* the next k takes other columns of the embedding */
		input->tiles = NULL;
		input->bytes = bytes;
	}
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
