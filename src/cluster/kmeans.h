/*
 * kmeans.h: k-means with several starts.
 */
#ifndef SL_KMEANS_H
#define SL_KMEANS_H

#include "cluster/cluster.h"

typedef struct SlKmeansOptions
{
	int n_init;	  /* starts; the one of least inertia wins and is improved as often */
	int max_iter; /* of one start */
	double tol;	  /* largest sum of squared moves that ends it, in mean variances */
	uint64_t seed;
} SlKmeansOptions;

typedef struct SlKmeansResult
{
	double inertia;
	int iterations; /* of the start that won */
	bool converged; /* before max_iter */
} SlKmeansResult;

/*
 * Points in tiles (sl_points_tiles); at least k of them differ.  centroid [k x columns],
 * label [tiles x SL_LANES]: every point has the label of its nearest centroid, the first
 * of equally near ones.
 */
extern SlStatus sl_kmeans(const double *tiles, int count, int columns, int k,
						  const SlKmeansOptions *options, const SlStop *stop,
						  SlArena *work, double *centroid, int32_t *label,
						  SlKmeansResult *result);

/* The centroid nearest to one point. */
extern int sl_nearest_centroid(const double *point, int columns, const double *centroid,
							   int k);

/* Greedy k-means++ (kmeans_seed.c): k of the points as first centroids. */
extern SlStatus sl_kmeans_seed(const double *tiles, int count, int columns, int k,
							   uint64_t seed, uint64_t stream, const SlStop *stop,
							   SlArena *work, double *centroid);

/* Puts a point in the place of the centroid where that costs least (kmeans_swap.c). */
extern SlStatus sl_kmeans_swap(const double *tiles, int count, int columns, int k,
							   uint64_t seed, uint64_t stream, const SlStop *stop,
							   SlArena *work, double *centroid);

#endif
