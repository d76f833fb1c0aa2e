/*
 * predict_sql.c: predict(), a window function, and predict_sequence(), the same for an
 * array of rows.
 *
 * Without a horizon predict() carries the recurrent state down the partition.  With one
 * it reads the partition's last rows at its first call, runs the network once, and hands
 * the predictions out row by row.
 */
#include "postgres.h"

#include <math.h>

#include "miscadmin.h"
#include "utils/array.h"
#include "utils/memutils.h"
#include "windowapi.h"

#include "predict/site.h"
#include "predict/whole.h"
#include "sessionlen.h"
#include "train/sequence.h"

PG_FUNCTION_INFO_V1(sl_predict_row);
PG_FUNCTION_INFO_V1(sl_predict_sequence);

static SlSite *
get_site(FunctionCallInfo fcinfo, text *model)
{
	SlSite *site = sl_site_get(fcinfo, model);

	sl_runner_check(site->model);
	return site;
}

/*
 * The row as the network's inputs, x and row_code.  Observed inputs take what the row
 * before had, kept in earlier[], and leave this row's values there.
 */
static void
read_row(SlSite *site, const SlSeat *seat, HeapTupleHeader row, SlCellValue *earlier,
		 bool fresh, float *x, int32 *row_code)
{
	const SlInputs *inputs = seat->model->inputs;

	sl_site_cells(site, seat, row, site->cell);
	sl_sequence_next(&seat->model->options, inputs, fresh, site->cell, earlier);
	sl_inputs_apply(inputs, site->cell, x, row_code);
}

/* ---- row by row ---- */

/* In partition-local memory.  Without a horizon earlier cells come after it, and then the
 * state. */
typedef struct Carried
{
	bool taken; /* by the model of this id: its size is that model's */
	bool running;
	int network; /* that serves this partition */
	pg_uuid_t id;
	int64 first;		/* with a horizon: of the rows that are predicted */
	double *prediction; /* of that row and all after it, NaN where there is none */
} Carried;

#define CARRIED_CELLS(c) ((SlCellValue *) ((char *) (c) + MAXALIGN(sizeof(Carried))))

static void
check_same_model(Carried *carried, const SlModel *model)
{
	if (!carried->taken)
		carried->id = model->id;
	else if (memcmp(&carried->id, &model->id, sizeof(pg_uuid_t)) != 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("model must be the same in a whole partition"),
						errdetail("It changes to \"%s\".", model->model),
						errhint("Add the model's name to the window's PARTITION BY.")));
	carried->taken = true;
}

static Datum
predict_by_row(FunctionCallInfo fcinfo, WindowObject window, SlSite *site)
{
	int inputs = site->model->inputs->count;
	Carried *carried = WinGetPartitionLocalMemory(
		window, MAXALIGN(sizeof(Carried)) + sizeof(SlCellValue) * inputs +
					sizeof(float) * site->state);
	SlCellValue *earlier = CARRIED_CELLS(carried);
	float *state = (float *) (earlier + inputs);
	bool fresh;
	bool isnull;
	Datum row;
	SlSeat *seat;

	check_same_model(carried, site->model);
	fresh = !carried->running;
	row = WinGetFuncArgCurrent(window, 1, &isnull);
	if (isnull)
		PG_RETURN_NULL();
	if (fresh)
		carried->network = sl_site_network(site, DatumGetHeapTupleHeader(row));
	carried->running = true;
	seat = sl_site_seat(site, carried->network);
	read_row(site, seat, DatumGetHeapTupleHeader(row), earlier, fresh, seat->x,
			 seat->row_code);
	sl_runner_rows(seat->runner, 1, seat->x, seat->code, state, fresh, seat->out);
	PG_RETURN_FLOAT8(sl_runner_predict(seat->model, seat->out, NULL));
}

/* ---- the partition whole ---- */

