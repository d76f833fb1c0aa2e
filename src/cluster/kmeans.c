/*
 * kmeans.c: Lloyd's algorithm over tiles, with bounds where they pay.
 *
 * A pass finds every point's nearest centroid, 16 points at a time, and moves the points
 * that changed sides between the running sums.  With many centroids or columns Hamerly's
 * bounds ("Making k-means even faster", 2010) spare most of it: each point keeps an upper
 * bound of the distance to its own centroid and a lower bound of that to any other; only
 * points whose bounds cross are looked at, gathered into tiles of their own.
 *
 * An empty cluster is given the point that is farthest from its centroid.  The centroids
 * returned are means computed afresh, the labels those of a last pass with them.
 */
#include "cluster/kmeans.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "cluster/tiles.h"

/* Centroids times columns from which bounds are cheaper than distances. */
#define WORTH_BOUNDS 200

/* Of a bound, so that rounding never decides. */
#define SAFETY 1e-12

#define TILES_PER_CHECK 512

/* Exchanges of centroids tried for a start, and how many of them may be in vain; of very
 * many points, where one takes as long as a start, a single one. */
#define EXCHANGES 10
#define MOST_FAILURES 60
#define MANY_POINTS 200000

typedef struct Lloyd
{
	const double *tiles;
	int count;
	int columns;
	int tile_count;
	int k;
	const SlStop *stop;
	int32_t *label; /* [tile_count x SL_LANES] */
	double *centroid;
	double *sum;   /* [k x columns] of the points labelled so */
	int64_t *size; /* [k] */
	bool bounded;
	double *upper; /* [tile_count x SL_LANES] with bounds */
	double *lower;
	double *moved;	 /* [k] how far each centroid went in the last step */
	double *half;	 /* [k] half the distance to the nearest other centroid */
	double *packed;	 /* one tile of gathered points */
	double *old;	 /* [k x columns] */
	int64_t changed; /* labels, in the last pass */
} Lloyd;

/* ---- distances ---- */

static double
squared_distance(const double *a, size_t stride, const double *b, int columns)
{
	double sum = 0;

	for (int j = 0; j < columns; j++)
	{
		double off = a[j * stride] - b[j];

		sum += off * off;
	}
	return sum;
}

int
sl_nearest_centroid(const double *point, int columns, const double *centroid, int k)
{
	double best = INFINITY;
	int label = 0;

	for (int c = 0; c < k; c++)
	{
		double to = squared_distance(point, 1, centroid + (size_t) c * columns, columns);

		if (to < best)
		{
			best = to;
			label = c;
		}
	}
	return label;
}

static inline const double *
point_at(const Lloyd *m, int i)
{
	return m->tiles + (size_t) (i / SL_LANES) * m->columns * SL_LANES + i % SL_LANES;
}

/* ---- labels and sums ---- */

/* Gives a point another label; sums follow. */
static inline void
relabel(Lloyd *m, int i, int32_t label)
{
	const double *x = point_at(m, i);
	int d = m->columns;
	double *to = m->sum + (size_t) label * d;

	if (m->label[i] >= 0)
	{
		double *from = m->sum + (size_t) m->label[i] * d;

		for (int j = 0; j < d; j++)
			from[j] -= x[(size_t) j * SL_LANES];
		m->size[m->label[i]]--;
	}
	for (int j = 0; j < d; j++)
		to[j] += x[(size_t) j * SL_LANES];
	m->size[label]++;
	m->label[i] = label;
	m->changed++;
}

/* Every point gets the label of its nearest centroid; inertia, where wanted, is the sum
 * of its squared distances. */
