/*
 * kmeans_seed.c: greedy k-means++ (Arthur and Vassilvitskii, "k-means++: the advantages
 * of careful seeding", 2007).  Each centroid is chosen from 2 + log k candidates, drawn
 * with probabilities in proportion to their squared distance from those there are, as the
 * one that leaves the least sum of such distances.
 *
 * One pass over the points a centroid: it takes note of the one chosen last and tries the
 * new candidates while a tile is in cache.  Sums are kept by block, so that a draw looks
 * through one block only; that block is brought up to date first.
 */
#include "cluster/kmeans.h"

#include <math.h>
#include <string.h>

#include "cluster/tiles.h"
#include "nn/random.h"

#define BLOCK_TILES 64

typedef struct Seeding
{
	const double *tiles;
	int count;
	int columns;
	int tile_count;
	int blocks;
	double *near;  /* squared distance to the nearest centroid, but for the last one */
	double *block; /* [SL_MAX_CANDIDATES][blocks] sums of what near would be */
	uint64_t seed;
	uint64_t stream;
	uint64_t counter;
} Seeding;

static void
copy_point(const Seeding *s, int i, double *to)
{
	const double *tile = s->tiles + (size_t) (i / SL_LANES) * s->columns * SL_LANES;

	for (int j = 0; j < s->columns; j++)
		to[j] = tile[(size_t) j * SL_LANES + i % SL_LANES];
}

static double
uniform(Seeding *s)
{
	return sl_random_uniform(s->seed, s->stream, s->counter++);
}

static int
block_tiles(const Seeding *s, int b)
{
	int left = s->tile_count - b * BLOCK_TILES;

	return left < BLOCK_TILES ? left : BLOCK_TILES;
}

/* A point with probability in proportion to its distance; sum [blocks] are the sums with
 * the last centroid counted, which near does not know of yet. */
static int
draw(Seeding *s, const double *sum, double total, const double *last)
{
	double left = uniform(s) * total;
	int best = 0;
	int b = 0;

	while (b < s->blocks - 1 && left >= sum[b])
		left -= sum[b++];
	while (b > 0 && sum[b] <= 0) /* rounding went past the end */
		b--;

	int first = b * BLOCK_TILES * SL_LANES;
	int end = first + block_tiles(s, b) * SL_LANES;

	sl_tiles_lower(s->near + first, s->tiles + (size_t) first * s->columns,
				   block_tiles(s, b), s->columns, last);
	end = end < s->count ? end : s->count;
	for (int i = first; i < end && left >= 0; i++)
		if (s->near[i] > 0)
		{
			best = i;
			left -= s->near[i];
		}
	return best;
}

/* Index of the best candidate; sums of the blocks with it are moved to sum. */
static int
try_candidates(Seeding *s, const double *candidate, int trials, const double *last,
			   double *sum, double *total, const SlStop *stop)
{
	double trial[SL_MAX_CANDIDATES] = {0};
	double of_block[SL_MAX_CANDIDATES];
	int best = 0;

	for (int b = 0; b < s->blocks; b++)
	{
		size_t first = (size_t) b * BLOCK_TILES * SL_LANES;
		int tiles = block_tiles(s, b);

		if ((b & 63) == 0 && sl_stopped(stop))
			return -1;
		if (last != NULL)
			sl_tiles_lower(s->near + first, s->tiles + first * s->columns, tiles,
						   s->columns, last);
		sl_tiles_try(s->near + first, s->tiles + first * s->columns, tiles, s->columns,
					 candidate, trials, of_block);
		for (int c = 0; c < trials; c++)
		{
			s->block[(size_t) c * s->blocks + b] = of_block[c];
			trial[c] += of_block[c];
		}
	}
	for (int c = 1; c < trials; c++)
		if (trial[c] < trial[best])
			best = c;
	memcpy(sum, s->block + (size_t) best * s->blocks, sizeof(double) * s->blocks);
	*total = trial[best];
	return best;
}

SlStatus
sl_kmeans_seed(const double *tiles, int count, int columns, int k, uint64_t seed,
			   uint64_t stream, const SlStop *stop, SlArena *work, double *centroid)
{
	size_t used = work->used;
	int tile_count = sl_tile_count(count);
	int trials = 2 + (int) log(k);
	Seeding s = {.tiles = tiles,
				 .count = count,
				 .columns = columns,
				 .tile_count = tile_count,
				 .blocks = tile_count / BLOCK_TILES + (tile_count % BLOCK_TILES > 0),
				 .seed = seed,
				 .stream = stream};
	double *sum;
	double *candidate;
	double total;

	s.near = sl_alloc(work, (size_t) tile_count * SL_LANES, sizeof(double));
	s.block = sl_alloc(work, (size_t) s.blocks * trials, sizeof(double));
	sum = sl_alloc(work, s.blocks, sizeof(double));
	candidate = sl_alloc(work, (size_t) columns * trials, sizeof(double));
	if (s.near == NULL || s.block == NULL || sum == NULL || candidate == NULL)
		return SL_NO_MEMORY;
	for (int i = 0; i < tile_count * SL_LANES; i++)
		s.near[i] = i < count ? INFINITY : 0;
	copy_point(&s, (int) (uniform(&s) * count), centroid);
	/* the first one has no rival: a pass to have the sums */
	if (try_candidates(&s, centroid, 1, NULL, sum, &total, stop) < 0)
		return SL_STOPPED;
	for (int c = 1; c < k; c++)
	{
		const double *last = centroid + (size_t) (c - 1) * columns;
		int best;

		for (int q = 0; q < trials; q++)
			copy_point(&s, draw(&s, sum, total, last), candidate + (size_t) q * columns);
		best = try_candidates(&s, candidate, trials, last, sum, &total, stop);
		if (best < 0)
			return SL_STOPPED;
		memcpy(centroid + (size_t) c * columns, candidate + (size_t) best * columns,
			   sizeof(double) * columns);
	}
	work->used = used;
	return SL_OK;
}
