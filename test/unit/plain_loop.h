/*
 * plain_loop.h: a plain training loop to compare the trainer with.  It takes every lane
 * by itself, one chunk after the other, without packing, sorting or shards.
 */
#ifndef PLAIN_LOOP_H
#define PLAIN_LOOP_H

#include "nn/random.h"
#include "flat.h"
#include "training.h"

typedef struct PlainLane
{
	int next;
	int end;
	int sequence;
	bool fresh;
	float *state;
} PlainLane;

typedef struct Plain
{
	const Case *c;
	float *value;
	double *grad;
	Flat flat;		/* one chunk's */
	int (*unit)[3]; /* first row, end, sequence */
	int units;
	int *queue;
	int epoch;
	double loss;  /* of the last step, summed */
	double error; /* absolute, over rows whose target is known */
	double errors;
} Plain;

static void
plain_units(Plain *p, const float *weight)
{
	const SlTrainSet *set = &p->c->set;

	p->units = 0;
	if (p->c->plan.sequence_length == 1)
	{
		for (int i = 0; i < set->rows; i++)
			if (weight[set->time_order[i]] > 0)
			{
				int row = set->time_order[i];

				memcpy(p->unit[p->units++], (int[3]){row, row + 1, row}, sizeof(int[3]));
			}
		return;
	}
	for (int s = 0; s < set->sequences; s++)
	{
		int last = -1;

		for (int i = set->start[s]; i < set->start[s + 1]; i++)
			if (weight[i] > 0)
				last = i;
		if (last >= 0)
			memcpy(p->unit[p->units++], (int[3]){set->start[s], last + 1, s},
				   sizeof(int[3]));
	}
}

static Plain
plain_new(const Case *c, const float *weight)
{
	Plain p = {.c = c, .epoch = 1};
	size_t total = c->net.params.total;

	p.value = memcpy(malloc(total * sizeof(float)), c->initial, total * sizeof(float));
	p.grad = calloc(total, sizeof(double));
	flat_open(&p.flat, &c->net.params);
	p.unit = malloc(c->set.rows * sizeof(*p.unit));
	p.queue = malloc(c->set.rows * sizeof(int));
	plain_units(&p, weight);
	for (int i = 0; i < p.units; i++)
		p.queue[i] = i;
	return p;
}

static void
plain_free(Plain *p)
{
	free(p->value);
	free(p->grad);
	flat_close(&p->flat);
	free(p->unit);
	free(p->queue);
}

/* Rows first .. first + length - 1 of one sequence; moves state, adds the gradient. */
static void
plain_chunk(Plain *p, const float *weight, int first, int length, int sequence,
			const float *state_in, float *state_out, double scale)
{
	const Case *c = p->c;
	const SlNet *net = &c->net;
	static char memory[1 << 22] __attribute__((aligned(SL_ALIGN)));
	SlArena arena = {.base = memory, .size = sizeof(memory)};
	TestPack pack;
	uint64_t row_key[PACK_MAX_STEPS], seq_key[1] = {(uint64_t) sequence};
	const int32_t *codes[1] = {c->code + first};
	SlTape tape = {.arena = &arena,
				   .params = &net->params,
				   .value = p->value,
				   .grad = scale > 0 ? &p->flat.gradient : NULL,
				   .dropout = weight == c->train_weight,
				   .seed = c->plan.seed,
				   .epoch = (uint64_t) p->epoch};

	sl_gradient_clear(&p->flat.gradient);
	pack_make(&pack, &length, 1);
	for (int t = 0; t < length; t++)
		row_key[t] = (uint64_t) (first + t);

	SlBatch batch = {.pack = &pack.pack,
					 .x = c->x + (size_t) first * c->set.inputs,
					 .code = codes,
					 .row_key = row_key,
					 .seq_key = seq_key,
					 .state_in = state_in,
					 .state_out = state_out};
	SlTensor *out = net->spec.arch->forward(net, &tape, &batch);

	if (tape.status != SL_OK)
		abort();
	p->loss += sl_loss(&c->plan.loss, out, c->y + first, weight + first,
					   c->set.censored ? c->censored + first : NULL, (float) scale);
	for (int t = 0; t < length; t++)
		if (weight[first + t] > 0 && !(c->set.censored && c->censored[first + t]))
		{
			p->error +=
				c->set.target.scale * fabs((double) out->data[t] - c->y[first + t]);
			p->errors++;
		}
	if (scale == 0)
		return;
	if (sl_backward(&tape) != SL_OK)
		abort();
	flat_read(&p->flat);
	for (size_t i = 0; i < net->params.total; i++)
		p->grad[i] += p->flat.grad[i];
}