static SlStatus
pass_plain(Lloyd *m, double *inertia)
{
	int32_t found[TILES_PER_CHECK * SL_LANES];
	double squared[TILES_PER_CHECK * SL_LANES];

	if (inertia)
		*inertia = 0;

	for (int t = 0; t < m->tile_count; t += TILES_PER_CHECK)
	{
		int tiles =
			m->tile_count - t < TILES_PER_CHECK ? m->tile_count - t : TILES_PER_CHECK;
		int first = t * SL_LANES;
		int end =
			first + tiles * SL_LANES < m->count ? tiles * SL_LANES : m->count - first;

		if (sl_stopped(m->stop))
			return SL_STOPPED;
		/* in smaller steps where there are many centroids */
		for (int done = 0; done < tiles;)
		{
			int step = 1 + (int) (4000000 / ((double) m->k * m->columns * SL_LANES));

			step = step < tiles - done ? step : tiles - done;
			sl_tiles_nearest(m->tiles + (size_t) (t + done) * m->columns * SL_LANES, step,
							 m->columns, m->centroid, m->k,
							 found + (size_t) done * SL_LANES,
							 inertia ? squared + (size_t) done * SL_LANES : NULL);
			done += step;
			if (done < tiles && sl_stopped(m->stop))
				return SL_STOPPED;
		}
		for (int i = 0; i < end; i++)
			if (found[i] != m->label[first + i])
				relabel(m, first + i, found[i]);
		for (int i = 0; inertia && i < end; i++)
			*inertia += squared[i];
	}
	return SL_OK;
}

/* The first pass with bounds: all of them are set. */
static SlStatus
pass_first(Lloyd *m)
{
	int32_t found[SL_LANES];
	double best[SL_LANES], second[SL_LANES];

	for (int t = 0; t < m->tile_count; t++)
	{
		int lanes = sl_tile_lanes(m->count, t);

		if (sl_stopped(m->stop))
			return SL_STOPPED;
		sl_tile_nearest_two(m->tiles + (size_t) t * m->columns * SL_LANES, m->columns,
							m->centroid, m->k, found, best, second);
		for (int l = 0; l < lanes; l++)
		{
			int i = t * SL_LANES + l;

			m->upper[i] = sqrt(best[l]);
			m->lower[i] = sqrt(second[l]);
			relabel(m, i, found[l]);
		}
	}
	return SL_OK;
}

/* Distances of gathered points; their bounds become exact. */
static void
settle(Lloyd *m, const int *gathered, int n)
{
	int32_t found[SL_LANES];
	double best[SL_LANES], second[SL_LANES];

	for (int l = 0; l < n; l++)
	{
		const double *x = point_at(m, gathered[l]);

		for (int j = 0; j < m->columns; j++)
			m->packed[j * SL_LANES + l] = x[(size_t) j * SL_LANES];
	}
	sl_tile_nearest_two(m->packed, m->columns, m->centroid, m->k, found, best, second);
	for (int l = 0; l < n; l++)
	{
		int i = gathered[l];

		m->upper[i] = sqrt(best[l]);
		m->lower[i] = sqrt(second[l]);
		if (found[l] != m->label[i])
			relabel(m, i, found[l]);
	}
}

/* Half distances between centroids, and the farthest two moves. */
static SlStatus
prepare_bounds(Lloyd *m, double *farthest, int *who, double *second)
{
	*farthest = *second = 0;
	*who = -1;
	for (int c = 0; c < m->k; c++)
	{
		double near = INFINITY;

		if (sl_stopped(m->stop))
			return SL_STOPPED;
		for (int o = 0; o < m->k; o++)
			if (o != c)
				near = fmin(near, squared_distance(
									  m->centroid + (size_t) c * m->columns, 1,
									  m->centroid + (size_t) o * m->columns, m->columns));
		m->half[c] = 0.5 * sqrt(near);
		if (m->moved[c] > *farthest)
		{
			*second = *farthest;
			*farthest = m->moved[c];
			*who = c;
		}
		else if (m->moved[c] > *second)
			*second = m->moved[c];
	}
	return SL_OK;
}

static SlStatus
pass_bounded(Lloyd *m)
{
	int gathered[SL_LANES];
	int n = 0;
	double farthest, second;
	int who;
	SlStatus status = prepare_bounds(m, &farthest, &who, &second);

	for (int i = 0; status == SL_OK && i < m->count; i++)
	{
		int32_t label = m->label[i];
		double bound;

		m->upper[i] += m->moved[label];
		m->lower[i] -= label == who ? second : farthest;
		bound = m->lower[i] > m->half[label] ? m->lower[i] : m->half[label];
		if (m->upper[i] > bound * (1 - SAFETY))
			gathered[n++] = i;
		if (n == SL_LANES)
		{
			settle(m, gathered, n);
			n = 0;
			if (sl_stopped(m->stop))
				return SL_STOPPED;
		}
	}
	if (n > 0 && status == SL_OK)
	{
		/* what the unused lanes hold does not matter, but it must be numbers */
		memset(m->packed, 0, sizeof(double) * SL_LANES * m->columns);
		settle(m, gathered, n);
	}
	return status;
}

