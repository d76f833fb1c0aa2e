/*
 * table_sql.c: predict_table() and predictions(): whole sources, many sequences at a
 * time.
 *
 * Rows come ordered by partition and order.  Whole sequences are gathered until a buffer
 * is full, run side by side, and returned in the order in which they were read.  A model
 * with a network for each cluster has a buffer for each.
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
#include "utils/tuplestore.h"

#include "predict/runner.h"
#include "predict/served.h"
#include "sessionlen.h"
#include "store/query.h"
#include "train/cursor.h"
#include "train/sequence.h"

PG_FUNCTION_INFO_V1(sl_predict_table);
PG_FUNCTION_INFO_V1(sl_predictions);

#define BUFFER_ROWS 16384
#define ANY_PART (-1)

typedef struct Baseline
{
	double mean;
	double median;
} Baseline;

/* Rows of whole sequences that one network serves, and of the one being read. */
typedef struct Pending
{
	const SlModel *model;
	SlRunner *runner;
	MemoryContext keys; /* key texts; reset with the buffer */
	int rows;
	int room;
	int full; /* rows at which whole sequences are run */
	int sequences;
	int *start; /* [room + 1] */
	char **key; /* per sequence */
	char **order;
	float *x;
	int32 *code[SL_MAX_EMBEDDINGS];
	float *out;
	double *actual; /* predictions() only, as the next */
	uint8 *row_part;
} Pending;

typedef struct Batch
{
	const SlModel *model;
	SlCursor *cursor;
	ReturnSetInfo *result;
	Pending *buffer; /* of the network of all users, then of the clusters' */
	SlCellValue *cell;
	SlCellValue *earlier;

	/* predictions() only */
	bool evaluating;
	int part;			 /* to return, or ANY_PART */
	SlVocabulary *users; /* keys with a baseline */
	Baseline *baseline;	 /* by user's code; [0]: over all, also for users without training
							rows */
} Batch;

/* ---- buffer ---- */

static void *
resize(void *array, Size count, Size width)
{
	Size bytes = Max(count, 1) * width;

	return array == NULL ? MemoryContextAllocHuge(CurrentMemoryContext, bytes)
						 : repalloc_huge(array, bytes);
}

static void
grow(Pending *b, int buffers)
{
	const SlNetSpec *spec = &b->model->net.spec;
	Size row_bytes = sizeof(float) * (spec->inputs + spec->embeddings + spec->outputs) +
					 sizeof(double) + 32;
	Size limit = Min((Size) sl_memory_limit * 1024 / row_bytes / buffers, INT_MAX / 2);
	Size room = Min(b->room == 0 ? BUFFER_ROWS : (Size) b->room * 2, limit);

	if (room <= (Size) b->room)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY),
						errmsg("a sequence of more than %d rows does not fit into "
							   "sessionlen.memory_limit",
							   b->room),
						errhint("Raise sessionlen.memory_limit.")));
	b->room = (int) room;
	if (b->full == 0) /* leave room for a sequence that begins just before */
		b->full = Min(Max(BUFFER_ROWS / buffers, 256), (int) limit / 2);
	b->start = resize(b->start, room + 1, sizeof(int));
	b->key = resize(b->key, room, sizeof(char *));
	b->order = resize(b->order, room, sizeof(char *));
	b->x = resize(b->x, room * spec->inputs, sizeof(float));
	for (int e = 0; e < spec->embeddings; e++)
		b->code[e] = resize(b->code[e], room, sizeof(int32));
	b->out = resize(b->out, room * spec->outputs, sizeof(float));
	b->actual = resize(b->actual, room, sizeof(double));
	b->row_part = resize(b->row_part, room, sizeof(uint8));
}

/* Puts the cursor's row at the end of the buffer. */
static void
read_row(Batch *batch, Pending *b, bool fresh, const char *order)
{
	const SlInputs *inputs = b->model->inputs;
	SlCursor *cursor = batch->cursor;
	int32 row_code[SL_MAX_EMBEDDINGS];
	MemoryContext old = MemoryContextSwitchTo(cursor->batch);

	for (int i = 0; i < inputs->count; i++)
	{
		int c = SL_COLUMNS + i;

		batch->cell[i] = sl_input_cell(&inputs->input[i], &cursor->reader[c],
									   cursor->value[c], cursor->isnull[c]);
	}
	sl_sequence_next(&b->model->options, inputs, fresh, batch->cell, batch->earlier);
	sl_inputs_apply(inputs, batch->cell, b->x + (Size) b->rows * inputs->width, row_code);
	for (int e = 0; e < inputs->embeddings; e++)
		b->code[e][b->rows] = row_code[e];
	b->order[b->rows] = MemoryContextStrdup(b->keys, order);
	b->actual[b->rows] = NAN;
	if (cursor->target && !(!cursor->isnull[SL_COLUMN_CENSORED] &&
							DatumGetBool(cursor->value[SL_COLUMN_CENSORED])))
		b->actual[b->rows] = sl_cursor_target(cursor);
	b->row_part[b->rows] = cursor->has_part ? sl_cursor_part(cursor) : SL_TRAIN;
	MemoryContextSwitchTo(old);
	b->rows++;
}

