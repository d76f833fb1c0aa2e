/*
 * trainer.c: epochs of steps over packed batches, validation, and how runs end.
 *
 * Batches are made by lanes.c.  Each shard's gradient is added in order, so that the
 * weights do not depend on who computes the shards.
 */
#include "train/trainer.h"

#include <math.h>
#include <string.h>

#include "nn/random.h"
#include "train/lanes.h"

typedef struct Trainer
{
	const SlNet *net;
	const SlTrainSet *set;
	const SlTrainPlan *plan;
	const SlTrainHooks *hooks;
	SlTrainState *state;

	SlUnits training;
	SlUnits validation;
	SlLanes lanes;
	SlArena activations; /* of one shard */

	float *grad;	   /* sum over shards */
	float *shard_grad; /* the same array when there is one shard */
	float *best;	   /* weights of the best epoch */

	double started;
	int epoch;
	int64_t steps_in_epoch;
	int64_t step_in_epoch;
	int64_t rows_seen;
	double norm_sum;
	SlStatus status;
} Trainer;

/* ---- memory ---- */

/* Takes everything a run needs from the arena; with an empty one it only counts. */
static bool
lay_out(Trainer *tr, SlArena *arena)
{
	int units = sl_units_most(tr->set, tr->plan);
	size_t total = tr->net->params.total;
	size_t activations;

	tr->training.unit = sl_alloc(arena, units, sizeof(SlUnit));
	tr->training.queue = sl_alloc(arena, units, sizeof(int));
	tr->validation.unit = sl_alloc(arena, units, sizeof(SlUnit));
	if (!sl_lanes_init(&tr->lanes, tr->net, tr->set, tr->plan, arena))
		return false;
	tr->grad = sl_alloc(arena, total, sizeof(float));
	tr->shard_grad = tr->lanes.count > tr->lanes.shard_count
						 ? sl_alloc(arena, total, sizeof(float))
						 : tr->grad;
	tr->best = sl_alloc(arena, total, sizeof(float));
	activations = sl_lanes_activations(&tr->lanes);
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

/* ---- one shard ---- */

/* Absolute errors in the target's own units, of rows whose target is known: a censored
 * one is only a lower bound. */
typedef struct Errors
{
	double sum;
	int64_t rows;
} Errors;

static void
add_errors(const Trainer *tr, const SlTensor *out, Errors *errors)
{
	const SlTarget *target = &tr->set->target;
	const SlLanes *lanes = &tr->lanes;

	for (int i = 0; i < lanes->pack.rows; i++)
		if (lanes->weight[i] > 0 && !(tr->set->censored && lanes->censored[i]))
		{
			float p = sl_loss_predict(&tr->plan->loss, out->data + (size_t) i * out->cols,
									  NULL);

			errors->sum += fabs(sl_target_inverse(target, p) -
								sl_target_inverse(target, lanes->y[i]));
			errors->rows++;
		}
}

/*
 * Forward pass over one shard, with gradients where scale > 0.  Adds to *loss, and to
 * *errors unless it is NULL; keeps the lanes' new state.
 */
static void
run_shard(Trainer *tr, int shard, const float *weight, float scale, double *loss,
		  Errors *errors)
{
	SlLanes *lanes = &tr->lanes;
	SlBatch batch = sl_lanes_pack(lanes, shard, weight);
	SlTape tape = {.arena = &tr->activations,
				   .params = &tr->net->params,
				   .value = tr->state->value,
				   .grad = scale > 0 ? tr->shard_grad : NULL,
				   .dropout = errors == NULL,
				   .seed = tr->plan->seed,
				   .epoch = (uint64_t) tr->epoch,
				   .should_stop = tr->hooks->should_stop,
				   .stop_arg = tr->hooks->arg};
	SlTensor *out;

	tr->activations.used = 0;
	out = tr->net->spec.arch->forward(tr->net, &tape, &batch);
	if (tape.status == SL_OK)
	{
		*loss += sl_loss(&tr->plan->loss, out, lanes->y, lanes->weight,
						 tr->set->censored ? lanes->censored : NULL, scale);
		if (errors != NULL)
			add_errors(tr, out, errors);
		if (scale > 0)
			sl_backward(&tape);
	}
	tr->status = tape.status;
	if (tr->status == SL_OK)
		sl_lanes_keep(lanes, shard);
}

/* ---- passes ---- */

/* Gradient of one step over all shards, then the optimiser.  Returns the loss sum. */
static double
train_step(Trainer *tr, double weight_sum)
{
	const SlTrainPlan *plan = tr->plan;
	size_t total = tr->net->params.total;
	float scale = weight_sum > 0 ? (float) (1 / weight_sum) : 0;
	double loss = 0;
	double norm;
	int64_t planned = tr->steps_in_epoch * plan->epochs;
	float rate;

	for (int s = 0; s < tr->lanes.shards && tr->status == SL_OK; s++)
	{
		memset(tr->shard_grad, 0, sizeof(float) * total);
		run_shard(tr, s, tr->set->train_weight, scale, &loss, NULL);
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
	rate = plan->learning_rate *
		   sl_schedule(plan->schedule,
					   (int64_t) (tr->epoch - 1) * tr->steps_in_epoch + tr->step_in_epoch,
					   planned, plan->warmup);
	tr->state->step++;
	sl_optim_step(plan->optimizer, tr->state->step, rate, plan->weight_decay,
				  &tr->state->mu_product, total, tr->state->value, tr->grad,
				  tr->state->moments);
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
count_steps(Trainer *tr)
{
	int64_t steps = 0;

	for (sl_lanes_start(&tr->lanes); sl_lanes_fill(&tr->lanes, &tr->training); steps++)
		sl_lanes_advance(&tr->lanes);
	return steps;
}

static void
report_step(const Trainer *tr, double mean_loss)
{
	SlProgress progress = {.epoch = tr->epoch,
						   .epochs = tr->plan->epochs,
						   .step = tr->step_in_epoch + 1,
						   .steps = tr->steps_in_epoch,
						   .rows = tr->rows_seen,
						   .loss = mean_loss,
						   .seconds = elapsed(tr)};

	if (tr->hooks->step)
		tr->hooks->step(tr->hooks->arg, &progress);
}

/* One pass over the training units; false when time ran out before its end. */
static bool
train_epoch(Trainer *tr, SlEpoch *epoch)
{
	SlLanes *lanes = &tr->lanes;
	double loss = 0;
	double weight = 0;
	bool in_time = true;

	sl_lanes_start(lanes);
	tr->norm_sum = 0;
	for (tr->step_in_epoch = 0; !stop_asked(tr) && sl_lanes_fill(lanes, &tr->training);
		 tr->step_in_epoch++)
	{
		double step = sl_lanes_weight(lanes, tr->set->train_weight);

		in_time = tr->step_in_epoch == 0 || !out_of_time(tr);
		if (!in_time)
			break;
		loss += train_step(tr, step);
		if (tr->status != SL_OK)
			break;
		weight += step;
		tr->rows_seen += (int64_t) step;
		sl_lanes_advance(lanes);
		report_step(tr, loss / fmax(weight, 1));
	}
	epoch->training_loss = weight > 0 ? loss / weight : 0;
	epoch->rows = (int64_t) weight;
	epoch->gradient_norm = tr->step_in_epoch > 0 ? tr->norm_sum / tr->step_in_epoch : 0;
	return in_time;
}

/* Loss and MAE over the validation rows. */
static void
validate(Trainer *tr, SlEpoch *epoch)
{
	SlLanes *lanes = &tr->lanes;
	const float *row_weight = tr->set->validation_weight;
	double loss = 0;
	Errors errors = {0, 0};
	double weight = 0;

	epoch->validation_loss = epoch->validation_mae = NAN;
	if (tr->validation.count == 0)
		return;
	sl_lanes_start(lanes);
	while (!stop_asked(tr) && sl_lanes_fill(lanes, &tr->validation))
	{
		for (int s = 0; s < lanes->shards && tr->status == SL_OK; s++)
			run_shard(tr, s, row_weight, 0, &loss, &errors);
		weight += sl_lanes_weight(lanes, row_weight);
		sl_lanes_advance(lanes);
	}
	epoch->validation_loss = loss / weight;
	epoch->validation_mae = errors.rows > 0 ? errors.sum / errors.rows : NAN;
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
	if (tr->validation.count > 0 && !isfinite(epoch->validation_loss))
		return false;
	for (size_t i = 0; i < tr->net->params.total; i++)
		if (!isfinite(tr->state->value[i]))
			return false;
	return true;
}

static void
run_epochs(Trainer *tr, SlTrainResult *result)
{
	const SlTrainPlan *plan = tr->plan;
	size_t bytes = sizeof(float) * tr->net->params.total;

	for (tr->epoch = 1; tr->epoch <= plan->epochs && tr->status == SL_OK; tr->epoch++)
	{
		SlEpoch epoch = {.epoch = tr->epoch};
		double begin = elapsed(tr);
		bool in_time;

		if (plan->shuffle)
			sl_random_shuffle(plan->seed, (uint64_t) tr->epoch, tr->training.queue,
							  tr->training.count);
		in_time = train_epoch(tr, &epoch);
		if (tr->status == SL_OK)
			validate(tr, &epoch);
		if (tr->status == SL_OK && !is_finite(tr, &epoch))
			tr->status = SL_NOT_FINITE;
		if (tr->status != SL_OK)
			break;
		epoch.learning_rate =
			plan->learning_rate *
			sl_schedule(plan->schedule, (int64_t) tr->epoch * tr->steps_in_epoch - 1,
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
		if (result->out_of_time ||
			(plan->patience > 0 && tr->epoch - result->best.epoch >= plan->patience))
			break;
	}
	if (plan->patience > 0 && tr->status == SL_OK && result->epochs > 0)
		memcpy(tr->state->value, tr->best, bytes);
}

SlStatus
sl_train(const SlNet *net, const SlTrainSet *set, const SlTrainPlan *plan,
		 const SlTrainHooks *hooks, SlTrainState *state, SlArena *work,
		 SlTrainResult *result)
{
	Trainer tr = {.net = net, .set = set, .plan = plan, .hooks = hooks, .state = state};

	memset(result, 0, sizeof(*result));
	if (!lay_out(&tr, work))
		return SL_NO_MEMORY;
	sl_units_collect(&tr.training, set, plan, set->train_weight);
	sl_units_collect(&tr.validation, set, plan, set->validation_weight);
	tr.started = hooks->now(hooks->arg);
	tr.steps_in_epoch = count_steps(&tr);
	run_epochs(&tr, result);
	result->rows = tr.rows_seen;
	result->seconds = elapsed(&tr);
	return tr.status;
}
