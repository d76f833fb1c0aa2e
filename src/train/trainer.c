/*
 * trainer.c: epochs over packed chunks of sequences.
 *
 * A batch has up to batch_size lanes.  Each lane walks through one sequence in chunks of
 * sequence_length rows and keeps its state between them; when its sequence ends the next
 * in the queue takes the lane.  So every step has a full batch, no row is padding, and the
 * state a row is trained with is the one predict() would carry to it.  With
 * sequence_length 1 every row is a sequence of its own.
 *
 * A batch is cut into shards by its size alone; each shard's gradient is summed in order,
 * so that the weights do not depend on who computes the shards.
 */
#include <math.h>
#include <string.h>

#include "nn/random.h"
#include "train/trainer.h"

#define SHARD_LANES 128 /* fewer rows than this in a GEMM waste the machine */
#define MAX_SHARDS 16

/* A sequence, or one row of it, waiting for a lane. */
typedef struct Unit
{
	int first;
	int end;
	int sequence;
} Unit;

typedef struct Lane
{
	int next; /* row to go on with */
	int end;
	int length; /* of the chunk of this step */
	int sequence;
	bool fresh; /* no state yet */
} Lane;

typedef struct Trainer
{
	const SlNet *net;
	const SlTrainSet *set;
	const SlTrainPlan *plan;
	const SlTrainHooks *hooks;
	SlTrainState *state;
	int shard_lanes; /* lanes of a shard, at most */
	int chunk_rows;	 /* rows of a lane in a step, at most */

	Unit *unit[2]; /* training, validation */
	int units[2];
	int *queue;	   /* order in which training units are taken */
	Lane *lane;
	int *by_length; /* lanes, longest chunk first */
	float *lane_state; /* [lanes x net->state] */

	/* one shard, packed */
	float *x;
	int32_t *code[SL_MAX_EMBEDDINGS];
	float *y;
	float *weight;
	uint8_t *censored;
	uint64_t *row_key;
	uint64_t *seq_key;
	int *size;
	int *offset;
	float *state_in;
	float *state_out;

	float *grad;	   /* sum over shards */
	float *shard_grad; /* the same array when there is one shard */
	float *best;	   /* weights of the best epoch */
	SlArena activations;

	double started;
	int epoch;
	int64_t steps_in_epoch;
	int64_t step_in_epoch;
	int64_t rows_seen;
	double norm_sum;
	SlStatus status;
} Trainer;

static int
int_min(int a, int b)
{
	return a < b ? a : b;
}

/* Lanes a shard takes at most, given the lanes of a full batch. */
static int
shard_lanes(int lanes)
{
	int shards = lanes / SHARD_LANES;

	shards = shards < 1 ? 1 : int_min(shards, MAX_SHARDS);
	return (lanes + shards - 1) / shards;
}

/* ---- memory ---- */

/*
 * Activation bytes no shard exceeds: every lane with a full chunk.  The last step is said
 * to be one sequence short, since layers keep more for sequences of unequal length.
 */
static size_t
activation_bytes(const SlNet *net, int lanes, int steps)
{
	SlArena arena = {NULL, SIZE_MAX, 0};
	float no_gradient; /* its address says that gradients are wanted; never touched */
	uint64_t no_key;
	float no_state;
	SlTape tape = {.arena = &arena, .params = &net->params, .grad = &no_gradient, .dropout = true};
	int size[SL_MAX_STEPS];
	int offset[SL_MAX_STEPS + 1];
	SlPack pack = {lanes, steps, lanes * steps, size, offset};
	const int32_t *code[SL_MAX_EMBEDDINGS] = {NULL};
	SlBatch batch = {.pack = &pack, .code = code, .row_key = &no_key, .seq_key = &no_key,
					 .state_in = &no_state, .state_out = &no_state};

	offset[0] = 0;
	for (int t = 0; t < steps; t++)
	{
		size[t] = lanes;
		offset[t + 1] = offset[t] + lanes;
	}
	size[steps - 1] -= lanes > 1 ? 1 : 0;
	net->spec.arch->forward(net, &tape, &batch);
	return arena.used;
}

