#include "postgres.h"

#include <math.h>

#include "miscadmin.h"
#include "utils/memutils.h"

#include "predict/runner.h"
#include "sessionlen.h"

#define GROUP 256 /* sequences run side by side */
#define STEPS 32  /* time steps of a pass; the state goes on to the next */

struct SlRunner
{
	const SlModel *model;
	MemoryContext context;
	Size limit;			   /* of memory for a pass */
	void (*stopped)(void); /* NULL: only an interrupt stops a pass */
	SlTape tape;		   /* too large to be cleared for every pass */
	SlArena arena;
	char *memory; /* the arena, unaligned */
	int fit_rows; /* of the last pass, for which the arena was large enough */
	int fit_sequences;
	int steps; /* room in size and offset */
	int *size;
	int *offset;
	int rows; /* room for a group in packed order; so have the next */
	float *x;
	int32 *code[SL_MAX_EMBEDDINGS];
	uint8 *future;
	uint64_t *key;	 /* zeros */
	float *state[2]; /* of a group */
};

bool
sl_runner_carries(const SlModel *model)
{
	return model->options.sequence_length > 1 && model->net.state > 0;
}

void
sl_runner_check(const SlModel *model)
{
	if (model->options.task == SL_TASK_NEXT_ITEMS)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("model \"%s\" predicts items", model->model),
				 errdetail("Its prediction of a row is not one number."),
				 errhint("Use predict_items() for what comes next, item_predictions() or "
						 "evaluate() for how good it is.")));
}

static bool
should_stop(void *arg)
{
	return QueryCancelPending || ProcDiePending;
}

void
sl_runner_pack(SlModel *model)
{
	SlArena arena = {NULL, SIZE_MAX, 0};

	(void) sl_params_pack(&model->net.params, model->value, &arena);
	if (arena.used == SIZE_MAX)
		return;
	arena.size = arena.used;
	arena.used = 0;
	arena.base = (char *) TYPEALIGN(
		SL_ALIGN, MemoryContextAllocHuge(CurrentMemoryContext, arena.size + SL_ALIGN));
	model->packed = sl_params_pack(&model->net.params, model->value, &arena);
}

SlRunner *
sl_runner_create(const SlModel *model)
{
	SlRunner *runner = palloc0(sizeof(SlRunner));

	runner->model = model;
	runner->context = CurrentMemoryContext;
	runner->limit = (Size) sl_memory_limit * 1024;
	runner->tape.params = &model->net.params;
	runner->tape.value = model->value;
	runner->tape.packed = model->packed;
	runner->tape.should_stop = should_stop;
	return runner;
}

void
sl_runner_serve(SlRunner *runner, Size limit, bool (*stop)(void *arg), void *arg,
				void (*stopped)(void))
{
	runner->limit = limit;
	runner->tape.should_stop = stop;
	runner->tape.stop_arg = arg;
	runner->stopped = stopped;
}

static void *
room(SlRunner *runner, void *old, Size count, Size width)
{
	if (old != NULL)
		pfree(old);
	return MemoryContextAllocExtended(runner->context, Max(count, 1) * width,
									  MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
}

static void
make_steps(SlRunner *runner, int steps)
{
	if (steps <= runner->steps)
		return;
	runner->steps = 0;
	runner->size = room(runner, runner->size, steps, sizeof(int));
	runner->offset = room(runner, runner->offset, (Size) steps + 1, sizeof(int));
	runner->steps = steps;
}

/* Room for rows in packed order.  Old memory goes first: it is not needed any more. */
static void
make_rows(SlRunner *runner, int rows)
{
	const SlNetSpec *spec = &runner->model->net.spec;

	if (rows <= runner->rows)
		return;
	runner->rows = 0;
	runner->x = room(runner, runner->x, (Size) rows * spec->inputs, sizeof(float));
	for (int e = 0; e < spec->embeddings; e++)
		runner->code[e] = room(runner, runner->code[e], rows, sizeof(int32));
	runner->future = room(runner, runner->future, rows, sizeof(uint8));
	runner->key = room(runner, runner->key, rows, sizeof(uint64_t));
	runner->rows = rows;
}

/* ---- one pass ---- */

static SlTensor *
forward(SlRunner *runner, SlArena *arena, const SlBatch *batch, SlStatus *status)
{
	const SlNet *net = &runner->model->net;
	SlTape *tape = &runner->tape;
	SlTensor *out;

	tape->arena = arena;
	tape->status = SL_OK;
	tape->counted = 0;
	out = net->spec.arch->forward(net, tape, batch);
	*status = tape->status;
	if (*status == SL_STOPPED)
	{
		CHECK_FOR_INTERRUPTS();
		if (runner->stopped != NULL)
			runner->stopped();
	}
	return out;
}

/* Makes the arena as large as the batch counts. */
static void
make_arena(SlRunner *runner, const SlBatch *batch)
{
	SlArena count = {NULL, SIZE_MAX, 0};
	SlStatus status;

	forward(runner, &count, batch, &status);
	if (count.used > runner->limit)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY),
						errmsg("predicting with model \"%s\" needs more than "
							   "sessionlen.memory_limit",
							   runner->model->model),
						errdetail("Its network is too large for %d rows at a time.",
								  batch->pack->rows),
						errhint("Raise sessionlen.memory_limit.")));
	if (runner->arena.base != NULL && count.used <= runner->arena.size)
		return;
	if (runner->memory)
		pfree(runner->memory);
	runner->memory = NULL;
	runner->arena.base = NULL;
	runner->memory =
		MemoryContextAllocHuge(runner->context, (Size) count.used + SL_ALIGN);
	runner->arena =
		(SlArena){(char *) TYPEALIGN(SL_ALIGN, runner->memory), count.used, 0};
}

