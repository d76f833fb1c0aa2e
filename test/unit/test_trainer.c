/*
 * test_trainer.c: the training loop against a plain one written here, which takes every
 * lane by itself, one chunk after the other, without packing, sorting or shards.
 */
#include "train/trainer.h"

#include "nn/random.h"
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

static int
below(uint64_t *seed, int n)
{
	return (int) ((pack_random(seed) + 1) / 2 * n) % n;
}

/* Rows of all sequences merged at random. */
static void
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

static void
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

static Case *
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

static void
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
	double clock;
	double tick;	/* seconds that pass at each look at the clock */
	int stop_after; /* steps; 0: never */
	int stop_at;	/* question, from 1; 0: never */
	int asked;
	int asked_since; /* a stop was asked for */
} Run;

static float *
copy_weights(const Run *run)
{
	size_t bytes = run->c->net.params.total * sizeof(float);

	return memcpy(malloc(bytes), run->state.value, bytes);
}

static double
on_clock(void *arg)
{
	Run *run = arg;

	return run->clock += run->tick;
}

static bool
on_question(void *arg)
{
	Run *run = arg;
	bool stop = (run->stop_after > 0 && run->steps >= run->stop_after) ||
				(run->stop_at > 0 && run->asked + 1 >= run->stop_at);

	run->asked++;
	run->asked_since += stop;
	return stop;
}

static void
on_step(void *arg, const SlProgress *progress)
{
	Run *run = arg;

	if (run->steps < MAX_STEPS)
		run->after[run->steps] = copy_weights(run);
	run->steps++;
}