static int
lane_count(const SlTrainSet *set, const SlTrainPlan *plan)
{
	return int_min(plan->batch_size, plan->sequence_length == 1 ? set->rows : set->sequences);
}

/* Rows a chunk has at most: no sequence need be that long. */
static int
chunk_rows(const SlTrainSet *set, const SlTrainPlan *plan)
{
	int longest = 1;

	if (plan->sequence_length == 1)
		return 1;
	for (int s = 0; s < set->sequences; s++)
		if (set->start[s + 1] - set->start[s] > longest)
			longest = set->start[s + 1] - set->start[s];
	return int_min(plan->sequence_length, longest);
}

/* Takes everything a run needs from the arena; with an empty one it only counts. */
static bool
lay_out(Trainer *tr, SlArena *arena)
{
	const SlTrainSet *set = tr->set;
	const SlTrainPlan *plan = tr->plan;
	const SlNet *net = tr->net;
	int lanes = lane_count(set, plan);
	int units = plan->sequence_length == 1 ? set->rows : set->sequences;
	int steps = chunk_rows(set, plan);
	size_t rows = (size_t) shard_lanes(lanes) * steps;
	size_t activations;

	if (rows > (size_t) 1 << 28)
		return false;
	tr->shard_lanes = shard_lanes(lanes);
	tr->chunk_rows = steps;
	tr->unit[0] = sl_alloc(arena, units, sizeof(Unit));
	tr->unit[1] = sl_alloc(arena, units, sizeof(Unit));
	tr->queue = sl_alloc(arena, units, sizeof(int));
	tr->lane = sl_alloc(arena, lanes, sizeof(Lane));
	tr->by_length = sl_alloc(arena, lanes, sizeof(int));
	tr->lane_state = sl_alloc(arena, (size_t) lanes * net->state, sizeof(float));
	tr->x = sl_alloc(arena, rows * set->inputs, sizeof(float));
	for (int e = 0; e < net->spec.embeddings; e++)
		tr->code[e] = sl_alloc(arena, rows, sizeof(int32_t));
	tr->y = sl_alloc(arena, rows, sizeof(float));
	tr->weight = sl_alloc(arena, rows, sizeof(float));
	tr->censored = sl_alloc(arena, rows, sizeof(uint8_t));
	tr->row_key = sl_alloc(arena, rows, sizeof(uint64_t));
	tr->seq_key = sl_alloc(arena, tr->shard_lanes, sizeof(uint64_t));
	tr->size = sl_alloc(arena, steps, sizeof(int));
	tr->offset = sl_alloc(arena, steps + 1, sizeof(int));
	tr->state_in = sl_alloc(arena, (size_t) tr->shard_lanes * net->state, sizeof(float));
	tr->state_out = sl_alloc(arena, (size_t) tr->shard_lanes * net->state, sizeof(float));
	tr->grad = sl_alloc(arena, net->params.total, sizeof(float));
	tr->shard_grad =
		lanes > tr->shard_lanes ? sl_alloc(arena, net->params.total, sizeof(float)) : tr->grad;
	tr->best = sl_alloc(arena, net->params.total, sizeof(float));
	activations = activation_bytes(net, tr->shard_lanes, steps);
	if (activations == SIZE_MAX)
		return false;
	tr->activations = (SlArena){sl_alloc(arena, activations, 1), activations, 0};
	return arena->used != SIZE_MAX;
}

size_t
sl_train_memory(const SlNet *net, const SlTrainSet *set, const SlTrainPlan *plan)
{
	SlArena arena = {NULL, SIZE_MAX, 0};
	Trainer tr = {.net = net, .set = set, .plan = plan};

	return lay_out(&tr, &arena) ? arena.used : SIZE_MAX;
}

/* ---- batches ---- */

