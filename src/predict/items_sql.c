/*
 * items_sql.c: predict_items(): what comes after the rows of one sequence.
 *
 * Rows that have an item are the past.  Rows without one, after them, are rows to come:
 * what they say of known columns is used.  Of rows to come that are not given, static
 * columns are as in the first row, and nothing else is known.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "predict/decode.h"
#include "predict/site.h"
#include "predict/whole.h"
#include "train/sequence.h"

PG_FUNCTION_INFO_V1(sl_predict_items);

#define MAX_STEPS 1000
#define MAX_BEAM 10000

/* A sequence's rows: those given, and those to come. */
typedef struct Rows
{
	int past;
	int rows;
	SlCellValue *cell; /* [rows x inputs] */
} Rows;

/* How many rows have an item; none may follow one that has none. */
static int
count_past(SlSite *site, Datum *row, int rows, int item)
{
	int past = 0;

	while (past < rows &&
		   !sl_site_is_null(site, DatumGetHeapTupleHeader(row[past]), item))
		past++;
	for (int i = past; i < rows; i++)
		if (!sl_site_is_null(site, DatumGetHeapTupleHeader(row[i]), item))
			ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
							errmsg("the item of row %d is NULL, that of row %d is not",
								   past + 1, i + 1),
							errdetail("The first row without an item ends the past."),
							errhint("Leave out rows whose item is not known.")));
	return past;
}

static Rows
read_rows(SlSite *site, const SlSeat *seat, Datum *row, int given, int steps)
{
	const SlModel *model = seat->model;
	const SlInputs *inputs = model->inputs;
	int past = count_past(site, row, given, sl_inputs_find(inputs, SL_ROLE_ITEM));
	int skipped = sl_sequence_skipped(&model->options, past + steps);
	Rows r = {.past = past - skipped, .rows = past - skipped + steps};

	sl_whole_check_memory(model, r.rows);
	r.cell = palloc_extended(sizeof(SlCellValue) * (Size) r.rows * Max(inputs->count, 1),
							 MCXT_ALLOC_HUGE);
	for (int i = 0; i < r.rows; i++)
	{
		SlCellValue *cell = r.cell + (Size) i * inputs->count;

		CHECK_FOR_INTERRUPTS();
		if (skipped + i < given)
		{
			sl_site_cells(site, seat, DatumGetHeapTupleHeader(row[skipped + i]), cell);
			continue;
		}
		for (int c = 0; c < inputs->count; c++)
			cell[c] = inputs->input[c].role == SL_ROLE_STATIC && i > 0
						  ? r.cell[c]
						  : sl_input_missing(&inputs->input[c]);
	}
	return r;
}

/* Own values become what enters the network. */
static void
enter(const SlModel *model, const Rows *r)
{
	const SlInputs *inputs = model->inputs;
	SlCellValue *earlier = palloc(sizeof(SlCellValue) * Max(inputs->count, 1));

	if (sl_runner_is_whole(model))
		sl_sequence_enter(&model->options, inputs, r->rows, r->past, r->cell);
	else
		for (int i = 0; i < r->rows; i++)
			sl_sequence_next(&model->options, inputs, i == 0,
							 r->cell + (Size) i * inputs->count, earlier);
}

static SlDecoded
decode(SlSite *site, Datum *row, int given, int width, int steps)
{
	SlSeat *seat = sl_site_seat(
		site, given == 0 ? 0 : sl_site_network(site, DatumGetHeapTupleHeader(row[0])));
	const SlModel *model = seat->model;
	const SlInputs *inputs = model->inputs;
	Rows r = read_rows(site, seat, row, given, steps);
	SlDecode d = {.model = model,
				  .runner = seat->runner,
				  .ranker = sl_ranker_create(model),
				  .past = r.past,
				  .steps = steps,
				  .width = width};
	float *x = palloc_extended(sizeof(float) * (Size) r.rows * Max(inputs->width, 1),
							   MCXT_ALLOC_HUGE);
	int32 row_code[SL_MAX_EMBEDDINGS];

	enter(model, &r);
	for (int e = 0; e < inputs->embeddings; e++)
		d.code[e] = palloc_extended(sizeof(int32) * (Size) r.rows, MCXT_ALLOC_HUGE);
	for (int i = 0; i < r.rows; i++)
	{
		sl_inputs_apply(inputs, r.cell + (Size) i * inputs->count,
						x + (Size) i * inputs->width, row_code);
		for (int e = 0; e < inputs->embeddings; e++)
			d.code[e][i] = row_code[e];
	}
	d.x = x;
	return sl_decode(&d);
}

static int
count_argument(FunctionCallInfo fcinfo, int number, const char *name, int max)
{
	int value = PG_GETARG_INT32(number);

	if (value < 1 || value > max)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("%s must be between 1 and %d", name, max),
						errdetail("It is %d.", value)));
	return value;
}

static Datum
item_array(const SlModel *model, const int32 *item, int steps)
{
	const SlVocabulary *items = sl_inputs_items(model->inputs);
	Datum *text = palloc(sizeof(Datum) * steps);

	for (int s = 0; s < steps; s++)
		text[s] = CStringGetTextDatum(sl_vocabulary_text(items, item[s] + 1));
	return PointerGetDatum(
		construct_array(text, steps, TEXTOID, -1, false, TYPALIGN_INT));
}

Datum
sl_predict_items(PG_FUNCTION_ARGS)
{
	int n = count_argument(fcinfo, 2, "n", PG_INT32_MAX);
	int beam = count_argument(fcinfo, 3, "beam", MAX_BEAM);
	int steps = count_argument(fcinfo, 4, "steps", MAX_STEPS);
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	SlSite *site;
	Datum *row;
	int given;
	int width;
	SlDecoded decoded;

	InitMaterializedSRF(fcinfo, 0);
	site = sl_site_get(fcinfo, PG_GETARG_TEXT_PP(0));
	sl_ranker_check(site->model, "predict_items");
	if (sl_runner_is_whole(site->model) && steps >= site->model->options.sequence_length)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("steps must be below the model's sequence_length"),
						errdetail("They are %d and %d.", steps,
								  site->model->options.sequence_length)));
	row = sl_site_rows(PG_GETARG_ARRAYTYPE_P(1), &given);
	/* one item ahead there is nothing to search */
	width = steps == 1 ? Min(n, sl_ranker_items(site->model)) : Max(n, beam);
	decoded = decode(site, row, given, width, steps);
	for (int i = 0; i < Min(decoded.count, n); i++)
	{
		Datum values[3];
		bool nulls[3] = {false};

		CHECK_FOR_INTERRUPTS();
		values[0] = Int32GetDatum(i + 1);
		values[1] = item_array(site->model, decoded.item + (Size) i * steps, steps);
		values[2] = Float8GetDatum(
			sl_ranker_probability(site->model, decoded.log_probability[i]));
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
}