/* ---- results ---- */

static Datum
quantile_array(const SlModel *model, const double *quantile)
{
	Datum element[SL_MAX_QUANTILES];
	int levels = sl_runner_quantiles(model);

	for (int i = 0; i < levels; i++)
		element[i] = Float8GetDatum(quantile[i]);
	return PointerGetDatum(
		construct_array(element, levels, FLOAT8OID, 8, FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

static SlPart
part_of(const Batch *batch, const Pending *b, int sequence, int row)
{
	const SlSplit *split = &b->model->split;
	const char *key = b->key[sequence];
	int first = b->start[sequence];

	if (batch->cursor->has_part)
		return (SlPart) b->row_part[row];
	return sl_split_row(
		split,
		sl_split_key(key, strlen(key), split->validation, split->test, split->seed),
		row - first, b->start[sequence + 1] - first);
}

/* Columns that come after the prediction in predictions(). */
static void
put_baselines(const Batch *batch, const Pending *b, int sequence, int row, double last,
			  Datum *values, bool *nulls)
{
	const Baseline *all = &batch->baseline[0];
	const Baseline *user =
		&batch->baseline[sl_vocabulary_code(batch->users, b->key[sequence])];

	values[4] = CStringGetTextDatum(sl_part_name(part_of(batch, b, sequence, row)));
	values[5] = Float8GetDatum(b->actual[row]);
	nulls[5] = isnan(b->actual[row]);
	values[6] = Float8GetDatum(user->mean);
	values[7] = Float8GetDatum(user->median);
	values[8] = Float8GetDatum(isnan(last) ? all->median : last);
	values[9] = Float8GetDatum(all->median);
	values[10] = Int32GetDatum(b->model->cluster);
	nulls[10] = b->model->cluster == SL_NO_CLUSTER;
	for (int v = 6; v <= 9; v++)
		nulls[v] = isnan(DatumGetFloat8(values[v]));
}

/* Resets the memory context it is called in: a sequence may have millions of rows. */
static void
return_sequence(Batch *batch, const Pending *b, int sequence)
{
	double quantile[SL_MAX_QUANTILES];
	bool has_quantiles = sl_runner_quantiles(b->model) > 0;
	double last = NAN; /* the target of the row before */

	for (int i = b->start[sequence]; i < b->start[sequence + 1]; i++)
	{
		Datum values[11];
		bool nulls[11] = {false};
		double prediction = sl_runner_predict(
			b->model, b->out + (Size) i * b->model->net.spec.outputs, quantile);

		if (!batch->evaluating || batch->part == ANY_PART ||
			part_of(batch, b, sequence, i) == (SlPart) batch->part)
		{
			values[0] = CStringGetTextDatum(b->key[sequence]);
			values[1] = CStringGetTextDatum(b->order[i]);
			values[2] = Float8GetDatum(prediction);
			nulls[3] = !has_quantiles;
			values[3] = has_quantiles ? quantile_array(b->model, quantile) : (Datum) 0;
			if (batch->evaluating)
				put_baselines(batch, b, sequence, i, last, values, nulls);
			tuplestore_putvalues(batch->result->setResult, batch->result->setDesc, values,
								 nulls);
			if (i % 1024 == 0)
				CHECK_FOR_INTERRUPTS();
			MemoryContextReset(CurrentMemoryContext);
		}
		if (!isnan(b->actual[i]))
			last = b->actual[i];
	}
}

/* Runs and returns the whole sequences in the buffer, and empties it. */
static void
flush(Batch *batch, Pending *b)
{
	MemoryContext context = AllocSetContextCreate(
		CurrentMemoryContext, "sessionlen results", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);

	b->start[b->sequences] = b->rows;
	sl_runner_sequences(b->runner, b->sequences, b->start, b->x, b->code, b->out);
	for (int s = 0; s < b->sequences; s++)
	{
		CHECK_FOR_INTERRUPTS();
		return_sequence(batch, b, s);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	MemoryContextReset(b->keys);
	b->rows = b->sequences = 0;
}

static Pending *
buffer_for_key(const Batch *batch, const char *key)
{
	const SlModel *model = sl_model_for_key(batch->model, key);

	for (int i = 0; i < batch->model->clusters; i++)
		if (batch->model->network[i] == model)
			return &batch->buffer[i + 1];
	return &batch->buffer[0];
}

static void
run_all(Batch *batch)
{
	int buffers = batch->model->clusters + 1;
	Pending *b = NULL;

	while (sl_cursor_next(batch->cursor))
	{
		char *key = sl_cursor_key(batch->cursor);
		char *order = sl_cursor_order(batch->cursor);
		bool fresh = b == NULL || strcmp(b->key[b->sequences - 1], key) != 0;

		if (fresh)
			b = buffer_for_key(batch, key);
		if (fresh && b->rows > 0 && b->rows >= b->full) /* full is 0 at first */
			flush(batch, b);
		if (b->rows == b->room)
			grow(b, buffers);
		if (fresh)
		{
			b->start[b->sequences] = b->rows;
			b->key[b->sequences++] = MemoryContextStrdup(b->keys, key);
		}
		read_row(batch, b, fresh, order);
	}
	for (int i = 0; i < buffers; i++)
		if (batch->buffer[i].rows > 0)
			flush(batch, &batch->buffer[i]);
}

/* ---- set-up ---- */

static void
load_baselines(Batch *b)
{
	Datum args[] = {CStringGetTextDatum(b->model->model),
					Int32GetDatum(b->model->version)};
	bool isnull;

	sl_query_read(
		"SELECT key, mean, median FROM sessionlen.baselines WHERE model = $1 AND version = $2",
		2, (Oid[]){TEXTOID, INT4OID}, args);
	b->users = sl_vocabulary_create();
	b->baseline = palloc_extended(sizeof(Baseline) * (SPI_processed + 1),
								  MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	b->baseline[0] = (Baseline){NAN, NAN}; /* where every training row is censored */
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		HeapTuple row = SPI_tuptable->vals[i];
		char *key = SPI_getvalue(row, SPI_tuptable->tupdesc, 1);
		Baseline *baseline = &b->baseline[key ? sl_vocabulary_add(b->users, key) : 0];

		baseline->mean =
			DatumGetFloat8(SPI_getbinval(row, SPI_tuptable->tupdesc, 2, &isnull));
		baseline->median =
			DatumGetFloat8(SPI_getbinval(row, SPI_tuptable->tupdesc, 3, &isnull));
	}
	SPI_freetuptable(SPI_tuptable);
}

/*
 * The stored source is SQL its owner wrote.  Run for anybody else it would have that
 * role's rights, as a superuser's for one.
 */
static void
check_stored_source(const SlModel *model)
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
run_source(FunctionCallInfo fcinfo, const char *model, const char *source,
		   bool evaluating, int part)
{
	MemoryContext outer = CurrentMemoryContext;
	Batch b = {.evaluating = evaluating, .part = part};
	SlRequest request;
	const SlInputs *inputs;

	InitMaterializedSRF(fcinfo, 0);
	b.result = (ReturnSetInfo *) fcinfo->resultinfo;
	b.model = sl_served_get(model, outer);
	sl_runner_check(b.model);
	inputs = b.model->inputs;
	request = (SlRequest){.source = source ? source : b.model->source,
						  .partition_by = b.model->partition_by,
						  .order_by = b.model->order_by,
						  .target = evaluating ? b.model->target : NULL,
						  .censored = evaluating ? b.model->censored : NULL,
						  .split = evaluating ? &b.model->split : NULL,
						  .labels = b.model->options.task != SL_TASK_REGRESSION,
						  .count = inputs->count,
						  .names = palloc(sizeof(char *) * Max(inputs->count, 1))};
	for (int i = 0; i < inputs->count; i++)
		request.names[i] = inputs->input[i].name;
	SPI_connect();
	if (evaluating && source == NULL)
		check_stored_source(b.model);
	if (evaluating)
		load_baselines(&b);
	b.buffer = palloc0(sizeof(Pending) * (b.model->clusters + 1));
	for (int i = 0; i <= b.model->clusters; i++)
	{
		Pending *buffer = &b.buffer[i];

		buffer->model = i == 0 ? b.model : b.model->network[i - 1];
		buffer->runner = sl_runner_create(buffer->model);
		buffer->keys = AllocSetContextCreate(CurrentMemoryContext, "sessionlen keys",
											 ALLOCSET_DEFAULT_SIZES);
	}
	b.cell = palloc(sizeof(SlCellValue) * Max(inputs->count, 1));
	b.earlier = palloc(sizeof(SlCellValue) * Max(inputs->count, 1));
	b.cursor = sl_cursor_open(&request, true);
	run_all(&b);
	sl_cursor_close(b.cursor);
	SPI_finish();
}

static char *
text_argument(FunctionCallInfo fcinfo, int number)
{
	return PG_ARGISNULL(number) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(number));
}

static void
require(const char *value, const char *name)
{
	if (value == NULL)
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("%s must not be null", name)));
}

Datum
sl_predict_table(PG_FUNCTION_ARGS)
{
	char *model = text_argument(fcinfo, 0);
	char *source = text_argument(fcinfo, 1);

	require(model, "model");
	require(source, "source");
	run_source(fcinfo, model, source, false, ANY_PART);
	return (Datum) 0;
}

Datum
sl_predictions(PG_FUNCTION_ARGS)
{
	char *model = text_argument(fcinfo, 0);
	char *part = text_argument(fcinfo, 2);
	int chosen = ANY_PART;

	require(model, "model");
	require(part, "part");
	if (strcmp(part, "all") != 0)
	{
		for (chosen = SL_TRAIN; chosen <= SL_TEST; chosen++)
			if (strcmp(part, sl_part_name((SlPart) chosen)) == 0)
				break;
		if (chosen > SL_TEST)
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("unrecognized part \"%s\"", part),
							errhint("Valid parts are: train, validation, test, all.")));
	}
	run_source(fcinfo, model, text_argument(fcinfo, 1), true, chosen);
	return (Datum) 0;
}
