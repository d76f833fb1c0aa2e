/*
 * table_read.c: see table.h.
 */
#include "postgres.h"

#include <math.h>

#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "predict/table.h"
#include "sessionlen.h"
#include "store/query.h"
#include "train/sequence.h"

#define BUFFER_ROWS 65536 /* of whole sequences, before they are run */
#define FIRST_ROWS 4096

/* ---- buffer ---- */

static void *
resize(void *array, Size count, Size width)
{
	Size bytes = Max(count, 1) * width;

	return array == NULL ? MemoryContextAllocHuge(CurrentMemoryContext, bytes)
						 : repalloc_huge(array, bytes);
}

static void
grow(const SlTable *table, SlPending *b)
{
	const SlNetSpec *spec = &b->model->net.spec;
	bool items = b->model->options.task == SL_TASK_NEXT_ITEMS;
	Size row_bytes = sizeof(float) * (spec->inputs + spec->embeddings + spec->outputs) +
					 sizeof(double) + 64;
	Size limit =
		Min((Size) sl_memory_limit * 1024 / row_bytes / table->buffers, INT_MAX / 2);
	Size spare = table->spare[b->network].room;
	Size room = b->room == 0 ? FIRST_ROWS : (Size) b->room * 2;

	room = Min(room, limit - Min(spare, limit));
	if (room <= (Size) b->room)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY),
						errmsg("a sequence of more than %d rows does not fit into "
							   "sessionlen.memory_limit",
							   b->room),
						errhint("Raise sessionlen.memory_limit.")));
	b->room = (int) room;
	if (b->full == 0) /* leave room for a sequence that begins just before */
		b->full = Min(Max(BUFFER_ROWS / table->buffers, 256), (int) limit / 2);
	b->start = resize(b->start, room + 1, sizeof(int));
	b->used = resize(b->used, room, sizeof(SlSpan));
	b->past = resize(b->past, room, sizeof(int));
	b->key = resize(b->key, room, sizeof(char *));
	b->order = resize(b->order, room, sizeof(char *));
	b->x = resize(b->x, room * spec->inputs, sizeof(float));
	for (int e = 0; e < spec->embeddings; e++)
		b->code[e] = resize(b->code[e], room, sizeof(int32));
	if (sl_runner_is_whole(b->model))
		b->future = resize(b->future, room, sizeof(uint8));
	b->out = resize(b->out, room * spec->outputs, sizeof(float));
	b->actual = resize(b->actual, room, sizeof(double));
	b->row_part = resize(b->row_part, room, sizeof(uint8));
	if (items)
	{
		b->item = resize(b->item, room, sizeof(char *));
		b->item_code = resize(b->item_code, room, sizeof(int32));
	}
}

/* ---- rows ---- */

/* Network inputs of the buffer's row from cells that have entered. */
static void
put_inputs(SlPending *b, int row, const SlCellValue *cell)
{
	const SlInputs *inputs = b->model->inputs;
	int32 row_code[SL_MAX_EMBEDDINGS];

	sl_inputs_apply(inputs, cell, b->x + (Size) row * inputs->width, row_code);
	for (int e = 0; e < inputs->embeddings; e++)
		b->code[e][row] = row_code[e];
}

/* Where the next row's cells go.  At most the rows a sequence uses are kept, and as many
 * again, so that moving them up is rare. */
static SlCellValue *
next_cells(SlTable *table)
{
	Size inputs = Max(table->model->inputs->count, 1);
	int kept = table->model->options.sequence_length;

	if (!sl_runner_is_whole(table->model))
		return table->cell;
	if (table->cells == 2 * kept)
	{
		memmove(table->cell, table->cell + kept * inputs,
				sizeof(SlCellValue) * kept * inputs);
		table->cells = kept;
	}
	if (table->cells == table->cell_room)
	{
		table->cell_room = Min(table->cell_room * 2, 2 * kept);
		table->cell =
			repalloc_huge(table->cell, sizeof(SlCellValue) * table->cell_room * inputs);
	}
	return table->cell + table->cells++ * inputs;
}

