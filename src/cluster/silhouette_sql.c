/*
 * silhouette_sql.c: silhouette() and silhouette_score() of a stored clustering.  The
 * source is read again: keys it no longer has, and keys that came later, are left out.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/tuplestore.h"

#include "cluster/cluster_sql.h"
#include "cluster/silhouette.h"
#include "store/json.h"
#include "store/query.h"

PG_FUNCTION_INFO_V1(sl_silhouette_rows);
PG_FUNCTION_INFO_V1(sl_silhouette_score);

/* Points that have a label, in the order of their keys. */
typedef struct Labelled
{
	SlPoints points;
	char **key;
	int32 *label;
	double *value;
} Labelled;

/* Takes over the point of a row that has this label. */
static void
add_point(const SlClustering *c, const SlClusterData *data, int row, int label,
		  Labelled *out)
{
	int i = out->points.count++;
	double *x = unconstify(double *, out->points.x) + (Size) i * c->columns;

	if (label < 0 || label >= c->k)
		sl_damaged("labels");
	out->key[i] = data->key[row];
	out->label[i] = label;
	for (int j = 0; j < c->columns; j++)
	{
		double value = data->x[(Size) row * c->columns + j];

		x[j] = c->mean ? (value - c->mean[j]) / c->deviation[j] : value;
	}
}

/* Walks through one chunk of labels and, in the same order, the points from *at on. */
static void
match_chunk(const SlClustering *c, const SlClusterData *data, Datum keys, Datum clusters,
			int *at, Labelled *out)
{
	Datum *key, *cluster;
	bool *key_null, *cluster_null;
	int n, labels;

	deconstruct_array(DatumGetArrayTypeP(keys), TEXTOID, -1, false, TYPALIGN_INT, &key,
					  &key_null, &n);
	deconstruct_array(DatumGetArrayTypeP(clusters), INT4OID, sizeof(int32), true,
					  TYPALIGN_INT, &cluster, &cluster_null, &labels);
	if (n != labels)
		sl_damaged("labels");
	for (int i = 0; i < n; i++)
	{
		char *wanted;
		int order = 1;

		if (key_null[i] || cluster_null[i])
			sl_damaged("labels");
		wanted = TextDatumGetCString(key[i]);
		while (*at < data->count &&
			   (order = strcmp(data->key[data->by_key[*at]], wanted)) < 0)
			++*at;
		if (*at < data->count && order == 0)
			add_point(c, data, data->by_key[(*at)++], DatumGetInt32(cluster[i]), out);
		pfree(wanted);
	}
}

static void
match_labels(const SlClustering *c, const SlClusterData *data, Labelled *out)
{
	Datum arg = CStringGetTextDatum(c->name);
	MemoryContext context = AllocSetContextCreate(
		CurrentMemoryContext, "sessionlen labels", ALLOCSET_DEFAULT_SIZES);
	int at = 0;

	sl_query_read(
		"SELECT keys, clusters FROM sessionlen.cluster_label_chunks WHERE name = $1 "
		"ORDER BY chunk",
		1, (Oid[]){TEXTOID}, &arg);
	for (uint64 r = 0; r < SPI_processed; r++)
	{
		MemoryContext old = MemoryContextSwitchTo(context);
		HeapTuple row = SPI_tuptable->vals[r];
		bool isnull;
		Datum keys = SPI_getbinval(row, SPI_tuptable->tupdesc, 1, &isnull);
		Datum clusters = SPI_getbinval(row, SPI_tuptable->tupdesc, 2, &isnull);

		CHECK_FOR_INTERRUPTS();
		match_chunk(c, data, keys, clusters, &at, out);
		MemoryContextSwitchTo(old);
		MemoryContextReset(context);
	}
	MemoryContextDelete(context);
}

static void
require_two(const Labelled *l, const SlClustering *c)
{
	if (l->points.count == 0)
		ereport(ERROR,
				(errcode(ERRCODE_NO_DATA_FOUND),
				 errmsg("the source has none of the keys of clustering \"%s\"", c->name),
				 errhint("Cluster it anew.")));
	for (int i = 1; i < l->points.count; i++)
		if (l->label[i] != l->label[0])
			return;
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("a silhouette needs two clusters"),
					errdetail("All points are in cluster %d.", l->label[0])));
}

/* All of a clustering; SPI is connected. */
static void
read_and_measure(const char *name, Labelled *out)
{
	SlClustering *c = sl_clustering_load(name);
	SlClusterData *data = sl_cluster_read(c->source, c->key, c->columns, c->names);
	SlArena work = {NULL, SIZE_MAX, 0};
	Size bytes = sizeof(double) * (Size) data->count * (c->columns + 2);
	MemoryContext context;

	out->points = (SlPoints){data->count, c->columns, NULL};
	(void) sl_silhouette(&out->points, NULL, c->k, NULL, &work, NULL);
	context = sl_cluster_arena(&work, work.used, data->bytes + bytes, "the silhouette");
	out->points = (SlPoints){
		0, c->columns,
		MemoryContextAllocHuge(CurrentMemoryContext,
							   sizeof(double) * (Size) data->count * c->columns)};
	out->key =
		MemoryContextAllocHuge(CurrentMemoryContext, sizeof(char *) * (Size) data->count);
	out->label =
		MemoryContextAllocHuge(CurrentMemoryContext, sizeof(int32) * (Size) data->count);
	out->value =
		MemoryContextAllocHuge(CurrentMemoryContext, sizeof(double) * (Size) data->count);
	match_labels(c, data, out);
	require_two(out, c);
	sl_cluster_check_status(sl_silhouette(&out->points, out->label, c->k,
										  &sl_cluster_stop, &work, out->value));
	MemoryContextDelete(context);
}

Datum
sl_silhouette_rows(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	char *name = sl_cluster_text_arg(fcinfo, 0, "name");
	Labelled l;

	InitMaterializedSRF(fcinfo, 0);
	SPI_connect();
	read_and_measure(name, &l);
	for (int i = 0; i < l.points.count; i++)
	{
		Datum key = CStringGetTextDatum(l.key[i]);
		Datum values[] = {key, Int32GetDatum(l.label[i]), Float8GetDatum(l.value[i])};

		tuplestore_putvalues(result->setResult, result->setDesc, values,
							 (bool[]){0, 0, 0});
		pfree(DatumGetPointer(key));
	}
	SPI_finish();
	return (Datum) 0;
}

Datum
sl_silhouette_score(PG_FUNCTION_ARGS)
{
	char *name = sl_cluster_text_arg(fcinfo, 0, "name");
	double sum = 0;
	Labelled l;

	SPI_connect();
	read_and_measure(name, &l);
	for (int i = 0; i < l.points.count; i++)
		sum += l.value[i];
	SPI_finish();
	PG_RETURN_FLOAT8(sum / l.points.count);
}
