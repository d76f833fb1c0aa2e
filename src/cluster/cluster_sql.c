/*
 * cluster_sql.c: cluster(): fits and stores a clustering.
 */
#include "postgres.h"

#include <math.h>

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "portability/instr_time.h"
#include "storage/lock.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "cluster/cluster_sql.h"
#include "store/query.h"

PG_FUNCTION_INFO_V1(sl_cluster);

/* Advisory locks of two keys: ours is the first, the name hashed the second. */
#define LOCK_CLASS 0x736c636c

/* Of one row of labels. */
#define CHUNK_KEYS 50000
#define CHUNK_BYTES ((Size) 64 << 20)

typedef struct Call
{
	char *name;
	char *source;
	char *key;
	char **columns;
	int column_count;
	int k;
	SlClusterMethod method;
	SlClusterOptions options;
} Call;

static void
read_call(FunctionCallInfo fcinfo, Call *call)
{
	call->name = sl_cluster_text_arg(fcinfo, 0, "name");
	call->source = sl_cluster_text_arg(fcinfo, 1, "source");
	call->key = sl_cluster_text_arg(fcinfo, 2, "key");
	call->columns = sl_cluster_columns_arg(fcinfo, 3, &call->column_count);
	if (PG_ARGISNULL(4))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("k must not be null")));
	call->k = PG_GETARG_INT32(4);
	call->method = sl_cluster_method_read(
		PG_ARGISNULL(5) ? "kmeans" : sl_cluster_text_arg(fcinfo, 5, "method"));
	sl_cluster_options_read(&call->options,
							PG_ARGISNULL(6) ? NULL : PG_GETARG_JSONB_P(6));
}

/* Until the transaction ends nobody else makes a clustering of this name. */
static void
lock_name(const char *name)
{
	LOCKTAG tag;

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, LOCK_CLASS,
						 hash_bytes((const unsigned char *) name, strlen(name)), 2);
	if (LockAcquire(&tag, ExclusiveLock, false, true) == LOCKACQUIRE_NOT_AVAIL)
		ereport(ERROR,
				(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
				 errmsg("clustering \"%s\" is being made by another session", name),
				 errhint("Wait for it to end, or cancel it with pg_cancel_backend().")));
}

static void
not_owner(const char *name)
{
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("must be owner of clustering \"%s\"", name),
			 errhint("Another role has a clustering of this name; choose another.")));
}

/* Known before the work, not only when its result can't be stored. */
static void
check_owner(const char *name)
{
	Datum arg = CStringGetTextDatum(name);
	bool isnull;
	Datum mine;

	sl_query_read(
		"SELECT pg_catalog.pg_has_role(sessionlen.clustering_owner($1), 'USAGE')", 1,
		(Oid[]){TEXTOID}, &arg);
	mine = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
	if (!isnull && !DatumGetBool(mine))
		not_owner(name);
}

static Datum
text_array(char **texts, int n)
{
	Datum *element = palloc(sizeof(Datum) * n);

	for (int i = 0; i < n; i++)
		element[i] = CStringGetTextDatum(texts[i]);
	return PointerGetDatum(construct_array(element, n, TEXTOID, -1, false, TYPALIGN_INT));
}

/* A clustering of this name goes; its owner stays, whoever replaces it. */
static Datum
remove_old(const char *name)
{
	Datum arg = CStringGetTextDatum(name);
	bool isnull;

	sl_query("DELETE FROM sessionlen.clusterings WHERE name = $1 RETURNING owner", 1,
			 (Oid[]){TEXTOID}, &arg, NULL);
	if (SPI_processed == 0)
		return ObjectIdGetDatum(GetUserId());
	return SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
}