/* Takes units for idle lanes; the sum of weights of the step, -1 when nothing is left. */
static double
plain_take(Plain *p, PlainLane *lane, int lanes, int *taken, const float *weight)
{
	double sum = -1;

	for (int i = 0; i < lanes; i++)
	{
		if (lane[i].next == lane[i].end && *taken < p->units)
		{
			int *unit = p->unit[p->queue[(*taken)++]];

			lane[i] = (PlainLane){unit[0], unit[1], unit[2], true, lane[i].state};
		}
		for (int t = lane[i].next;
			 t < lane[i].end && t < lane[i].next + p->c->plan.sequence_length; t++)
			sum = (sum < 0 ? 0 : sum) + weight[t];
	}
	return sum;
}

/* One step of every lane; the gradient is that of the mean loss. */
static void
plain_step(Plain *p, PlainLane *lane, int lanes, const float *weight, double sum,
		   bool trains)
{
	memset(p->grad, 0, p->c->net.params.total * sizeof(double));
	for (int i = 0; i < lanes; i++)
	{
		int length = lane[i].end - lane[i].next;
		float out[256] = {0};

		if (length > p->c->plan.sequence_length)
			length = p->c->plan.sequence_length;
		if (length == 0)
			continue;
		plain_chunk(p, weight, lane[i].next, length, lane[i].sequence,
					lane[i].fresh ? NULL : lane[i].state, out,
					trains && sum > 0 ? 1 / sum : 0);
		memcpy(lane[i].state, out, p->c->net.state * sizeof(float));
		lane[i].next += length;
		lane[i].fresh = false;
	}
}

static int
plain_lanes(const Case *c)
{
	int most = c->plan.sequence_length == 1 ? c->set.rows : c->set.sequences;

	return c->plan.batch_size < most ? c->plan.batch_size : most;
}

static PlainLane *
lanes_new(const Case *c)
{
	PlainLane *lane = calloc(plain_lanes(c), sizeof(PlainLane));

	for (int i = 0; i < plain_lanes(c); i++)
		lane[i].state = calloc(c->net.state, sizeof(float));
	return lane;
}

static void
lanes_free(const Case *c, PlainLane *lane)
{
	for (int i = 0; i < plain_lanes(c); i++)
		free(lane[i].state);
	free(lane);
}

/* Largest difference of weights between the run and the plain loop over all steps;
 * infinite if they do not take the same number of steps. */
static double
compare_steps(const Case *c, const Run *run)
{
	Plain p = plain_new(c, c->train_weight);
	int steps = 0;
	double worst = 0, sum;

	for (; p.epoch <= c->plan.epochs; p.epoch++)
	{
		PlainLane *lane = lanes_new(c);
		int taken = 0;

		if (c->plan.shuffle)
			sl_random_shuffle(c->plan.seed, (uint64_t) p.epoch, p.queue, p.units);
		while ((sum = plain_take(&p, lane, plain_lanes(c), &taken, c->train_weight)) >= 0)
		{
			plain_step(&p, lane, plain_lanes(c), c->train_weight, sum, true);
			for (size_t i = 0; i < c->net.params.total; i++)
				p.value[i] -= (float) (c->plan.learning_rate * p.grad[i]);
			if (steps < run->steps && steps < MAX_STEPS)
				worst = fmax(worst, tap_max_difference(run->after[steps], p.value,
													   c->net.params.total));
			steps++;
		}
		lanes_free(c, lane);
	}
	plain_free(&p);
	if (steps != run->steps || steps > MAX_STEPS)
	{
		note("%d steps, not %d", run->steps, steps);
		return INFINITY;
	}
	return worst;
}

/* Validation loss of these weights, every sequence whole. */
static double
plain_validation(const Case *c, const float *value, double *mae)
{
	Plain p = plain_new(c, c->validation_weight);
	double weight = 0;

	memcpy(p.value, value, c->net.params.total * sizeof(float));
	for (int u = 0; u < p.units; u++)
	{
		float state[64];

		plain_chunk(&p, c->validation_weight, p.unit[u][0], p.unit[u][1] - p.unit[u][0],
					p.unit[u][2], NULL, state, 0);
		for (int i = p.unit[u][0]; i < p.unit[u][1]; i++)
			weight += c->validation_weight[i];
	}
	*mae = p.error / p.errors;

	double loss = p.loss / weight;

	plain_free(&p);
	return loss;
}

#endif
