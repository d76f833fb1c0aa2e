/*
 * embedding_sql.c: reading stored embeddings; see embedding.h.
 *
 * A scan goes straight from the executor's rows to whoever visits them: a hundred
 * thousand vectors are not copied to be looked at once.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "tcop/dest.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "embed/embed_sql.h"
#include "embed/embedding.h"
#include "store/query.h"

void
sl_embedding_damaged(const char *name)
{
	ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
					errmsg("stored embedding \"%s\" is damaged", name),
					errhint("Make it again with sessionlen.word2vec().")));
}

SlEmbedding *
sl_embedding_find(const char *name)
{
	SlEmbedding *embedding = palloc0(sizeof(SlEmbedding));
	Datum arg = CStringGetTextDatum(name);
	bool isnull;

	sl_query_read("SELECT dims, items FROM sessionlen.embeddings WHERE name = $1", 1,
				  (Oid[]){TEXTOID}, &arg);
	if (SPI_processed == 0)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
						errmsg("embedding \"%s\" does not exist", name),
						errhint("See the table sessionlen.embeddings.")));
	embedding->name = pstrdup(name);
	embedding->dims = DatumGetInt32(
		SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	embedding->items = DatumGetInt32(
		SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2, &isnull));
	return embedding;
}

static void
check_finite(const SlEmbedding *embedding, const float *vector)
{
	for (int d = 0; d < embedding->dims; d++)
		if (!isfinite(vector[d]))
			sl_embedding_damaged(embedding->name);
}

/* The numbers of a stored vector, in the array's own memory. */
static const float *
vector_data(const SlEmbedding *embedding, Datum value)
{
	ArrayType *array = DatumGetArrayTypeP(value);
	const float *data = (const float *) ARR_DATA_PTR(array);

	if (ARR_NDIM(array) != 1 || ARR_HASNULL(array) || ARR_ELEMTYPE(array) != FLOAT4OID ||
		ARR_DIMS(array)[0] != embedding->dims)
		sl_embedding_damaged(embedding->name);
	return data;
}

float *
sl_embedding_vector(const SlEmbedding *embedding, const char *item)
{
	Datum args[] = {CStringGetTextDatum(embedding->name), CStringGetTextDatum(item)};
	Size bytes = sizeof(float) * (Size) embedding->dims;
	bool isnull;
	float *copy;

	/* by the index of items alone: that of names would read the whole embedding */
	sl_query_read(
		"SELECT vector FROM (SELECT name, vector FROM "
		"sessionlen.embedding_items WHERE item = $2 OFFSET 0) i WHERE name = $1",
		2, (Oid[]){TEXTOID, TEXTOID}, args);
	if (SPI_processed == 0)
		return NULL;
	copy = palloc(bytes);
	memcpy(copy,
		   vector_data(embedding, SPI_getbinval(SPI_tuptable->vals[0],
												SPI_tuptable->tupdesc, 1, &isnull)),
		   bytes);
	check_finite(embedding, copy);
	return copy;
}

/* ---- all of them ---- */

typedef struct Receiver
{
	DestReceiver pub;
	const SlEmbedding *embedding;
	SlEmbeddingVisit visit;
	void *arg;
	MemoryContext row; /* reset now and then */
	int rows;
} Receiver;

static bool
receive(TupleTableSlot *slot, DestReceiver *self)
{
	Receiver *r = (Receiver *) self;
	MemoryContext old = MemoryContextSwitchTo(r->row);
	text *item;

	slot_getallattrs(slot);
	item = DatumGetTextPP(slot->tts_values[1]);
	r->visit(r->arg, DatumGetInt32(slot->tts_values[0]), VARDATA_ANY(item),
			 (int) VARSIZE_ANY_EXHDR(item),
			 vector_data(r->embedding, slot->tts_values[2]));
	MemoryContextSwitchTo(old);
	if (++r->rows % 256 == 0)
		MemoryContextReset(r->row);
	return true;
}

static void
receive_startup(DestReceiver *self, int operation, TupleDesc desc)
{
}

static void
receive_nothing(DestReceiver *self)
{
}

void
sl_embedding_scan(const SlEmbedding *embedding, SlEmbeddingVisit visit, void *arg)
{
	MemoryContext context = CurrentMemoryContext;
	Receiver r = {.pub = {.receiveSlot = receive,
						  .rStartup = receive_startup,
						  .rShutdown = receive_nothing,
						  .rDestroy = receive_nothing,
						  .mydest = DestNone},
				  .embedding = embedding,
				  .visit = visit,
				  .arg = arg};
	SPIExecuteOptions options = {.read_only = true, .dest = &r.pub};
	ParamListInfo params = makeParamList(1);
	SPIPlanPtr plan = SPI_prepare(
		"SELECT rank, item, vector FROM sessionlen.embedding_items WHERE name = $1", 1,
		(Oid[]){TEXTOID});
	int code;

	if (plan == NULL)
		elog(ERROR, "SPI_prepare failed: %s", SPI_result_code_string(SPI_result));
	params->params[0] = (ParamExternData){.value = CStringGetTextDatum(embedding->name),
										  .pflags = PARAM_FLAG_CONST,
										  .ptype = TEXTOID};
	options.params = params;
	r.row = AllocSetContextCreate(context, "sessionlen vectors", ALLOCSET_DEFAULT_SIZES);
	code = SPI_execute_plan_extended(plan, &options);
	if (code < 0)
		elog(ERROR, "SPI_execute_plan_extended failed: %s", SPI_result_code_string(code));
	SPI_freeplan(plan);
	MemoryContextSwitchTo(context); /* SPI leaves its own as the current one */
	MemoryContextDelete(r.row);
	if (r.rows != embedding->items)
		sl_embedding_damaged(embedding->name);
}

/* ---- some of them ---- */

typedef struct Loading
{
	const SlEmbedding *embedding;
	SlVocabulary *wanted;
	const int *first; /* by code: the first wanted item of this text */
	const int *next;  /* the next one of the same text, -1 */
	float *rows;
	Size stride;
	bool *known;
	int found;
} Loading;

static void
load_one(void *arg, int rank, const char *item, int length, const float *vector)
{
	Loading *l = arg;
	int code = sl_vocabulary_code(l->wanted, pnstrdup(item, length));

	if (code == 0)
		return;
	check_finite(l->embedding, vector);
	for (int i = l->first[code]; i >= 0; i = l->next[i])
	{
		memcpy(l->rows + i * l->stride, vector, sizeof(float) * l->embedding->dims);
		l->found += !l->known[i];
		l->known[i] = true;
	}
}

int
sl_embedding_load(const SlEmbedding *embedding, int count, const char *const *items,
				  float *rows, Size stride, bool *known)
{
	Size bytes = sizeof(int) * ((Size) count + 1);
	int *first = MemoryContextAllocHuge(CurrentMemoryContext, bytes);
	int *next = MemoryContextAllocHuge(CurrentMemoryContext, bytes);
	Loading l = {.embedding = embedding,
				 .wanted = sl_vocabulary_create(),
				 .first = first,
				 .next = next,
				 .rows = rows,
				 .stride = stride,
				 .known = known};

	for (int i = 0; i < count; i++)
	{
		int code = sl_vocabulary_code(l.wanted, items[i]);

		next[i] = code > 0 ? first[code] : -1;
		if (code == 0)
			code = sl_vocabulary_add(l.wanted, items[i]);
		first[code] = i;
		known[i] = false;
	}
	sl_embedding_scan(embedding, load_one, &l);
	sl_vocabulary_free(l.wanted);
	pfree(first);
	pfree(next);
	return l.found;
}
