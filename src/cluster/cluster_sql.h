/*
 * cluster_sql.h: what the SQL functions of the cluster room share: options, points read
 * from a source, one fit, stored clusterings.
 */
#ifndef SL_CLUSTER_SQL_H
#define SL_CLUSTER_SQL_H

#include "fmgr.h"
#include "utils/jsonb.h"
#include "utils/uuid.h"

#include "cluster/cluster.h"
#include "cluster/kmeans.h"

/* ---- options (cluster_options_sql.c) ---- */

typedef enum SlClusterMethod
{
	SL_METHOD_KMEANS,
	SL_METHOD_SPECTRAL
} SlClusterMethod;

typedef enum SlAffinity
{
	SL_AFFINITY_NEIGHBORS,
	SL_AFFINITY_RBF
} SlAffinity;

typedef struct SlClusterOptions
{
	SlKmeansOptions kmeans;
	bool standardize;
	int neighbors;
	int affinity; /* SlAffinity */
	double gamma;
	int silhouette_sample;
} SlClusterOptions;

/* Reads them over the defaults; given may be NULL. */
extern void sl_cluster_options_read(SlClusterOptions *options, Jsonb *given);
extern Jsonb *sl_cluster_options_json(const SlClusterOptions *options);
extern SlClusterMethod sl_cluster_method_read(const char *name);
extern const char *sl_cluster_method_name(SlClusterMethod method);

/* ---- arguments ---- */

/* Errors name the argument. */
extern char *sl_cluster_text_arg(FunctionCallInfo fcinfo, int number, const char *name);
extern char **sl_cluster_columns_arg(FunctionCallInfo fcinfo, int number, int *count);

/* ---- points (cluster_source_sql.c) ---- */

typedef struct SlClusterData
{
	int count;
	int columns;
	double *x;	 /* [count x columns], as read */
	char **key;	 /* [count]; NULL without a key column */
	int *by_key; /* [count] rows in the order of their keys' bytes */
	Size bytes;	 /* taken so far */
} SlClusterData;

/* Reads all rows with the caller's rights; key may be NULL.  SPI must be connected. */
extern SlClusterData *sl_cluster_read(const char *source, const char *key, int columns,
									  char **names);

/* ---- fitting (cluster_fit_sql.c) ---- */

/* Points on their way into clusters: scaled, and in an order that follows from their
 * values. */
typedef struct SlClusterInput
{
	const SlClusterOptions *options;
	SlClusterMethod method;
	SlPoints points; /* with k-means without their values, which are in tiles only */
	SlPoints sample; /* the first points, for the silhouette */
	int *place;		 /* [points.count] the row each was read as */
	int distinct;
	double *mean; /* NULL: not standardised */
	double *deviation;
	double *tiles; /* what k-means runs on: the points or an embedding of them */
	int tile_columns;
	double *embedding; /* [points.count x vectors] of the spectral method */
	int vectors;
	Size bytes;
	MemoryContext context; /* what is kept from one fit to the next is in */
} SlClusterInput;

typedef struct SlClusterFit
{
	int k;
	int32_t *label;	  /* [points.count and some] */
	double *centroid; /* [k x columns], of the scaled points */
	int64_t *size;	  /* [k] */
	double inertia;
	int iterations;
} SlClusterFit;

/* Takes the points over from data. */
extern SlClusterInput *sl_cluster_prepare(SlClusterData *data,
										  const SlClusterOptions *options,
										  SlClusterMethod method);
/* Refuses a k that there are not as many different points for. */
extern void sl_cluster_check_k(const SlClusterInput *input, int k);
/* k_max: the largest k that will be asked for. */
extern void sl_cluster_fit(SlClusterInput *input, int k, int k_max, SlClusterFit *fit);

/* Mean silhouette of the first points, at most options->silhouette_sample; NaN where
 * there is none.  points: how many. */
extern double sl_cluster_silhouette(const SlClusterInput *input, const SlClusterFit *fit,
									int *points);

/* ---- core calls ---- */

extern SlStop sl_cluster_stop;
/* Raises the error of a status other than SL_OK. */
extern void sl_cluster_check_status(SlStatus status);
/* Asks for pages of memory larger than usual where that is worth it. */
extern void sl_cluster_huge_pages(void *memory, Size bytes);
/* An arena of so many bytes in a context of its own, which is returned for deletion;
 * refused if it and what is taken already are over sessionlen.memory_limit. */
extern MemoryContext sl_cluster_arena(SlArena *arena, Size bytes, Size taken,
									  const char *what);

/* ---- stored clusterings (cluster_store_sql.c) ---- */

typedef struct SlClustering
{
	char *name;
	pg_uuid_t id;
	SlClusterMethod method;
	char *source;
	char *key;
	int columns;
	char **names;
	int k;
	double *mean; /* NULL: not standardised */
	double *deviation;
	SlClusterOptions options;
} SlClustering;

/* The caller's clustering of this name, or an error. */
extern SlClustering *sl_clustering_load(const char *name);

/* Its centroids [k x columns], standardised as its points. */
extern double *sl_clustering_centroids(const SlClustering *c);

/* Its fitted points and their labels; returns how many. */
extern int sl_clustering_points(const SlClustering *c, double **x, int32 **label);

/* A stored float8[] of this length. */
extern double *sl_clustering_numbers(Datum value, int wanted, const char *what);

#endif
