/*
 * rows.c: one pass of a cursor fills one array per column.  Rows arrive in the order of
 * order_by over all sequences, which is kept as time_order; a counting sort by sequence
 * then brings each sequence's rows together without disturbing their order.
 */
#include "postgres.h"

#include <float.h>
#include <math.h>

#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "store/json.h"
#include "train/rows.h"
#include "train/source.h"

#define FETCH_ROWS 1000
#define MAX_ROWS (1 << 30)

/* ---- cursor ---- */

/*
 * Columns are named without their table: "s.name" could also mean name(s), a function of
 * whoever wrote the model, which would then run with the rights of whoever predicts.
 */
static void
append_column(StringInfo sql, const char *column, const char *type)
{
	if (column == NULL)
		appendStringInfo(sql, "NULL::%s, ", type);
	else
		appendStringInfo(sql, "%s, ", quote_identifier(column));
}

/* The expression that tells a row's part, where rows and not keys decide. */
static void
append_part(StringInfo sql, const SlRequest *request)
{
	const SlSplit *split = request->split;
	const char *order = quote_identifier(request->order_by);

	if (split != NULL && split->by == SL_SPLIT_COLUMN)
		appendStringInfo(sql, "%s::pg_catalog.text", quote_identifier(split->column));
	else if (split != NULL && split->by == SL_SPLIT_TIME)
	{
		appendStringInfoString(sql, "CASE WHEN false THEN NULL");
		if (split->test_from != NULL)
			appendStringInfo(sql, " WHEN %s >= %s THEN 'test'", order,
							 quote_literal_cstr(split->test_from));
		if (split->validation_from != NULL)
			appendStringInfo(sql, " WHEN %s >= %s THEN 'validation'", order,
							 quote_literal_cstr(split->validation_from));
		appendStringInfoString(sql, " ELSE 'train' END");
	}
	else
		appendStringInfoString(sql, "NULL::pg_catalog.text");
}

static Portal
open_portal(const char *sql)
{
	SPIPlanPtr plan = SPI_prepare(sql, 0, NULL);

	if (plan == NULL)
		elog(ERROR, "SPI_prepare failed: %s", SPI_result_code_string(SPI_result));
	return SPI_cursor_open(NULL, plan, NULL, NULL, true);
}

SlCursor *
sl_cursor_open(const SlRequest *request, bool by_partition)
{
	SlCursor *cursor = palloc0(sizeof(SlCursor));
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT ");
	append_column(&sql, request->partition_by, NULL);
	append_column(&sql, request->order_by, NULL);
	append_column(&sql, request->target, "pg_catalog.float8");
	append_column(&sql, request->censored, "pg_catalog.bool");
	append_part(&sql, request);
	for (int i = 0; i < request->count; i++)
		appendStringInfo(&sql, ", %s", quote_identifier(request->names[i]));
	appendStringInfo(&sql, " FROM %s AS s ORDER BY %s", sl_source_sql(request->source),
					 by_partition ? "1, 2" : "2, 1");
	cursor->portal = open_portal(sql.data);
	cursor->columns = SL_COLUMNS + request->count;
	cursor->reader = palloc0(sizeof(SlValueReader) * cursor->columns);
	cursor->value = palloc0(sizeof(Datum) * cursor->columns);
	cursor->isnull = palloc0(sizeof(bool) * cursor->columns);
	for (int i = 0; i < cursor->columns; i++)
	{
		Oid type = TupleDescAttr(cursor->portal->tupDesc, i)->atttypid;

		/* a name that is not a column's can still mean the whole row */
		if (type_is_rowtype(type))
			ereport(ERROR,
					(errcode(ERRCODE_DATATYPE_MISMATCH),
					 errmsg("column \"%s\" is of the row type %s",
							NameStr(TupleDescAttr(cursor->portal->tupDesc, i)->attname),
							format_type_be(type)),
					 errhint("Name its fields in a query.")));
		sl_value_reader(&cursor->reader[i], type);
	}
	if (cursor->reader[SL_COLUMN_CENSORED].kind != SL_VALUE_BOOL)
		ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
						errmsg("the censored column \"%s\" must be of type boolean",
							   request->censored)));
	cursor->target = request->target;
	cursor->has_part = request->split && (request->split->by == SL_SPLIT_COLUMN ||
										  request->split->by == SL_SPLIT_TIME);
	cursor->batch = AllocSetContextCreate(CurrentMemoryContext, "sessionlen rows",
										  ALLOCSET_DEFAULT_SIZES);
	return cursor;
}