/* What a row was, where the item is what is predicted. */
static void
note_item(SlPending *b, SlCursor *cursor, const SlCellValue *cell)
{
	int item = sl_inputs_find(b->model->inputs, SL_ROLE_ITEM);
	int c = SL_COLUMNS + item;

	b->item_code[b->rows] = cell[item].code;
	b->item[b->rows] = NULL;
	if (!cursor->isnull[c])
		b->item[b->rows] = MemoryContextStrdup(
			b->keys, sl_value_text(&cursor->reader[c], cursor->value[c], false));
}

/* Puts the cursor's row at the end of the buffer. */
static void
read_row(SlTable *table, SlPending *b, bool fresh, const char *order)
{
	const SlInputs *inputs = b->model->inputs;
	SlCursor *cursor = table->cursor;
	SlCellValue *cell = next_cells(table);
	MemoryContext old = MemoryContextSwitchTo(cursor->batch);

	for (int i = 0; i < inputs->count; i++)
	{
		int c = SL_COLUMNS + i;

		cell[i] = sl_input_cell(&inputs->input[i], &cursor->reader[c], cursor->value[c],
								cursor->isnull[c]);
	}
	if (b->item != NULL)
		note_item(b, cursor, cell);
	if (!sl_runner_is_whole(b->model))
	{
		sl_sequence_next(&b->model->options, inputs, fresh, cell, table->earlier);
		put_inputs(b, b->rows, cell);
	}
	b->order[b->rows] = MemoryContextStrdup(b->keys, order);
	b->actual[b->rows] = NAN;
	if (cursor->target && !(!cursor->isnull[SL_COLUMN_CENSORED] &&
							DatumGetBool(cursor->value[SL_COLUMN_CENSORED])))
		b->actual[b->rows] = sl_cursor_target(cursor);
	b->row_part[b->rows] = cursor->has_part ? sl_cursor_part(cursor) : SL_TRAIN;
	MemoryContextSwitchTo(old);
	b->rows++;
}

/* ---- sequences ---- */

static void
begin_sequence(SlTable *table, SlPending *b, const char *key)
{
	b->start[b->sequences] = b->rows;
	b->key[b->sequences] = MemoryContextStrdup(b->keys, key);
	b->sequences++;
	if (sl_runner_is_whole(b->model))
		table->cells = 0;
}

/* The last sequence's rows have all been read. */
static void
end_sequence(SlTable *table, SlPending *b)
{
	const SlInputs *inputs = b->model->inputs;
	int s = b->sequences - 1;
	int first = b->start[s];
	int rows = b->rows - first;
	int skipped = sl_sequence_skipped(&b->model->options, rows);
	int used = rows - skipped;
	SlCellValue *cell;

	b->start[s + 1] = b->rows;
	b->used[s] = (SlSpan){first + skipped, used};
	b->past[s] = 0;
	if (!sl_runner_is_whole(b->model))
		return;
	cell = table->cell + (Size) (table->cells - used) * inputs->count;
	b->past[s] = sl_sequence_past(&b->model->options, inputs, used, cell);
	sl_sequence_enter(&b->model->options, inputs, used, b->past[s], cell);
	for (int i = 0; i < used; i++)
	{
		put_inputs(b, first + skipped + i, cell + (Size) i * inputs->count);
		b->future[first + skipped + i] = i >= b->past[s];
	}
}

/* Hands on the sequences in the buffer, which have been run, and empties it. */
static void
give(SlTable *table, SlPending *b)
{
	MemoryContext context = AllocSetContextCreate(
		CurrentMemoryContext, "sessionlen results", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);

	table->give(table, b);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	MemoryContextReset(b->keys);
	b->rows = b->sequences = 0;
}