static void
store_clustering(const Call *call, const SlClusterInput *input, const SlClusterFit *fit,
				 double silhouette, int silhouette_points)
{
	Oid types[] = {TEXTOID,		   REGROLEOID, TEXTOID,	  TEXTOID,	 TEXTOID,
				   TEXTARRAYOID,   JSONBOID,   INT4OID,	  INT8OID,	 FLOAT8ARRAYOID,
				   FLOAT8ARRAYOID, INT4OID,	   FLOAT8OID, FLOAT8OID, INT4OID};
	int d = call->column_count;
	Datum args[] = {
		CStringGetTextDatum(call->name),
		remove_old(call->name),
		CStringGetTextDatum(sl_cluster_method_name(call->method)),
		CStringGetTextDatum(call->source),
		CStringGetTextDatum(call->key),
		text_array(call->columns, d),
		JsonbPGetDatum(sl_cluster_options_json(&call->options)),
		Int32GetDatum(fit->k),
		Int64GetDatum(input->points.count),
		input->mean ? PointerGetDatum(sl_number_array(FLOAT8OID, input->mean, d))
					: (Datum) 0,
		input->mean ? PointerGetDatum(sl_number_array(FLOAT8OID, input->deviation, d))
					: (Datum) 0,
		Int32GetDatum(fit->iterations),
		Float8GetDatum(fit->inertia),
		Float8GetDatum(silhouette),
		Int32GetDatum(silhouette_points),
	};
	char nulls[] = "               ";

	nulls[9] = nulls[10] = input->mean ? ' ' : 'n';
	nulls[13] = isnan(silhouette) ? 'n' : ' ';
	sl_query(
		"INSERT INTO sessionlen.clusterings (name, owner, method, source, key, columns, "
		"options, k, points, means, scales, iterations, inertia, silhouette, "
		"silhouette_points) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, "
		"$14, $15) ON CONFLICT DO NOTHING",
		lengthof(types), types, args, nulls);
	if (SPI_processed == 0)
		not_owner(call->name);
}

/* In the columns' own units. */
static void
store_centroids(const Call *call, const SlClusterInput *input, const SlClusterFit *fit)
{
	Oid types[] = {TEXTOID, INT4OID, INT8OID, FLOAT8ARRAYOID};
	int d = call->column_count;
	double *centroid = palloc(sizeof(double) * d);

	for (int c = 0; c < fit->k; c++)
	{
		Datum args[4];

		CHECK_FOR_INTERRUPTS();
		for (int j = 0; j < d; j++)
		{
			double x = fit->centroid[(Size) c * d + j];

			centroid[j] = input->mean ? x * input->deviation[j] + input->mean[j] : x;
		}
		args[0] = CStringGetTextDatum(call->name);
		args[1] = Int32GetDatum(c);
		args[2] = Int64GetDatum(fit->size[c]);
		args[3] = PointerGetDatum(sl_number_array(FLOAT8OID, centroid, d));
		sl_query(
			"INSERT INTO sessionlen.cluster_centroids (name, cluster, size, centroid) "
			"VALUES ($1, $2, $3, $4)",
			lengthof(types), types, args, NULL);
	}
}

/* Keys from one on that go into one row: not too many, not too much. */
static int
chunk_size(const SlClusterData *data, int from)
{
	Size bytes = 0;
	int n = 0;

	while (from + n < data->count && n < CHUNK_KEYS && (n == 0 || bytes < CHUNK_BYTES))
	{
		bytes +=
			strlen(data->key[data->by_key[from + n]]) + sizeof(double) * data->columns;
		n++;
	}
	return n;
}

/* The n keys from one on with their labels, as elements of arrays. */
static void
store_chunk(const Call *call, const SlClusterInput *input, const SlClusterData *data,
			const SlClusterFit *fit, const int *at, int chunk, int from, int n)
{
	Oid types[] = {TEXTOID, INT4OID, TEXTARRAYOID, INT4ARRAYOID, FLOAT8ARRAYOID};
	bool with_points = call->method == SL_METHOD_SPECTRAL;
	int d = data->columns;
	Datum *key = palloc(sizeof(Datum) * n);
	Datum *cluster = palloc(sizeof(Datum) * n);
	double *point = with_points ? palloc(sizeof(double) * (Size) n * d) : NULL;
	Datum args[5];

	for (int i = 0; i < n; i++)
	{
		int row = data->by_key[from + i];

		key[i] = CStringGetTextDatum(data->key[row]);
		cluster[i] = Int32GetDatum(fit->label[at[row]]);
		if (with_points)
			memcpy(point + (Size) i * d, input->points.x + (Size) at[row] * d,
				   sizeof(double) * d);
	}
	args[0] = CStringGetTextDatum(call->name);
	args[1] = Int32GetDatum(chunk);
	args[2] = PointerGetDatum(construct_array(key, n, TEXTOID, -1, false, TYPALIGN_INT));
	args[3] = PointerGetDatum(
		construct_array(cluster, n, INT4OID, sizeof(int32), true, TYPALIGN_INT));
	args[4] = with_points ? PointerGetDatum(sl_number_array(FLOAT8OID, point, n * d))
						  : (Datum) 0;
	sl_query(
		"INSERT INTO sessionlen.cluster_label_chunks (name, chunk, keys, clusters, points) "
		"VALUES ($1, $2, $3, $4, $5)",
		lengthof(types), types, args, with_points ? NULL : "    n");
}