/* The last rows of a partition that are not NULL, at most as many as the model uses. */
typedef struct Tail
{
	SlSeat *seat;
	int used;
	int64 *row;		   /* [used], numbers in the partition */
	SlCellValue *cell; /* [used x inputs] */
} Tail;

/* Reads rows from the partition's end up; what a row takes is given back before the next,
 * since all of this is one call. */
static Tail
read_tail(WindowObject window, SlSite *site)
{
	int64 rows = WinGetPartitionRowCount(window);
	int inputs = site->model->inputs->count;
	int room = (int) Min(rows, site->model->options.sequence_length);
	MemoryContext scratch = AllocSetContextCreate(
		CurrentMemoryContext, "sessionlen partition", ALLOCSET_DEFAULT_SIZES);
	Tail tail = {.row = palloc(sizeof(int64) * room),
				 .cell = palloc_extended(sizeof(SlCellValue) * room * Max(inputs, 1),
										 MCXT_ALLOC_HUGE)};

	for (int64 i = rows - 1; i >= 0 && tail.used < room; i--)
	{
		MemoryContext old = MemoryContextSwitchTo(scratch);
		bool isnull;
		bool isout;
		Datum row;

		CHECK_FOR_INTERRUPTS();
		row = WinGetFuncArgInPartition(window, 1, (int) (i - (rows - 1)),
									   WINDOW_SEEK_TAIL, false, &isnull, &isout);
		if (!isnull && !isout)
		{
			HeapTupleHeader header = DatumGetHeapTupleHeader(row);

			if (tail.used == 0)
				tail.seat = sl_site_seat(site, sl_site_network(site, header));
			tail.used++;
			tail.row[room - tail.used] = i;
			sl_site_cells(site, tail.seat, header,
						  tail.cell + (Size) (room - tail.used) * inputs);
		}
		MemoryContextSwitchTo(old);
		MemoryContextReset(scratch);
	}
	MemoryContextDelete(scratch);
	tail.row += room - tail.used;
	tail.cell += (Size) (room - tail.used) * inputs;
	return tail;
}