/* Runs the whole sequences in the buffer, or has them run; false: by others. */
static bool
run(SlTable *table, SlPending *b)
{
	MemoryContext context = AllocSetContextCreate(
		CurrentMemoryContext, "sessionlen groups", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	SlGroups groups = sl_runner_groups(b->model, b->rows, b->sequences, b->used);
	SlRows rows = {b->x, b->code, b->future, b->out};
	bool offered = sl_crew_offer(table->crew, b->network, b->rows, &groups, &rows);

	for (int g = 0; !offered && g < groups.count; g++)
		sl_runner_group(b->runner, &groups, g, &rows);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return !offered;
}

/* Has the sequences that others run, if any, done. */
static SlPending *
finish(SlTable *table)
{
	SlPending *done = table->running;

	if (done != NULL)
		sl_crew_finish(table->crew, done->out);
	table->running = NULL;
	return done;
}

/* Buffers are handed on in the order in which they come here; the one before while this
 * one is run. */
static void
flush(SlTable *table, SlPending *b)
{
	SlPending *done = finish(table);
	bool ran = run(table, b);

	if (done != NULL)
		give(table, done);
	if (ran)
		give(table, b);
	else
	{
		SlPending *spare = &table->spare[b->network];
		SlPending swap = *b;

		*b = *spare;
		*spare = swap;
		table->running = spare;
	}
}

static SlPending *
buffer_for_key(const SlTable *table, const char *key)
{
	const SlModel *model = sl_model_for_key(table->model, key);

	for (int i = 0; i < table->model->clusters; i++)
		if (table->model->network[i] == model)
			return &table->buffer[i + 1];
	return &table->buffer[0];
}

static SlPart
key_part(const SlSplit *split, const char *key)
{
	return sl_split_key(key, strlen(key), split->validation, split->test, split->seed);
}

SlPart
sl_table_part(const SlTable *table, const SlPending *b, int sequence, int row)
{
	const SlSplit *split = &b->model->split;
	int first = b->start[sequence];
	int rows = b->start[sequence + 1] - first;

	if (table->cursor->has_part && sl_runner_is_whole(b->model))
		return sl_sequence_part(b->row_part + first, rows);
	if (table->cursor->has_part)
		return (SlPart) b->row_part[row];
	return sl_split_row(split, key_part(split, b->key[sequence]), row - first, rows);
}

/* Whether the key alone says that none of its rows is asked for. */
static bool
is_left_out(const SlTable *table, const char *key)
{
	const SlSplit *split = &table->model->split;

	return table->evaluating && table->part != SL_ANY_PART &&
		   split->by == SL_SPLIT_USER && key_part(split, key) != (SlPart) table->part;
}

static void
run_all(SlTable *table)
{
	SlPending *b = NULL; /* of the sequence being read */
	StringInfoData last;
	bool any = false;
	bool out = false;

	initStringInfo(&last);
	while (sl_cursor_next(table->cursor))
	{
		char *key = sl_cursor_key(table->cursor);
		char *order = sl_cursor_order(table->cursor);
		bool fresh = !any || strcmp(last.data, key) != 0;

		any = true;
		if (fresh)
		{
			resetStringInfo(&last);
			appendStringInfoString(&last, key);
			if (b != NULL)
				end_sequence(table, b);
			b = NULL;
			out = is_left_out(table, key);
		}
		if (out)
			continue;
		if (fresh)
		{
			b = buffer_for_key(table, key);
			if (b->rows > 0 && b->rows >= b->full) /* full is 0 at first */
				flush(table, b);
		}
		if (b->rows == b->room)
			grow(table, b);
		if (fresh)
			begin_sequence(table, b, key);
		read_row(table, b, fresh, order);
	}
	if (b != NULL)
		end_sequence(table, b);
	for (int i = 0; i < table->buffers; i++)
		if (table->buffer[i].rows > 0)
			flush(table, &table->buffer[i]);
	if (table->running != NULL)
		give(table, finish(table));
}

/* ---- set-up ---- */

/*
 * The stored source is SQL its owner wrote.  Run for anybody else it would have that
 * role's rights, as a superuser's for one.
 */
void
sl_table_check_stored_source(const SlModel *model)
{
	Datum arg = CStringGetTextDatum(model->model);
	bool isnull = true;
	Oid owner = InvalidOid;

	sl_query_read("SELECT owner FROM sessionlen.models WHERE model = $1", 1,
				  (Oid[]){TEXTOID}, &arg);
	if (SPI_processed == 1)
		owner = DatumGetObjectId(
			SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	if (isnull || owner != GetUserId())
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
						errmsg("only the owner of model \"%s\" may leave out source",
							   model->model),
						errdetail("Its stored source would run with your rights."),
						errhint("Give the source: a table, a view or a query.")));
}

