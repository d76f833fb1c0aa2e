/*
 * predict_sql.c: predict(), a window function that carries the recurrent state down the
 * partition, and predict_sequence(), the same for an array of rows.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/typcache.h"
#include "windowapi.h"

#include "predict/runner.h"
#include "predict/served.h"
#include "sessionlen.h"
#include "store/query.h"
#include "train/sequence.h"

PG_FUNCTION_INFO_V1(sl_predict_row);
PG_FUNCTION_INFO_V1(sl_predict_sequence);

/* What a call site keeps for one network of the model. */
typedef struct Seat
{
	const SlModel *model; /* NULL: not used yet */
	SlRunner *runner;
	float *x; /* one row of network inputs */
	int32 row_code[SL_MAX_EMBEDDINGS];
	int32 *code[SL_MAX_EMBEDDINGS];
	float *out;
} Seat;

/* What one call site keeps for a statement.  All but the struct itself is in context,
 * which is reset when another model is asked for. */
typedef struct Site
{
	MemoryContext context;
	uint64 moment; /* of the snapshot and role the model was looked up with */
	char *name;
	const SlModel *model;
	Seat *seat; /* of the network of all users, then of the clusters' */
	int state;	/* floats of the largest state */
	/* how the rows given map to inputs */
	Oid row_type;
	int32 row_typmod;
	TupleDesc desc;
	int *attribute; /* per input, from 1 */
	SlValueReader *reader;
	int key_attribute; /* partition_by, where clusters have networks */
	SlValueReader key_reader;
	SlCellValue *cell;
} Site;

static void
open_site(Site *site, text *model)
{
	char *name = text_to_cstring(model);
	uint64 moment = sl_snapshot_moment();
	MemoryContext old;

	if (site->name != NULL && strcmp(site->name, name) == 0 && site->moment == moment)
	{
		pfree(name);
		return;
	}
	site->name = NULL; /* until all is done */
	MemoryContextReset(site->context);
	site->model = sl_served_get(name, site->context);
	sl_runner_check(site->model);
	old = MemoryContextSwitchTo(site->context);
	site->seat = palloc0(sizeof(Seat) * (site->model->clusters + 1));
	site->state = site->model->net.state;
	for (int i = 0; i < site->model->clusters; i++)
		site->state = Max(site->state, site->model->network[i]->net.state);
	site->row_type = InvalidOid;
	site->desc = NULL;
	site->attribute = palloc0(sizeof(int) * Max(site->model->inputs->count, 1));
	site->reader = palloc0(sizeof(SlValueReader) * Max(site->model->inputs->count, 1));
	site->cell = palloc0(sizeof(SlCellValue) * Max(site->model->inputs->count, 1));
	site->moment = moment;
	site->name = pstrdup(name);
	MemoryContextSwitchTo(old);
	pfree(name);
}

static Site *
get_site(FunctionCallInfo fcinfo, text *model)
{
	Site *site = fcinfo->flinfo->fn_extra;

	if (site == NULL)
	{
		site = MemoryContextAllocZero(fcinfo->flinfo->fn_mcxt, sizeof(Site));
		site->context = AllocSetContextCreate(fcinfo->flinfo->fn_mcxt,
											  "sessionlen predict", ALLOCSET_SMALL_SIZES);
		fcinfo->flinfo->fn_extra = site;
	}
	open_site(site, model);
	return site;
}

/* The attribute of the row type that has this name, from 1. */
static int
find_column(const Site *site, const char *name, SlValueReader *reader)
{
	int attribute = sl_value_column(site->desc, name, reader);

	if (attribute > 0)
		return attribute;
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_COLUMN),
			 errmsg("the row has no column \"%s\"", name),
			 errdetail("Model \"%s\" was trained with it.", site->model->model),
			 errhint("Pass the whole row, as in predict('%s', s) for FROM ... AS s.",
					 site->model->model)));
}

