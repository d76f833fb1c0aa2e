/*
 * site.c: see site.h.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/typcache.h"

#include "predict/served.h"
#include "predict/site.h"
#include "store/query.h"

static void
open_site(SlSite *site, text *model)
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
	old = MemoryContextSwitchTo(site->context);
	site->seat = palloc0(sizeof(SlSeat) * (site->model->clusters + 1));
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

SlSite *
sl_site_get(FunctionCallInfo fcinfo, text *model)
{
	SlSite *site = fcinfo->flinfo->fn_extra;

	if (site == NULL)
	{
		site = MemoryContextAllocZero(fcinfo->flinfo->fn_mcxt, sizeof(SlSite));
		site->context = AllocSetContextCreate(fcinfo->flinfo->fn_mcxt,
											  "sessionlen predict", ALLOCSET_SMALL_SIZES);
		fcinfo->flinfo->fn_extra = site;
	}
	open_site(site, model);
	return site;
}

/* The attribute of the row type that has this name, from 1. */
static int
find_column(const SlSite *site, const char *name, SlValueReader *reader)
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
map_row_type(SlSite *site, HeapTupleHeader row)
{
	const SlInputs *inputs = site->model->inputs;
	Oid type = HeapTupleHeaderGetTypeId(row);
	int32 typmod = HeapTupleHeaderGetTypMod(row);
	TupleDesc desc;
	MemoryContext old;

	if (type == site->row_type && typmod == site->row_typmod)
		return;
	site->row_type = InvalidOid; /* until all columns are found */
	if (site->desc != NULL)
	{
		FreeTupleDesc(site->desc);
		pfree(site->value);
		pfree(site->isnull);
	}
	site->desc = NULL;
	old = MemoryContextSwitchTo(site->context);
	desc = lookup_rowtype_tupdesc_copy(type, typmod);
	site->value = palloc(sizeof(Datum) * Max(desc->natts, 1));
	site->isnull = palloc(sizeof(bool) * Max(desc->natts, 1));
	site->desc = desc;
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

int
sl_site_network(SlSite *site, HeapTupleHeader row)
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

SlSeat *
sl_site_seat(SlSite *site, int network)
{
	SlSeat *seat = &site->seat[network];
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

void
sl_site_cells(SlSite *site, const SlSeat *seat, HeapTupleHeader row, SlCellValue *cell)
{
	const SlInputs *inputs = seat->model->inputs;
	HeapTupleData tuple = tuple_of(row);

	map_row_type(site, row);
	heap_deform_tuple(&tuple, site->desc, site->value, site->isnull);
	for (int i = 0; i < inputs->count; i++)
	{
		int at = site->attribute[i] - 1;

		cell[i] = sl_input_cell(&inputs->input[i], &site->reader[i], site->value[at],
								site->isnull[at]);
	}
}

bool
sl_site_is_null(SlSite *site, HeapTupleHeader row, int input)
{
	HeapTupleData tuple = tuple_of(row);
	bool isnull;

	map_row_type(site, row);
	(void) heap_getattr(&tuple, site->attribute[input], site->desc, &isnull);
	return isnull;
}

Datum *
sl_site_rows(ArrayType *array, int *rows)
{
	Datum *row;
	bool *isnull;

	if (!type_is_rowtype(ARR_ELEMTYPE(array)))
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("rows must be an array of rows"),
				 errdetail("It is an array of %s.", format_type_be(ARR_ELEMTYPE(array))),
				 errhint("For example array_agg(s ORDER BY ...) for FROM ... AS s.")));
	deconstruct_array(array, ARR_ELEMTYPE(array), -1, false, TYPALIGN_DOUBLE, &row,
					  &isnull, rows);
	for (int i = 0; i < *rows; i++)
		if (isnull[i])
			ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
							errmsg("rows must not hold NULL")));
	return row;
}
