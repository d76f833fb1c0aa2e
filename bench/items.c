/*
 * items.c: time and memory of one training step (forward, sampled softmax, backward,
 * Adam) of a GRU that predicts items, by the size of the vocabulary.
 *
 *     items items hidden negatives [batch [steps]]
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "model/model.h"
#include "nn/gradient.h"
#include "nn/item_loss.h"

#define REPEATS 7

static void *
room(size_t bytes)
{
	void *result = calloc(1, bytes + SL_ALIGN);

	if (result == NULL)
		exit(1);
	return (void *) (((uintptr_t) result + SL_ALIGN - 1) / SL_ALIGN * SL_ALIGN);
}

/* A few popular items and many rare ones: as many different ones in a step whatever the
 * vocabulary, spread over all of it. */
static int32_t
some_item(int items)
{
	double u = (rand() + 0.5) / (RAND_MAX + 1.0);
	int used = items < 10000 ? items : 10000;

	return (int32_t) (used * u * u * u) * (items / used);
}

typedef struct Step
{
	SlNet net;
	SlBatch batch;
	SlItemLoss loss;
	SlItemTarget target;
	SlGradient grad;
	float *value, *moments;
	SlArena arena;
	int64_t t;
} Step;

static SlStatus
pass(Step *s, SlArena *arena, SlGradient *grad)
{
	SlTape tape = {
		.arena = arena, .params = &s->net.params, .value = s->value, .grad = grad};
	SlTensor *h = s->net.spec.arch->forward(&s->net, &tape, &s->batch);

	s->target.key = (uint64_t) s->t;
	if (h != NULL)
		sl_item_loss(&s->loss, &tape, h, &s->target, 1.0f / (float) h->rows);
	return sl_backward(&tape);
}

static void
step(Step *s)
{
	s->arena.used = 0;
	sl_gradient_clear(&s->grad);
	if (pass(s, &s->arena, &s->grad) != SL_OK)
		exit(1);

	SlOptimStep optim = sl_optim_begin(SL_OPTIM_ADAM, ++s->t, 1e-3f, 0, 1);

	sl_gradient_update(&s->grad, &optim, s->value, s->moments, 0,
					   sl_gradient_size(&s->grad));
}

int
main(int argc, char **argv)
{
	int items = argc > 1 ? atoi(argv[1]) : 100000,
		hidden = argc > 2 ? atoi(argv[2]) : 512;
	int negatives = argc > 3 ? atoi(argv[3]) : 1024;
	int batch = argc > 4 ? atoi(argv[4]) : 256, steps = argc > 5 ? atoi(argv[5]) : 20;
	int rows = batch * steps;
	Step s = {.loss = {.kind = SL_LOSS_SAMPLED_SOFTMAX, .negatives = negatives}};
	SlNetSpec spec = {.arch = sl_arch_find("gru"),
					  .embeddings = 1,
					  .vocabulary = {items + SL_ITEM_FIRST},
					  .embedding_dim = {hidden},
					  .embedding_name = {"item"},
					  .has_item = true,
					  .items = items,
					  .layers = 1,
					  .hidden = {hidden},
					  .outputs = 1};
	int *size = room(sizeof(int) * steps), *offset = room(sizeof(int) * (steps + 1));
	int32_t *code = room(sizeof(int32_t) * rows), *item = room(sizeof(int32_t) * rows);
	const int32_t *codes[1] = {code};
	SlSampler sampler;
	SlGradient plan;
	double took[REPEATS];

	if (sl_net_define(&s.net, &spec) != SL_OK)
		return 1;
	for (int t = 0; t <= steps; t++)
	{
		offset[t] = t * batch;
		if (t < steps)
			size[t] = batch;
	}

	SlPack pack = {batch, steps, rows, size, offset};

	s.batch = (SlBatch){.pack = &pack, .code = codes};
	s.target = (SlItemTarget){
		.item = item, .weight_param = s.net.head_weight, .bias_param = s.net.head_bias};

	SlArena count = {.size = SIZE_MAX};

	sl_gradient_plan(&plan, &s.net.params);
	pass(&s, &count, &plan);
	s.arena = (SlArena){room(count.used), count.used, 0};
	count = (SlArena){.size = SIZE_MAX};
	sl_gradient_lay_out(&s.grad, &plan, 1, &count);
	sl_sampler_lay_out(&sampler, items, &count);
	count = (SlArena){room(count.used), count.used, 0};
	sl_gradient_lay_out(&s.grad, &plan, 1, &count);
	sl_sampler_lay_out(&sampler, items, &count);
	sl_sampler_start(&sampler, NULL, 0.75);
	s.loss.sampler = &sampler;
	sl_gradient_start(&s.grad);
	s.value = room(s.net.params.total * sizeof(float));
	s.moments = room(s.net.params.total * sizeof(float) * 2);
	/* pages are there before the clock starts */
	for (size_t i = 0; i < 2 * s.net.params.total; i++)
		s.moments[i] = 1e-12f;
	for (size_t i = 0; i < s.net.params.total; i++)
		s.value[i] = 0.02f * (float) (rand() % 1000 - 500) / 500;
	for (int r = 0; r < REPEATS + 1; r++)
	{
		for (int i = 0; i < rows; i++)
		{
			code[i] = some_item(items) + SL_ITEM_FIRST;
			item[i] = some_item(items);
		}

		double begin = read_clock(CLOCK_PROCESS_CPUTIME_ID);

		step(&s);
		if (r > 0)
			took[r - 1] = read_clock(CLOCK_PROCESS_CPUTIME_ID) - begin;
	}
	qsort(took, REPEATS, sizeof(double), by_size);
	printf(
		"%8d items, hidden %d, %d negatives, %d x %d rows: %8.1f ms of processor a step, "
		"%.0f rows/s; weights and moments %.0f MB, gradient and activations %.0f MB\n",
		items, hidden, negatives, batch, steps, 1e3 * took[REPEATS / 2],
		rows / took[REPEATS / 2], (double) s.net.params.total * 12 / 1e6,
		(double) (count.used + s.arena.used) / 1e6);
	return 0;
}
