/*
 * rows.c: one pass of a cursor fills one array per column.  Rows arrive in the order of
 * order_by over all sequences, which is kept as time_order; a counting sort by sequence
 * then brings each sequence's rows together without disturbing their order.
 */
#include "postgres.h"

#include <float.h>
#include <math.h>

#include "miscadmin.h"
#include "utils/memutils.h"

#include "train/rows.h"

#define MAX_ROWS (1 << 30)

/* ---- columns ---- */

typedef struct Filling
{
	SlRows *rows;
	const SlInputs *inputs;
	int columns; /* the inputs', then those of item features */
	int room;
	int *sequence; /* of each row read */
	Size row_bytes;
	Size limit;
} Filling;

static void *
grow(void *array, Size width, int room)
{
	Size bytes = width * (Size) room;

	return array == NULL ? MemoryContextAllocHuge(CurrentMemoryContext, bytes)
						 : repalloc_huge(array, bytes);
}

/* Refuses keys and texts that leave no room for the columns. */
static void
check_texts(const Filling *f)
{
	Size bytes = sl_vocabulary_size(f->rows->keys);

	for (int i = 0; i < f->inputs->count; i++)
		if (f->inputs->input[i].vocabulary != NULL)
			bytes += sl_vocabulary_size(f->inputs->input[i].vocabulary);
	if (bytes + (Size) f->room * f->row_bytes > f->limit)
		ereport(
			ERROR,
			(errcode(ERRCODE_OUT_OF_MEMORY),
			 errmsg(
				 "the source has more different texts than sessionlen.memory_limit can hold"),
			 errdetail("After %d rows keys and texts take %zu MB.", f->rows->rows,
					   bytes >> 20),
			 errhint(
				 "Raise sessionlen.memory_limit, or leave out columns with many values.")));
}

/* Makes room for more rows, or refuses. */
static void
make_room(Filling *f)
{
	SlRows *rows = f->rows;
	int64 room = f->room == 0 ? 4096 : (int64) f->room * 2;

	/* the sort by sequence needs one column twice */
	if (room > MAX_ROWS || (Size) room * (f->row_bytes + sizeof(float)) > f->limit)
	{
		room = Min((int64) MAX_ROWS, (int64) (f->limit / (f->row_bytes + sizeof(float))));
		if (room < (int64) f->room + f->room / 8 + 1)
			ereport(
				ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("the source has more rows than sessionlen.memory_limit can hold"),
				 errdetail("%d rows of %zu bytes were read.", f->room, f->row_bytes),
				 errhint(
					 "Raise sessionlen.memory_limit, name fewer columns, or filter the source.")));
	}
	f->room = (int) room;
	f->sequence = grow(f->sequence, sizeof(int), f->room);
	rows->y = grow(rows->y, sizeof(float), f->room);
	rows->part = grow(rows->part, sizeof(uint8), f->room);
	if (rows->censored)
		rows->censored = grow(rows->censored, sizeof(uint8), f->room);
	for (int i = 0; i < f->columns; i++)
		rows->column[i] = grow(rows->column[i], sizeof(float), f->room);
}

/* NaN stays. */
static float
single_precision(double number, const char *column)
{
	if (fabs(number) > FLT_MAX)
		ereport(ERROR, (errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
						errmsg("a value of column \"%s\" is out of range", column),
						errdetail("%g leaves single precision.", number)));
	return (float) number;
}

/* A number as the float that is kept.  Times are counted from the first one seen: as
 * seconds since 2000 a float would blur them to minutes. */
static float
kept_number(SlRows *rows, int i, const SlValueReader *reader, double number,
			const char *column)
{
	if (isnan(rows->base[i]))
		rows->base[i] =
			reader->kind == SL_VALUE_DATE || reader->kind == SL_VALUE_TIMESTAMP ? number
																				: 0;
	return single_precision(number - rows->base[i], column);
}

static void
store_inputs(Filling *f, SlCursor *cursor, bool new_vocabularies)
{
	SlRows *rows = f->rows;

	for (int i = 0; i < f->inputs->count; i++)
	{
		const SlInput *input = &f->inputs->input[i];
		SlValueReader *reader = &cursor->reader[SL_COLUMNS + i];
		Datum value = cursor->value[SL_COLUMNS + i];
		bool isnull = cursor->isnull[SL_COLUMNS + i];

		if (sl_input_has_vocabulary(input))
		{
			int32 code = 0;

			if (!isnull)
			{
				char *text = sl_value_label(reader, value, input->fold);

				code = new_vocabularies ? sl_vocabulary_add(input->vocabulary, text)
										: sl_vocabulary_code(input->vocabulary, text);
			}
			((int32 *) rows->column[i])[rows->rows] = code;
		}
		else
			((float *) rows->column[i])[rows->rows] =
				isnull ? NAN
					   : kept_number(rows, i, reader,
									 sl_value_number(reader, value, input->name),
									 input->name);
	}
}

