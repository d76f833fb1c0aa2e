/*
 * trainer.c: epochs of steps over packed batches, validation, and how runs end.
 *
 * Batches are made by lanes.c, and step.c computes them.
 *
 * A time limit ends training early enough for validation to be over with it, in the
 * middle of a step if need be: what the step has done is dropped.
 */
#include "train/trainer.h"

#include <math.h>
#include <string.h>

#include "nn/random.h"
#include "train/step.h"

typedef struct Trainer
{
	const SlTrainSet *set;
	const SlTrainPlan *plan;
	const SlTrainHooks *hooks;
	SlTrainState *state;

	SlUnits training;
	SlUnits validation;
	SlStep step;
	SlTrainState best; /* after the best epoch, where there is patience */

	double started;
	double deadline; /* in seconds of the run, of the pass in work; 0: none */
	bool cut;		 /* it came within a step */
	double reserve;	 /* seconds that validation is expected to take */
	int epoch;
	int64_t steps_in_epoch;
	int64_t step_in_epoch;
	int64_t rows_seen;
	double norm_sum;
	SlStatus status;
} Trainer;

/* ---- time ---- */

static double
elapsed(const Trainer *tr)
{
	return tr->hooks->now(tr->hooks->arg) - tr->started;
}

/* Asked in the middle of a step. */
static bool
should_cut(void *arg)
{
	Trainer *tr = arg;

	if (tr->deadline > 0 && elapsed(tr) >= tr->deadline)
		tr->cut = true;
	return tr->cut;
}

/* Whether training has to end for validation to be over within the limit. */
static bool
out_of_time(const Trainer *tr)
{
	return tr->plan->time_limit > 0 && elapsed(tr) >= tr->plan->time_limit - tr->reserve;
}

/* Validation may take somewhat longer than was expected. */
static double
validation_deadline(const Trainer *tr)
{
	double limit = tr->plan->time_limit;

	return limit > 0 ? 1.1 * limit + 0.25 : 0;
}

double
sl_train_time_left(const SlTrainPlan *plan, double left)
{
	if (plan->time_limit > 0)
		left = fmin(left, plan->time_limit);
	return fmax(left, 1e-6);
}

static double
rows_of(const SlUnits *units)
{
	double rows = 0;

	for (int i = 0; i < units->count; i++)
		rows += units->unit[i].end - units->unit[i].first;
	return rows;
}

/* What validation will take, from steps that took so many seconds: a forward pass is
 * some 0.4 of a step. */
static void
expect_validation(Trainer *tr, double seconds, int64_t steps)
{
	double epoch = seconds * (double) tr->steps_in_epoch / (double) steps;

	tr->reserve = fmin(0.4 * epoch * rows_of(&tr->validation) / rows_of(&tr->training),
					   tr->plan->time_limit / 2);
}

/* ---- memory ---- */

static bool
all_zero(const float *x, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (x[i] != 0)
			return false;
	return true;
}

/* Whether no optimiser moves the parameter unless a gradient does. */
static bool
is_at_rest(const SlParams *params, const SlParam *param, const SlTrainPlan *plan,
		   const SlTrainState *state)
{
	size_t size = (size_t) param->rows * param->cols;

	for (int m = 0; m < sl_optim_moments(plan->optimizer); m++)
		if (!all_zero(state->moments + m * params->total + param->offset, size))
			return false;
	return plan->weight_decay == 0;
}

/* Where each row is a sequence, weights that read the state before it read zeros. */
void
sl_train_rest(SlNet *net, const SlTrainPlan *plan, const SlTrainState *state)
{
	bool rests[SL_MAX_PARAMS] = {false};
	bool zeros = plan->sequence_length == 1 && !net->spec.arch->whole &&
				 net->spec.recurrent_dropout == 0;

	for (int i = 0; i < net->params.count; i++)
	{
		const SlParam *param = &net->params.item[i];

		rests[i] = zeros && param->init == SL_INIT_RECURRENT &&
				   is_at_rest(&net->params, param, plan, state);
	}
	sl_params_rest(&net->params, rests);
}