/* ---- steps ---- */

/* The point farthest from its centroid whose cluster has others. */
static int
farthest_point(const Lloyd *m)
{
	double most = -1;
	int found = -1;

	for (int i = 0; i < m->count; i++)
	{
		double far;

		if (m->size[m->label[i]] < 2)
			continue;
		far =
			squared_distance(point_at(m, i), SL_LANES,
							 m->centroid + (size_t) m->label[i] * m->columns, m->columns);
		if (far > most)
		{
			most = far;
			found = i;
		}
	}
	return found;
}

/* Fills empty clusters. */
static SlStatus
relocate(Lloyd *m)
{
	for (int c = 0; c < m->k; c++)
	{
		int i;

		if (m->size[c] > 0)
			continue;
		if (sl_stopped(m->stop))
			return SL_STOPPED;
		i = farthest_point(m);
		if (i < 0)
			continue;
		relabel(m, i, c);
		/* so that it is not the farthest for another one */
		for (int j = 0; j < m->columns; j++)
			m->centroid[(size_t) c * m->columns + j] =
				point_at(m, i)[(size_t) j * SL_LANES];
		if (m->bounded)
			m->upper[i] = INFINITY;
	}
	return SL_OK;
}

/* Sums of all points by label, free of what the running ones have gathered in rounding.
 */
static void
sum_afresh(Lloyd *m)
{
	memset(m->sum, 0, sizeof(double) * (size_t) m->k * m->columns);
	for (int i = 0; i < m->count; i++)
	{
		const double *x = point_at(m, i);
		double *to = m->sum + (size_t) m->label[i] * m->columns;

		for (int j = 0; j < m->columns; j++)
			to[j] += x[(size_t) j * SL_LANES];
	}
}

/* Centroids become means; returns the sum of squared moves. */
static double
move_centroids(Lloyd *m)
{
	double shift = 0;

	for (int c = 0; c < m->k; c++)
	{
		double *to = m->centroid + (size_t) c * m->columns;
		double *from = m->old + (size_t) c * m->columns;
		double moved;

		for (int j = 0; j < m->columns && m->size[c] > 0; j++)
			to[j] = m->sum[(size_t) c * m->columns + j] / (double) m->size[c];
		moved = squared_distance(to, 1, from, m->columns);
		m->moved[c] = sqrt(moved);
		shift += moved;
		memcpy(from, to, sizeof(double) * m->columns);
	}
	return shift;
}

/* One start, from the centroids there are. */
static SlStatus
run(Lloyd *m, int max_iter, double tolerance, SlKmeansResult *result)
{
	size_t cells = (size_t) m->k * m->columns;
	SlStatus status;

	memset(m->sum, 0, sizeof(double) * cells);
	memset(m->size, 0, sizeof(int64_t) * m->k);
	for (int i = 0; i < m->tile_count * SL_LANES; i++)
		m->label[i] = -1;
	memcpy(m->old, m->centroid, sizeof(double) * cells);
	result->converged = false;
	for (result->iterations = 1;; result->iterations++)
	{
		bool first = result->iterations == 1;

		m->changed = 0;
		status = !m->bounded ? pass_plain(m, NULL)
				 : first	 ? pass_first(m)
							 : pass_bounded(m);
		if (status == SL_OK)
			status = relocate(m);
		if (status != SL_OK)
			return status;
		result->converged = m->changed == 0;
		if (result->converged || result->iterations >= max_iter)
			break;
		if (move_centroids(m) <= tolerance)
		{
			result->converged = true;
			break;
		}
	}
	sum_afresh(m);
	(void) move_centroids(m);
	m->changed = 0;
	return pass_plain(m, &result->inertia);
}

