/*
 * kmeans_swap.c: the way out of a local optimum: one centroid for another.
 *
 * Lloyd's algorithm never carries a centroid from where two share a cloud to where one is
 * shared by two.  Local search does (Lattanzi and Sohler, "A better k-means++ algorithm
 * via local search", 2019): a point, drawn as k-means++ draws them, is tried in
 * place of each of the centroids.  With every point's distance to its nearest and second
 * nearest centroid at hand, one pass tells what all k exchanges for a point would cost.
 * The best of them is only a start: whether it is worth anything shows after some steps
 * of Lloyd's.
 */
#include "cluster/kmeans.h"

#include <string.h>

#include "cluster/tiles.h"
#include "nn/random.h"

#define TILES_PER_CHECK 256

typedef struct Swapping
{
	const double *tiles;
	int count;
	int columns;
	int tile_count;
	int k;
	const double *centroid;
	double *near;	/* [tile_count x SL_LANES] squared distance to the nearest centroid */
	double *second; /* to the next */
	int32_t *label;
	double *extra; /* [k] what it costs to take a centroid away */
} Swapping;

/* Distances to the two nearest centroids; returns the sum of the first. */
static double
measure(Swapping *s, const SlStop *stop, SlStatus *status)
{
	double total = 0;

	for (int t = 0; t < s->tile_count; t++)
	{
		size_t first = (size_t) t * SL_LANES;

		if (t % 8 == 0 && sl_stopped(stop))
		{
			*status = SL_STOPPED;
			return 0;
		}
		sl_tile_nearest_two(s->tiles + first * s->columns, s->columns, s->centroid, s->k,
							s->label + first, s->near + first, s->second + first);
		for (int l = 0; l < sl_tile_lanes(s->count, t); l++)
			total += s->near[first + l];
	}
	return total;
}

/* A point drawn with probability in proportion to near. */
static int
draw(const Swapping *s, double total, uint64_t seed, uint64_t stream)
{
	double left = sl_random_uniform(seed, stream, 0) * total;
	int best = 0;

	for (int i = 0; i < s->count && left >= 0; i++)
		if (s->near[i] > 0)
		{
			best = i;
			left -= s->near[i];
		}
	return best;
}

/* The centroid in whose place the point leaves the least sum of squared distances. */
static SlStatus
try_point(Swapping *s, const double *point, const SlStop *stop, int *out)
{
	double distance[SL_LANES];

	memset(s->extra, 0, sizeof(double) * s->k);
	for (int t = 0; t < s->tile_count; t++)
	{
		size_t first = (size_t) t * SL_LANES;
		int lanes = sl_tile_lanes(s->count, t);

		if (t % TILES_PER_CHECK == 0 && sl_stopped(stop))
			return SL_STOPPED;
		sl_tile_distances(s->tiles + first * s->columns, s->columns, point, distance);
		for (int l = 0; l < lanes; l++)
		{
			double near = s->near[first + l], second = s->second[first + l],
				   to = distance[l];

			if (to > near)
				s->extra[s->label[first + l]] += (to < second ? to : second) - near;
		}
	}
	*out = 0;
	for (int c = 1; c < s->k; c++)
		if (s->extra[c] < s->extra[*out])
			*out = c;
	return SL_OK;
}

static void
copy_point(const Swapping *s, int i, double *to)
{
	const double *tile = s->tiles + (size_t) (i / SL_LANES) * s->columns * SL_LANES;

	for (int j = 0; j < s->columns; j++)
		to[j] = tile[(size_t) j * SL_LANES + i % SL_LANES];
}

SlStatus
sl_kmeans_swap(const double *tiles, int count, int columns, int k, uint64_t seed,
			   uint64_t stream, const SlStop *stop, SlArena *work, double *centroid)
{
	size_t used = work->used;
	int tile_count = sl_tile_count(count);
	size_t padded = (size_t) tile_count * SL_LANES;
	Swapping s = {tiles, count, columns, tile_count, k, centroid, NULL, NULL, NULL, NULL};
	double *point;
	double total;
	int leaving = 0;
	SlStatus status = SL_OK;

	s.near = sl_alloc(work, padded, sizeof(double));
	s.second = sl_alloc(work, padded, sizeof(double));
	s.label = sl_alloc(work, padded, sizeof(int32_t));
	s.extra = sl_alloc(work, k, sizeof(double));
	point = sl_alloc(work, columns, sizeof(double));
	if (work->base == NULL || work->used == SIZE_MAX)
		return SL_NO_MEMORY;
	total = measure(&s, stop, &status);
	if (status == SL_OK)
	{
		copy_point(&s, draw(&s, total, seed, stream), point);
		status = try_point(&s, point, stop, &leaving);
	}
	if (status == SL_OK)
		memcpy(centroid + (size_t) leaving * columns, point, sizeof(double) * columns);
	work->used = used;
	return status;
}