/* Whether a pass may be tried without asking what memory it needs: one that writes its
 * state over the one it starts from could not begin again. */
static bool
may_try(const SlRunner *runner, const SlBatch *batch)
{
	bool in_place = batch->state_in != NULL && batch->state_in == batch->state_out;

	return runner->arena.base != NULL &&
		   (!in_place || (batch->pack->rows == runner->fit_rows &&
						  batch->pack->batch == runner->fit_sequences));
}

/* One forward pass; the arena grows to what the batch counts. */
static const float *
run(SlRunner *runner, const SlBatch *batch)
{
	SlStatus status = SL_NO_MEMORY;
	SlTensor *out = NULL;

	runner->arena.used = 0;
	if (may_try(runner, batch))
		out = forward(runner, &runner->arena, batch, &status);
	if (status == SL_NO_MEMORY)
	{
		make_arena(runner, batch);
		runner->arena.used = 0;
		out = forward(runner, &runner->arena, batch, &status);
	}
	if (status != SL_OK)
		elog(ERROR, "prediction failed with status %d", (int) status);
	runner->fit_rows = batch->pack->rows;
	runner->fit_sequences = batch->pack->batch;
	return out->data;
}

/* ---- one sequence ---- */

/* Rows of one sequence in one pass.  state_in and state_out may be NULL, and the same. */
static void
run_one(SlRunner *runner, int rows, const float *x, int32 *const *code,
		const uint8 *future, const float *state_in, float *state_out, float *out)
{
	const SlNetSpec *spec = &runner->model->net.spec;
	uint64_t *key;
	SlPack pack;
	SlBatch batch;

	make_steps(runner, rows);
	make_rows(runner, rows); /* for the keys */
	key = runner->key;
	for (int t = 0; t < rows; t++)
	{
		runner->size[t] = 1;
		runner->offset[t] = t;
	}
	runner->offset[rows] = rows;
	pack = (SlPack){1, rows, rows, runner->size, runner->offset};
	batch = (SlBatch){.pack = &pack,
					  .x = x,
					  .code = (const int32_t *const *) code,
					  .row_key = key,
					  .seq_key = key,
					  .state_in = state_in,
					  .state_out = state_out,
					  .future = future};
	memcpy(out, run(runner, &batch), sizeof(float) * (Size) rows * spec->outputs);
}

void
sl_runner_rows(SlRunner *runner, int rows, const float *x, int32 *const *code,
			   float *state, bool fresh, float *out)
{
	const SlNetSpec *spec = &runner->model->net.spec;
	bool carries = sl_runner_carries(runner->model);

	for (int from = 0; from < rows;)
	{
		int steps = carries ? Min(rows - from, STEPS) : 1;
		int32 *chunk[SL_MAX_EMBEDDINGS];

		CHECK_FOR_INTERRUPTS();
		for (int e = 0; e < spec->embeddings; e++)
			chunk[e] = code[e] + from;
		run_one(runner, steps, x + (Size) from * spec->inputs, chunk, NULL,
				fresh || !carries ? NULL : state, carries ? state : NULL,
				out + (Size) from * spec->outputs);
		from += steps;
		fresh = false;
	}
}

void
sl_runner_whole(SlRunner *runner, int rows, const float *x, int32 *const *code,
				const uint8 *future, float *state, float *out)
{
	if (future == NULL)
	{
		make_rows(runner, rows);
		memset(runner->future, 0, rows);
		future = runner->future;
	}
	run_one(runner, rows, x, code, future, NULL, state, out);
}

