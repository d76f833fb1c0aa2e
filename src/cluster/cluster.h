/*
 * cluster.h: what the parts of the cluster core share: points, the question whether to
 * stop, memory.  Arrays in, status out; memory comes from the caller's arena.
 */
#ifndef SL_CLUSTER_H
#define SL_CLUSTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nn/nn.h"

/* Asked at least every few milliseconds of work; must not jump. */
typedef struct SlStop
{
	bool (*should_stop)(void *arg);
	void *arg;
} SlStop;

static inline bool
sl_stopped(const SlStop *stop)
{
	return stop != NULL && stop->should_stop != NULL && stop->should_stop(stop->arg);
}

/* Row-major, finite. */
typedef struct SlPoints
{
	int count;
	int columns;
	const double *x; /* [count x columns] */
} SlPoints;

/*
 * An order of points that depends on their values and the seed only, not on where they
 * stand: order[i] is the i-th point's place.  Equal points are neighbours; for any others
 * the order is a random one, so that its beginning is a random sample.  distinct receives
 * the number of different points.
 */
extern SlStatus sl_points_order(const SlPoints *points, uint64_t seed, const SlStop *stop,
								SlArena *work, int *order, int *distinct);

/* The points in that order, in tiles; sl_alloc'd in the arena. */
extern double *sl_points_tiles(const SlPoints *points, const int *order, SlArena *arena);

/* Column means and variances of points in tiles; scratch has room for a row too. */
extern void sl_tiles_moments(const double *tiles, int count, int columns, double *scratch,
							 double *mean, double *variance);

/* Makes z-scores of them, and says with which means and deviations. */
extern void sl_tiles_standardize(double *tiles, int count, int columns, double *scratch,
								 double *mean, double *deviation);

/* Column means and standard deviations (of the population); a deviation that is nothing
 * but rounding counts as 1. */
extern void sl_points_scale(const SlPoints *points, double *mean, double *deviation);

/*
 * Renumbers labels by falling size, ties by the centroid's first smaller column;
 * centroids [k x columns] and sizes [k] are put into the new order.
 */
extern SlStatus sl_labels_sort(int count, int32_t *label, int k, int columns,
							   double *centroid, int64_t *size, SlArena *work);

/* Means of the points by label, and how many there are. */
extern void sl_labels_centroids(const SlPoints *points, const int32_t *label, int k,
								double *centroid, int64_t *size);

/* Sum of squared distances to the centroid of one's label. */
extern double sl_labels_inertia(const SlPoints *points, const int32_t *label,
								const double *centroid);

#endif
