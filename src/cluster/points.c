/*
 * points.c: an order of points that does not depend on how they were read, tiles, scales.
 *
 * The order is by a hash of a point's bits, found with a radix sort.  Seeding and sums
 * that run in this order give the same bits whatever plan read the table.
 */
#include "cluster/cluster.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/tiles.h"
#include "nn/random.h"

#define RADIX_BITS 11
#define RADIX (1 << RADIX_BITS)

/* The upper 33 bits of a point's hash, then its place. */
typedef uint64_t Hashed;

#define PLACE_BITS 31
#define FEW_POINTS (1 << 21)

static inline int
place_of(Hashed point)
{
	return (int) (point & (((Hashed) 1 << PLACE_BITS) - 1));
}

static inline uint64_t
mix(uint64_t h)
{
	h ^= h >> 32;
	h *= 0xd6e8feb86659fd93u;
	h ^= h >> 32;
	h *= 0xd6e8feb86659fd93u;
	return h ^ h >> 32;
}

static uint64_t
hash_point(const double *x, int columns, uint64_t key)
{
	uint64_t h = key;

	for (int j = 0; j < columns; j++)
	{
		double value = x[j] + 0.0; /* -0 and 0 are one value */
		uint64_t bits;

		memcpy(&bits, &value, sizeof(bits));
		h = mix(h ^ bits) + 0x9e3779b97f4a7c15u;
	}
	return mix(h);
}

/* Points apart by their values; only asked for equal hashes. */
static int
compare_points(const SlPoints *points, int a, int b)
{
	const double *x = points->x + (size_t) a * points->columns;
	const double *y = points->x + (size_t) b * points->columns;

	for (int j = 0; j < points->columns; j++)
		if (x[j] != y[j])
			return x[j] < y[j] ? -1 : 1;
	return 0;
}

static bool
before(const SlPoints *points, Hashed a, Hashed b)
{
	if (a >> PLACE_BITS != b >> PLACE_BITS)
		return a < b;
	return compare_points(points, place_of(a), place_of(b)) < 0;
}

/* One stable pass over 11 bits. */
static void
radix_pass(const Hashed *from, Hashed *to, int n, int shift)
{
	int start[RADIX] = {0};
	int sum = 0;

	for (int i = 0; i < n; i++)
		start[from[i] >> shift & (RADIX - 1)]++;
	for (int b = 0; b < RADIX; b++)
	{
		int count = start[b];

		start[b] = sum;
		sum += count;
	}
	for (int i = 0; i < n; i++)
		to[start[from[i] >> shift & (RADIX - 1)]++] = from[i];
}

SlStatus
sl_points_order(const SlPoints *points, uint64_t seed, const SlStop *stop, SlArena *work,
				int *order, int *distinct)
{
	int n = points->count;
	size_t used = work->used;
	Hashed *from = sl_alloc(work, n, sizeof(Hashed));
	Hashed *to = sl_alloc(work, n, sizeof(Hashed));
	uint64_t key = sl_random_bits(seed, 0, 0);
	/* enough that what is left to sort are pairs and the like */
	int passes = n <= FEW_POINTS ? 2 : 3;

	if (from == NULL || to == NULL)
		return SL_NO_MEMORY;
	for (int i = 0; i < n; i++)
	{
		if ((i & 0xffff) == 0 && sl_stopped(stop))
			return SL_STOPPED;
		from[i] =
			hash_point(points->x + (size_t) i * points->columns, points->columns, key) >>
				PLACE_BITS << PLACE_BITS |
			(Hashed) i;
	}
	for (int pass = 0; pass < passes; pass++)
	{
		Hashed *swap = from;

		if (sl_stopped(stop))
			return SL_STOPPED;
		radix_pass(from, to, n, 64 - RADIX_BITS * (passes - pass));
		from = to;
		to = swap;
	}
	*distinct = n > 0;
	for (int i = 0; i < n; i++)
	{
		Hashed point = from[i];
		int j = i;

		if ((i & 0xffff) == 0 && sl_stopped(stop))
			return SL_STOPPED;
		for (; j > 0 && before(points, point, from[j - 1]); j--)
			from[j] = from[j - 1];
		from[j] = point;
	}
	for (int i = 0; i < n; i++)
	{
		order[i] = place_of(from[i]);
		if (i > 0 && (from[i] >> PLACE_BITS != from[i - 1] >> PLACE_BITS ||
					  compare_points(points, order[i], order[i - 1]) != 0))
			++*distinct;
	}
	work->used = used;
	return SL_OK;
}