/* The units whose rows carry weight; a sequence ends with its last such row. */
static int
collect_units(const Trainer *tr, const float *weight, Unit *unit)
{
	const SlTrainSet *set = tr->set;
	int count = 0;

	if (tr->plan->sequence_length == 1)
	{
		for (int i = 0; i < set->rows; i++)
		{
			int row = set->time_order[i];

			if (weight[row] > 0)
				unit[count++] = (Unit){row, row + 1, row};
		}
		return count;
	}
	for (int s = 0; s < set->sequences; s++)
	{
		int end = set->start[s + 1];

		while (end > set->start[s] && !(weight[end - 1] > 0))
			end--;
		if (end > set->start[s])
			unit[count++] = (Unit){set->start[s], end, s};
	}
	return count;
}

/* Gives idle lanes the next units and sorts lanes by their chunk's length, longest first.
 * Returns the number of busy lanes. */
static int
fill_lanes(Trainer *tr, const Unit *unit, int units, const int *queue, int *taken, int lanes)
{
	int steps = tr->chunk_rows;
	int busy = 0;

	for (int i = 0; i < lanes; i++)
	{
		Lane *lane = &tr->lane[i];

		if (lane->next == lane->end && *taken < units)
		{
			const Unit *u = &unit[queue ? queue[*taken] : *taken];

			*lane = (Lane){u->first, u->end, 0, u->sequence, true};
			(*taken)++;
		}
		lane->length = int_min(lane->end - lane->next, steps);
	}
	/* counting sort by falling length keeps equal lanes in lane order */
	memset(tr->offset, 0, sizeof(int) * (steps + 1));
	for (int i = 0; i < lanes; i++)
		tr->offset[steps - tr->lane[i].length]++;
	for (int t = 0, sum = 0; t <= steps; t++)
	{
		int n = tr->offset[t];

		tr->offset[t] = sum;
		sum += n;
	}
	for (int i = 0; i < lanes; i++)
	{
		tr->by_length[tr->offset[steps - tr->lane[i].length]++] = i;
		busy += tr->lane[i].length > 0;
	}
	return busy;
}

/* Copies lanes shard, shard + shards, ... of the busy ones into packed order. */
static void
pack_shard(Trainer *tr, int shard, int shards, int busy, const float *weight, SlPack *pack)
{
	const SlTrainSet *set = tr->set;
	int width = set->inputs;
	int state = tr->net->state;
	int n = 0;
	int row = 0;
	int steps = tr->lane[tr->by_length[shard]].length;

	for (int i = shard; i < busy; i += shards, n++)
	{
		const Lane *lane = &tr->lane[tr->by_length[i]];

		tr->seq_key[n] = (uint64_t) lane->sequence;
		if (lane->fresh)
			memset(tr->state_in + (size_t) n * state, 0, sizeof(float) * state);
		else
			memcpy(tr->state_in + (size_t) n * state,
				   tr->lane_state + (size_t) tr->by_length[i] * state, sizeof(float) * state);
	}
	tr->offset[0] = 0;
	for (int t = 0; t < steps; t++)
	{
		int k = 0;

		for (int i = shard; i < busy && tr->lane[tr->by_length[i]].length > t; i += shards, k++)
		{
			int from = tr->lane[tr->by_length[i]].next + t;

			memcpy(tr->x + (size_t) row * width, set->x + (size_t) from * width,
				   sizeof(float) * width);
			for (int e = 0; e < tr->net->spec.embeddings; e++)
				tr->code[e][row] = set->code[e][from];
			tr->y[row] = set->y[from];
			tr->weight[row] = weight[from];
			tr->censored[row] = set->censored ? set->censored[from] : 0;
			tr->row_key[row] = (uint64_t) from;
			row++;
		}
		tr->size[t] = k;
		tr->offset[t + 1] = row;
	}
	*pack = (SlPack){n, steps, row, tr->size, tr->offset};
}

/* Whether all lanes of a shard start their sequence: then there is no state to read. */
static bool
all_fresh(const Trainer *tr, int shard, int shards, int busy)
{
	for (int i = shard; i < busy; i += shards)
		if (!tr->lane[tr->by_length[i]].fresh)
			return false;
	return true;
}

/* Sum of weights of this step's rows. */
static double
step_weight(const Trainer *tr, int busy, const float *weight)
{
	double sum = 0;

	for (int i = 0; i < busy; i++)
	{
		const Lane *lane = &tr->lane[tr->by_length[i]];

		for (int t = 0; t < lane->length; t++)
			sum += weight[lane->next + t];
	}
	return sum;
}

