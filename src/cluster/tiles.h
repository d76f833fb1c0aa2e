/*
 * tiles.h: points laid out for vector instructions, and the loops over them.
 *
 * A tile holds SL_LANES points column by column: value (lane, column) is at column *
 * SL_LANES + lane.  Distances to a centroid are then sums over columns in which every
 * lane is a point of its own: no horizontal additions, and any number of columns is
 * fast.  Lanes beyond the last point repeat it; who sums over lanes leaves them out.
 *
 * The loops are compiled for several instruction sets and chosen at run time.  Tiles and
 * what else is read tile by tile are aligned to SL_ALIGN.
 */
#ifndef SL_TILES_H
#define SL_TILES_H

#include <stddef.h>
#include <stdint.h>

#define SL_LANES 16

/* Centroids are read four at a time, rows of a tile too. */
#define SL_FOUR 4

static inline int
sl_tile_count(int points)
{
	return points / SL_LANES + (points % SL_LANES > 0);
}

static inline int
sl_tile_lanes(int points, int tile)
{
	int left = points - tile * SL_LANES;

	return left < SL_LANES ? left : SL_LANES;
}

/* Squared distances of a tile's lanes to a point. */
extern void sl_tile_distances(const double *tile, int columns, const double *point,
							  double *out);

/* The nearest of k centroids for every lane of tile_count tiles; of equally near ones the
 * first.  squared, which may be NULL, receives the squared distances to them. */
extern void sl_tiles_nearest(const double *tiles, int tile_count, int columns,
							 const double *centroid, int k, int32_t *label,
							 double *squared);

/* The same for one tile, with the squared distances to it and to the next nearest. */
extern void sl_tile_nearest_two(const double *tile, int columns, const double *centroid,
								int k, int32_t *label, double *best, double *second);

/* Adds the sum over lanes of each column less from, and that of its squares. */
extern void sl_tiles_sum(const double *tiles, int tile_count, int columns,
						 const double *from, double *sum, double *squares);

/* near[lane] becomes the squared distance to a point where that is less. */
extern void sl_tiles_lower(double *near, const double *tiles, int tile_count, int columns,
						   const double *point);

/* sum[c]: the total over lanes of the lesser of near and the squared distance to
 * candidate c, for at most SL_MAX_CANDIDATES of them. */
#define SL_MAX_CANDIDATES 24
extern void sl_tiles_try(const double *near, const double *tiles, int tile_count,
						 int columns, const double *candidate, int candidates,
						 double *sum);

/*
 * Distances (not squared) between row_count points in rows, [SL_LANES x columns], and the
 * first lanes of a tile: row[i * SL_LANES + lane] += them, column[lane] += their sum.
 */
extern void sl_tile_add_distances(const double *rows, int row_count, const double *tile,
								  int lanes, int columns, double *row, double *column);

#endif