bool
sl_cursor_next(SlCursor *cursor)
{
	MemoryContext context;

	if (cursor->at == cursor->fetched)
	{
		if (cursor->table != NULL)
			SPI_freetuptable(cursor->table);
		MemoryContextReset(cursor->batch);
		CHECK_FOR_INTERRUPTS();
		context = CurrentMemoryContext;
		SPI_cursor_fetch(cursor->portal, true, FETCH_ROWS);
		MemoryContextSwitchTo(context); /* SPI leaves its own as the current one */
		cursor->table = SPI_tuptable;
		cursor->fetched = SPI_processed;
		cursor->at = 0;
		if (cursor->fetched == 0)
			return false;
	}
	heap_deform_tuple(cursor->table->vals[cursor->at], cursor->table->tupdesc,
					  cursor->value, cursor->isnull);
	cursor->at++;
	return true;
}

/* label: as it is stored, so that equal keys are the same text in every session. */
static char *
key_text(SlCursor *cursor, int column, bool label, const char *what)
{
	SlValueReader *reader = &cursor->reader[column];
	MemoryContext old;
	char *text;

	if (cursor->isnull[column])
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("%s holds NULL", what),
				 errhint("Filter such rows out in the source.")));
	old = MemoryContextSwitchTo(cursor->batch);
	text = label ? sl_value_label(reader, cursor->value[column], false)
				 : sl_value_text(reader, cursor->value[column], false);
	MemoryContextSwitchTo(old);
	return text;
}

char *
sl_cursor_key(SlCursor *cursor)
{
	return key_text(cursor, SL_COLUMN_KEY, true, "the partition_by column");
}

char *
sl_cursor_order(SlCursor *cursor)
{
	return key_text(cursor, SL_COLUMN_ORDER, false, "the order_by column");
}

SlPart
sl_cursor_part(SlCursor *cursor)
{
	char *name = key_text(cursor, SL_COLUMN_PART, false, "the split column");

	for (int p = SL_TRAIN; p <= SL_TEST; p++)
		if (strcmp(name, sl_part_name((SlPart) p)) == 0)
			return (SlPart) p;
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("the split column holds \"%s\"", name),
					errhint("It must say train, validation or test in every row.")));
}

void
sl_cursor_close(SlCursor *cursor)
{
	SPI_cursor_close(cursor->portal);
	MemoryContextDelete(cursor->batch);
}

void
sl_split_find_cuts(SlSplit *split, const char *source, const char *order_by)
{
	int guc_level = NewGUCNestLevel();
	char *sql = psprintf(
		"SELECT (c.at)[1]::pg_catalog.text, (c.at)[2]::pg_catalog.text FROM (SELECT "
		"pg_catalog.percentile_disc(ARRAY[%.17g, %.17g]::pg_catalog.float8[]) WITHIN GROUP "
		"(ORDER BY %s) AS at FROM %s AS s) AS c",
		1 - split->validation - split->test, 1 - split->test, quote_identifier(order_by),
		sl_source_sql(source));
	MemoryContext context = CurrentMemoryContext;
	Portal portal;

	/* cut points are kept as text and must mean the same in every session */
	set_config_option("datestyle", "ISO, YMD", PGC_USERSET, PGC_S_SESSION,
					  GUC_ACTION_SAVE, true, 0, false);
	set_config_option("intervalstyle", "postgres", PGC_USERSET, PGC_S_SESSION,
					  GUC_ACTION_SAVE, true, 0, false);
	set_config_option("extra_float_digits", "1", PGC_USERSET, PGC_S_SESSION,
					  GUC_ACTION_SAVE, true, 0, false);
	portal =
		open_portal(sql); /* a cursor takes one statement only, whatever source says */
	SPI_cursor_fetch(portal, true, 1);
	MemoryContextSwitchTo(context);
	AtEOXact_GUC(true, guc_level);
	if (SPI_processed > 0 && split->validation > 0)
		split->validation_from =
			SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
	if (SPI_processed > 0 && split->test > 0)
		split->test_from = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2);
	SPI_cursor_close(portal);
}

