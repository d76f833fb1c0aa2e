/*
 * embed_source_sql.c: sequences of items from a table, view or query.
 *
 * Rows come ordered by sequence through the cursor that train() reads with, so that keys
 * of sequences need not be kept.  Items get codes as they come; then rare ones go, and
 * the others are numbered by falling count, ties in the order of their bytes: the same
 * rows give the same numbers in whatever order they were read.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "embed/embed_sql.h"
#include "sessionlen.h"
#include "train/rows.h"

#define MAX_TOKENS (1 << 30)

typedef struct Reading
{
	SlVocabulary *vocabulary;
	int32_t *token; /* codes from 0 */
	int tokens;
	int token_room;
	int *start; /* of sequences */
	int sequences;
	int sequence_room;
	StringInfoData key; /* of the running sequence */
} Reading;

static void
too_large(const Reading *r)
{
	ereport(ERROR,
			(errcode(ERRCODE_OUT_OF_MEMORY),
			 errmsg("the source has more rows than sessionlen.memory_limit can hold"),
			 errdetail("%d rows with %d different items were read.", r->tokens,
					   sl_vocabulary_count(r->vocabulary)),
			 errhint("Raise sessionlen.memory_limit, or filter the source.")));
}

static Size
bytes_taken(const Reading *r)
{
	return sizeof(int) * ((Size) r->token_room + r->sequence_room) +
		   sl_vocabulary_size(r->vocabulary);
}

/* Twice the room, or at the end of the memory what is left. */
static void *
grow(const Reading *r, void *array, int used, int *room)
{
	Size limit = (Size) sl_memory_limit * 1024;
	Size taken = bytes_taken(r);
	int64 more = Max((int64) *room, 4096);

	if (taken + sizeof(int) * more > limit)
		more = taken < limit ? (int64) ((limit - taken) / sizeof(int)) : 0;
	more = Min(more, MAX_TOKENS - (int64) *room);
	if (more < Max(1, used / 16))
		too_large(r);
	*room += (int) more;
	return array == NULL
			   ? MemoryContextAllocHuge(CurrentMemoryContext, sizeof(int) * (Size) *room)
			   : repalloc_huge(array, sizeof(int) * (Size) *room);
}

static void
store_row(Reading *r, SlCursor *cursor, const char *item)
{
	SlValueReader *reader = &cursor->reader[SL_COLUMNS];
	char *key = sl_cursor_key(cursor);
	MemoryContext old;
	char *text;

	if (cursor->isnull[SL_COLUMN_ORDER])
		(void) sl_cursor_order(cursor); /* raises the error */
	if (cursor->isnull[SL_COLUMNS])
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("the item column \"%s\" holds NULL", item),
						errhint("Filter such rows out in the source.")));
	if (r->tokens == r->token_room)
		r->token = grow(r, r->token, r->tokens, &r->token_room);
	if (r->tokens == 0 || strcmp(key, r->key.data) != 0)
	{
		if (r->sequences == r->sequence_room)
			r->start = grow(r, r->start, r->sequences, &r->sequence_room);
		r->start[r->sequences++] = r->tokens;
		resetStringInfo(&r->key);
		appendStringInfoString(&r->key, key);
	}
	old = MemoryContextSwitchTo(cursor->batch); /* detoasted values go with it */
	text = sl_value_label(reader, cursor->value[SL_COLUMNS], false);
	r->token[r->tokens++] = sl_vocabulary_add(r->vocabulary, text) - 1;
	MemoryContextSwitchTo(old);
	if (r->tokens % 4096 == 0 && bytes_taken(r) > (Size) sl_memory_limit * 1024)
		too_large(r);
}

/* ---- items in order ---- */

typedef struct ItemRef
{
	int64 count;
	const char *text;
	int code;
} ItemRef;

static inline int
compare_items(const ItemRef *a, const ItemRef *b)
{
	if (a->count != b->count)
		return a->count > b->count ? -1 : 1;
	return strcmp(a->text, b->text);
}

#define ST_SORT sort_items
#define ST_ELEMENT_TYPE ItemRef
#define ST_COMPARE(a, b) compare_items(a, b)
#define ST_SCOPE static
#define ST_CHECK_FOR_INTERRUPTS
#define ST_DEFINE
#include "lib/sort_template.h"

static void *
huge(Size count, Size width)
{
	return MemoryContextAllocHuge(CurrentMemoryContext, Max(count, 1) * width);
}

/* Memory that numbering takes for a moment, and what stays. */
static void
check_numbering(const Reading *r)
{
	Size each = sizeof(ItemRef) + sizeof(int64) + sizeof(char *) + sizeof(int32);

	if (bytes_taken(r) + each * (Size) sl_vocabulary_count(r->vocabulary) >
		(Size) sl_memory_limit * 1024)
		too_large(r);
}

