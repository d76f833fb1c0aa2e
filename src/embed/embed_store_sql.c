/*
 * embed_store_sql.c: embeddings in tables, a row for each item.  Row-level security
 * decides what is seen.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "storage/lock.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "embed/embed_sql.h"
#include "store/query.h"

/* Advisory locks of two keys: ours is the first, the name hashed the second. */
#define LOCK_CLASS 0x736c656d
#define LOCK_KIND 2

/* Of one INSERT. */
#define BATCH_ROWS 1000
#define BATCH_BYTES (4 << 20)

static void
not_owner(const char *name)
{
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("must be owner of embedding \"%s\"", name),
			 errhint("Another role has an embedding of this name; choose another.")));
}

void
sl_embedding_begin(const char *name)
{
	Datum arg = CStringGetTextDatum(name);
	LOCKTAG tag;
	bool isnull;
	Datum mine;

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, LOCK_CLASS,
						 hash_bytes((const unsigned char *) name, strlen(name)),
						 LOCK_KIND);
	if (LockAcquire(&tag, ExclusiveLock, false, true) == LOCKACQUIRE_NOT_AVAIL)
		ereport(ERROR,
				(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
				 errmsg("embedding \"%s\" is being made by another session", name),
				 errhint("Wait for it to end, or cancel it with pg_cancel_backend().")));
	/* known before the work, not only when its result can't be stored */
	sl_query_read(
		"SELECT pg_catalog.pg_has_role(sessionlen.embedding_owner($1), 'USAGE')", 1,
		(Oid[]){TEXTOID}, &arg);
	mine = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
	if (!isnull && !DatumGetBool(mine))
		not_owner(name);
}

/* The embedding's own row: a new one, or the old one with its owner. */
static void
store_head(const SlEmbeddingRow *row, const char *method, int dims)
{
	Oid types[] = {TEXTOID, TEXTOID,  INT4OID, INT4OID, TEXTOID, TEXTOID,	TEXTOID,
				   TEXTOID, JSONBOID, INT8OID, INT8OID, INT4OID, FLOAT8OID, FLOAT8OID};
	Datum args[] = {
		CStringGetTextDatum(row->name),
		CStringGetTextDatum(method),
		Int32GetDatum(dims),
		Int32GetDatum(row->items->corpus.items),
		CStringGetTextDatum(row->source),
		CStringGetTextDatum(row->item),
		CStringGetTextDatum(row->partition_by),
		CStringGetTextDatum(row->order_by),
		JsonbPGetDatum(sl_embed_options_json(row->options)),
		Int64GetDatum(row->items->corpus.sequences),
		Int64GetDatum(row->items->corpus.tokens),
		Int32GetDatum(row->epochs),
		Float8GetDatum(row->loss),
		Float8GetDatum(row->seconds),
	};

	sl_query("UPDATE sessionlen.embeddings SET id = DEFAULT, method = $2, dims = $3, "
			 "items = $4, source = $5, item = $6, partition_by = $7, order_by = $8, "
			 "options = $9, sequences = $10, tokens = $11, epochs = $12, loss = $13, "
			 "seconds = $14, trained_at = DEFAULT WHERE name = $1",
			 lengthof(types), types, args, NULL);
	if (SPI_processed > 0)
		return;
	sl_query(
		"INSERT INTO sessionlen.embeddings (name, method, dims, items, source, item, "
		"partition_by, order_by, options, sequences, tokens, epochs, loss, seconds) "
		"VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) ON "
		"CONFLICT DO NOTHING",
		lengthof(types), types, args, NULL);
	if (SPI_processed == 0)
		not_owner(row->name);
}

/* real[] of n vectors one after the other. */
static Datum
vectors_array(const SlWord2vec *w, int from, int n)
{
	Size dims = w->options.dim;
	ArrayType *array = sl_number_array(FLOAT4OID, NULL, (int) (dims * n));
	float *data = (float *) ARR_DATA_PTR(array);

	for (int i = 0; i < n; i++)
		memcpy(data + dims * i, w->vector + (Size) (from + i) * w->width,
			   sizeof(float) * dims);
	return PointerGetDatum(array);
}

static SPIPlanPtr
insert_plan(void)
{
	Oid types[] = {TEXTOID, INT4OID, TEXTARRAYOID, INT8ARRAYOID, FLOAT4ARRAYOID, INT4OID};
	SPIPlanPtr plan = SPI_prepare(
		"INSERT INTO sessionlen.embedding_items (name, rank, item, count, vector) "
		"SELECT $1, $2 + u.i::int - 1, u.item, u.count, "
		"($5::real[])[(u.i::int - 1) * $6 + 1 : u.i::int * $6] "
		"FROM ROWS FROM (pg_catalog.unnest($3), pg_catalog.unnest($4)) WITH ORDINALITY "
		"AS u (item, count, i)",
		lengthof(types), types);

	if (plan == NULL)
		elog(ERROR, "SPI_prepare failed: %s", SPI_result_code_string(SPI_result));
	return plan;
}

static void
store_batch(SPIPlanPtr plan, const SlEmbeddingRow *row, const SlWord2vec *w, int from,
			int n)
{
	Datum *item = palloc(sizeof(Datum) * n);
	Datum *count = palloc(sizeof(Datum) * n);
	Datum args[6];
	int code;

	for (int i = 0; i < n; i++)
	{
		item[i] = CStringGetTextDatum(row->items->text[from + i]);
		count[i] = Int64GetDatum(row->items->corpus.count[from + i]);
	}
	args[0] = CStringGetTextDatum(row->name);
	args[1] = Int32GetDatum(from);
	args[2] = PointerGetDatum(construct_array(item, n, TEXTOID, -1, false, TYPALIGN_INT));
	args[3] = PointerGetDatum(
		construct_array(count, n, INT8OID, 8, FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
	args[4] = vectors_array(w, from, n);
	args[5] = Int32GetDatum(w->options.dim);
	code = SPI_execute_plan(plan, args, NULL, false, 0);
	if (code < 0)
		elog(ERROR, "SPI_execute_plan failed: %s", SPI_result_code_string(code));
}

/* Items from one on that go into one batch: not too many, not too much. */
static int
batch_size(const SlCorpusItems *items, int from, Size vector_bytes)
{
	Size bytes = 0;
	int n = 0;

	while (from + n < items->corpus.items && n < BATCH_ROWS &&
		   (n == 0 || bytes < BATCH_BYTES))
	{
		bytes += strlen(items->text[from + n]) + vector_bytes;
		n++;
	}
	return n;
}

void
sl_embedding_store(const SlEmbeddingRow *row, const SlWord2vec *w)
{
	Datum arg = CStringGetTextDatum(row->name);
	MemoryContext context = AllocSetContextCreate(
		CurrentMemoryContext, "sessionlen embedding", ALLOCSET_DEFAULT_SIZES);
	SPIPlanPtr plan;
	int n;

	store_head(row, w->options.method == SL_CBOW ? "cbow" : "skip_gram", w->options.dim);
	sl_query("DELETE FROM sessionlen.embedding_items WHERE name = $1", 1,
			 (Oid[]){TEXTOID}, &arg, NULL);
	plan = insert_plan();
	for (int from = 0; from < row->items->corpus.items; from += n)
	{
		MemoryContext old = MemoryContextSwitchTo(context);

		CHECK_FOR_INTERRUPTS();
		n = batch_size(row->items, from, sizeof(float) * (Size) w->options.dim);
		store_batch(plan, row, w, from, n);
		MemoryContextSwitchTo(old);
		MemoryContextReset(context);
	}
	SPI_freeplan(plan);
	MemoryContextDelete(context);
}