/* Moves all lanes past their chunks. */
static void
advance(Trainer *tr, int busy)
{
	for (int i = 0; i < busy; i++)
	{
		Lane *lane = &tr->lane[tr->by_length[i]];

		lane->next += lane->length;
		lane->fresh = false;
	}
}

/* Absolute errors of a shard's rows in the target's own units. */
static double
absolute_errors(const Trainer *tr, const SlPack *pack, const SlTensor *out)
{
	const SlTarget *target = &tr->set->target;
	double sum = 0;

	for (int i = 0; i < pack->rows; i++)
		if (tr->weight[i] > 0)
		{
			float p = sl_loss_predict(&tr->plan->loss, out->data + (size_t) i * out->cols, NULL);

			sum += fabs(sl_target_inverse(target, p) - sl_target_inverse(target, tr->y[i]));
		}
	return sum;
}

/*
 * Forward pass over one shard, with gradients where scale > 0.  Adds to *loss, and to
 * *error unless it is NULL; keeps the lanes' new state.
 */
static void
run_shard(Trainer *tr, int shard, int shards, int busy, const float *weight, float scale,
		  double *loss, double *error)
{
	int state = tr->net->state;
	bool carries = tr->plan->sequence_length > 1 && state > 0;
	SlPack pack;
	SlBatch batch;
	SlTape tape = {.arena = &tr->activations,
				   .params = &tr->net->params,
				   .value = tr->state->value,
				   .grad = scale > 0 ? tr->shard_grad : NULL,
				   .dropout = error == NULL,
				   .seed = tr->plan->seed,
				   .epoch = (uint64_t) tr->epoch,
				   .should_stop = tr->hooks->should_stop,
				   .stop_arg = tr->hooks->arg};
	SlTensor *out;

	pack_shard(tr, shard, shards, busy, weight, &pack);
	batch = (SlBatch){.pack = &pack,
					  .x = tr->x,
					  .code = (const int32_t *const *) tr->code,
					  .row_key = tr->row_key,
					  .seq_key = tr->seq_key,
					  .state_in = all_fresh(tr, shard, shards, busy) ? NULL : tr->state_in,
					  .state_out = carries ? tr->state_out : NULL};
	tr->activations.used = 0;
	out = tr->net->spec.arch->forward(tr->net, &tape, &batch);
	if (tape.status == SL_OK)
	{
		*loss += sl_loss(&tr->plan->loss, out, tr->y, tr->weight,
						 tr->set->censored ? tr->censored : NULL, scale);
		if (error != NULL)
			*error += absolute_errors(tr, &pack, out);
		if (scale > 0)
			sl_backward(&tape);
	}
	if (tape.status != SL_OK)
	{
		tr->status = tape.status;
		return;
	}
	if (carries)
		for (int i = shard, n = 0; i < busy; i += shards, n++)
			memcpy(tr->lane_state + (size_t) tr->by_length[i] * state,
				   tr->state_out + (size_t) n * state, sizeof(float) * state);
}

/* ---- passes ---- */

/* Gradient of one step over all shards, then the optimiser.  Returns the loss sum. */
static double
train_step(Trainer *tr, int busy, double weight_sum)
{
	const SlTrainPlan *plan = tr->plan;
	size_t total = tr->net->params.total;
	int shards = (busy + tr->shard_lanes - 1) / tr->shard_lanes;
	float scale = weight_sum > 0 ? (float) (1 / weight_sum) : 0;
	double loss = 0;
	double norm;
	int64_t planned = tr->steps_in_epoch * plan->epochs;
	float rate;

	for (int s = 0; s < shards && tr->status == SL_OK; s++)
	{
		memset(tr->shard_grad, 0, sizeof(float) * total);
		run_shard(tr, s, shards, busy, tr->set->train_weight, scale, &loss, NULL);
		if (tr->shard_grad == tr->grad)
			continue;
		if (s == 0)
			memcpy(tr->grad, tr->shard_grad, sizeof(float) * total);
		else
			for (size_t i = 0; i < total; i++)
				tr->grad[i] += tr->shard_grad[i];
	}
	if (tr->status != SL_OK || scale == 0)
		return loss;
	norm = sl_clip_norm(tr->grad, total, plan->clip_norm);
	if (!isfinite(norm) || !isfinite(loss))
	{
		tr->status = SL_NOT_FINITE;
		return loss;
	}
	tr->norm_sum += norm;
	rate = plan->learning_rate * sl_schedule(plan->schedule,
											 (int64_t) (tr->epoch - 1) * tr->steps_in_epoch +
												 tr->step_in_epoch,
											 planned, plan->warmup);
	tr->state->step++;
	sl_optim_step(plan->optimizer, tr->state->step, rate, plan->weight_decay,
				  &tr->state->mu_product, total, tr->state->value, tr->grad, tr->state->moments);
	return loss;
}