/* What is nothing but rounding is no deviation. */
static double
deviation_of(double variance, double mean)
{
	return variance > 1e-24 * mean * mean ? sqrt(variance) : 1;
}

/* Tiles that are added up at a time: they stay in cache from one column to the next. */
#define TILES_A_SUM 64

/* Rows between the one that is copied and the one that is fetched. */
#define AHEAD 24

double *
sl_points_tiles(const SlPoints *points, const int *order, SlArena *arena)
{
	int tiles = sl_tile_count(points->count);
	int d = points->columns;
	double *x = sl_alloc(arena, (size_t) tiles * SL_LANES, sizeof(double) * d);

	if (x == NULL)
		return NULL;
	for (int t = 0; t < tiles; t++)
		for (int l = 0; l < SL_LANES; l++)
		{
			int i =
				t * SL_LANES + l < points->count ? t * SL_LANES + l : points->count - 1;
			const double *row = points->x + (size_t) (order ? order[i] : i) * d;

			/* rows in an order of their own are not where the processor looks ahead */
			if (order && i + AHEAD < points->count)
				__builtin_prefetch(points->x + (size_t) order[i + AHEAD] * d);
			for (int j = 0; j < d; j++)
				x[((size_t) t * d + j) * SL_LANES + l] = row[j];
		}
	return x;
}

/* Sums over the points from tile first on of each column less from, and of its squares,
 * are added to sum and squares. */
static void
add_block(const double *tiles, int first, int count, int columns, const double *from,
		  double *sum, double *squares)
{
	const double *x = tiles + (size_t) first * columns * SL_LANES;
	int points = count - first * SL_LANES;
	int whole = points / SL_LANES;

	if (whole > TILES_A_SUM)
		whole = TILES_A_SUM;
	sl_tiles_sum(x, whole, columns, from, sum, squares);
	if (whole == TILES_A_SUM)
		return;
	for (int j = 0; j < columns; j++)
		for (int l = 0; l < points % SL_LANES; l++)
		{
			double off = x[((size_t) whole * columns + j) * SL_LANES + l] - from[j];

			sum[j] += off;
			squares[j] += off * off;
		}
}

/*
 * One pass: squares are taken around the mean of the first block.  As the points' order
 * is a random one this is never so far from the mean of all that digits are lost.
 */
void
sl_tiles_moments(const double *tiles, int count, int columns, double *from, double *mean,
				 double *variance)
{
	int sample = count < TILES_A_SUM * SL_LANES ? count : TILES_A_SUM * SL_LANES;

	memset(mean, 0, sizeof(double) * columns);
	memset(from, 0, sizeof(double) * columns);
	memset(variance, 0, sizeof(double) * columns);
	add_block(tiles, 0, count, columns, mean, from, variance);
	for (int j = 0; j < columns; j++)
		from[j] /= sample;
	memset(mean, 0, sizeof(double) * columns);
	memset(variance, 0, sizeof(double) * columns);
	for (int t = 0; t < sl_tile_count(count); t += TILES_A_SUM)
		add_block(tiles, t, count, columns, from, mean, variance);
	for (int j = 0; j < columns; j++)
	{
		double off = mean[j] / count;

		mean[j] = from[j] + off;
		variance[j] = fmax(variance[j] / count - off * off, 0);
	}
}

