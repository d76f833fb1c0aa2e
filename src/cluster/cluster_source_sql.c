/*
 * cluster_source_sql.c: points from a table, view or query.
 *
 * Rows go straight from the executor into one array, through a receiver of our own: no
 * copy of a row is made.  Keys are kept as one run of texts.  They are sorted, which
 * finds double ones and lets labels be stored in the order of their index.
 */
#include "postgres.h"

#include <math.h>

#include "executor/spi.h"
#include "miscadmin.h"
#include "tcop/dest.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "cluster/cluster_sql.h"
#include "sessionlen.h"
#include "train/source.h"
#include "train/value.h"

/* Squares of differences of such values, and sums of them, stay finite. */
#define LARGEST 1e140

#define MAX_POINTS (1 << 30)

typedef struct Receiver
{
	DestReceiver pub;
	SlClusterData *data;
	char **names; /* of the columns */
	const char *key;
	SlValueReader *reader; /* [columns], then the key's */
	int room;			   /* points */
	char *text;			   /* keys, each with its end */
	Size *text_at;		   /* [room] */
	Size text_used;
	Size text_room;
	MemoryContext keep;
	MemoryContext row; /* reset now and then */
} Receiver;

static void
too_large(int count)
{
	ereport(ERROR,
			(errcode(ERRCODE_OUT_OF_MEMORY),
			 errmsg("the source has more rows than sessionlen.memory_limit can hold"),
			 errdetail("%d rows were read.", count),
			 errhint("Raise sessionlen.memory_limit, name fewer columns, or cluster a "
					 "sample and label the rest with assign_cluster().")));
}

static void *
resize(Receiver *r, void *array, Size bytes)
{
	array = array == NULL ? MemoryContextAllocHuge(r->keep, bytes)
						  : repalloc_huge(array, bytes);
	sl_cluster_huge_pages(array, bytes);
	return array;
}

static void
make_room(Receiver *r)
{
	SlClusterData *data = r->data;
	int64 room = r->room == 0 ? 1024 : (int64) r->room * 2;
	Size limit = (Size) sl_memory_limit * 1024;
	Size width = sizeof(double) * data->columns + (r->key ? sizeof(Size) : 0);

	if (room > MAX_POINTS || (Size) room * width + r->text_room > limit)
	{
		room = (int64) Min((Size) MAX_POINTS,
						   (limit > r->text_room ? limit - r->text_room : 0) / width);
		if (room <= r->room)
			too_large(data->count);
	}
	r->room = (int) room;
	data->x = resize(r, data->x, sizeof(double) * data->columns * (Size) room);
	if (r->key)
		r->text_at = resize(r, r->text_at, sizeof(Size) * (Size) room);
}

static void
keep_key(Receiver *r, const char *key)
{
	Size length = strlen(key) + 1;

	if (r->text_used + length > r->text_room)
	{
		r->text_room = Max(r->text_room * 2, r->text_used + length + 8192);
		if (r->text_room > (Size) sl_memory_limit * 1024)
			too_large(r->data->count);
		r->text = resize(r, r->text, r->text_room);
	}
	memcpy(r->text + r->text_used, key, length);
	r->text_at[r->data->count] = r->text_used;
	r->text_used += length;
}

static bool
receive(TupleTableSlot *slot, DestReceiver *self)
{
	Receiver *r = (Receiver *) self;
	SlClusterData *data = r->data;
	MemoryContext old = MemoryContextSwitchTo(r->row);
	double *x;

	slot_getallattrs(slot);
	if (data->count == r->room)
		make_room(r);
	x = data->x + (Size) data->count * data->columns;
	for (int j = 0; j < data->columns; j++)
	{
		if (slot->tts_isnull[j])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("column \"%s\" holds NULL", r->names[j]),
					 errhint("Filter such rows out in the source, or give them a value "
							 "with coalesce().")));
		/* 0 and -0 are one value; the commonest type takes the short way */
		x[j] = 0.0 +
			   (r->reader[j].kind == SL_VALUE_FLOAT8 &&
						fabs(DatumGetFloat8(slot->tts_values[j])) <= LARGEST
					? DatumGetFloat8(slot->tts_values[j])
					: sl_value_number(&r->reader[j], slot->tts_values[j], r->names[j]));
		if (fabs(x[j]) > LARGEST)
			ereport(ERROR,
					(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
					 errmsg("a value of column \"%s\" is out of range", r->names[j]),
					 errdetail("It is %g; squares of distances would overflow.", x[j])));
	}
	if (r->key)
	{
		if (slot->tts_isnull[data->columns])
			ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
							errmsg("the key column \"%s\" holds NULL", r->key),
							errhint("Filter such rows out in the source.")));
		keep_key(r, sl_value_label(&r->reader[data->columns],
								   slot->tts_values[data->columns], false));
	}
	data->count++;
	MemoryContextSwitchTo(old);
	if (data->count % 256 == 0)
		MemoryContextReset(r->row);
	return true;
}

static void
receive_startup(DestReceiver *self, int operation, TupleDesc desc)
{
	Receiver *r = (Receiver *) self;

	for (int i = 0; i < desc->natts; i++)
	{
		Oid type = TupleDescAttr(desc, i)->atttypid;
		MemoryContext old;

		/* a name that is not a column's can still mean the whole row */
		if (type_is_rowtype(type))
			ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
							errmsg("column \"%s\" is of the row type %s",
								   NameStr(TupleDescAttr(desc, i)->attname),
								   format_type_be(type)),
							errhint("Name its fields in a query.")));
		old = MemoryContextSwitchTo(r->keep);
		sl_value_reader(&r->reader[i], type);
		MemoryContextSwitchTo(old);
	}
}