static void
store_features(Filling *f, SlCursor *cursor, char *const *names)
{
	for (int i = f->inputs->count; i < f->columns; i++)
	{
		const char *name = names[i - f->inputs->count];
		double value = NAN;

		if (!cursor->isnull[SL_COLUMNS + i])
			value = sl_value_number(&cursor->reader[SL_COLUMNS + i],
									cursor->value[SL_COLUMNS + i], name);
		((float *) f->rows->column[i])[f->rows->rows] = single_precision(value, name);
	}
}

static void
store_row(Filling *f, SlCursor *cursor, char *const *features, bool new_vocabularies)
{
	SlRows *rows = f->rows;
	int i = rows->rows;
	MemoryContext old;

	if (i == f->room)
		make_room(f);
	if (i % 4096 == 4095)
		check_texts(f);
	old = MemoryContextSwitchTo(cursor->batch); /* detoasted values go with it */
	f->sequence[i] = sl_vocabulary_add(rows->keys, sl_cursor_key(cursor)) - 1;
	if (cursor->isnull[SL_COLUMN_ORDER])
		(void) sl_cursor_order(cursor); /* raises the error */
	rows->y[i] = single_precision(sl_cursor_target(cursor), cursor->target);
	if (rows->censored)
		rows->censored[i] = !cursor->isnull[SL_COLUMN_CENSORED] &&
							DatumGetBool(cursor->value[SL_COLUMN_CENSORED]);
	rows->part[i] = cursor->has_part ? sl_cursor_part(cursor) : SL_TRAIN;
	store_inputs(f, cursor, new_vocabularies);
	store_features(f, cursor, features);
	MemoryContextSwitchTo(old);
	rows->rows++;
}

/* ---- sequences ---- */

/* position[i]: where row i as read belongs when sequences lie together. */
static int *
sequence_positions(Filling *f)
{
	SlRows *rows = f->rows;
	int *position =
		MemoryContextAllocHuge(CurrentMemoryContext, sizeof(int) * (Size) rows->rows);

	rows->sequences = sl_vocabulary_count(rows->keys);
	rows->start = MemoryContextAllocHuge(CurrentMemoryContext,
										 sizeof(int) * ((Size) rows->sequences + 1));
	memset(rows->start, 0, sizeof(int) * ((Size) rows->sequences + 1));
	for (int i = 0; i < rows->rows; i++)
		rows->start[f->sequence[i] + 1]++;
	for (int s = 0; s < rows->sequences; s++)
		rows->start[s + 1] += rows->start[s];
	for (int i = 0; i < rows->rows; i++)
		position[i] = rows->start[f->sequence[i]]++;
	for (int s = rows->sequences; s > 0; s--) /* undo the counting up */
		rows->start[s] = rows->start[s - 1];
	rows->start[0] = 0;
	return position;
}

/* array[position[i]] = array[i], through a copy. */
static void
permute4(void *array, const int *position, int rows)
{
	int32 *copy =
		MemoryContextAllocHuge(CurrentMemoryContext, sizeof(int32) * (Size) rows);

	memcpy(copy, array, sizeof(int32) * (Size) rows);
	for (int i = 0; i < rows; i++)
		((int32 *) array)[position[i]] = copy[i];
	pfree(copy);
}

static void
permute1(uint8 *array, const int *position, int rows)
{
	uint8 *copy = MemoryContextAllocHuge(CurrentMemoryContext, rows);

	memcpy(copy, array, rows);
	for (int i = 0; i < rows; i++)
		array[position[i]] = copy[i];
	pfree(copy);
}

/* Parts of rows by their key, where the split does not go row by row. */
static void
set_parts(SlRows *rows, const SlSplit *split)
{
	for (int s = 0; s < rows->sequences; s++)
	{
		const char *key = sl_vocabulary_text(rows->keys, s + 1);
		SlPart part =
			sl_split_key(key, strlen(key), split->validation, split->test, split->seed);
		int length = rows->start[s + 1] - rows->start[s];

		for (int i = 0; i < length; i++)
			rows->part[rows->start[s] + i] = sl_split_row(split, part, i, length);
	}
}