/* Fills in items, texts and counts; returns the number of each code, -1 without one. */
static int32_t *
number_items(const Reading *r, int min_count, SlCorpusItems *items)
{
	int codes = sl_vocabulary_count(r->vocabulary);
	ItemRef *ref = huge(codes, sizeof(ItemRef));
	int32_t *number = huge(codes, sizeof(int32_t));
	int64 *count;
	int n = 0;

	for (int i = 0; i < codes; i++)
		ref[i] = (ItemRef){0, sl_vocabulary_text(r->vocabulary, i + 1), i};
	for (int i = 0; i < r->tokens; i++)
	{
		if (i % 1048576 == 0)
			CHECK_FOR_INTERRUPTS();
		ref[r->token[i]].count++;
	}
	for (int i = 0; i < codes; i++)
	{
		number[i] = -1;
		if (ref[i].count >= min_count)
			ref[n++] = ref[i];
	}
	sort_items(ref, n);
	items->text = huge(n, sizeof(char *));
	count = huge(n, sizeof(int64));
	for (int i = 0; i < n; i++)
	{
		number[ref[i].code] = i;
		items->text[i] = ref[i].text;
		count[i] = ref[i].count;
	}
	items->corpus.items = n;
	items->corpus.count = count;
	pfree(ref);
	return number;
}

/* Drops rare items and what is alone after that. */
static void
pack_sequences(Reading *r, const int32_t *number, SlCorpus *corpus)
{
	int sequences = 0;
	int tokens = 0;

	for (int s = 0; s < r->sequences; s++)
	{
		int end = s + 1 < r->sequences ? r->start[s + 1] : r->tokens;
		int first = tokens;

		CHECK_FOR_INTERRUPTS();
		for (int i = r->start[s]; i < end; i++)
			if (number[r->token[i]] >= 0)
				r->token[tokens++] = number[r->token[i]];
		if (tokens - first < 2)
			tokens = first;
		else
		{
			r->start[sequences++] = first;
			corpus->longest = Max(corpus->longest, tokens - first);
		}
	}
	if (sequences == r->sequence_room)
		r->start = repalloc_huge(r->start, sizeof(int) * ((Size) sequences + 1));
	r->start[sequences] = tokens;
	corpus->sequences = sequences;
	corpus->tokens = tokens;
	corpus->start = r->start;
	corpus->token = r->token;
}

static void
check_corpus(const SlCorpus *corpus, int min_count)
{
	if (corpus->items == 0)
		ereport(ERROR, (errcode(ERRCODE_NO_DATA_FOUND),
						errmsg("no item comes %d times", min_count),
						errhint("Lower the option \"min_count\".")));
	if (corpus->items == 1)
		ereport(ERROR, (errcode(ERRCODE_NO_DATA_FOUND),
						errmsg("only one item comes %d times", min_count),
						errdetail("An item is told from others."),
						errhint("Lower the option \"min_count\", or add rows.")));
	if (corpus->sequences == 0)
		ereport(ERROR, (errcode(ERRCODE_NO_DATA_FOUND),
						errmsg("no sequence has two items that come %d times", min_count),
						errhint("Look at partition_by, or lower the option "
								"\"min_count\".")));
}

SlCorpusItems *
sl_items_read(const char *source, const char *item, const char *partition_by,
			  const char *order_by, int min_count)
{
	SlCorpusItems *items = palloc0(sizeof(SlCorpusItems));
	Reading r = {0};
	SlRequest request = {.source = source,
						 .partition_by = partition_by,
						 .order_by = order_by,
						 .count = 1,
						 .names = (char *[]){unconstify(char *, item)}};
	SlCursor *cursor = sl_cursor_open(&request, true);

	r.vocabulary = sl_vocabulary_create();
	initStringInfo(&r.key);
	while (sl_cursor_next(cursor))
		store_row(&r, cursor, item);
	sl_cursor_close(cursor);
	if (r.tokens == 0)
		ereport(ERROR,
				(errcode(ERRCODE_NO_DATA_FOUND), errmsg("the source has no rows")));
	check_numbering(&r);
	items->rows = r.tokens;
	pack_sequences(&r, number_items(&r, min_count, items), &items->corpus);
	check_corpus(&items->corpus, min_count);
	items->bytes = bytes_taken(&r) + sl_vocabulary_count(r.vocabulary) *
										 (sizeof(int64) + sizeof(char *) + sizeof(int32));
	return items;
}