/* Mean over columns of their variances; overwrites sums and centroids. */
static double
mean_variance(Lloyd *m)
{
	double total = 0;

	sl_tiles_moments(m->tiles, m->count, m->columns, m->centroid, m->old, m->sum);
	for (int j = 0; j < m->columns; j++)
		total += m->sum[j];
	return total / m->columns;
}

/* The best run so far. */
static void
keep(const Lloyd *m, const SlKmeansResult *run, double *centroid, int32_t *label,
	 SlKmeansResult *result)
{
	*result = *run;
	memcpy(centroid, m->centroid, sizeof(double) * (size_t) m->k * m->columns);
	memcpy(label, m->label, sizeof(int32_t) * (size_t) m->tile_count * SL_LANES);
}

SlStatus
sl_kmeans(const double *tiles, int count, int columns, int k,
		  const SlKmeansOptions *options, const SlStop *stop, SlArena *work,
		  double *centroid, int32_t *label, SlKmeansResult *result)
{
	size_t used = work->used;
	int tile_count = sl_tile_count(count);
	size_t padded = (size_t) tile_count * SL_LANES;
	Lloyd m = {.tiles = tiles,
			   .count = count,
			   .columns = columns,
			   .tile_count = tile_count,
			   .k = k,
			   .stop = stop,
			   .bounded = (double) k * columns >= WORTH_BOUNDS};
	double tolerance;
	int failures = 0;

	m.label = sl_alloc(work, padded, sizeof(int32_t));
	m.centroid = sl_alloc(work, (size_t) k * columns, sizeof(double));
	m.old = sl_alloc(work, (size_t) k * columns, sizeof(double));
	m.sum = sl_alloc(work, (size_t) k * columns, sizeof(double));
	m.size = sl_alloc(work, k, sizeof(int64_t));
	m.moved = sl_alloc(work, k, sizeof(double));
	m.half = sl_alloc(work, k, sizeof(double));
	m.packed = sl_alloc(work, (size_t) columns * SL_LANES, sizeof(double));
	m.upper = sl_alloc(work, m.bounded ? padded : 0, sizeof(double));
	m.lower = sl_alloc(work, m.bounded ? padded : 0, sizeof(double));
	if (work->base == NULL)
	{
		/* only counting: of the two, which take turns, the larger */
		SlArena swap = *work;

		(void) sl_kmeans_seed(NULL, count, columns, k, 0, 0, NULL, work, NULL);
		(void) sl_kmeans_swap(NULL, count, columns, k, 0, 0, NULL, &swap, NULL);
		work->used = work->used > swap.used ? work->used : swap.used;
		return SL_OK;
	}
	if (work->used == SIZE_MAX)
		return SL_NO_MEMORY;
	memset(m.packed, 0, sizeof(double) * (size_t) columns * SL_LANES);
	tolerance = options->tol * mean_variance(&m);
	for (int start = 0; start < options->n_init; start++)
	{
		SlKmeansResult this;
		SlStatus status = sl_kmeans_seed(tiles, count, columns, k, options->seed,
										 (uint64_t) start + 1, stop, work, m.centroid);

		if (status == SL_OK)
			status = run(&m, options->max_iter, tolerance, &this);
		if (status != SL_OK)
			return status;
		if (start == 0 || this.inertia < result->inertia)
			keep(&m, &this, centroid, label, result);
	}
	/* without several starts a quick answer is wanted */
	for (int round = 1; round < EXCHANGES * options->n_init && options->n_init > 1 &&
						k > 1 && failures < (count > MANY_POINTS ? 1 : MOST_FAILURES);
		 round++)
	{
		SlKmeansResult this;
		SlStatus status;

		memcpy(m.centroid, centroid, sizeof(double) * (size_t) k * columns);
		status = sl_kmeans_swap(tiles, count, columns, k, options->seed,
								((uint64_t) 1 << 33) + (uint64_t) round, stop, work,
								m.centroid);
		if (status == SL_OK)
			status = run(&m, options->max_iter, tolerance, &this);
		if (status != SL_OK)
			return status;
		if (this.inertia < result->inertia * (1 - 1e-9))
			keep(&m, &this, centroid, label, result);
		else
			failures++;
	}
	work->used = used;
	return isfinite(result->inertia) ? SL_OK : SL_NOT_FINITE;
}