static void
store_labels(const Call *call, const SlClusterInput *input, const SlClusterData *data,
			 const SlClusterFit *fit)
{
	MemoryContext context = AllocSetContextCreate(
		CurrentMemoryContext, "sessionlen labels", ALLOCSET_DEFAULT_SIZES);
	/* where a row as read is among the points */
	int *at =
		MemoryContextAllocHuge(CurrentMemoryContext, sizeof(int) * (Size) data->count);
	int chunk = 0;
	int n;

	for (int i = 0; i < data->count; i++)
		at[input->place[i]] = i;
	for (int from = 0; from < data->count; from += n)
	{
		MemoryContext old = MemoryContextSwitchTo(context);

		CHECK_FOR_INTERRUPTS();
		n = chunk_size(data, from);
		store_chunk(call, input, data, fit, at, chunk++, from, n);
		MemoryContextSwitchTo(old);
		MemoryContextReset(context);
	}
	MemoryContextDelete(context);
	pfree(at);
}

static Datum
result_row(FunctionCallInfo fcinfo, const Call *call, const SlClusterInput *input,
		   const SlClusterFit *fit, double silhouette, int silhouette_points,
		   double seconds)
{
	TupleDesc desc;
	Datum *size = palloc(sizeof(Datum) * fit->k);
	Datum values[10];
	bool nulls[10] = {false};

	for (int c = 0; c < fit->k; c++)
		size[c] = Int64GetDatum(fit->size[c]);
	values[0] = CStringGetTextDatum(call->name);
	values[1] = CStringGetTextDatum(sl_cluster_method_name(call->method));
	values[2] = Int32GetDatum(fit->k);
	values[3] = Int64GetDatum(input->points.count);
	values[4] = PointerGetDatum(
		construct_array(size, fit->k, INT8OID, 8, FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
	values[5] = Float8GetDatum(fit->inertia);
	values[6] = Int32GetDatum(fit->iterations);
	values[7] = Float8GetDatum(silhouette);
	nulls[7] = isnan(silhouette);
	values[8] = Int32GetDatum(silhouette_points);
	values[9] = Float8GetDatum(seconds);
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "cluster() must return a row");
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls));
}

Datum
sl_cluster(PG_FUNCTION_ARGS)
{
	MemoryContext outer = CurrentMemoryContext;
	instr_time start, now;
	Call call;
	SlClusterData *data;
	SlClusterInput *input;
	SlClusterFit fit;
	double silhouette;
	int silhouette_points;
	Datum row;

	INSTR_TIME_SET_CURRENT(start);
	read_call(fcinfo, &call);
	SPI_connect();
	lock_name(call.name);
	check_owner(call.name);
	data = sl_cluster_read(call.source, call.key, call.column_count, call.columns);
	input = sl_cluster_prepare(data, &call.options, call.method);
	sl_cluster_check_k(input, call.k);
	sl_cluster_fit(input, call.k, call.k, &fit);
	silhouette = sl_cluster_silhouette(input, &fit, &silhouette_points);
	store_clustering(&call, input, &fit, silhouette, silhouette_points);
	store_centroids(&call, input, &fit);
	store_labels(&call, input, data, &fit);
	INSTR_TIME_SET_CURRENT(now);
	INSTR_TIME_SUBTRACT(now, start);
	MemoryContextSwitchTo(outer);
	row = result_row(fcinfo, &call, input, &fit, silhouette, silhouette_points,
					 INSTR_TIME_GET_DOUBLE(now));
	SPI_finish();
	return row;
}