static void
receive_nothing(DestReceiver *self)
{
}

static void
run_query(Receiver *r, const char *source)
{
	SPIExecuteOptions options = {.read_only = true, .must_return_tuples = true};
	StringInfoData sql;
	SPIPlanPtr plan;
	int code;

	initStringInfo(&sql);
	/* names without their table, so that s.name can't be a function of somebody else's */
	for (int i = 0; i < r->data->columns; i++)
		appendStringInfo(&sql, "%s %s", i ? "," : "SELECT",
						 quote_identifier(r->names[i]));
	if (r->key)
		appendStringInfo(&sql, ", %s", quote_identifier(r->key));
	appendStringInfo(&sql, " FROM %s AS s", sl_source_sql(source));
	plan = SPI_prepare_cursor(sql.data, 0, NULL, CURSOR_OPT_PARALLEL_OK);
	if (plan == NULL)
		elog(ERROR, "SPI_prepare failed: %s", SPI_result_code_string(SPI_result));
	if (!SPI_is_cursor_plan(plan))
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR), errmsg("source must be one query")));
	options.dest = &r->pub;
	code = SPI_execute_plan_extended(plan, &options);
	if (code < 0)
		elog(ERROR, "SPI_execute_plan_extended failed: %s", SPI_result_code_string(code));
	SPI_freeplan(plan);
}

/* ---- keys ---- */

typedef struct KeyRef
{
	uint64 prefix; /* of the text after what all of them begin with */
	const char *text;
	int row;
} KeyRef;

static inline int
compare_keys(const KeyRef *a, const KeyRef *b)
{
	if (a->prefix != b->prefix)
		return a->prefix < b->prefix ? -1 : 1;
	return strcmp(a->text, b->text);
}

#define ST_SORT sort_keys
#define ST_ELEMENT_TYPE KeyRef
#define ST_COMPARE(a, b) compare_keys(a, b)
#define ST_SCOPE static
#define ST_CHECK_FOR_INTERRUPTS
#define ST_DEFINE
#include "lib/sort_template.h"

/* How many bytes all keys begin with. */
static Size
common_beginning(const SlClusterData *data)
{
	Size common = strlen(data->key[0]);

	for (int i = 1; i < data->count && common > 0; i++)
	{
		Size same = 0;

		while (same < common && data->key[i][same] == data->key[0][same])
			same++;
		common = same;
	}
	return common;
}

/* Eight bytes as a number that compares as they do. */
static uint64
text_prefix(const char *text)
{
	uint64 prefix = 0;

	for (int i = 0; i < 8; i++)
	{
		prefix = prefix << 8 | (unsigned char) *text;
		if (*text != '\0')
			text++;
	}
	return prefix;
}

static void
sort_by_key(SlClusterData *data)
{
	KeyRef *ref =
		MemoryContextAllocHuge(CurrentMemoryContext, sizeof(KeyRef) * (Size) data->count);
	Size common = common_beginning(data);

	for (int i = 0; i < data->count; i++)
		ref[i] = (KeyRef){text_prefix(data->key[i] + common), data->key[i] + common, i};
	sort_keys(ref, data->count);
	data->by_key =
		MemoryContextAllocHuge(CurrentMemoryContext, sizeof(int) * (Size) data->count);
	for (int i = 0; i < data->count; i++)
	{
		data->by_key[i] = ref[i].row;
		if (i > 0 && compare_keys(&ref[i], &ref[i - 1]) == 0)
			ereport(ERROR,
					(errcode(ERRCODE_UNIQUE_VIOLATION),
					 errmsg("key \"%s\" comes more than once", data->key[ref[i].row]),
					 errhint("The source must have one row for each key.")));
	}
	pfree(ref);
}

SlClusterData *
sl_cluster_read(const char *source, const char *key, int columns, char **names)
{
	SlClusterData *data = palloc0(sizeof(SlClusterData));
	Receiver r = {.pub = {.receiveSlot = receive,
						  .rStartup = receive_startup,
						  .rShutdown = receive_nothing,
						  .rDestroy = receive_nothing,
						  .mydest = DestNone},
				  .data = data,
				  .names = names,
				  .key = key,
				  .keep = CurrentMemoryContext};
	MemoryContext context = CurrentMemoryContext;

	data->columns = columns;
	r.reader = palloc0(sizeof(SlValueReader) * (columns + 1));
	r.row = AllocSetContextCreate(context, "sessionlen points", ALLOCSET_DEFAULT_SIZES);
	run_query(&r, source);
	MemoryContextSwitchTo(context); /* SPI leaves its own as the current one */
	MemoryContextDelete(r.row);
	if (data->count == 0)
		ereport(ERROR,
				(errcode(ERRCODE_NO_DATA_FOUND), errmsg("the source has no rows")));
	data->bytes = sizeof(double) * columns * (Size) r.room;
	if (key == NULL)
		return data;
	data->key = MemoryContextAllocHuge(context, sizeof(char *) * (Size) data->count);
	for (int i = 0; i < data->count; i++)
		data->key[i] = r.text + r.text_at[i];
	pfree(r.text_at);
	sort_by_key(data);
	data->bytes += r.text_room + (sizeof(char *) + sizeof(int)) * (Size) data->count;
	return data;
}
