/*
 * training.h: made-up training sets for tests, and runs of the trainer over them with all
 * that happens recorded.
 */
#ifndef TRAINING_H
#define TRAINING_H

#include "train/trainer.h"

#include "pack.h"
#include "tap.h"

#define MAX_STEPS 2000
#define MAX_EPOCHS 16

/* ---- made-up sets ---- */

typedef struct Case
{
	SlNet net;
	SlTrainSet set;
	SlTrainPlan plan;
	float *initial; /* weights */
	/* what set points to */
	int *start;
	float *x;
	int32_t *code;
	const int32_t *codes[1];
	float *y;
	float *train_weight;
	float *validation_weight;
	uint8_t *censored;
	int *time_order;
} Case;

__attribute__((unused)) static int
below(uint64_t *seed, int n)
{
	return (int) ((pack_random(seed) + 1) / 2 * n) % n;
}

/* Rows of all sequences merged at random. */
__attribute__((unused)) static void
merge_in_time(Case *c, uint64_t *seed)
{
	int *next = malloc(c->set.sequences * sizeof(int));

	memcpy(next, c->start, c->set.sequences * sizeof(int));
	for (int i = 0; i < c->set.rows;)
	{
		int s = below(seed, c->set.sequences);

		if (next[s] < c->start[s + 1])
			c->time_order[i++] = next[s]++;
	}
	free(next);
}

__attribute__((unused)) static void
make_set(Case *c, uint64_t *seed, int sequences, int longest, int inputs)
{
	int rows = 0;

	c->start = calloc(sequences + 1, sizeof(int));
	for (int s = 0; s < sequences; s++)
		c->start[s + 1] = rows += 1 + below(seed, longest);
	c->x = pack_numbers(seed, (size_t) rows * inputs, 1);
	c->y = pack_numbers(seed, rows, 2);
	c->code = malloc(rows * sizeof(int32_t));
	c->train_weight = malloc(rows * sizeof(float));
	c->validation_weight = malloc(rows * sizeof(float));
	c->censored = malloc(rows);
	c->time_order = malloc(rows * sizeof(int));
	for (int i = 0; i < rows; i++)
	{
		int part = below(seed, 4);

		c->code[i] = below(seed, 5);
		c->train_weight[i] = part < 2;
		c->validation_weight[i] = part == 2;
		c->censored[i] = below(seed, 3) == 0;
	}
	c->codes[0] = c->code;
	c->set = (SlTrainSet){.rows = rows,
						  .sequences = sequences,
						  .start = c->start,
						  .inputs = inputs,
						  .x = c->x,
						  .code = c->codes,
						  .y = c->y,
						  .train_weight = c->train_weight,
						  .validation_weight = c->validation_weight,
						  .time_order = c->time_order,
						  .target = {.mean = 10, .scale = 3}};
	merge_in_time(c, seed);
}

__attribute__((unused)) static Case *
case_new(uint64_t seed, const char *arch, int sequences, int longest, int layers,
		 int hidden, float dropout)
{
	Case *c = calloc(1, sizeof(Case));
	SlNetSpec spec = {.arch = sl_arch_find(arch),
					  .inputs = 3,
					  .embeddings = 1,
					  .vocabulary = {5},
					  .embedding_dim = {2},
					  .embedding_name = {"country"},
					  .layers = layers,
					  .outputs = 1,
					  .dropout = dropout,
					  .recurrent_dropout = dropout};

	for (int i = 0; i < layers; i++)
		spec.hidden[i] = hidden - i;
	if (sl_net_define(&c->net, &spec) != SL_OK)
		abort();
	make_set(c, &seed, sequences, longest, spec.inputs);
	c->initial = pack_numbers(&seed, c->net.params.total, 0.5f);
	c->plan = (SlTrainPlan){.batch_size = 4,
							.sequence_length = 3,
							.epochs = 2,
							.seed = 5,
							.loss = {.kind = SL_LOSS_MSE},
							.optimizer = SL_OPTIM_SGD,
							.learning_rate = 0.05f};
	return c;
}

__attribute__((unused)) static void
case_free(Case *c)
{
	free(c->initial);
	free(c->start);
	free(c->x);
	free(c->code);
	free(c->y);
	free(c->train_weight);
	free(c->validation_weight);
	free(c->censored);
	free(c->time_order);
	free(c);
}

/* ---- a run of the trainer, recorded ---- */

typedef struct Run
{
	const Case *c;
	SlTrainState state;
	SlTrainResult result;
	SlStatus status;
	size_t memory;
	int steps;
	float *after[MAX_STEPS]; /* weights after each step */
	int epochs;
	SlEpoch epoch[MAX_EPOCHS];
	float *after_epoch[MAX_EPOCHS];
	/* what the hooks do */
	SlTeam *team;
	double clock;
	double tick;	/* seconds that pass between two questions to should_stop */
	int stop_after; /* steps; 0: never */
	int stop_at;	/* question, from 1; 0: never */
	int asked;
	int asked_since; /* a stop was asked for */
} Run;

__attribute__((unused)) static float *
copy_weights(const Run *run)
{
	size_t bytes = run->c->net.params.total * sizeof(float);

	return memcpy(malloc(bytes), run->state.value, bytes);
}

__attribute__((unused)) static double
on_clock(void *arg)
{
	Run *run = arg;

	return run->clock;
}

__attribute__((unused)) static bool
on_question(void *arg)
{
	Run *run = arg;
	bool stop = (run->stop_after > 0 && run->steps >= run->stop_after) ||
				(run->stop_at > 0 && run->asked + 1 >= run->stop_at);

	run->asked++;
	run->clock += run->tick;
	run->asked_since += stop;
	return stop;
}

__attribute__((unused)) static void
on_step(void *arg, const SlProgress *progress)
{
	Run *run = arg;

	if (run->steps < MAX_STEPS)
		run->after[run->steps] = copy_weights(run);
	run->steps++;
}

__attribute__((unused)) static void
on_epoch(void *arg, const SlEpoch *epoch)
{
	Run *run = arg;

	if (run->epochs < MAX_EPOCHS)
	{
		run->epoch[run->epochs] = *epoch;
		run->after_epoch[run->epochs] = copy_weights(run);
	}
	run->epochs++;
}

/* Runs in memory of exactly the promised size, less missing bytes. */
__attribute__((unused)) static void
run_in(Run *run, const Case *c, size_t missing)
{
	size_t total = c->net.params.total;
	SlTrainHooks hooks = {run, on_question, on_step, on_epoch, on_clock, run->team};
	SlArena work = {.size = sl_train_memory(&c->net, &c->set, &c->plan) - missing};

	work.base = aligned_alloc(SL_ALIGN, work.size);
	/* memory that was used before */
	for (size_t i = 0; i < work.size / sizeof(uint32_t); i++)
		((uint32_t *) work.base)[i] = (uint32_t) i % 16;
	run->c = c;
	run->state = (SlTrainState){.value = malloc(total * sizeof(float)),
								.moments = calloc(2 * total, sizeof(float)),
								.mu_product = 1};
	memcpy(run->state.value, c->initial, total * sizeof(float));
	run->status =
		sl_train(&c->net, &c->set, &c->plan, &hooks, &run->state, &work, &run->result);
	run->memory = work.used;
	free(work.base);
}

__attribute__((unused)) static void
run_free(Run *run)
{
	for (int i = 0; i < run->steps && i < MAX_STEPS; i++)
		free(run->after[i]);
	for (int i = 0; i < run->epochs && i < MAX_EPOCHS; i++)
		free(run->after_epoch[i]);
	free(run->state.value);
	free(run->state.moments);
}

#endif
