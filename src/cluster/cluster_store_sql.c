/*
 * cluster_store_sql.c: clusterings in tables.  Row-level security decides what is seen.
 */
#include "postgres.h"

#include <limits.h>
#include <math.h>

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "cluster/cluster_sql.h"
#include "store/json.h"
#include "store/query.h"

static Datum
stored(int column, const char *what)
{
	bool isnull;
	Datum value =
		SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, column, &isnull);

	if (isnull)
		sl_damaged(what);
	return value;
}

double *
sl_clustering_numbers(Datum value, int wanted, const char *what)
{
	ArrayType *array = DatumGetArrayTypeP(value);
	double *copy;

	if (ARR_NDIM(array) != 1 || ARR_HASNULL(array) || ARR_DIMS(array)[0] != wanted)
		sl_damaged(what);
	copy = palloc_extended(sizeof(double) * (Size) wanted, MCXT_ALLOC_HUGE);
	memcpy(copy, ARR_DATA_PTR(array), sizeof(double) * wanted);
	for (int i = 0; i < wanted; i++)
		if (!isfinite(copy[i]))
			sl_damaged(what);
	return copy;
}

/* means and scales, both or none. */
static void
load_scale(SlClustering *c)
{
	bool isnull;
	Datum mean = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 7, &isnull);

	if (isnull)
		return;
	c->mean = sl_clustering_numbers(mean, c->columns, "means");
	c->deviation = sl_clustering_numbers(stored(8, "scales"), c->columns, "scales");
	for (int j = 0; j < c->columns; j++)
		if (!(c->deviation[j] > 0))
			sl_damaged("scales");
}

SlClustering *
sl_clustering_load(const char *name)
{
	SlClustering *c = palloc0(sizeof(SlClustering));
	Datum arg = CStringGetTextDatum(name);
	Datum *element;
	bool *isnull;

	sl_query_read("SELECT id, method, source, key, columns, k, means, scales, options "
				  "FROM sessionlen.clusterings WHERE name = $1",
				  1, (Oid[]){TEXTOID}, &arg);
	if (SPI_processed == 0)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
						errmsg("clustering \"%s\" does not exist", name),
						errhint("See the table sessionlen.clusterings.")));
	c->name = pstrdup(name);
	c->id = *DatumGetUUIDP(stored(1, "id"));
	c->method = sl_cluster_method_read(TextDatumGetCString(stored(2, "method")));
	c->source = TextDatumGetCString(stored(3, "source"));
	c->key = TextDatumGetCString(stored(4, "key"));
	deconstruct_array(DatumGetArrayTypeP(stored(5, "columns")), TEXTOID, -1, false,
					  TYPALIGN_INT, &element, &isnull, &c->columns);
	if (c->columns == 0)
		sl_damaged("columns");
	c->names = palloc(sizeof(char *) * c->columns);
	for (int i = 0; i < c->columns; i++)
	{
		if (isnull[i])
			sl_damaged("columns");
		c->names[i] = TextDatumGetCString(element[i]);
	}
	c->k = DatumGetInt32(stored(6, "k"));
	load_scale(c);
	sl_cluster_options_read(&c->options, DatumGetJsonbP(stored(9, "options")));
	return c;
}

double *
sl_clustering_centroids(const SlClustering *c)
{
	Datum arg = CStringGetTextDatum(c->name);
	double *centroid;

	sl_query_read(
		"SELECT cluster, centroid FROM sessionlen.cluster_centroids WHERE name = $1 "
		"ORDER BY cluster",
		1, (Oid[]){TEXTOID}, &arg);
	if (SPI_processed != (uint64) c->k)
		sl_damaged("centroids");
	centroid =
		palloc_extended(sizeof(double) * (Size) c->k * c->columns, MCXT_ALLOC_HUGE);
	for (int i = 0; i < c->k; i++)
	{
		bool isnull;
		HeapTuple row = SPI_tuptable->vals[i];
		TupleDesc desc = SPI_tuptable->tupdesc;
		double *one;

		if (DatumGetInt32(SPI_getbinval(row, desc, 1, &isnull)) != i)
			sl_damaged("centroids");
		one = sl_clustering_numbers(SPI_getbinval(row, desc, 2, &isnull), c->columns,
									"centroids");
		for (int j = 0; j < c->columns; j++)
			centroid[(Size) i * c->columns + j] =
				c->mean ? (one[j] - c->mean[j]) / c->deviation[j] : one[j];
		pfree(one);
	}
	return centroid;
}

int
sl_clustering_points(const SlClustering *c, double **x, int32 **label)
{
	Datum arg = CStringGetTextDatum(c->name);
	int count = 0;

	sl_query_read(
		"SELECT clusters, points FROM sessionlen.cluster_label_chunks WHERE name = $1 "
		"ORDER BY chunk",
		1, (Oid[]){TEXTOID}, &arg);
	*x = NULL;
	*label = NULL;
	for (uint64 r = 0; r < SPI_processed; r++)
	{
		HeapTuple row = SPI_tuptable->vals[r];
		bool isnull;
		ArrayType *clusters =
			DatumGetArrayTypeP(SPI_getbinval(row, SPI_tuptable->tupdesc, 1, &isnull));
		Datum points = SPI_getbinval(row, SPI_tuptable->tupdesc, 2, &isnull);
		Size d = c->columns;
		double *chunk;
		int n;

		if (isnull || ARR_NDIM(clusters) != 1 || ARR_HASNULL(clusters) ||
			ARR_DIMS(clusters)[0] > INT_MAX / 2 - count ||
			(Size) ARR_DIMS(clusters)[0] * d > INT_MAX)
			sl_damaged("labels");
		n = ARR_DIMS(clusters)[0];
		chunk = sl_clustering_numbers(points, (int) (n * d), "points");
		*x = *x ? repalloc_huge(*x, sizeof(double) * d * (Size) (count + n))
				: MemoryContextAllocHuge(CurrentMemoryContext,
										 sizeof(double) * d * (Size) n);
		*label = *label ? repalloc_huge(*label, sizeof(int32) * (Size) (count + n))
						: MemoryContextAllocHuge(CurrentMemoryContext,
												 sizeof(int32) * (Size) n);
		memcpy(*x + d * (Size) count, chunk, sizeof(double) * d * (Size) n);
		memcpy(*label + count, ARR_DATA_PTR(clusters), sizeof(int32) * (Size) n);
		for (int i = count; i < count + n; i++)
			if ((*label)[i] < 0 || (*label)[i] >= c->k)
				sl_damaged("labels");
		count += n;
		pfree(chunk);
	}
	if (count == 0)
		sl_damaged("labels");
	return count;
}