void
sl_tiles_standardize(double *tiles, int count, int columns, double *scratch, double *mean,
					 double *deviation)
{
	sl_tiles_moments(tiles, count, columns, scratch, mean, deviation);
	for (int j = 0; j < columns; j++)
		deviation[j] = deviation_of(deviation[j], mean[j]);
	for (int t = 0; t < sl_tile_count(count); t++)
		for (int j = 0; j < columns; j++)
			for (int l = 0; l < SL_LANES; l++)
			{
				double *x = tiles + ((size_t) t * columns + j) * SL_LANES + l;

				*x = (*x - mean[j]) / deviation[j];
			}
}

void
sl_points_scale(const SlPoints *points, double *mean, double *deviation)
{
	int d = points->columns;
	double n = points->count;

	for (int j = 0; j < d; j++)
		mean[j] = deviation[j] = 0;
	for (int i = 0; i < points->count; i++)
		for (int j = 0; j < d; j++)
			mean[j] += points->x[(size_t) i * d + j];
	for (int j = 0; j < d; j++)
		mean[j] /= n;
	for (int i = 0; i < points->count; i++)
		for (int j = 0; j < d; j++)
		{
			double off = points->x[(size_t) i * d + j] - mean[j];

			deviation[j] += off * off;
		}
	for (int j = 0; j < d; j++)
		deviation[j] = deviation_of(deviation[j] / n, mean[j]);
}

void
sl_labels_centroids(const SlPoints *points, const int32_t *label, int k, double *centroid,
					int64_t *size)
{
	int d = points->columns;

	memset(centroid, 0, sizeof(double) * (size_t) k * d);
	memset(size, 0, sizeof(int64_t) * (size_t) k);
	for (int i = 0; i < points->count; i++)
	{
		double *sum = centroid + (size_t) label[i] * d;

		size[label[i]]++;
		for (int j = 0; j < d; j++)
			sum[j] += points->x[(size_t) i * d + j];
	}
	for (int c = 0; c < k; c++)
		for (int j = 0; j < d && size[c] > 0; j++)
			centroid[(size_t) c * d + j] /= (double) size[c];
}

double
sl_labels_inertia(const SlPoints *points, const int32_t *label, const double *centroid)
{
	int d = points->columns;
	double total = 0;

	for (int i = 0; i < points->count; i++)
	{
		const double *x = points->x + (size_t) i * d;
		const double *c = centroid + (size_t) label[i] * d;
		double sum = 0;

		for (int j = 0; j < d; j++)
			sum += (x[j] - c[j]) * (x[j] - c[j]);
		total += sum;
	}
	return total;
}

typedef struct Ranked
{
	int64_t size;
	const double *centroid;
	int columns;
	int number;
} Ranked;

static int
compare_ranked(const void *left, const void *right)
{
	const Ranked *a = left;
	const Ranked *b = right;

	if (a->size != b->size)
		return a->size > b->size ? -1 : 1;
	for (int j = 0; j < a->columns; j++)
		if (a->centroid[j] != b->centroid[j])
			return a->centroid[j] < b->centroid[j] ? -1 : 1;
	return a->number < b->number ? -1 : a->number > b->number;
}

SlStatus
sl_labels_sort(int count, int32_t *label, int k, int columns, double *centroid,
			   int64_t *size, SlArena *work)
{
	size_t used = work->used;
	Ranked *rank = sl_alloc(work, k, sizeof(Ranked));
	int *number = sl_alloc(work, k, sizeof(int));
	double *sorted = sl_alloc(work, (size_t) k * columns, sizeof(double));

	if (rank == NULL || number == NULL || sorted == NULL)
		return SL_NO_MEMORY;
	for (int c = 0; c < k; c++)
		rank[c] = (Ranked){size[c], centroid + (size_t) c * columns, columns, c};
	qsort(rank, k, sizeof(Ranked), compare_ranked);
	for (int c = 0; c < k; c++)
	{
		number[rank[c].number] = c;
		size[c] = rank[c].size;
		memcpy(sorted + (size_t) c * columns, rank[c].centroid, sizeof(double) * columns);
	}
	memcpy(centroid, sorted, sizeof(double) * (size_t) k * columns);
	for (int i = 0; i < count; i++)
		label[i] = number[label[i]];
	work->used = used;
	return SL_OK;
}