void
sl_runner_step(SlRunner *runner, int sequences, const float *x, int32 *const *code,
			   float *state, bool fresh, float *out)
{
	const SlModel *model = runner->model;
	bool carries = sl_runner_carries(model);
	SlPack pack;
	SlBatch batch;

	make_steps(runner, 1);
	make_rows(runner, sequences);
	runner->size[0] = sequences;
	runner->offset[0] = 0;
	runner->offset[1] = sequences;
	memset(runner->future, 1, sequences);
	pack = (SlPack){sequences, 1, sequences, runner->size, runner->offset};
	batch = (SlBatch){.pack = &pack,
					  .x = x,
					  .code = (const int32_t *const *) code,
					  .row_key = runner->key,
					  .seq_key = runner->key,
					  .state_in = fresh || !carries ? NULL : state,
					  .state_out = carries ? state : NULL,
					  .future = sl_runner_is_whole(model) ? runner->future : NULL};
	memcpy(out, run(runner, &batch),
		   sizeof(float) * (Size) sequences * model->net.spec.outputs);
}

/* ---- many sequences ---- */

/* Whether rows are predicted each by itself: any of them go side by side. */
static bool
is_apart(const SlModel *model)
{
	return !sl_runner_carries(model) && !sl_runner_is_whole(model);
}

static int
longest_first(const void *a, const void *b)
{
	const SlSpan *x = a;
	const SlSpan *y = b;

	if (x->rows != y->rows)
		return x->rows > y->rows ? -1 : 1;
	return x->first - y->first;
}

/* How many of the next sequences go side by side: whole ones as many as there is room
 * for, at least one. */
static int
group_size(const SlModel *model, int sequences, const SlSpan *span)
{
	int count = 0;
	int rows = 0;

	if (!sl_runner_is_whole(model))
		return Min(sequences, GROUP);
	while (count < Min(sequences, GROUP) &&
		   (count == 0 || rows + span[count].rows <= GROUP * STEPS))
		rows += span[count++].rows;
	return count;
}

SlGroups
sl_runner_groups(const SlModel *model, int rows, int sequences, const SlSpan *span)
{
	SlGroups groups = {.spans = sequences};

	if (is_apart(model))
		groups.spans = (rows + GROUP - 1) / GROUP;
	groups.span = palloc_extended(sizeof(SlSpan) * Max(groups.spans, 1), MCXT_ALLOC_HUGE);
	groups.start =
		palloc_extended(sizeof(int) * ((Size) groups.spans + 1), MCXT_ALLOC_HUGE);
	groups.start[0] = 0;
	if (is_apart(model))
	{
		for (int g = 0; g < groups.spans; g++)
		{
			groups.span[g] = (SlSpan){g * GROUP, Min(rows - g * GROUP, GROUP)};
			groups.start[++groups.count] = g + 1;
		}
		return groups;
	}
	memcpy(groups.span, span, sizeof(SlSpan) * sequences);
	qsort(groups.span, sequences, sizeof(SlSpan), longest_first);
	for (int g = 0; g < sequences;)
	{
		g += group_size(model, sequences - g, groups.span + g);
		groups.start[++groups.count] = g;
	}
	return groups;
}

/* Brings so many steps of the first sequences of a group into packed order; returns how
 * many rows that are. */
static int
pack_steps(SlRunner *runner, const SlSpan *span, int going, int from, int steps,
		   const SlRows *rows)
{
	const SlNetSpec *spec = &runner->model->net.spec;
	int row = 0;

	for (int t = 0; t < steps; t++)
	{
		int n = 0;

		runner->offset[t] = row;
		for (; n < going && span[n].rows > from + t; n++, row++)
		{
			int at = span[n].first + from + t;

			memcpy(runner->x + (Size) row * spec->inputs,
				   rows->x + (Size) at * spec->inputs, sizeof(float) * spec->inputs);
			for (int e = 0; e < spec->embeddings; e++)
				runner->code[e][row] = rows->code[e][at];
			if (rows->future)
				runner->future[row] = rows->future[at];
		}
		runner->size[t] = n;
	}
	runner->offset[steps] = row;
	return row;
}

/* Steps from .. from + steps - 1 of a group's sequences, longest first; returns how many
 * of them have such steps. */