/* Takes everything a run needs from the arena; with an empty one it only counts. */
static bool
lay_out(Trainer *tr, SlArena *arena)
{
	int units = sl_units_most(tr->set, tr->plan);
	size_t total = tr->step.net->params.total;

	tr->training.unit = sl_alloc(arena, units, sizeof(SlUnit));
	tr->training.queue = sl_alloc(arena, units, sizeof(int));
	tr->validation.unit = sl_alloc(arena, units, sizeof(SlUnit));
	if (tr->plan->patience > 0)
	{
		tr->best.value = sl_alloc(arena, total, sizeof(float));
		tr->best.moments =
			sl_alloc(arena, total, sizeof(float) * sl_optim_moments(tr->plan->optimizer));
	}
	return tr->step.team != NULL ? sl_step_share(&tr->step, tr->state, arena)
								 : sl_step_lay_out(&tr->step, arena, arena);
}

size_t
sl_train_memory(const SlNet *net, const SlTrainSet *set, const SlTrainPlan *plan)
{
	SlArena arena = {NULL, SIZE_MAX, 0};
	Trainer tr = {
		.set = set, .plan = plan, .step = {.net = net, .set = set, .plan = plan}};

	return lay_out(&tr, &arena) ? arena.used : SIZE_MAX;
}

size_t
sl_train_team_memory(const SlNet *net, const SlTrainSet *set, const SlTrainPlan *plan,
					 size_t *each)
{
	SlArena arena = {NULL, SIZE_MAX, 0};
	SlTeam team = {.shared = arena};
	Trainer tr = {.set = set,
				  .plan = plan,
				  .step = {.net = net, .set = set, .plan = plan, .team = &team}};
	bool fits = lay_out(&tr, &arena);

	*each = arena.used;
	return fits ? team.shared.used : SIZE_MAX;
}

int
sl_train_team_size(const SlNet *net, const SlTrainSet *set, const SlTrainPlan *plan)
{
	SlArena arena = {NULL, SIZE_MAX, 0};
	SlStep step = {.net = net, .set = set, .plan = plan};

	return sl_step_lay_out(&step, &arena, &arena) ? sl_lanes_shards(&step.lanes) : 1;
}

/* ---- passes ---- */

/* True if the pass's deadline came within the step, which then did not happen. */
static bool
was_cut(Trainer *tr, SlStatus status)
{
	bool cut = status == SL_STOPPED && tr->cut;

	if (!cut && tr->status == SL_OK)
		tr->status = status;
	return cut;
}