static double
elapsed(const Trainer *tr)
{
	return tr->hooks->now(tr->hooks->arg) - tr->started;
}

static bool
out_of_time(const Trainer *tr)
{
	return tr->plan->time_limit > 0 && elapsed(tr) >= tr->plan->time_limit;
}

static bool
stop_asked(Trainer *tr)
{
	if (tr->status == SL_OK && tr->hooks->should_stop &&
		tr->hooks->should_stop(tr->hooks->arg))
		tr->status = SL_STOPPED;
	return tr->status != SL_OK;
}

/* Steps an epoch takes: a dry walk over the queue, lengths only. */
static int64_t
count_steps(Trainer *tr, int lanes)
{
	int64_t steps = 0;
	int taken = 0;
	int busy;

	memset(tr->lane, 0, sizeof(Lane) * lanes);
	while ((busy = fill_lanes(tr, tr->unit[0], tr->units[0], NULL, &taken, lanes)) > 0)
	{
		advance(tr, busy);
		steps++;
	}
	return steps;
}

/* One pass over the training units; false when time ran out before its end. */
static bool
train_epoch(Trainer *tr, int lanes, SlEpoch *epoch)
{
	double loss = 0;
	double weight = 0;
	int taken = 0;
	int busy;
	bool in_time = true;

	memset(tr->lane, 0, sizeof(Lane) * lanes);
	tr->norm_sum = 0;
	for (tr->step_in_epoch = 0; !stop_asked(tr); tr->step_in_epoch++)
	{
		double step;

		busy = fill_lanes(tr, tr->unit[0], tr->units[0], tr->queue, &taken, lanes);
		if (busy == 0)
			break;
		in_time = tr->step_in_epoch == 0 || !out_of_time(tr);
		if (!in_time)
			break;
		step = step_weight(tr, busy, tr->set->train_weight);
		loss += train_step(tr, busy, step);
		if (tr->status != SL_OK)
			break;
		weight += step;
		tr->rows_seen += (int64_t) step;
		advance(tr, busy);
		if (tr->hooks->step)
		{
			SlProgress progress = {tr->epoch,		   tr->plan->epochs, tr->step_in_epoch + 1,
								   tr->steps_in_epoch, tr->rows_seen,	 loss / fmax(weight, 1),
								   elapsed(tr)};

			tr->hooks->step(tr->hooks->arg, &progress);
		}
	}
	epoch->training_loss = weight > 0 ? loss / weight : 0;
	epoch->rows = (int64_t) weight;
	epoch->gradient_norm = tr->step_in_epoch > 0 ? tr->norm_sum / tr->step_in_epoch : 0;
	return in_time;
}

/* Loss and MAE over the validation rows. */
static void
validate(Trainer *tr, int lanes, SlEpoch *epoch)
{
	double loss = 0;
	double error = 0;
	double weight = 0;
	int taken = 0;
	int busy;

	epoch->validation_loss = epoch->validation_mae = NAN;
	if (tr->units[1] == 0)
		return;
	memset(tr->lane, 0, sizeof(Lane) * lanes);
	while (!stop_asked(tr) &&
		   (busy = fill_lanes(tr, tr->unit[1], tr->units[1], NULL, &taken, lanes)) > 0)
	{
		int shards = (busy + tr->shard_lanes - 1) / tr->shard_lanes;

		for (int s = 0; s < shards && tr->status == SL_OK; s++)
			run_shard(tr, s, shards, busy, tr->set->validation_weight, 0, &loss, &error);
		weight += step_weight(tr, busy, tr->set->validation_weight);
		advance(tr, busy);
	}
	epoch->validation_loss = loss / weight;
	epoch->validation_mae = error / weight;
}