static void
make_buffers(SlTable *table)
{
	const SlModel *model = table->model;
	SlRunner **runner;

	table->buffers = model->clusters + 1;
	table->buffer = palloc0(sizeof(SlPending) * table->buffers);
	table->spare = palloc0(sizeof(SlPending) * table->buffers);
	runner = palloc(sizeof(SlRunner *) * table->buffers);
	for (int i = 0; i < table->buffers; i++)
	{
		SlPending *buffer = &table->buffer[i];

		buffer->model = i == 0 ? model : model->network[i - 1];
		buffer->network = i;
		buffer->runner = runner[i] = sl_runner_create(buffer->model);
		table->spare[i] = *buffer;
		buffer->keys = AllocSetContextCreate(CurrentMemoryContext, "sessionlen keys",
											 ALLOCSET_DEFAULT_SIZES);
		table->spare[i].keys = AllocSetContextCreate(
			CurrentMemoryContext, "sessionlen keys", ALLOCSET_DEFAULT_SIZES);
	}
	table->crew = sl_crew_create(table->buffers, model, runner);
}

void
sl_table_run(SlTable *table, const char *source)
{
	const SlModel *model = table->model;
	const SlInputs *inputs = model->inputs;
	bool labels =
		model->options.task == SL_TASK_BINARY || model->options.task == SL_TASK_SKIP;
	bool target = table->evaluating && model->options.task != SL_TASK_NEXT_ITEMS;
	SlRequest request = {.source = source ? source : model->source,
						 .partition_by = model->partition_by,
						 .order_by = model->order_by,
						 .target = target ? model->target : NULL,
						 .censored = target ? model->censored : NULL,
						 .split = table->evaluating ? &model->split : NULL,
						 .labels = labels,
						 .unique = sl_sequence_is_ordered(&model->options),
						 .count = inputs->count,
						 .names = palloc(sizeof(char *) * Max(inputs->count, 1))};

	for (int i = 0; i < inputs->count; i++)
		request.names[i] = inputs->input[i].name;
	if (table->evaluating && source == NULL)
		sl_table_check_stored_source(model);
	make_buffers(table);
	table->cell_room = sl_runner_is_whole(model) ? 64 : 1;
	table->cell = palloc(sizeof(SlCellValue) * table->cell_room * Max(inputs->count, 1));
	table->earlier = palloc(sizeof(SlCellValue) * Max(inputs->count, 1));
	table->cursor = sl_cursor_open(&request, true);
	run_all(table);
	sl_crew_end(table->crew);
	sl_cursor_close(table->cursor);
}

/* ---- arguments ---- */

void
sl_require(const char *value, const char *name)
{
	if (value == NULL)
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("%s must not be null", name)));
}

int
sl_part_argument(const char *part)
{
	sl_require(part, "part");
	if (strcmp(part, "all") == 0)
		return SL_ANY_PART;
	for (int chosen = SL_TRAIN; chosen <= SL_TEST; chosen++)
		if (strcmp(part, sl_part_name((SlPart) chosen)) == 0)
			return chosen;
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("unrecognized part \"%s\"", part),
					errhint("Valid parts are: train, validation, test, all.")));
}
