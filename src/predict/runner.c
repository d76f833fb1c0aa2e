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
	SlArena arena;
	char *memory; /* the arena, unaligned */
	int size[STEPS];
	int offset[STEPS + 1];
	/* a group in packed order, allocated when first needed */
	float *x;
	int32 *code[SL_MAX_EMBEDDINGS];
	float *state[2];
};

bool
sl_runner_carries(const SlModel *model)
{
	return model->options.sequence_length > 1 && model->net.state > 0;
}

void
sl_runner_check(const SlModel *model)
{
	if (model->options.horizon != 0 || model->options.task == SL_TASK_NEXT_ITEMS)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("model \"%s\" does not predict row by row", model->model),
						errdetail("Its task is %s, its horizon is not 0.",
								  sl_task_name(model->options.task))));
}

SlRunner *
sl_runner_create(const SlModel *model)
{
	SlRunner *runner = palloc0(sizeof(SlRunner));

	runner->model = model;
	runner->context = CurrentMemoryContext;
	return runner;
}

static SlTensor *
forward(SlRunner *runner, SlArena *arena, const SlBatch *batch, SlStatus *status)
{
	const SlNet *net = &runner->model->net;
	SlTape tape = {.arena = arena, .params = &net->params, .value = runner->model->value};
	SlTensor *out = net->spec.arch->forward(net, &tape, batch);

	*status = tape.status;
	return out;
}

/* One forward pass; the arena grows to what the batch counts. */
static const float *
run(SlRunner *runner, const SlBatch *batch)
{
	SlStatus status;
	SlTensor *out;

	runner->arena.used = 0;
	if (runner->arena.base != NULL)
	{
		out = forward(runner, &runner->arena, batch, &status);
		if (status == SL_OK)
			return out->data;
	}
	else
		status = SL_NO_MEMORY;
	if (status == SL_NO_MEMORY)
	{
		SlArena count = {NULL, SIZE_MAX, 0};
		Size bytes;

		forward(runner, &count, batch, &status);
		if (count.used > (Size) sl_memory_limit * 1024)
			ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY),
							errmsg("predicting with model \"%s\" needs more than "
								   "sessionlen.memory_limit",
								   runner->model->model),
							errdetail("Its network is too large for %d rows at a time.",
									  batch->pack->rows),
							errhint("Raise sessionlen.memory_limit.")));
		bytes = count.used;
		if (runner->memory)
			pfree(runner->memory);
		runner->memory = MemoryContextAllocHuge(runner->context, bytes + SL_ALIGN);
		runner->arena = (SlArena){(char *) TYPEALIGN(SL_ALIGN, runner->memory), bytes, 0};
		out = forward(runner, &runner->arena, batch, &status);
		if (status == SL_OK)
			return out->data;
	}
	elog(ERROR, "prediction failed with status %d", (int) status);
}

void
sl_runner_rows(SlRunner *runner, int rows, const float *x, int32 *const *code,
			   float *state, bool fresh, float *out)
{
	const SlNetSpec *spec = &runner->model->net.spec;
	bool carries = sl_runner_carries(runner->model);
	uint64_t key = 0;

	for (int from = 0; from < rows;)
	{
		int steps = carries ? Min(rows - from, STEPS) : 1;
		const int32_t *chunk[SL_MAX_EMBEDDINGS];
		SlPack pack = {1, steps, steps, runner->size, runner->offset};
		SlBatch batch = {.pack = &pack,
						 .x = x + (Size) from * spec->inputs,
						 .code = chunk,
						 .row_key = &key,
						 .seq_key = &key,
						 .state_in = fresh || !carries ? NULL : state,
						 .state_out = carries ? state : NULL};

		CHECK_FOR_INTERRUPTS();
		for (int e = 0; e < spec->embeddings; e++)
			chunk[e] = code[e] + from;
		runner->offset[0] = 0;
		for (int t = 0; t < steps; t++)
		{
			runner->size[t] = 1;
			runner->offset[t + 1] = t + 1;
		}
		memcpy(out + (Size) from * spec->outputs, run(runner, &batch),
			   sizeof(float) * steps * spec->outputs);
		from += steps;
		fresh = false;
	}
}

/* ---- many sequences ---- */