/* Whether this epoch's weights are the ones to keep so far. */
static bool
is_better(const Trainer *tr, const SlEpoch *epoch, const SlEpoch *best)
{
	if (tr->plan->patience == 0 || isnan(epoch->validation_loss) || best->epoch == 0)
		return true;
	return epoch->validation_loss < best->validation_loss;
}

/* Steps look at gradients, and so see the weights of the step before; this sees the last
 * step's. */
static bool
is_finite(const Trainer *tr, const SlEpoch *epoch)
{
	if (tr->units[1] > 0 && !isfinite(epoch->validation_loss))
		return false;
	for (size_t i = 0; i < tr->net->params.total; i++)
		if (!isfinite(tr->state->value[i]))
			return false;
	return true;
}

static void
run_epochs(Trainer *tr, int lanes, SlTrainResult *result)
{
	const SlTrainPlan *plan = tr->plan;
	size_t bytes = sizeof(float) * tr->net->params.total;

	for (tr->epoch = 1; tr->epoch <= plan->epochs && tr->status == SL_OK; tr->epoch++)
	{
		SlEpoch epoch = {.epoch = tr->epoch};
		double begin = elapsed(tr);
		bool in_time;

		if (plan->shuffle)
			sl_random_shuffle(plan->seed, (uint64_t) tr->epoch, tr->queue, tr->units[0]);
		in_time = train_epoch(tr, lanes, &epoch);
		if (tr->status == SL_OK)
			validate(tr, lanes, &epoch);
		if (tr->status == SL_OK && !is_finite(tr, &epoch))
			tr->status = SL_NOT_FINITE;
		if (tr->status != SL_OK)
			break;
		epoch.learning_rate =
			plan->learning_rate * sl_schedule(plan->schedule,
											  (int64_t) tr->epoch * tr->steps_in_epoch - 1,
											  tr->steps_in_epoch * plan->epochs, plan->warmup);
		epoch.seconds = elapsed(tr) - begin;
		result->epochs = tr->epoch;
		if (is_better(tr, &epoch, &result->best))
		{
			result->best = epoch;
			if (plan->patience > 0)
				memcpy(tr->best, tr->state->value, bytes);
		}
		if (tr->hooks->epoch)
			tr->hooks->epoch(tr->hooks->arg, &epoch);
		result->out_of_time = !in_time || (tr->epoch < plan->epochs && out_of_time(tr));
		if (result->out_of_time || (plan->patience > 0 && tr->epoch - result->best.epoch >= plan->patience))
			break;
	}
	if (plan->patience > 0 && tr->status == SL_OK && result->epochs > 0)
		memcpy(tr->state->value, tr->best, bytes);
}

SlStatus
sl_train(const SlNet *net, const SlTrainSet *set, const SlTrainPlan *plan,
		 const SlTrainHooks *hooks, SlTrainState *state, SlArena *work, SlTrainResult *result)
{
	Trainer tr = {.net = net, .set = set, .plan = plan, .hooks = hooks, .state = state};
	int lanes = lane_count(set, plan);

	memset(result, 0, sizeof(*result));
	if (!lay_out(&tr, work))
		return SL_NO_MEMORY;
	tr.units[0] = collect_units(&tr, set->train_weight, tr.unit[0]);
	tr.units[1] = collect_units(&tr, set->validation_weight, tr.unit[1]);
	for (int i = 0; i < tr.units[0]; i++)
		tr.queue[i] = i;
	tr.started = hooks->now(hooks->arg);
	tr.steps_in_epoch = count_steps(&tr, lanes);
	run_epochs(&tr, lanes, result);
	result->rows = tr.rows_seen;
	result->seconds = elapsed(&tr);
	return tr.status;
}
