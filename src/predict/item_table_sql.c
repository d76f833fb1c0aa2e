/*
 * item_table_sql.c: item_predictions(): where the item that came stands among all, by the
 * model and by two baselines, row by row.
 *
 * Each row is predicted from the true items before it.  The baselines are popularity, by
 * the training rows stored with the vocabulary, and what came after the item before, by
 * the training rows of the source, which is read once more for that.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "predict/follow.h"
#include "predict/ranker.h"
#include "predict/served.h"
#include "predict/table.h"
#include "store/json.h"
#include "store/query.h"
#include "train/sequence.h"

PG_FUNCTION_INFO_V1(sl_item_predictions);

enum
{
	AT_KEY,
	AT_ORDER,
	AT_ITEM,
	AT_RANK,
	AT_PROBABILITY,
	AT_POPULARITY,
	AT_COOCCURRENCE,
	AT_PART,
	AT_CLUSTER,
	AT_POSITION,
	AT_COLUMNS
};

typedef struct Items
{
	SlFollow *follow;
	SlRanker **ranker; /* of each buffer */
} Items;

/* ---- what came after what ---- */

/* The items of the sequence being read. */
typedef struct Trail
{
	char *key;
	int rows;
	int room;
	int *code;
	uint8 *part;
} Trail;

static void
note(Trail *trail, SlCursor *cursor, const SlInput *input)
{
	MemoryContext old;
	SlCellValue cell;

	if (trail->rows == trail->room)
	{
		trail->room *= 2;
		trail->code = repalloc_huge(trail->code, sizeof(int) * (Size) trail->room);
		trail->part = repalloc_huge(trail->part, (Size) trail->room);
	}
	old = MemoryContextSwitchTo(cursor->batch);
	cell = sl_input_cell(input, &cursor->reader[SL_COLUMNS], cursor->value[SL_COLUMNS],
						 cursor->isnull[SL_COLUMNS]);
	MemoryContextSwitchTo(old);
	trail->code[trail->rows] = cell.code;
	trail->part[trail->rows] =
		cursor->has_part ? (uint8) sl_cursor_part(cursor) : SL_TRAIN;
	trail->rows++;
}

/* Neighbours of which both are training rows, and in the vocabulary. */
static void
count_pairs(Trail *trail, const SlModel *model, bool has_part, SlFollow *follow)
{
	const SlSplit *split = &model->split;
	bool whole = model->options.horizon != 0;
	SlPart by_key = SL_TRAIN;

	if (trail->rows == 0)
		return;
	if (!has_part)
		by_key = sl_split_key(trail->key, strlen(trail->key), split->validation,
							  split->test, split->seed);
	for (int i = 0; i < trail->rows; i++)
		if (!has_part)
			trail->part[i] = sl_split_row(split, by_key, i, trail->rows);
	if (whole)
		memset(trail->part, sl_sequence_part(trail->part, trail->rows), trail->rows);
	for (int i = 1; i < trail->rows; i++)
		if (trail->part[i] == SL_TRAIN && trail->part[i - 1] == SL_TRAIN &&
			trail->code[i] > 0 && trail->code[i - 1] > 0)
			sl_follow_add(follow, trail->code[i - 1], trail->code[i]);
	trail->rows = 0;
}

static void
read_pairs(const SlModel *model, const char *source, SlFollow *follow)
{
	const SlInput *input =
		&model->inputs->input[sl_inputs_find(model->inputs, SL_ROLE_ITEM)];
	SlRequest request = {.source = source ? source : model->source,
						 .partition_by = model->partition_by,
						 .order_by = model->order_by,
						 .split = &model->split,
						 .unique = true,
						 .count = 1,
						 .names = (char *[]){input->name}};
	Trail trail = {.room = 1024,
				   .key = pstrdup(""),
				   .code = palloc(sizeof(int) * 1024),
				   .part = palloc(1024)};
	SlCursor *cursor = sl_cursor_open(&request, true);
	bool has_part = cursor->has_part;

	while (sl_cursor_next(cursor))
	{
		char *key = sl_cursor_key(cursor);

		if (strcmp(key, trail.key) != 0)
		{
			count_pairs(&trail, model, has_part, follow);
			pfree(trail.key);
			trail.key = pstrdup(key);
		}
		note(&trail, cursor, input);
	}
	count_pairs(&trail, model, has_part, follow);
	sl_cursor_close(cursor);
}

/* Training rows of each item of the vocabulary. */
static SlFollow *
load_popularity(const SlModel *model)
{
	const SlInput *input =
		&model->inputs->input[sl_inputs_find(model->inputs, SL_ROLE_ITEM)];
	int items = sl_ranker_items(model);
	Datum args[] = {CStringGetTextDatum(model->model), Int32GetDatum(model->version),
					CStringGetTextDatum(input->name)};
	bool isnull;
	Datum value;
	ArrayType *rows;
	SlFollow *follow;

	sl_query_read("SELECT row_counts FROM sessionlen.vocabularies WHERE model = $1 AND "
				  "version = $2 AND column_name = $3",
				  3, (Oid[]){TEXTOID, INT4OID, TEXTOID}, args);
	if (SPI_processed != 1)
		sl_damaged("the vocabulary of its items is missing");
	value = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
	if (isnull)
		sl_damaged("its items have no row counts");
	rows = DatumGetArrayTypeP(value);
	if (ARR_NDIM(rows) != 1 || ARR_HASNULL(rows) || ARR_ELEMTYPE(rows) != INT8OID ||
		ARR_DIMS(rows)[0] != items)
		sl_damaged("the row counts of its items are not one for each");
	follow = sl_follow_create(items, (const int64 *) ARR_DATA_PTR(rows));
	SPI_freetuptable(SPI_tuptable);
	return follow;
}

