/*
 * similar_sql.c: embedding() and similar_items().
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/tuplestore.h"

#include "embed/embed_sql.h"
#include "embed/embedding.h"
#include "embed/pairs.h"

PG_FUNCTION_INFO_V1(sl_item_embedding);
PG_FUNCTION_INFO_V1(sl_similar_items);
PG_FUNCTION_INFO_V1(sl_similar_to_vector);

Datum
sl_item_embedding(PG_FUNCTION_ARGS)
{
	MemoryContext outer = CurrentMemoryContext;
	char *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	char *item = text_to_cstring(PG_GETARG_TEXT_PP(1));
	SlEmbedding *embedding;
	float *vector;
	Datum *element;
	ArrayType *array = NULL;

	SPI_connect();
	embedding = sl_embedding_find(name);
	vector = sl_embedding_vector(embedding, item);
	MemoryContextSwitchTo(outer);
	if (vector != NULL)
	{
		element = palloc(sizeof(Datum) * embedding->dims);
		for (int d = 0; d < embedding->dims; d++)
			element[d] = Float4GetDatum(vector[d]);
		array = construct_array(element, embedding->dims, FLOAT4OID, sizeof(float4), true,
								TYPALIGN_INT);
	}
	SPI_finish();
	if (array == NULL)
		PG_RETURN_NULL();
	PG_RETURN_ARRAYTYPE_P(array);
}

/* ---- the nearest ---- */

typedef struct Neighbour
{
	double similarity;
	int rank;
	char *item;
} Neighbour;

typedef struct Search
{
	const char *name; /* of the embedding */
	const float *vector;
	double norm;
	int dims;
	const char *except; /* the item itself, NULL: none */
	int except_length;
	int wanted;
	int count;
	Neighbour *heap; /* [wanted], the worst on top */
	MemoryContext context;
} Search;

static bool
is_worse(const Neighbour *a, const Neighbour *b)
{
	if (a->similarity != b->similarity)
		return a->similarity < b->similarity;
	return a->rank > b->rank;
}

static void
sift_down(Neighbour *heap, int count, int at)
{
	Neighbour moved = heap[at];

	for (;;)
	{
		int child = 2 * at + 1;

		if (child >= count)
			break;
		if (child + 1 < count && is_worse(&heap[child + 1], &heap[child]))
			child++;
		if (!is_worse(&heap[child], &moved))
			break;
		heap[at] = heap[child];
		at = child;
	}
	heap[at] = moved;
}

static void
sift_up(Neighbour *heap, int at)
{
	Neighbour moved = heap[at];

	while (at > 0 && is_worse(&moved, &heap[(at - 1) / 2]))
	{
		heap[at] = heap[(at - 1) / 2];
		at = (at - 1) / 2;
	}
	heap[at] = moved;
}

static void
consider(void *arg, int rank, const char *item, int length, const float *vector)
{
	Search *s = arg;
	Neighbour new = {.rank = rank};
	float dot, square;

	if (s->except != NULL && length == s->except_length &&
		memcmp(item, s->except, length) == 0)
		return;
	sl_cosine_parts(s->dims, s->vector, vector, &dot, &square);
	if (!isfinite(square))
		sl_embedding_damaged(s->name);
	new.similarity = square > 0 ? dot / (s->norm * sqrt((double) square)) : 0;
	new.similarity = Max(-1, Min(1, new.similarity));
	if (s->count == s->wanted && !is_worse(&s->heap[0], &new))
		return;
	new.item = MemoryContextAlloc(s->context, length + 1);
	memcpy(new.item, item, length);
	new.item[length] = '\0';
	if (s->count < s->wanted)
	{
		s->heap[s->count] = new;
		sift_up(s->heap, s->count++);
		return;
	}
	pfree(s->heap[0].item);
	s->heap[0] = new;
	sift_down(s->heap, s->count, 0);
}

/* Rows of what is in the heap, the nearest first. */
static void
emit(FunctionCallInfo fcinfo, Search *s)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	int count = s->count;

	for (int left = count; left > 1; left--)
	{
		Neighbour worst = s->heap[0];

		s->heap[0] = s->heap[left - 1];
		s->heap[left - 1] = worst;
		sift_down(s->heap, left - 1, 0);
	}
	for (int i = 0; i < count; i++)
	{
		Datum values[] = {Int32GetDatum(i + 1), CStringGetTextDatum(s->heap[i].item),
						  Float8GetDatum(s->heap[i].similarity)};
		bool nulls[3] = {false};

		CHECK_FOR_INTERRUPTS();
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
}

static int
count_argument(FunctionCallInfo fcinfo)
{
	int n = PG_GETARG_INT32(2);

	if (n < 1)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("n must be at least 1"), errdetail("It is %d.", n)));
	return n;
}

static void
search(FunctionCallInfo fcinfo, const SlEmbedding *embedding, Search *s, int n)
{
	float dot, square;

	sl_cosine_parts(embedding->dims, s->vector, s->vector, &dot, &square);
	if (!isfinite(square))
		ereport(ERROR, (errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
						errmsg("the vector's length is out of range")));
	if (!(square > 0))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("a vector of zeros has no direction")));
	s->name = embedding->name;
	s->norm = sqrt((double) square);
	s->dims = embedding->dims;
	s->wanted = Min(n, Max(embedding->items, 1));
	s->context = CurrentMemoryContext;
	s->heap = MemoryContextAllocHuge(CurrentMemoryContext,
									 sizeof(Neighbour) * (Size) s->wanted);
	sl_embedding_scan(embedding, consider, s);
	emit(fcinfo, s);
}

Datum
sl_similar_items(PG_FUNCTION_ARGS)
{
	char *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	char *item = text_to_cstring(PG_GETARG_TEXT_PP(1));
	int n = count_argument(fcinfo);
	Search s = {.except = item, .except_length = (int) strlen(item)};
	SlEmbedding *embedding;

	InitMaterializedSRF(fcinfo, 0);
	SPI_connect();
	embedding = sl_embedding_find(name);
	s.vector = sl_embedding_vector(embedding, item);
	if (s.vector == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("embedding \"%s\" has no item \"%s\"", name, item),
				 errhint("Items that came fewer than min_count times have no vector.")));
	search(fcinfo, embedding, &s, n);
	SPI_finish();
	PG_RETURN_VOID();
}

Datum
sl_similar_to_vector(PG_FUNCTION_ARGS)
{
	char *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	ArrayType *array = PG_GETARG_ARRAYTYPE_P(1);
	int n = count_argument(fcinfo);
	Search s = {0};
	SlEmbedding *embedding;

	InitMaterializedSRF(fcinfo, 0);
	SPI_connect();
	embedding = sl_embedding_find(name);
	if (ARR_NDIM(array) != 1 || ARR_DIMS(array)[0] != embedding->dims)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("the vector must have %d numbers", embedding->dims),
						errdetail("Embedding \"%s\" has that many dimensions.", name)));
	if (array_contains_nulls(array))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("the vector must not hold NULL")));
	s.vector = (const float *) ARR_DATA_PTR(array);
	search(fcinfo, embedding, &s, n);
	SPI_finish();
	PG_RETURN_VOID();
}