static void
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
static void
run_in(Run *run, const Case *c, size_t missing)
{
	size_t total = c->net.params.total;
	SlTrainHooks hooks = {run, on_question, on_step, on_epoch, on_clock};
	SlArena work = {.size = sl_train_memory(&c->net, &c->set, &c->plan) - missing};

	work.base = aligned_alloc(SL_ALIGN, work.size);
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

static void
run_free(Run *run)
{
	for (int i = 0; i < run->steps && i < MAX_STEPS; i++)
		free(run->after[i]);
	for (int i = 0; i < run->epochs && i < MAX_EPOCHS; i++)
		free(run->after_epoch[i]);
	free(run->state.value);
	free(run->state.moments);
}

/* ---- the plain loop ---- */

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
	float *grad = calloc(net->params.total, sizeof(float));
	TestPack pack;
	uint64_t row_key[PACK_MAX_STEPS], seq_key[1] = {(uint64_t) sequence};
	const int32_t *codes[1] = {c->code + first};
	SlTape tape = {.arena = &arena,
				   .params = &net->params,
				   .value = p->value,
				   .grad = scale > 0 ? grad : NULL,
				   .dropout = weight == c->train_weight,
				   .seed = c->plan.seed,
				   .epoch = (uint64_t) p->epoch};

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
	if (scale > 0 && sl_backward(&tape) != SL_OK)
		abort();
	for (size_t i = 0; i < net->params.total; i++)
		p->grad[i] += grad[i];
	free(grad);
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
		float out[64] = {0};

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

/* ---- batches ---- */

static void
check_steps(void)
{
	static const struct
	{
		const char *arch;
		int sequences, longest, batch, length;
		bool shuffle;
		float dropout;
	} setting[] = {
		{"gru", 7, 11, 3, 3, false, 0},		 {"lstm", 7, 11, 3, 3, false, 0},
		{"lstm", 9, 20, 4, 5, true, 0},		 {"gru", 9, 20, 4, 7, true, 0.3f},
		{"lstm", 9, 20, 2, 64, false, 0.3f}, {"gru", 5, 9, 100, 4, false, 0},
		{"lstm", 1, 12, 3, 2, false, 0},	 {"gru", 6, 12, 5, 1, false, 0},
		{"lstm", 6, 12, 4, 1, true, 0.3f},
	};

	for (size_t i = 0; i < sizeof(setting) / sizeof(setting[0]); i++)
		for (int censored = 0; censored < 2; censored++)
		{
			Case *c = case_new(17 + i, setting[i].arch, setting[i].sequences,
							   setting[i].longest, 2, 6, setting[i].dropout);
			Run run = {0};
			double mae, difference;

			c->plan.batch_size = setting[i].batch;
			c->plan.sequence_length = setting[i].length;
			c->plan.shuffle = setting[i].shuffle;
			c->set.censored = censored ? c->censored : NULL;
			run_in(&run, c, 0);
			difference = compare_steps(c, &run);
			ok(run.status == SL_OK && difference < 2e-6,
			   "%s, %d lanes, chunks of %d%s%s%s: %d steps as lane by lane",
			   setting[i].arch, setting[i].batch, setting[i].length,
			   setting[i].shuffle ? ", shuffled" : "",
			   setting[i].dropout > 0 ? ", dropout" : "", censored ? ", censored" : "",
			   run.steps);
			note("differ by %.1e", difference);
			is_close(run.epoch[1].validation_loss,
					 plain_validation(c, run.after_epoch[1], &mae), 1e-6,
					 "its validation loss, every sequence whole");
			is_close(run.epoch[1].validation_mae, mae, 1e-5,
					 "its MAE in the target's units");
			run_free(&run);
			case_free(c);
		}
}

/* The validation loss does not depend on how sequences are cut. */
static void
check_chunks(const char *arch)
{
	Case *c = case_new(3, arch, 12, 40, 1, 9, 0);
	double loss[3];

	for (int i = 0; i < 3; i++)
	{
		Run run = {0};

		c->plan.sequence_length = i == 0 ? 3 : i == 1 ? 100 : 4096;
		c->plan.batch_size = i == 0 ? 5 : 100;
		c->plan.learning_rate = 0;
		run_in(&run, c, 0);
		loss[i] = run.epoch[0].validation_loss;
		run_free(&run);
	}
	is_close(loss[0], loss[1], 1e-6, "%s: chunks of 3 and of 100 validate alike", arch);
	is_close(loss[0], loss[2], 1e-6, "%s: and chunks longer than any sequence", arch);
	case_free(c);
}

/* ---- gradients ---- */

/* Loss of one step as a function of the weights, the states lanes came with held fixed.
 */
static double
step_loss(Plain *p, const PlainLane *lane, int lanes, double sum, int weight,
		  float change)
{
	PlainLane *again = lanes_new(p->c);
	float kept = p->value[weight];
	double loss;

	for (int i = 0; i < lanes; i++)
	{
		float *state = again[i].state;

		memcpy(state, lane[i].state, p->c->net.state * sizeof(float));
		again[i] = lane[i];
		again[i].state = state;
	}
	p->value[weight] += change;
	p->loss = 0;
	plain_step(p, again, lanes, p->c->train_weight, sum, false);
	loss = p->loss / sum;
	p->value[weight] = kept;
	lanes_free(p->c, again);
	return loss;
}

/* The second step's gradient, taken from the weights around it, by finite differences. */
static void
check_gradient(const char *arch)
{
	Case *c = case_new(8, arch, 6, 30, 1, 5, 0);
	Run run = {0};
	Plain p = plain_new(c, c->train_weight);
	PlainLane *lane = lanes_new(c);
	int taken = 0, lanes = plain_lanes(c);
	double sum, worst = 0, size = 0, largest_state = 0;

	c->plan.learning_rate = 1;
	run_in(&run, c, 0);
	sum = plain_take(&p, lane, lanes, &taken, c->train_weight);
	plain_step(&p, lane, lanes, c->train_weight, sum, false);
	memcpy(p.value, run.after[0], c->net.params.total * sizeof(float));
	sum = plain_take(&p, lane, lanes, &taken, c->train_weight);
	for (int i = 0; i < lanes; i++)
		largest_state = fmax(largest_state, tap_max_abs(lane[i].state, c->net.state));
	for (int q = 0; q < c->net.params.count; q++)
	{
		const SlParam *param = &c->net.params.item[q];

		for (int i = 0; i < param->rows * (param->cols ? param->cols : 1); i += 3)
		{
			int w = (int) param->offset + i;
			double step = 2e-3;
			double slope = (step_loss(&p, lane, lanes, sum, w, (float) step) -
							step_loss(&p, lane, lanes, sum, w, (float) -step)) /
						   (2 * step);
			double taken_step = (double) run.after[0][w] - run.after[1][w];

			worst = fmax(worst, fabs(slope - taken_step));
			size = fmax(size, fabs(slope));
		}
	}
	ok(largest_state > 0.05 && worst < 1e-3 * size,
	   "%s: the gradient of a step ends at the state carried into it", arch);
	note("differ by %.1e of %.1e", worst, size);
	lanes_free(c, lane);
	plain_free(&p);
	run_free(&run);
	case_free(c);
}

/* 300 lanes are two shards: the gradient of one step as of each lane alone, same bits
 * twice. */
static void
check_shards(int lanes, int length, float dropout)
{
	Case *c = case_new(11, "lstm", 320, 9, 1, 8, dropout);
	Run run = {0}, again = {0};
	Plain p = plain_new(c, c->train_weight);
	PlainLane *lane;
	size_t total = c->net.params.total;
	float *step = calloc(total, sizeof(float)), *want = calloc(total, sizeof(float));
	int taken = 0;
	double sum;

	c->plan.batch_size = lanes;
	c->plan.sequence_length = length;
	c->plan.learning_rate = 1;
	plain_units(&p, c->train_weight);
	lane = lanes_new(c);
	run_in(&run, c, 0);
	run_in(&again, c, 0);
	for (int i = 0; i < p.units; i++)
		p.queue[i] = i;
	sum = plain_take(&p, lane, plain_lanes(c), &taken, c->train_weight);
	plain_step(&p, lane, plain_lanes(c), c->train_weight, sum, true);
	for (size_t i = 0; i < total; i++)
	{
		step[i] = c->initial[i] - run.after[0][i];
		want[i] = (float) p.grad[i];
	}
	is_tensor(step, want, total, 1e-5,
			  "%d lanes, chunks of %d%s: the gradient lane by lane", lanes, length,
			  dropout > 0 ? ", dropout" : "");
	ok(run.status == SL_OK && memcmp(run.state.value, again.state.value, total * 4) == 0,
	   "the same bits twice");
	c->plan.learning_rate = 0.05f;
	run_free(&run);
	run = (Run){0};
	run_in(&run, c, 0);
	ok(compare_steps(c, &run) < 5e-6, "all its steps as lane by lane");
	free(step);
	free(want);
	lanes_free(c, lane);
	plain_free(&p);
	run_free(&run);
	run_free(&again);
	case_free(c);
}

/* ---- weights of rows ---- */

/* Final weights of a run; NULL if it failed. */
static float *
outcome(const Case *c)
{
	Run run = {0};
	float *value;

	run_in(&run, c, 0);
	value = run.status == SL_OK ? copy_weights(&run) : NULL;
	run_free(&run);
	return value;
}

/* Whether a run ends with the same bits as before. */
static bool
unchanged(const Case *c, const float *before)
{
	float *after = outcome(c);
	bool same = after != NULL && memcmp(before, after, c->net.params.total * 4) == 0;

	free(after);
	return same;
}

static void
check_weights(void)
{
	Case *c = case_new(20, "gru", 3, 14, 1, 6, 0);
	int first = c->start[1], end = c->start[2];
	float *before, moved;

	if (!ok(end - first >= 5, "a sequence of %d rows", end - first))
		return;
	for (int i = first; i < end; i++)
		c->train_weight[i] = i == first || i == first + 3;
	memset(c->validation_weight, 0, c->set.rows * sizeof(float));
	c->plan.sequence_length = 2;
	before = outcome(c);

	c->y[first + 1] = NAN;
	ok(unchanged(c, before), "the target of a row of weight 0 is not read");
	moved = c->x[(first + 1) * 3];
	c->x[(first + 1) * 3] += 1;
	ok(!unchanged(c, before), "its inputs move the state");
	c->x[(first + 1) * 3] = moved;
	c->x[(first + 4) * 3] = NAN;
	ok(unchanged(c, before), "a sequence ends at its last row with weight");
	c->x[(first + 3) * 3] += 1;
	ok(!unchanged(c, before), "and not before");
	free(before);
	case_free(c);
}

/* Chunks in which no row counts: the state goes on, the optimiser waits. */
static void
check_gaps(void)
{
	Case *c = case_new(23, "lstm", 2, 30, 1, 6, 0.2f);
	int length[2] = {c->start[1], c->start[2] - c->start[1]};
	int counting = (length[0] + 1) / 2 == (length[1] + 1) / 2 ? 1 : 2;
	Run run = {0};

	for (int i = 0; i < c->set.rows; i++)
		c->train_weight[i] = i == c->start[1] - 1 || i == c->start[2] - 1;
	c->plan.sequence_length = 2;
	run_in(&run, c, 0);
	ok(run.status == SL_OK && run.steps > 2 * c->plan.epochs * counting &&
		   compare_steps(c, &run) < 2e-6,
	   "steps in which no row counts");
	is_int(run.state.step, c->plan.epochs * counting, "are none of the optimiser's");
	is_int(run.epoch[0].rows, 2, "rows that count");
	run_free(&run);
	case_free(c);
}

/* With chunks of one row, rows come in the order of time. */
static void
check_time_order(void)
{
	Case *c = case_new(24, "gru", 5, 12, 1, 6, 0);
	float *before;
	int swap;

	c->plan.sequence_length = 1;
	c->plan.batch_size = 1;
	for (int i = 0; i < c->set.rows; i++)
		c->train_weight[i] = 1;
	before = outcome(c);
	swap = c->time_order[2];
	c->time_order[2] = c->time_order[7];
	c->time_order[7] = swap;
	ok(!unchanged(c, before), "single rows follow the order of time");
	c->plan.sequence_length = 2;
	free(before);
	before = outcome(c);
	c->time_order[7] = c->time_order[2];
	c->time_order[2] = swap;
	ok(unchanged(c, before), "sequences keep their own");
	free(before);
	case_free(c);
}

/* ---- how runs end ---- */

/* Validation wants the opposite of what training wants: the first epoch is the best. */
static Case *
opposed_case(void)
{
	Case *c = case_new(31, "gru", 8, 12, 1, 6, 0);

	for (int i = 0; i < c->set.rows; i++)
		c->y[i] = c->validation_weight[i] > 0 ? -3 : 3;
	c->plan.epochs = 10;
	return c;
}

static void
check_patience(void)
{
	Case *c = opposed_case();
	size_t bytes = c->net.params.total * sizeof(float);
	Run run = {0}, all = {0}, better = {0};

	c->plan.patience = 3;
	run_in(&run, c, 0);
	is_int(run.result.epochs, 4, "three epochs without a better one end the run");
	is_int(run.result.best.epoch, 1, "the best epoch is reported");
	ok(run.status == SL_OK && memcmp(run.state.value, run.after_epoch[0], bytes) == 0,
	   "and its weights kept");
	is_close(run.result.best.validation_loss, run.epoch[0].validation_loss, 0,
			 "with its loss");

	c->plan.patience = 0;
	run_in(&all, c, 0);
	ok(all.result.epochs == 10 && all.result.best.epoch == 10 &&
		   memcmp(all.state.value, all.after_epoch[9], bytes) == 0,
	   "without patience the last epoch is kept");

	for (int i = 0; i < c->set.rows; i++)
		c->y[i] = 3;
	c->plan.patience = 1;
	c->plan.learning_rate = 1e-3f;
	run_in(&better, c, 0);
	ok(better.result.epochs == 10 && better.result.best.epoch == 10 &&
		   memcmp(better.state.value, better.after_epoch[9], bytes) == 0,
	   "as long as it gets better, all epochs run");
	run_free(&run);
	run_free(&all);
	run_free(&better);
	case_free(c);
}

static void
check_time_limit(void)
{
	Case *c = opposed_case();
	size_t bytes = c->net.params.total * sizeof(float);
	Run free_run = {.tick = 1}, limited = {.tick = 1}, kept = {.tick = 1},
		exact = {.tick = 1};

	run_in(&free_run, c, 0);
	ok(!free_run.result.out_of_time && free_run.result.epochs == 10,
	   "no limit, no hurry");

	c->plan.time_limit = free_run.result.seconds / 2;
	run_in(&limited, c, 0);
	ok(limited.status == SL_OK && limited.result.out_of_time &&
		   limited.result.epochs > 1 && limited.result.epochs < 10 &&
		   limited.epochs == limited.result.epochs,
	   "out of time: a normal end after %d epochs", limited.result.epochs);
	ok(memcmp(limited.state.value, limited.after[limited.steps - 1], bytes) == 0 &&
		   memcmp(limited.state.value, free_run.after[limited.steps - 1], bytes) == 0,
	   "with the weights of its last step");
	ok(limited.result.seconds < c->plan.time_limit + 20, "soon after the limit");

	c->plan.patience = 9;
	run_in(&kept, c, 0);
	ok(kept.result.out_of_time && kept.result.best.epoch == 1 &&
		   memcmp(kept.state.value, kept.after_epoch[0], bytes) == 0,
	   "or of the best epoch");

	c->plan.patience = 0;
	c->plan.time_limit = 1e-6;
	c->plan.epochs = 1;
	c->plan.batch_size = 100;
	c->plan.sequence_length = 64;
	run_in(&exact, c, 0);
	ok(exact.steps == 1 && !exact.result.out_of_time,
	   "a run that was complete when time ran out was not cut short");
	run_free(&free_run);
	run_free(&limited);
	run_free(&kept);
	run_free(&exact);
	case_free(c);
}

static void
check_stop(void)
{
	Case *c = opposed_case();
	Run run = {.stop_after = 3}, whole = {0};
	bool stopped = true, clean = true;

	c->plan.epochs = 1;
	run_in(&run, c, 0);
	is_int(run.status, SL_STOPPED, "stopped");
	is_int(run.steps, 3, "within a step");
	run_free(&run);
	run_in(&whole, c, 0);
	for (int question = 1; question <= whole.asked; question++)
	{
		Run part = {.stop_at = question};

		run_in(&part, c, 0);
		stopped &= part.status == SL_STOPPED && part.asked_since == 1;
		clean &= memcmp(part.state.value,
						part.steps > 0 ? part.after[part.steps - 1] : c->initial,
						c->net.params.total * sizeof(float)) == 0;
		run_free(&part);
	}
	ok(stopped, "stopped at any of %d questions, in training and validation",
	   whole.asked);
	ok(clean, "the weights are those of the last whole step");
	run_free(&whole);
	case_free(c);
}

static void
check_not_finite(void)
{
	Case *c = case_new(33, "lstm", 8, 12, 1, 6, 0);
	Run input = {0}, rate = {0}, last = {0};

	c->x[(c->start[2] - 1) * 3] = NAN;
	c->train_weight[c->start[2] - 1] = 1;
	run_in(&input, c, 0);
	is_int(input.status, SL_NOT_FINITE, "NaN among the inputs");
	case_free(c);

	c = case_new(33, "lstm", 8, 12, 1, 6, 0);
	c->plan.learning_rate = 1e30f;
	run_in(&rate, c, 0);
	is_int(rate.status, SL_NOT_FINITE, "a rate far too large");
	run_free(&rate);

	/* one step, after which nothing looks at the weights */
	c->plan.learning_rate = 3e38f;
	c->plan.batch_size = 100;
	c->plan.sequence_length = 64;
	c->plan.epochs = 1;
	for (int i = 0; i < c->set.rows; i++)
		c->y[i] = 1e6f;
	memset(c->validation_weight, 0, c->set.rows * sizeof(float));
	run_in(&last, c, 0);
	is_int(last.status, SL_NOT_FINITE, "a last step to infinite weights");
	run_free(&input);
	run_free(&last);
	case_free(c);
}

/* ---- memory ---- */

static void
check_memory(void)
{
	uint64_t seed = 77;
	int bad = 0, loose = 0;

	for (int i = 0; i < 300; i++)
	{
		int sequences = 1 + below(&seed, i % 10 == 0 ? 300 : 12);
		int longest = 1 + below(&seed, i % 7 == 0 ? 60 : 9), layers = 1 + below(&seed, 3);
		const char *arch = below(&seed, 2) ? "gru" : "lstm";
		Case *c = case_new(100 + i, arch, sequences, longest, layers,
						   3 + below(&seed, 12), below(&seed, 2) ? 0.2f : 0);
		Run run = {0}, short_run = {0};

		c->plan.batch_size = 1 + below(&seed, 2 * sequences + 3);
		c->plan.sequence_length = 1 + below(&seed, longest + 3);
		c->plan.epochs = 1;
		c->plan.learning_rate = 1e-4f;
		c->plan.shuffle = below(&seed, 2);
		if (below(&seed, 4) == 0)
			c->net.spec.recurrent_dropout = c->net.recurrent[0].recurrent_dropout = 0;
		run_in(&run, c, 0);
		if (run.status != SL_OK ||
			run.memory != sl_train_memory(&c->net, &c->set, &c->plan))
		{
			note(
				"%s, %d sequences up to %d, %d lanes, chunks of %d, %d layers: status %d",
				arch, sequences, longest, c->plan.batch_size, c->plan.sequence_length,
				layers, run.status);
			bad++;
		}
		run_in(&short_run, c, SL_ALIGN);
		loose += short_run.status != SL_NO_MEMORY || short_run.steps > 0;
		run_free(&run);
		run_free(&short_run);
		case_free(c);
	}
	is_int(bad, 0, "300 shapes run in the memory they ask for");
	is_int(loose, 0, "and say so before the first step when there is less");
}

static void
check_sizes(void)
{
	Case *c = case_new(41, "gru", 5, 12, 1, 6, 0);
	size_t memory;
	Run empty = {0};

	c->plan.batch_size = 1 << 20;
	c->plan.sequence_length = 12;
	memory = sl_train_memory(&c->net, &c->set, &c->plan);
	c->plan.sequence_length = SL_MAX_STEPS;
	ok(sl_train_memory(&c->net, &c->set, &c->plan) < 2 * memory,
	   "chunks longer than any sequence take no more memory");
	c->set.sequences = c->set.rows = 1 << 29;
	c->plan.sequence_length = 1;
	ok(sl_train_memory(&c->net, &c->set, &c->plan) < SIZE_MAX, "many rows");
	c->net.params.total = SIZE_MAX / 8;
	ok(sl_train_memory(&c->net, &c->set, &c->plan) == SIZE_MAX, "sizes that overflow");
	case_free(c);

	c = case_new(41, "gru", 5, 12, 1, 6, 0);
	memset(c->train_weight, 0, c->set.rows * sizeof(float));
	memset(c->validation_weight, 0, c->set.rows * sizeof(float));
	run_in(&empty, c, 0);
	ok(empty.status == SL_OK && empty.steps == 0 &&
		   isnan(empty.epoch[0].validation_loss) &&
		   memcmp(empty.state.value, c->initial, c->net.params.total * 4) == 0,
	   "nothing to train on");
	run_free(&empty);
	case_free(c);
}

int
main(void)
{
	check_steps();
	check_chunks("gru");
	check_chunks("lstm");
	check_gradient("gru");
	check_gradient("lstm");
	check_shards(300, 4, 0);
	check_shards(300, 4, 0.3f);
	check_shards(310, 1, 0);
	check_shards(257, 9, 0);
	check_weights();
	check_gaps();
	check_time_order();
	check_patience();
	check_time_limit();
	check_stop();
	check_not_finite();
	check_memory();
	check_sizes();
	return done_testing();
}
