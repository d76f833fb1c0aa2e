/*
 * cursor.c: a source row by row, through a query made of the names of its columns.
 */
#include "postgres.h"

#include <math.h>

#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "train/cursor.h"
#include "train/source.h"

#define FETCH_ROWS 1000

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
	cursor->labels = request->labels;
	cursor->unique = request->unique;
	if (cursor->unique)
	{
		initStringInfo(&cursor->last_key);
		initStringInfo(&cursor->last_order);
	}
	cursor->has_part = request->split && (request->split->by == SL_SPLIT_COLUMN ||
										  request->split->by == SL_SPLIT_TIME);
	cursor->batch = AllocSetContextCreate(CurrentMemoryContext, "sessionlen rows",
										  ALLOCSET_DEFAULT_SIZES);
	return cursor;
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

/* Rows of a sequence that share a position come one after the other, and in no order. */
static void
check_unique(SlCursor *cursor)
{
	char *order = key_text(cursor, SL_COLUMN_ORDER, true, "the order_by column");
	char *key = key_text(cursor, SL_COLUMN_KEY, true, "the partition_by column");

	if (cursor->any && strcmp(order, cursor->last_order.data) == 0 &&
		strcmp(key, cursor->last_key.data) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNIQUE_VIOLATION),
				 errmsg("two rows of a sequence are at the same place"),
				 errdetail("The sequence is \"%s\", the place \"%s\".", key, order),
				 errhint("The values of order_by must differ within a sequence; "
						 "row_number() in a query makes them so.")));
	cursor->any = true;
	resetStringInfo(&cursor->last_key);
	appendStringInfoString(&cursor->last_key, key);
	resetStringInfo(&cursor->last_order);
	appendStringInfoString(&cursor->last_order, order);
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
	if (cursor->unique)
		check_unique(cursor);
	return true;
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

double
sl_cursor_target(SlCursor *cursor)
{
	MemoryContext old;
	double y;

	if (cursor->isnull[SL_COLUMN_TARGET])
		return NAN;
	old = MemoryContextSwitchTo(cursor->batch); /* detoasted values go with it */
	y = (cursor->labels ? sl_value_class : sl_value_number)(
		&cursor->reader[SL_COLUMN_TARGET], cursor->value[SL_COLUMN_TARGET],
		cursor->target);
	MemoryContextSwitchTo(old);
	return y;
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