/* Finds the model's columns in rows of this type. */
static void
map_row_type(Site *site, HeapTupleHeader row)
{
	const SlInputs *inputs = site->model->inputs;
	Oid type = HeapTupleHeaderGetTypeId(row);
	int32 typmod = HeapTupleHeaderGetTypMod(row);
	MemoryContext old;

	if (type == site->row_type && typmod == site->row_typmod)
		return;
	site->row_type = InvalidOid; /* until all columns are found */
	if (site->desc != NULL)
		FreeTupleDesc(site->desc);
	site->desc = NULL;
	old = MemoryContextSwitchTo(site->context);
	site->desc = lookup_rowtype_tupdesc_copy(type, typmod);
	for (int i = 0; i < inputs->count; i++)
		site->attribute[i] = find_column(site, inputs->input[i].name, &site->reader[i]);
	if (site->model->clusters > 0)
		site->key_attribute =
			find_column(site, site->model->partition_by, &site->key_reader);
	MemoryContextSwitchTo(old);
	site->row_type = type;
	site->row_typmod = typmod;
}

static HeapTupleData
tuple_of(HeapTupleHeader row)
{
	HeapTupleData tuple = {.t_len = HeapTupleHeaderGetDatumLength(row), .t_data = row};

	ItemPointerSetInvalid(&tuple.t_self);
	return tuple;
}

/* Which network serves the row's partition: index into seat. */
static int
choose_network(Site *site, HeapTupleHeader row)
{
	HeapTupleData tuple = tuple_of(row);
	const SlModel *chosen = site->model;
	bool isnull;
	Datum key;

	if (site->model->clusters == 0)
		return 0;
	map_row_type(site, row);
	key = heap_getattr(&tuple, site->key_attribute, site->desc, &isnull);
	if (!isnull)
	{
		char *text = sl_value_label(&site->key_reader, key, false);

		chosen = sl_model_for_key(site->model, text);
		pfree(text);
	}
	for (int i = 0; i < site->model->clusters; i++)
		if (site->model->network[i] == chosen)
			return i + 1;
	return 0;
}

static Seat *
get_seat(Site *site, int network)
{
	Seat *seat = &site->seat[network];
	MemoryContext old;

	if (seat->model != NULL)
		return seat;
	old = MemoryContextSwitchTo(site->context);
	seat->model = network == 0 ? site->model : site->model->network[network - 1];
	seat->runner = sl_runner_create(seat->model);
	seat->x = palloc0(sizeof(float) * Max(seat->model->inputs->width, 1));
	for (int e = 0; e < SL_MAX_EMBEDDINGS; e++)
		seat->code[e] = &seat->row_code[e];
	seat->out = palloc(sizeof(float) * seat->model->net.spec.outputs);
	MemoryContextSwitchTo(old);
	return seat;
}

/*
 * The row as the network's inputs.  Observed inputs take what the row before had, kept in
 * earlier[], and leave this row's values there.
 */
static void
read_row(Site *site, Seat *seat, HeapTupleHeader row, SlCellValue *earlier, bool fresh)
{
	const SlInputs *inputs = seat->model->inputs;
	HeapTupleData tuple = tuple_of(row);

	map_row_type(site, row);
	for (int i = 0; i < inputs->count; i++)
	{
		const SlInput *input = &inputs->input[i];
		bool isnull;
		Datum value = heap_getattr(&tuple, site->attribute[i], site->desc, &isnull);

		site->cell[i] = sl_input_cell(input, &site->reader[i], value, isnull);
	}
	sl_sequence_next(&seat->model->options, inputs, fresh, site->cell, earlier);
	sl_inputs_apply(inputs, site->cell, seat->x, seat->row_code);
}

/* In partition-local memory: this, then earlier cells, then the state. */
typedef struct Carried
{
	bool taken; /* by the model of this id: its size is that model's */
	bool running;
	int network; /* that serves this partition */
	pg_uuid_t id;
} Carried;

#define CARRIED_CELLS(c) ((SlCellValue *) ((char *) (c) + MAXALIGN(sizeof(Carried))))