/* ---- columns ---- */

typedef struct Filling
{
	SlRows *rows;
	const SlInputs *inputs;
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
	for (int i = 0; i < f->inputs->count; i++)
		rows->column[i] = grow(rows->column[i], sizeof(float), f->room);
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
	if (fabs(number - rows->base[i]) > FLT_MAX)
		ereport(ERROR, (errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
						errmsg("a value of column \"%s\" is out of range", column),
						errdetail("%g leaves single precision.", number)));
	return (float) (number - rows->base[i]);
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
store_row(Filling *f, SlCursor *cursor, bool new_vocabularies)
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
	rows->y[i] = NAN;
	if (!cursor->isnull[SL_COLUMN_TARGET])
	{
		double y = sl_value_number(&cursor->reader[SL_COLUMN_TARGET],
								   cursor->value[SL_COLUMN_TARGET], cursor->target);

		if (fabs(y) > FLT_MAX)
			ereport(ERROR,
					(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
					 errmsg("a value of column \"%s\" is out of range", cursor->target),
					 errdetail("%g leaves single precision.", y)));
		rows->y[i] = (float) y;
	}
	if (rows->censored)
		rows->censored[i] = !cursor->isnull[SL_COLUMN_CENSORED] &&
							DatumGetBool(cursor->value[SL_COLUMN_CENSORED]);
	rows->part[i] = cursor->has_part ? sl_cursor_part(cursor) : SL_TRAIN;
	store_inputs(f, cursor, new_vocabularies);
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

/* An observed column enters one row later; a sequence's first row sees nothing. */
static void
move_down(const SlRows *rows, const SlInput *input, void *column)
{
	SlCellValue missing = sl_input_missing(input);

	for (int s = 0; s < rows->sequences; s++)
	{
		int first = rows->start[s];
		int length = rows->start[s + 1] - first;
		float *number = (float *) column + first;
		int32 *code = (int32 *) column + first;

		memmove(number + 1, number, sizeof(float) * (length - 1));
		if (sl_input_has_vocabulary(input))
			*code = missing.code;
		else
			*number = (float) missing.number;
	}
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
sl_rows_read(SlCursor *cursor, const SlInputs *inputs, const SlSplit *split,
			 bool new_vocabularies, Size limit)
{
	SlRows *rows = palloc0(sizeof(SlRows));
	Filling f = {.rows = rows, .inputs = inputs, .limit = limit};
	int *position;

	f.row_bytes = sizeof(float) * (inputs->count + 1) + 2 + 3 * sizeof(int);
	rows->keys = sl_vocabulary_create();
	rows->column = palloc0(sizeof(void *) * Max(inputs->count, 1));
	rows->base = palloc(sizeof(double) * Max(inputs->count, 1));
	for (int i = 0; i < inputs->count; i++)
		rows->base[i] = inputs->input[i].prep == SL_PREP_LOG1P ? 0 : NAN;
	rows->censored = palloc(1);
	while (sl_cursor_next(cursor))
		store_row(&f, cursor, new_vocabularies);
	if (rows->rows == 0)
		ereport(ERROR,
				(errcode(ERRCODE_NO_DATA_FOUND), errmsg("the source has no rows")));

	position = sequence_positions(&f);
	rows->time_order = position; /* rows were read in time order */
	permute4(rows->y, position, rows->rows);
	permute1(rows->part, position, rows->rows);
	permute1(rows->censored, position, rows->rows);
	for (int i = 0; i < inputs->count; i++)
	{
		CHECK_FOR_INTERRUPTS();
		permute4(rows->column[i], position, rows->rows);
		if (inputs->input[i].role == SL_ROLE_OBSERVED)
			move_down(rows, &inputs->input[i], rows->column[i]);
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