SlRows *
sl_rows_read(SlCursor *cursor, const SlInputs *inputs, int features, char *const *names,
			 const SlSplit *split, bool new_vocabularies, Size limit)
{
	SlRows *rows = palloc0(sizeof(SlRows));
	int columns = inputs->count + features;
	Filling f = {.rows = rows, .inputs = inputs, .columns = columns, .limit = limit};
	int *position;

	f.row_bytes = sizeof(float) * (columns + 1) + 3 + 3 * sizeof(int);
	rows->keys = sl_vocabulary_create();
	rows->column = palloc0(sizeof(void *) * Max(columns, 1));
	rows->base = palloc(sizeof(double) * Max(inputs->count, 1));
	for (int i = 0; i < inputs->count; i++)
		rows->base[i] = inputs->input[i].prep == SL_PREP_LOG1P ? 0 : NAN;
	rows->censored = palloc(1);
	while (sl_cursor_next(cursor))
		store_row(&f, cursor, names, new_vocabularies);
	if (rows->rows == 0)
		ereport(ERROR,
				(errcode(ERRCODE_NO_DATA_FOUND), errmsg("the source has no rows")));

	position = sequence_positions(&f);
	rows->time_order = position; /* rows were read in time order */
	permute4(rows->y, position, rows->rows);
	permute1(rows->part, position, rows->rows);
	permute1(rows->censored, position, rows->rows);
	for (int i = 0; i < columns; i++)
	{
		CHECK_FOR_INTERRUPTS();
		permute4(rows->column[i], position, rows->rows);
	}
	pfree(f.sequence);
	if (!cursor->has_part)
		set_parts(rows, split);
	return rows;
}

/* ---- parts ---- */

static void *
copy_rows(const void *from, Size width, const int *old_row, int rows)
{
	char *to = MemoryContextAllocHuge(CurrentMemoryContext, width * rows);

	for (int i = 0; i < rows; i++)
		memcpy(to + i * width, (const char *) from + old_row[i] * width, width);
	return to;
}

SlRows *
sl_rows_subset(const SlRows *rows, int inputs, const bool *keep)
{
	SlRows *part = palloc0(sizeof(SlRows));
	int *old_row =
		MemoryContextAllocHuge(CurrentMemoryContext, sizeof(int) * (Size) rows->rows);
	int *new_row =
		MemoryContextAllocHuge(CurrentMemoryContext, sizeof(int) * (Size) rows->rows);
	int at = 0;

	part->keys = sl_vocabulary_create();
	part->start = MemoryContextAllocHuge(CurrentMemoryContext,
										 sizeof(int) * ((Size) rows->sequences + 1));
	for (int s = 0; s < rows->sequences; s++)
		for (int i = rows->start[s]; i < rows->start[s + 1]; i++)
		{
			new_row[i] = keep[s] ? part->rows : -1;
			if (!keep[s])
				continue;
			if (i == rows->start[s])
			{
				part->start[part->sequences++] = part->rows;
				sl_vocabulary_add(part->keys, sl_vocabulary_text(rows->keys, s + 1));
			}
			old_row[part->rows++] = i;
		}
	part->start[part->sequences] = part->rows;
	part->time_order = MemoryContextAllocHuge(CurrentMemoryContext,
											  sizeof(int) * Max((Size) part->rows, 1));
	for (int i = 0; i < rows->rows; i++)
		if (new_row[rows->time_order[i]] >= 0)
			part->time_order[at++] = new_row[rows->time_order[i]];
	part->y = copy_rows(rows->y, sizeof(float), old_row, part->rows);
	part->censored = copy_rows(rows->censored, sizeof(uint8), old_row, part->rows);
	part->part = copy_rows(rows->part, sizeof(uint8), old_row, part->rows);
	if (rows->use != NULL)
		part->use = copy_rows(rows->use, sizeof(uint8), old_row, part->rows);
	part->column = palloc0(sizeof(void *) * Max(inputs, 1));
	for (int c = 0; c < inputs; c++)
		part->column[c] = copy_rows(rows->column[c], sizeof(float), old_row, part->rows);
	part->base = rows->base;
	pfree(old_row);
	pfree(new_row);
	return part;
}

void
sl_rows_free_columns(SlRows *rows, int inputs)
{
	for (int c = 0; c < inputs; c++)
		if (rows->column[c] != NULL)
		{
			pfree(rows->column[c]);
			rows->column[c] = NULL;
		}
}