Datum
sl_predict_row(PG_FUNCTION_ARGS)
{
	WindowObject window = PG_WINDOW_OBJECT();
	bool isnull;
	Datum model = WinGetFuncArgCurrent(window, 0, &isnull);
	Datum row;
	Site *site;
	Seat *seat;
	int inputs;
	Carried *carried;
	SlCellValue *earlier;
	float *state;
	bool fresh;

	/* no row before this one is asked for again */
	WinSetMarkPosition(window, WinGetCurrentPosition(window));
	if (isnull)
		PG_RETURN_NULL();
	site = get_site(fcinfo, DatumGetTextPP(model));
	inputs = site->model->inputs->count;
	carried = WinGetPartitionLocalMemory(window, MAXALIGN(sizeof(Carried)) +
													 sizeof(SlCellValue) * inputs +
													 sizeof(float) * site->state);
	if (!carried->taken)
		carried->id = site->model->id;
	else if (memcmp(&carried->id, &site->model->id, sizeof(pg_uuid_t)) != 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("model must be the same in a whole partition"),
						errdetail("It changes to \"%s\".", site->model->model),
						errhint("Add the model's name to the window's PARTITION BY.")));
	carried->taken = true;
	fresh = !carried->running;
	earlier = CARRIED_CELLS(carried);
	state = (float *) (earlier + inputs);
	row = WinGetFuncArgCurrent(window, 1, &isnull);
	if (isnull)
		PG_RETURN_NULL();
	if (fresh)
		carried->network = choose_network(site, DatumGetHeapTupleHeader(row));
	carried->running = true;
	seat = get_seat(site, carried->network);
	read_row(site, seat, DatumGetHeapTupleHeader(row), earlier, fresh);
	sl_runner_rows(seat->runner, 1, seat->x, seat->code, state, fresh, seat->out);
	PG_RETURN_FLOAT8(sl_runner_predict(seat->model, seat->out, NULL));
}

/* Rows of the array into x and code. */
static void
read_rows(Site *site, Seat *seat, Datum *row, int rows, float *x, int32 **code)
{
	const SlInputs *inputs = seat->model->inputs;
	SlCellValue *earlier = palloc(sizeof(SlCellValue) * Max(inputs->count, 1));

	for (int i = 0; i < rows; i++)
	{
		read_row(site, seat, DatumGetHeapTupleHeader(row[i]), earlier, i == 0);
		memcpy(x + (Size) i * inputs->width, seat->x, sizeof(float) * inputs->width);
		for (int e = 0; e < inputs->embeddings; e++)
			code[e][i] = seat->row_code[e];
	}
}

Datum
sl_predict_sequence(PG_FUNCTION_ARGS)
{
	Site *site = get_site(fcinfo, PG_GETARG_TEXT_PP(0));
	const SlModel *m;
	Seat *seat;
	ArrayType *array = PG_GETARG_ARRAYTYPE_P(1);
	int32 *code[SL_MAX_EMBEDDINGS];
	Datum *row;
	bool *isnull;
	int rows;
	float *x;
	float *out;
	float *state;

	if (!type_is_rowtype(ARR_ELEMTYPE(array)))
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("rows must be an array of rows"),
				 errdetail("It is an array of %s.", format_type_be(ARR_ELEMTYPE(array))),
				 errhint("For example array_agg(s ORDER BY ...) for FROM ... AS s.")));
	deconstruct_array(array, ARR_ELEMTYPE(array), -1, false, TYPALIGN_DOUBLE, &row,
					  &isnull, &rows);
	if (rows == 0)
		PG_RETURN_NULL();
	for (int i = 0; i < rows; i++)
		if (isnull[i])
			ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
							errmsg("rows must not hold NULL")));
	seat = get_seat(site, choose_network(site, DatumGetHeapTupleHeader(row[0])));
	m = seat->model;
	if (sizeof(float) * (Size) rows *
			(m->inputs->width + m->inputs->embeddings + m->net.spec.outputs) >
		(Size) sl_memory_limit * 1024)
		ereport(
			ERROR,
			(errcode(ERRCODE_OUT_OF_MEMORY),
			 errmsg("a sequence of %d rows does not fit into sessionlen.memory_limit",
					rows),
			 errdetail("Model \"%s\" makes %d numbers of a row.", m->model,
					   m->inputs->width + m->inputs->embeddings + m->net.spec.outputs),
			 errhint("Raise sessionlen.memory_limit, or use predict_table().")));
	x = palloc_extended(sizeof(float) * (Size) rows * Max(m->inputs->width, 1),
						MCXT_ALLOC_HUGE);
	for (int e = 0; e < m->inputs->embeddings; e++)
		code[e] = palloc_extended(sizeof(int32) * (Size) rows, MCXT_ALLOC_HUGE);
	out = palloc_extended(sizeof(float) * (Size) rows * m->net.spec.outputs,
						  MCXT_ALLOC_HUGE);
	state = palloc0(sizeof(float) * Max(m->net.state, 1));
	read_rows(site, seat, row, rows, x, code);
	sl_runner_rows(seat->runner, rows, x, code, state, true, out);
	PG_RETURN_FLOAT8(
		sl_runner_predict(m, out + (Size) (rows - 1) * m->net.spec.outputs, NULL));
}