static int
run_steps(SlRunner *runner, const SlSpan *span, int count, int from, int steps,
		  const SlRows *rows)
{
	const SlNetSpec *spec = &runner->model->net.spec;
	bool carries = sl_runner_carries(runner->model) && rows->future == NULL;
	int going = 0;
	SlPack pack;
	SlBatch batch;
	const float *raw;

	while (going < count && span[going].rows > from)
		going++;
	if (going == 0)
		return 0;
	steps = Min(steps, span[0].rows - from);
	pack = (SlPack){going, steps, 0, runner->size, runner->offset};
	pack.rows = pack_steps(runner, span, going, from, steps, rows);
	batch = (SlBatch){.pack = &pack,
					  .x = runner->x,
					  .code = (const int32_t *const *) runner->code,
					  .row_key = runner->key,
					  .seq_key = runner->key,
					  .state_in = from > 0 && carries ? runner->state[0] : NULL,
					  .state_out = carries ? runner->state[1] : NULL,
					  .future = rows->future ? runner->future : NULL};
	raw = run(runner, &batch);
	for (int s = 0; s < steps; s++)
		for (int n = 0; n < runner->size[s]; n++)
			memcpy(rows->out + (Size) (span[n].first + from + s) * spec->outputs,
				   raw + (Size) (runner->offset[s] + n) * spec->outputs,
				   sizeof(float) * spec->outputs);
	if (carries)
	{
		float *swap = runner->state[0];

		runner->state[0] = runner->state[1];
		runner->state[1] = swap;
	}
	return going;
}

/* Rows side by side, each a sequence of its own. */
static void
run_apart(SlRunner *runner, const SlSpan *span, const SlRows *rows)
{
	const SlNetSpec *spec = &runner->model->net.spec;
	Size first = span->first;
	int32 *code[SL_MAX_EMBEDDINGS];

	for (int e = 0; e < spec->embeddings; e++)
		code[e] = rows->code[e] + first;
	sl_runner_step(runner, span->rows, rows->x + first * spec->inputs, code, NULL, true,
				   rows->out + first * spec->outputs);
}

void
sl_runner_group(SlRunner *runner, const SlGroups *groups, int group, const SlRows *rows)
{
	const SlSpan *span = groups->span + groups->start[group];
	int count = groups->start[group + 1] - groups->start[group];
	int all = 0;

	CHECK_FOR_INTERRUPTS();
	if (is_apart(runner->model))
	{
		run_apart(runner, span, rows);
		return;
	}
	if (rows->future != NULL)
	{
		for (int s = 0; s < count; s++)
			all += span[s].rows;
		make_steps(runner, span[0].rows);
		make_rows(runner, all);
		run_steps(runner, span, count, 0, span[0].rows, rows);
		return;
	}
	make_steps(runner, STEPS);
	make_rows(runner, GROUP * STEPS);
	for (int i = 0; i < 2 && runner->state[i] == NULL; i++)
		runner->state[i] =
			room(runner, NULL, (Size) GROUP * runner->model->net.state, sizeof(float));
	for (int from = 0; run_steps(runner, span, count, from, STEPS, rows) > 0;
		 from += STEPS)
		CHECK_FOR_INTERRUPTS();
}

Size
sl_runner_group_memory(SlRunner *runner, const SlGroups *groups)
{
	const SlSpan *span = groups->span;
	int count = groups->start[1];
	bool apart = is_apart(runner->model);
	int steps = apart ? 1 : span[0].rows;
	int side = apart ? span[0].rows : count;
	SlArena arena = {NULL, SIZE_MAX, 0};
	SlPack pack;
	SlBatch batch;
	SlStatus status;

	if (!sl_runner_is_whole(runner->model))
		steps = Min(steps, STEPS);
	make_steps(runner, steps);
	for (int t = 0; t < steps; t++)
		runner->size[t] = side;
	pack = (SlPack){side, steps, side * steps, runner->size, runner->offset};
	batch = (SlBatch){.pack = &pack, .code = (const int32_t *const *) runner->code};
	forward(runner, &arena, &batch, &status);
	return status == SL_OK ? arena.used : SIZE_MAX;
}

/* ---- results ---- */

int
sl_runner_quantiles(const SlModel *model)
{
	return model->loss.kind == SL_LOSS_QUANTILE || model->loss.kind == SL_LOSS_WEIBULL
			   ? model->loss.levels
			   : 0;
}

double
sl_runner_predict(const SlModel *model, const float *raw, double *quantiles)
{
	float scaled[SL_MAX_QUANTILES];
	int levels = sl_runner_quantiles(model);
	float p = sl_loss_predict(&model->loss, raw, levels > 0 ? scaled : NULL);

	double prediction = sl_target_inverse(&model->scale, p);
	bool finite = isfinite(prediction);

	for (int i = 0; quantiles != NULL && i < levels; i++)
	{
		quantiles[i] = sl_target_inverse(&model->scale, scaled[i]);
		finite &= isfinite(quantiles[i]);
	}
	if (!finite)
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("a prediction of model \"%s\" is out of range", model->model),
				 errdetail("An input value or a weight is too large.")));
	return prediction;
}
