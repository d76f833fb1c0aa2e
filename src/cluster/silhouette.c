/*
 * silhouette.c: exact silhouettes from all pairs of points.
 *
 * Points are put into tiles cluster by cluster, so that what a tile adds goes to one
 * cluster's sums.  Each pair of tiles is looked at once and counts for the points of
 * both, where the sums of all points fit into memory worth spending; else twice.
 */
#include "cluster/silhouette.h"

#include <math.h>
#include <string.h>

#include "cluster/tiles.h"

/* Sums (points times clusters) up to which all of them are kept: 128 MB. */
#define KEEP_SUMS ((size_t) 1 << 24)

#define PAIRS_PER_CHECK 4096

typedef struct Silhouettes
{
	const SlPoints *points;
	int k;
	int tile_count;
	int *place;	   /* [tile_count x SL_LANES] a lane's point, -1: none */
	int *cluster;  /* [tile_count] */
	int *lanes;	   /* [tile_count] */
	int64_t *size; /* [k] */
	double *tiles; /* [tile_count] tiles */
	double *rows;  /* one tile, row by row */
	double *sum;   /* [k][stride] distances to each cluster */
	size_t stride; /* padded points, or SL_LANES where they are not kept */
	bool each_once;
} Silhouettes;

/* Tiles by cluster. */
static SlStatus
lay_out(Silhouettes *s, const int32_t *label, SlArena *work)
{
	int n = s->points->count;
	int d = s->points->columns;
	int *next; /* lane to fill next */
	int lane = 0;

	s->size = sl_alloc(work, s->k, sizeof(int64_t));
	next = sl_alloc(work, s->k, sizeof(int));
	if (next == NULL)
		return SL_NO_MEMORY;
	memset(s->size, 0, sizeof(int64_t) * s->k);
	for (int i = 0; i < n; i++)
		s->size[label[i]]++;
	for (int c = 0; c < s->k; c++)
	{
		next[c] = lane;
		lane += (int) ((s->size[c] + SL_LANES - 1) / SL_LANES * SL_LANES);
	}
	s->tile_count = lane / SL_LANES;
	for (int t = 0; t < lane; t++)
		s->place[t] = -1;
	for (int i = 0; i < n; i++)
		s->place[next[label[i]]++] = i;
	for (int t = 0; t < s->tile_count; t++)
	{
		s->cluster[t] = label[s->place[t * SL_LANES]];
		s->lanes[t] = 0;
		for (int l = 0; l < SL_LANES; l++)
		{
			int i = s->place[t * SL_LANES + l];
			const double *x;

			if (i >= 0)
				s->lanes[t] = l + 1;
			x = s->points->x + (size_t) (i >= 0 ? i : s->place[t * SL_LANES]) * d;
			for (int j = 0; j < d; j++)
				s->tiles[((size_t) t * d + j) * SL_LANES + l] = x[j];
		}
	}
	return SL_OK;
}

/* A tile's points row by row. */
static void
fill_rows(const Silhouettes *s, int t)
{
	int d = s->points->columns;

	for (int l = 0; l < SL_LANES; l++)
		for (int j = 0; j < d; j++)
			s->rows[(size_t) l * d + j] = s->tiles[((size_t) t * d + j) * SL_LANES + l];
}

/* Sums of one tile's points over the tiles from first on. */
static SlStatus
add_tile(Silhouettes *s, int t, int first, const SlStop *stop)
{
	double row[SL_LANES * SL_LANES] __attribute__((aligned(64)));
	double column[SL_LANES];
	int d = s->points->columns;
	size_t base = s->each_once ? (size_t) t * SL_LANES : 0;

	fill_rows(s, t);
	memset(row, 0, sizeof(row));
	for (int o = first; o < s->tile_count; o++)
	{
		if ((o - first) % PAIRS_PER_CHECK == 0 && sl_stopped(stop))
			return SL_STOPPED;
		memset(column, 0, sizeof(column));
		sl_tile_add_distances(s->rows, s->lanes[t], s->tiles + (size_t) o * d * SL_LANES,
							  s->lanes[o], d, row, column);
		if (s->each_once && o > t)
			for (int l = 0; l < SL_LANES; l++)
				s->sum[s->cluster[t] * s->stride + (size_t) o * SL_LANES + l] +=
					column[l];
		if (o + 1 < s->tile_count && s->cluster[o + 1] == s->cluster[o])
			continue;
		/* the last tile of a cluster */
		for (int i = 0; i < s->lanes[t]; i++)
			for (int l = 0; l < SL_LANES; l++)
				s->sum[s->cluster[o] * s->stride + base + i] += row[i * SL_LANES + l];
		memset(row, 0, sizeof(row));
	}
	return SL_OK;
}

/* From the sums of the point in that lane. */
static double
silhouette(const Silhouettes *s, int own, size_t lane)
{
	double a = s->sum[own * s->stride + lane] / (double) (s->size[own] - 1);
	double b = INFINITY;
	double larger;

	if (s->size[own] < 2)
		return 0;
	for (int c = 0; c < s->k; c++)
		if (c != own && s->size[c] > 0)
			b = fmin(b, s->sum[c * s->stride + lane] / (double) s->size[c]);
	larger = fmax(a, b);
	return larger > 0 ? (b - a) / larger : 0;
}

SlStatus
sl_silhouette(const SlPoints *points, const int32_t *label, int k, const SlStop *stop,
			  SlArena *work, double *out)
{
	size_t used = work->used;
	/* each cluster's last tile may be almost empty */
	size_t tiles =
		(size_t) sl_tile_count(points->count) + (k < points->count ? k : points->count);
	Silhouettes s = {.points = points, .k = k};
	SlStatus status = SL_OK;

	s.each_once = tiles * SL_LANES <= KEEP_SUMS / k;
	s.stride = s.each_once ? tiles * SL_LANES : SL_LANES;
	s.place = sl_alloc(work, tiles * SL_LANES, sizeof(int));
	s.cluster = sl_alloc(work, tiles, sizeof(int));
	s.lanes = sl_alloc(work, tiles, sizeof(int));
	s.tiles = sl_alloc(work, tiles * SL_LANES, sizeof(double) * points->columns);
	s.rows = sl_alloc(work, SL_LANES, sizeof(double) * points->columns);
	s.sum = sl_alloc(work, s.stride, sizeof(double) * k);
	if (work->base == NULL || work->used == SIZE_MAX)
	{
		(void) sl_alloc(work, k, sizeof(int64_t) + sizeof(int) + SL_ALIGN);
		return work->used == SIZE_MAX ? SL_NO_MEMORY : SL_OK;
	}
	status = lay_out(&s, label, work);
	memset(s.sum, 0, sizeof(double) * k * s.stride);
	for (int t = 0; t < s.tile_count && status == SL_OK; t++)
	{
		status = add_tile(&s, t, s.each_once ? t : 0, stop);
		for (int l = 0; l < s.lanes[t] && !s.each_once; l++)
			out[s.place[t * SL_LANES + l]] = silhouette(&s, s.cluster[t], l);
		if (!s.each_once)
			memset(s.sum, 0, sizeof(double) * k * s.stride);
	}
	for (size_t i = 0;
		 i < (size_t) s.tile_count * SL_LANES && s.each_once && status == SL_OK; i++)
		if (s.place[i] >= 0)
			out[s.place[i]] = silhouette(&s, s.cluster[i / SL_LANES], i);
	work->used = used;
	return status;
}