static void *
room(SlRunner *runner, Size count, Size width)
{
	return MemoryContextAllocHuge(runner->context, Max(count, 1) * width);
}

static void
prepare_group(SlRunner *runner)
{
	const SlNet *net = &runner->model->net;

	if (runner->x != NULL)
		return;
	runner->x = room(runner, (Size) GROUP * STEPS * net->spec.inputs, sizeof(float));
	for (int e = 0; e < net->spec.embeddings; e++)
		runner->code[e] = room(runner, (Size) GROUP * STEPS, sizeof(int32));
	for (int i = 0; i < 2; i++)
		runner->state[i] = room(runner, (Size) GROUP * net->state, sizeof(float));
}

typedef struct Length
{
	int sequence;
	int first;
	int rows;
} Length;

static int
longest_first(const void *a, const void *b)
{
	const Length *x = a;
	const Length *y = b;

	if (x->rows != y->rows)
		return x->rows > y->rows ? -1 : 1;
	return x->sequence - y->sequence;
}

/* Steps from .. from + STEPS - 1 of a group's sequences, longest first; returns how many
 * of them have such steps. */
static int
run_steps(SlRunner *runner, const Length *group, int count, int from, const float *x,
		  int32 *const *code, float *out)
{
	const SlNetSpec *spec = &runner->model->net.spec;
	bool carries = sl_runner_carries(runner->model);
	static const uint64_t no_key[GROUP * STEPS];
	int going = 0;
	int row = 0;
	int t;
	SlPack pack;
	SlBatch batch;
	const float *raw;

	while (going < count && group[going].rows > from)
		going++;
	if (going == 0)
		return 0;
	for (t = 0; t < STEPS && group[0].rows > from + t; t++)
	{
		int n = 0;

		runner->offset[t] = row;
		for (; n < going && group[n].rows > from + t; n++, row++)
		{
			int at = group[n].first + from + t;

			memcpy(runner->x + (Size) row * spec->inputs, x + (Size) at * spec->inputs,
				   sizeof(float) * spec->inputs);
			for (int e = 0; e < spec->embeddings; e++)
				runner->code[e][row] = code[e][at];
		}
		runner->size[t] = n;
	}
	runner->offset[t] = row;
	pack = (SlPack){going, t, row, runner->size, runner->offset};
	batch = (SlBatch){.pack = &pack,
					  .x = runner->x,
					  .code = (const int32_t *const *) runner->code,
					  .row_key = no_key,
					  .seq_key = no_key,
					  .state_in = from > 0 && carries ? runner->state[0] : NULL,
					  .state_out = carries ? runner->state[1] : NULL};
	raw = run(runner, &batch);
	for (int s = 0; s < t; s++)
		for (int n = 0; n < runner->size[s]; n++)
			memcpy(out + (Size) (group[n].first + from + s) * spec->outputs,
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

/* A model without a state sees rows, not sequences: any rows go side by side. */
static void
run_single_rows(SlRunner *runner, int rows, const float *x, int32 *const *code,
				float *out)
{
	Length group[GROUP];

	for (int from = 0; from < rows; from += GROUP)
	{
		int n = Min(rows - from, GROUP);

		CHECK_FOR_INTERRUPTS();
		for (int i = 0; i < n; i++)
			group[i] = (Length){i, from + i, 1};
		run_steps(runner, group, n, 0, x, code, out);
	}
}

void
sl_runner_sequences(SlRunner *runner, int sequences, const int *start, const float *x,
					int32 *const *code, float *out)
{
	Length *order;

	prepare_group(runner);
	if (!sl_runner_carries(runner->model))
	{
		run_single_rows(runner, start[sequences], x, code, out);
		return;
	}
	order = palloc_extended(sizeof(Length) * Max(sequences, 1), MCXT_ALLOC_HUGE);
	for (int s = 0; s < sequences; s++)
		order[s] = (Length){s, start[s], start[s + 1] - start[s]};
	qsort(order, sequences, sizeof(Length), longest_first);
	for (int g = 0; g < sequences; g += GROUP)
		for (int from = 0;; from += STEPS)
		{
			CHECK_FOR_INTERRUPTS();
			if (run_steps(runner, order + g, Min(GROUP, sequences - g), from, x, code,
						  out) == 0)
				break;
		}
	pfree(order);
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