/* ---- results ---- */

/* Rows of a buffer that are asked for, their hidden states side by side. */
typedef struct Asked
{
	int rows;
	int *row;
	int *sequence;
	int32_t *item; /* class, -1: not in the vocabulary */
	float *hidden;
	double *log_probability;
	double *rank;
} Asked;

static void *
huge(Size count, Size width)
{
	return MemoryContextAllocHuge(CurrentMemoryContext, Max(count, 1) * width);
}

static Asked
choose(const SlTable *table, const SlPending *b)
{
	int hidden = b->model->net.spec.outputs;
	Asked a = {.row = huge(b->rows, sizeof(int)),
			   .sequence = huge(b->rows, sizeof(int)),
			   .item = huge(b->rows, sizeof(int32_t))};

	for (int s = 0; s < b->sequences; s++)
		for (int i = b->used[s].first + b->past[s]; i < b->start[s + 1]; i++)
			if (b->item[i] != NULL &&
				(table->part == SL_ANY_PART ||
				 sl_table_part(table, b, s, i) == (SlPart) table->part))
			{
				a.row[a.rows] = i;
				a.sequence[a.rows] = s;
				a.item[a.rows++] = b->item_code[i] - 1;
			}
	a.hidden = huge((Size) a.rows * hidden, sizeof(float));
	a.log_probability = huge(a.rows, sizeof(double));
	a.rank = huge(a.rows, sizeof(double));
	for (int i = 0; i < a.rows; i++)
		memcpy(a.hidden + (Size) i * hidden, b->out + (Size) a.row[i] * hidden,
			   sizeof(float) * hidden);
	return a;
}

static void
give_row(const SlTable *table, const SlPending *b, const Asked *a, int i)
{
	const Items *items = table->arg;
	int row = a->row[i];
	int s = a->sequence[i];
	Datum values[AT_COLUMNS] = {0};
	bool nulls[AT_COLUMNS] = {false};

	values[AT_KEY] = CStringGetTextDatum(b->key[s]);
	values[AT_ORDER] = CStringGetTextDatum(b->order[row]);
	values[AT_ITEM] = CStringGetTextDatum(b->item[row]);
	if (a->item[i] < 0)
		nulls[AT_RANK] = nulls[AT_PROBABILITY] = nulls[AT_POPULARITY] =
			nulls[AT_COOCCURRENCE] = true;
	else
	{
		int previous = row > b->start[s] ? b->item_code[row - 1] : 0;

		values[AT_PROBABILITY] =
			Float8GetDatum(sl_ranker_probability(b->model, a->log_probability[i]));
		values[AT_RANK] = Int64GetDatum((int64) ceil(a->rank[i]));
		values[AT_POPULARITY] =
			Int64GetDatum(sl_follow_popularity(items->follow, a->item[i] + 1));
		values[AT_COOCCURRENCE] =
			Int64GetDatum(sl_follow_rank(items->follow, previous, a->item[i] + 1));
	}
	values[AT_PART] = CStringGetTextDatum(sl_part_name(sl_table_part(table, b, s, row)));
	values[AT_CLUSTER] = Int32GetDatum(b->model->cluster);
	nulls[AT_CLUSTER] = b->model->cluster == SL_NO_CLUSTER;
	values[AT_POSITION] = Int64GetDatum(row - b->used[s].first - b->past[s] + 1);
	tuplestore_putvalues(table->result->setResult, table->result->setDesc, values, nulls);
}

static void
give(SlTable *table, const SlPending *b)
{
	const Items *items = table->arg;
	Asked a = choose(table, b);
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "sessionlen rows",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old;

	sl_ranker_rank(items->ranker[b->network], a.hidden, a.rows,
				   &(SlItemRank){.item = a.item,
								 .log_probability = a.log_probability,
								 .rank = a.rank});
	old = MemoryContextSwitchTo(context);
	for (int i = 0; i < a.rows; i++)
	{
		CHECK_FOR_INTERRUPTS();
		give_row(table, b, &a, i);
		MemoryContextReset(context);
	}
	MemoryContextSwitchTo(old);
}

Datum
sl_item_predictions(PG_FUNCTION_ARGS)
{
	char *model = sl_text_argument(fcinfo, 0);
	char *source = sl_text_argument(fcinfo, 1);
	char *part = sl_text_argument(fcinfo, 2);
	MemoryContext outer = CurrentMemoryContext;
	SlTable table = {.evaluating = true, .give = give};
	Items items = {0};

	sl_require(model, "model");
	table.part = sl_part_argument(part);
	InitMaterializedSRF(fcinfo, 0);
	table.result = (ReturnSetInfo *) fcinfo->resultinfo;
	table.model = sl_served_get(model, outer);
	sl_ranker_check(table.model, "item_predictions");
	SPI_connect();
	if (source == NULL)
		sl_table_check_stored_source(table.model);
	items.follow = load_popularity(table.model);
	read_pairs(table.model, source, items.follow);
	sl_follow_finish(items.follow);
	items.ranker = palloc(sizeof(SlRanker *) * (table.model->clusters + 1));
	for (int i = 0; i <= table.model->clusters; i++)
		items.ranker[i] =
			sl_ranker_create(i == 0 ? table.model : table.model->network[i - 1]);
	table.arg = &items;
	sl_table_run(&table, source);
	SPI_finish();
	return (Datum) 0;
}