/* Gradient of one step over all shards, then the optimiser.  False if it was cut. */
static bool
train_step(Trainer *tr, double weight_sum, double *loss)
{
	const SlTrainPlan *plan = tr->plan;
	float scale = weight_sum > 0 ? (float) (1 / weight_sum) : 0;
	int64_t planned = tr->steps_in_epoch * plan->epochs;
	SlShardResult result;
	double norm;
	float rate;

	if (was_cut(tr, sl_step_shards(&tr->step, SL_TASK_TRAIN, tr->epoch, tr->step_in_epoch,
								   scale, &result)))
		return false;
	*loss += result.loss;
	if (tr->status != SL_OK || scale == 0)
		return true;
	tr->status = sl_step_norm(&tr->step, &norm);
	if (tr->status == SL_OK && (!isfinite(norm) || !isfinite(result.loss)))
		tr->status = SL_NOT_FINITE;
	if (tr->status != SL_OK)
		return true;
	tr->norm_sum += norm;
	rate = plan->learning_rate *
		   sl_schedule(plan->schedule,
					   (int64_t) (tr->epoch - 1) * tr->steps_in_epoch + tr->step_in_epoch,
					   planned, plan->warmup);
	tr->status =
		sl_step_update(&tr->step, sl_clip_factor(norm, plan->clip_norm), rate, tr->state);
	return true;
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
	SlLanes *lanes = &tr->step.lanes;
	int64_t steps = 0;

	for (sl_lanes_start(lanes); sl_lanes_fill(lanes, &tr->training); steps++)
		sl_lanes_advance(lanes);
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

/* One pass over the training units; false when time ran out before its end.  The first
 * step of a run is always done. */
static bool
train_epoch(Trainer *tr, SlEpoch *epoch)
{
	SlLanes *lanes = &tr->step.lanes;
	double begin = elapsed(tr);
	double loss = 0;
	double weight = 0;
	bool in_time = true;

	sl_lanes_start(lanes);
	tr->norm_sum = 0;
	for (tr->step_in_epoch = 0; !stop_asked(tr) && sl_lanes_fill(lanes, &tr->training);
		 tr->step_in_epoch++)
	{
		double step = sl_lanes_weight(lanes, tr->set->train_weight);
		bool first = tr->epoch == 1 && tr->step_in_epoch == 0;

		tr->deadline = tr->plan->time_limit > 0 && !first
						   ? fmax(tr->plan->time_limit - tr->reserve, 1e-9)
						   : 0;
		in_time = (first || !out_of_time(tr)) && train_step(tr, step, &loss);
		if (!in_time || tr->status != SL_OK)
			break;
		weight += step;
		tr->rows_seen += (int64_t) step;
		sl_lanes_advance(lanes);
		report_step(tr, loss / fmax(weight, 1));
		if (tr->plan->time_limit > 0 && tr->epoch == 1)
			expect_validation(tr, elapsed(tr) - begin, tr->step_in_epoch + 1);
	}
	epoch->training_loss = weight > 0 ? loss / weight : 0;
	epoch->rows = (int64_t) weight;
	epoch->gradient_norm = tr->step_in_epoch > 0 ? tr->norm_sum / tr->step_in_epoch : 0;
	return in_time;
}

/* Loss and MAE over the validation rows; false, and neither of them, when time ran out
 * before all were seen. */
static bool
validate(Trainer *tr, SlEpoch *epoch)
{
	SlLanes *lanes = &tr->step.lanes;
	const float *row_weight = tr->set->validation_weight;
	double begin = elapsed(tr);
	SlShardResult sum = {SL_OK, 0, 0, 0};
	double weight = 0;
	int64_t number = 0;

	epoch->validation_loss = epoch->validation_mae = NAN;
	if (tr->validation.count == 0)
		return true;
	tr->deadline = validation_deadline(tr);
	sl_lanes_start(lanes);
	while (!stop_asked(tr) && sl_lanes_fill(lanes, &tr->validation))
	{
		SlShardResult result;

		if (was_cut(tr, sl_step_shards(&tr->step, SL_TASK_VALIDATE, tr->epoch, number++,
									   0, &result)))
			return false;
		if (tr->status != SL_OK)
			break; /* others may still be at work on the lanes */
		sum.loss += result.loss;
		sum.error += result.error;
		sum.error_rows += result.error_rows;
		weight += sl_lanes_weight(lanes, row_weight);
		sl_lanes_advance(lanes);
	}
	epoch->validation_loss = sum.loss / weight;
	epoch->validation_mae = sum.error_rows > 0 ? sum.error / sum.error_rows : NAN;
	tr->reserve = fmin(elapsed(tr) - begin, tr->plan->time_limit / 2);
	return true;
}

/* Whether this epoch's weights are the ones to keep so far. */
static bool
is_better(const Trainer *tr, const SlEpoch *epoch, const SlEpoch *best)
{
	if (tr->plan->patience == 0 || tr->validation.count == 0 || best->epoch == 0)
		return true;
	return epoch->validation_loss < best->validation_loss ||
		   (isnan(best->validation_loss) && !isnan(epoch->validation_loss));
}

/* Steps look at gradients, and so see the weights of the step before; this sees the last
 * step's. */
static bool
is_finite(const Trainer *tr, const SlEpoch *epoch, bool validated)
{
	if (validated && tr->validation.count > 0 && !isfinite(epoch->validation_loss))
		return false;
	for (size_t i = 0; i < tr->step.net->params.total; i++)
		if (!isfinite(tr->step.value[i]))
			return false;
	return true;
}

/* One epoch with its validation; false if there is nothing to keep of it. */
static bool
run_epoch(Trainer *tr, SlEpoch *epoch, bool *in_time)
{
	const SlTrainPlan *plan = tr->plan;
	double begin = elapsed(tr);
	bool validated = true;

	tr->cut = false;
	if (plan->shuffle)
		sl_random_shuffle(plan->seed, (uint64_t) tr->epoch, tr->training.queue,
						  tr->training.count);
	*in_time = train_epoch(tr, epoch);
	if (!*in_time && tr->step_in_epoch == 0 && tr->epoch > 1)
		return false;
	tr->cut = false;
	if (tr->status == SL_OK)
		validated = validate(tr, epoch);
	*in_time &= validated;
	if (tr->status == SL_OK && !is_finite(tr, epoch, validated))
		tr->status = SL_NOT_FINITE;
	epoch->learning_rate =
		plan->learning_rate *
		sl_schedule(plan->schedule, (int64_t) tr->epoch * tr->steps_in_epoch - 1,
					tr->steps_in_epoch * plan->epochs, plan->warmup);
	epoch->seconds = elapsed(tr) - begin;
	return tr->status == SL_OK;
}

/* What training goes on from, and a warm start after it: weights and optimiser. */
static void
keep_best(Trainer *tr)
{
	size_t bytes = sizeof(float) * tr->step.net->params.total;

	memcpy(tr->best.value, tr->step.value, bytes);
	memcpy(tr->best.moments, tr->step.moments,
		   bytes * sl_optim_moments(tr->plan->optimizer));
	tr->best.step = tr->state->step;
	tr->best.mu_product = tr->state->mu_product;
}

static void
return_to_best(Trainer *tr)
{
	size_t bytes = sizeof(float) * tr->step.net->params.total;

	memcpy(tr->step.value, tr->best.value, bytes);
	memcpy(tr->step.moments, tr->best.moments,
		   bytes * sl_optim_moments(tr->plan->optimizer));
	tr->state->step = tr->best.step;
	tr->state->mu_product = tr->best.mu_product;
}

static void
run_epochs(Trainer *tr, SlTrainResult *result)
{
	const SlTrainPlan *plan = tr->plan;
	bool in_time = true;

	for (tr->epoch = 1; tr->epoch <= plan->epochs && in_time; tr->epoch++)
	{
		SlEpoch epoch = {.epoch = tr->epoch};

		if (!run_epoch(tr, &epoch, &in_time))
			break;
		result->epochs = tr->epoch;
		if (is_better(tr, &epoch, &result->best))
		{
			result->best = epoch;
			if (plan->patience > 0)
				keep_best(tr);
		}
		if (tr->hooks->epoch)
			tr->hooks->epoch(tr->hooks->arg, &epoch);
		if (plan->patience > 0 && tr->epoch - result->best.epoch >= plan->patience)
			break;
		in_time &= tr->epoch == plan->epochs || !out_of_time(tr);
	}
	result->out_of_time = tr->status == SL_OK && !in_time;
	if (plan->patience > 0 && tr->status == SL_OK && result->epochs > 0)
		return_to_best(tr);
}

SlStatus
sl_train(const SlNet *net, const SlTrainSet *set, const SlTrainPlan *plan,
		 const SlTrainHooks *hooks, SlTrainState *state, SlArena *work,
		 SlTrainResult *result)
{
	Trainer tr = {.set = set, .plan = plan, .hooks = hooks, .state = state};

	memset(result, 0, sizeof(*result));
	tr.step = (SlStep){.net = net,
					   .set = set,
					   .plan = plan,
					   .should_stop = hooks->should_stop,
					   .stop_arg = hooks->arg,
					   .should_cut = should_cut,
					   .cut_arg = &tr,
					   .team = hooks->team,
					   .value = state->value,
					   .moments = state->moments};
	if (!lay_out(&tr, work))
		return SL_NO_MEMORY;
	if (hooks->team == NULL)
		sl_step_start(&tr.step);
	sl_units_collect(&tr.training, set, plan, set->train_weight);
	sl_units_collect(&tr.validation, set, plan, set->validation_weight);
	tr.started = hooks->now(hooks->arg);
	tr.steps_in_epoch = count_steps(&tr);
	run_epochs(&tr, result);
	if (hooks->team != NULL && tr.status == SL_OK)
		sl_step_collect(&tr.step, state);
	result->rows = tr.rows_seen;
	result->seconds = elapsed(&tr);
	return tr.status;
}
