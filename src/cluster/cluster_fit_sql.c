/*
 * cluster_fit_sql.c: from points that were read to clusters: scales, order, memory, the
 * calls of the core.
 */
#include "postgres.h"

#include <math.h>
#include <sys/mman.h>
#include <unistd.h>

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

/* From this many bytes on. */
#define MANY_BYTES ((Size) 8 << 20)

void
sl_cluster_huge_pages(void *memory, Size bytes)
{
#ifdef MADV_HUGEPAGE
	uintptr_t page = (uintptr_t) sysconf(_SC_PAGESIZE);
	uintptr_t begin = TYPEALIGN(page, memory);
	uintptr_t end = TYPEALIGN_DOWN(page, (uintptr_t) memory + bytes);

	/* it is no more than a wish: points are read in an order of their own */
	if (bytes >= MANY_BYTES)
		(void) madvise((void *) begin, end - begin, MADV_HUGEPAGE);
#endif
}

/* Memory for points. */
static void *
huge(Size count, Size width)
{
	void *memory = MemoryContextAllocHuge(CurrentMemoryContext, Max(count, 1) * width);

	sl_cluster_huge_pages(memory, count * width);
	return memory;
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
	sl_cluster_huge_pages(arena->base, bytes);
	return context;
}

/* Finds the order of the points that is their own. */
static void
order_points(SlClusterInput *input)
{
	int n = input->points.count;
	SlArena count = {NULL, SIZE_MAX, 0};
	SlArena work;
	MemoryContext context;

	input->place = huge(n, sizeof(int));
	input->bytes += sizeof(int) * (Size) n;
	(void) sl_points_order(&input->points, 0, NULL, &count, NULL, NULL);
	context = sl_cluster_arena(&work, count.used, input->bytes, "clustering");
	sl_cluster_check_status(sl_points_order(&input->points, input->options->kmeans.seed,
											&sl_cluster_stop, &work, input->place,
											&input->distinct));
	MemoryContextDelete(context);
}

static double *
make_tiles(SlClusterInput *input, const SlPoints *points, const int *order)
{
	SlArena arena = {NULL, SIZE_MAX, 0};

	(void) sl_alloc(&arena, (Size) sl_tile_count(points->count) * SL_LANES,
					sizeof(double) * points->columns);
	(void) sl_cluster_arena(&arena, arena.used, input->bytes, "clustering");
	input->bytes += arena.size;
	return sl_points_tiles(points, order, &arena);
}

/* k-means needs the points in tiles, and some in rows for the silhouette.  Means are
 * taken in the points' own order, so that they don't depend on how they were read. */
static void
prepare_kmeans(SlClusterInput *input)
{
	int d = input->points.columns;
	double *x = huge((Size) input->sample.count * d, sizeof(double));

	input->tiles = make_tiles(input, &input->points, input->place);
	input->tile_columns = d;
	if (input->mean)
		sl_tiles_standardize(input->tiles, input->points.count, d,
							 palloc(sizeof(double) * d), input->mean, input->deviation);
	for (int i = 0; i < input->sample.count; i++)
		for (int j = 0; j < d; j++)
			x[(Size) i * d + j] =
				input->tiles[((Size) (i / SL_LANES) * d + j) * SL_LANES + i % SL_LANES];
	input->points.x = NULL;
	input->sample.x = x;
}

/* The spectral method needs all of them in rows. */
static void
prepare_spectral(SlClusterInput *input)
{
	int n = input->points.count;
	int d = input->points.columns;
	double *x;

	input->bytes += sizeof(double) * (Size) n * d;
	x = huge((Size) n * d, sizeof(double));
	for (int i = 0; i < n; i++)
		memcpy(x + (Size) i * d, input->points.x + (Size) input->place[i] * d,
			   sizeof(double) * d);
	input->points.x = input->sample.x = x;
	if (input->mean == NULL)
		return;
	sl_points_scale(&input->points, input->mean, input->deviation);
	for (int i = 0; i < n; i++)
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
	input->sample =
		(SlPoints){Min(data->count, options->silhouette_sample), data->columns, NULL};
	input->bytes = data->bytes;
	if (options->standardize)
	{
		input->mean = palloc(sizeof(double) * data->columns);
		input->deviation = palloc(sizeof(double) * data->columns);
	}
	order_points(input);
	if (method == SL_METHOD_KMEANS)
		prepare_kmeans(input);
	else
		prepare_spectral(input);
	pfree(data->x);
	data->x = NULL;
	input->bytes -= sizeof(double) * (Size) data->count * data->columns;
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

/* The first k vectors of the embedding, for k-means; they go with the fit. */
static void
prepare_vectors(SlClusterInput *input, int k)
{
	int n = input->points.count;
	SlPoints embedded = {n, k, NULL};
	double *x = huge((Size) n * k, sizeof(double));

	for (int i = 0; i < n; i++)
		memcpy(x + (Size) i * k, input->embedding + (Size) i * input->vectors,
			   sizeof(double) * k);
	embedded.x = x;
	input->tiles = make_tiles(input, &embedded, NULL);
	input->tile_columns = k;
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
	if (input->method == SL_METHOD_SPECTRAL)
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
		prepare_vectors(input, k);
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
	{
		memcpy(fit->centroid, centroid, sizeof(double) * (Size) k * d);
		fit->inertia = result.inertia;
	}
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
	SlPoints sample = input->sample;
	SlArena work = {NULL, SIZE_MAX, 0};
	MemoryContext context;
	double *value;
	double sum = 0;
	bool several = false;

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