/* Predicts the partition's rows from the first one to be predicted on. */
static void
predict_partition(WindowObject window, SlSite *site, Carried *carried)
{
	MemoryContext kept = GetMemoryChunkContext(carried); /* the partition's */
	MemoryContext context = AllocSetContextCreate(
		CurrentMemoryContext, "sessionlen sequence", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	Tail tail = read_tail(window, site);
	int64 rows = WinGetPartitionRowCount(window);
	SlWhole whole;

	carried->first = rows;
	if (tail.used > 0)
	{
		whole = sl_whole_enter(tail.seat->model, tail.used, -1, tail.cell);
		sl_whole_run(tail.seat->runner, &whole);
		carried->first = tail.row[whole.past];
		carried->prediction =
			MemoryContextAllocHuge(kept, sizeof(double) * (Size) (rows - carried->first));
		for (int64 i = carried->first; i < rows; i++)
			carried->prediction[i - carried->first] = NAN;
		for (int i = whole.past; i < whole.rows; i++)
			carried->prediction[tail.row[i] - carried->first] = sl_runner_predict(
				tail.seat->model,
				whole.out + (Size) i * tail.seat->model->net.spec.outputs, NULL);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

static Datum
predict_whole(FunctionCallInfo fcinfo, WindowObject window, SlSite *site)
{
	Carried *carried = WinGetPartitionLocalMemory(window, MAXALIGN(sizeof(Carried)));
	int64 row = WinGetCurrentPosition(window);
	double prediction = NAN;

	check_same_model(carried, site->model);
	if (!carried->running)
		predict_partition(window, site, carried);
	carried->running = true;
	WinSetMarkPosition(window, row); /* no row before this one is asked for again */
	if (row >= carried->first)
		prediction = carried->prediction[row - carried->first];
	if (isnan(prediction))
		PG_RETURN_NULL();
	PG_RETURN_FLOAT8(prediction);
}

Datum
sl_predict_row(PG_FUNCTION_ARGS)
{
	WindowObject window = PG_WINDOW_OBJECT();
	bool isnull;
	Datum model = WinGetFuncArgCurrent(window, 0, &isnull);
	SlSite *site;

	if (isnull)
		PG_RETURN_NULL();
	site = get_site(fcinfo, DatumGetTextPP(model));
	if (sl_runner_is_whole(site->model))
		return predict_whole(fcinfo, window, site);
	WinSetMarkPosition(window, WinGetCurrentPosition(window));
	return predict_by_row(fcinfo, window, site);
}

/* ---- an array of rows ---- */

/* Rows of the array into x and code. */
static void
read_rows(SlSite *site, SlSeat *seat, Datum *row, int rows, float *x, int32 **code)
{
	const SlInputs *inputs = seat->model->inputs;
	SlCellValue *earlier = palloc(sizeof(SlCellValue) * Max(inputs->count, 1));

	for (int i = 0; i < rows; i++)
	{
		read_row(site, seat, DatumGetHeapTupleHeader(row[i]), earlier, i == 0,
				 x + (Size) i * inputs->width, seat->row_code);
		for (int e = 0; e < inputs->embeddings; e++)
			code[e][i] = seat->row_code[e];
	}
}

static double
predict_carried(SlSite *site, SlSeat *seat, Datum *row, int rows)
{
	const SlModel *m = seat->model;
	int32 *code[SL_MAX_EMBEDDINGS];
	float *x;
	float *out;
	float *state;

	sl_whole_check_memory(m, rows);
	x = palloc_extended(sizeof(float) * (Size) rows * Max(m->inputs->width, 1),
						MCXT_ALLOC_HUGE);
	for (int e = 0; e < m->inputs->embeddings; e++)
		code[e] = palloc_extended(sizeof(int32) * (Size) rows, MCXT_ALLOC_HUGE);
	out = palloc_extended(sizeof(float) * (Size) rows * m->net.spec.outputs,
						  MCXT_ALLOC_HUGE);
	state = palloc0(sizeof(float) * Max(m->net.state, 1));
	read_rows(site, seat, row, rows, x, code);
	sl_runner_rows(seat->runner, rows, x, code, state, true, out);
	return sl_runner_predict(m, out + (Size) (rows - 1) * m->net.spec.outputs, NULL);
}

/* The last row is always one to be predicted. */
static double
predict_last(SlSite *site, SlSeat *seat, Datum *row, int rows)
{
	const SlModel *m = seat->model;
	int skipped = sl_sequence_skipped(&m->options, rows);
	int used = rows - skipped;
	SlCellValue *cell = palloc_extended(
		sizeof(SlCellValue) * (Size) used * Max(m->inputs->count, 1), MCXT_ALLOC_HUGE);
	SlWhole whole;

	for (int i = 0; i < used; i++)
		sl_site_cells(site, seat, DatumGetHeapTupleHeader(row[skipped + i]),
					  cell + (Size) i * m->inputs->count);
	whole = sl_whole_enter(m, used, -1, cell);
	sl_whole_run(seat->runner, &whole);
	return sl_runner_predict(m, whole.out + (Size) (used - 1) * m->net.spec.outputs,
							 NULL);
}

Datum
sl_predict_sequence(PG_FUNCTION_ARGS)
{
	SlSite *site = get_site(fcinfo, PG_GETARG_TEXT_PP(0));
	int rows;
	Datum *row = sl_site_rows(PG_GETARG_ARRAYTYPE_P(1), &rows);
	SlSeat *seat;

	if (rows == 0)
		PG_RETURN_NULL();
	seat = sl_site_seat(site, sl_site_network(site, DatumGetHeapTupleHeader(row[0])));
	PG_RETURN_FLOAT8(sl_runner_is_whole(site->model)
						 ? predict_last(site, seat, row, rows)
						 : predict_carried(site, seat, row, rows));
}
