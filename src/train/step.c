/*
 * step.c: the items of a step, and how a process works through them; see step.h.
 *
 * Shards are cut by the batch, ranges by the number of weights, and sums are taken in
 * their order: the bits do not depend on the number of processes.
 */
#include "train/step.h"

#include <math.h>
#include <string.h>

#include "model/decode.h"
#include "nn/optim.h"
#include "nn/random.h"

/* Weights in a range: enough to be worth claiming, few enough to stay in the cache
 * between summing and updating. */
#define RANGE ((size_t) 1 << 14)
/* So many ranges are worth waking sleeping members up for. */
#define WORTH_WAKING 8
/* Negatives are drawn in proportion to an item's count to this power. */
#define COUNT_POWER 0.75
#define NEGATIVES_STREAM 0x6e656773 /* apart from all other uses of the seed */
/* Up to so many items sampled softmax is validated exactly. */
#define EXACT_ITEMS (1 << 17)

/* ---- memory ---- */

/* Size of equal ranges of a gradient, the last one shorter. */
static size_t
range_of(size_t size)
{
	size_t range = RANGE;

	while (size > range * SL_MAX_ITEMS)
		range *= 2;
	return range;
}

static int
count_ranges(size_t size)
{
	size_t range = range_of(size);

	return (int) ((size + range - 1) / range);
}

/* The gradients: the sum and, if there can be several, those of shards. */
static void
lay_out_gradients(SlStep *step, const SlGradient *plan, SlArena *shared)
{
	int shards = sl_lanes_shards(&step->lanes);
	int parts = shards == 1 ? 0 : step->team == NULL ? 1 : shards;

	sl_gradient_lay_out(&step->grad, plan, shards, shared);
	for (int s = 0; s < parts; s++)
		sl_gradient_lay_out(&step->shard_grad[s], plan, 1, shared);
	step->square = sl_alloc(shared, SL_MAX_ITEMS, sizeof(double));
}

/* Where a shard's gradient goes. */
static SlGradient *
shard_gradient(SlStep *step, int shard)
{
	if (sl_lanes_shards(&step->lanes) == 1)
		return &step->grad;
	return &step->shard_grad[step->team == NULL ? 0 : shard];
}

static bool
draws_items(const SlStep *step)
{
	return step->net->spec.items > 0 && step->plan->loss.kind != SL_LOSS_CROSS_ENTROPY;
}

bool
sl_step_lay_out(SlStep *step, SlArena *shared, SlArena *own)
{
	size_t total = step->net->params.total;
	SlGradient plan;
	size_t activations;

	step->item = -1;
	step->shared = sl_alloc(shared, 1, sizeof(SlStepShared));
	if (!sl_lanes_init(&step->lanes, step->net, step->set, step->plan, shared, own))
		return false;
	activations = sl_lanes_activations(&step->lanes, &plan);
	if (activations == SIZE_MAX)
		return false;
	lay_out_gradients(step, &plan, shared);
	if (draws_items(step))
	{
		sl_sampler_lay_out(&step->sampler, step->net->spec.items, shared);
		step->lanes.items.sampler = &step->sampler;
	}
	if (step->team != NULL)
	{
		step->value = sl_alloc(shared, total, sizeof(float));
		step->moments = sl_alloc(shared, total * sl_optim_moments(step->plan->optimizer),
								 sizeof(float));
	}
	step->activations = (SlArena){sl_alloc(own, activations, 1), activations, 0};
	return shared->used != SIZE_MAX && own->used != SIZE_MAX;
}

void
sl_step_start(SlStep *step)
{
	int shards = sl_lanes_shards(&step->lanes);

	sl_board_init(&step->shared->board);
	sl_gradient_start(&step->grad);
	if (draws_items(step))
		sl_sampler_start(&step->sampler, step->set->item_count, COUNT_POWER);
	for (int s = 0; shards > 1 && s < (step->team == NULL ? 1 : shards); s++)
		sl_gradient_start(&step->shard_grad[s]);
}

/* ---- items ---- */

/* Asked within an item: whether to end it. */
static bool
should_end(void *arg)
{
	SlStep *step = arg;

	if (step->should_stop != NULL && step->should_stop(step->stop_arg))
		return true;
	if (step->should_cut != NULL && step->should_cut(step->cut_arg))
		sl_board_cut(&step->shared->board);
	return sl_board_is_cut(&step->shared->board);
}

/* Names the negatives of a shard.  Validation's are the same in every epoch, so that
 * epochs can be compared. */
static uint64_t
negatives_key(const SlStep *step, const SlTask *task, int shard)
{
	uint64_t epoch = task->kind == SL_TASK_TRAIN ? (uint64_t) task->epoch : 0;
	uint64_t key = sl_random_bits(step->plan->seed, NEGATIVES_STREAM, epoch);

	return sl_random_bits(key, (uint64_t) task->number, (uint64_t) shard);
}

/* The loss over items; of all of them in validation, where that can be had. */
static double
item_loss(const SlStep *step, const SlTask *task, int shard, SlTape *tape, SlTensor *out)
{
	SlItemLoss loss = step->lanes.items;
	SlItemTarget target = sl_lanes_items(&step->lanes, negatives_key(step, task, shard));

	if (task->kind == SL_TASK_VALIDATE && loss.kind == SL_LOSS_SAMPLED_SOFTMAX &&
		step->net->spec.items <= EXACT_ITEMS)
		loss.kind = SL_LOSS_CROSS_ENTROPY;
	return sl_item_loss(&loss, tape, out, &target, task->scale);
}

/* Predictions in the target's own units, where it has any. */
static bool
has_units(const SlStep *step)
{
	return step->net->spec.items == 0 && step->plan->loss.kind != SL_LOSS_BCE &&
		   step->plan->loss.kind != SL_LOSS_CROSS_ENTROPY;
}

static void
add_errors(const SlStep *step, const SlTensor *out, SlShardResult *result)
{
	const SlTarget *target = &step->set->target;
	const SlLanes *lanes = &step->lanes;

	for (int i = 0; i < lanes->pack.rows; i++)
		if (lanes->weight[i] > 0 && !(step->set->censored && lanes->censored[i]))
		{
			float p = sl_loss_predict(&step->plan->loss,
									  out->data + (size_t) i * out->cols, NULL);

			result->error += fabs(sl_target_inverse(target, p) -
								  sl_target_inverse(target, lanes->y[i]));
			result->error_rows++;
		}
}

/* Forward pass over one shard, with gradients where scale > 0; keeps the lanes' new
 * state. */
static SlShardResult
run_shard(SlStep *step, const SlTask *task, int shard, SlGradient *grad)
{
	SlLanes *lanes = &step->lanes;
	bool training = task->kind == SL_TASK_TRAIN;
	SlBatch batch = sl_lanes_pack(
		lanes, shard, training ? step->set->train_weight : step->set->validation_weight);
	SlTape tape = {.arena = &step->activations,
				   .params = &step->net->params,
				   .value = step->value,
				   .grad = task->scale > 0 ? grad : NULL,
				   .dropout = training,
				   .seed = step->plan->seed,
				   .epoch = (uint64_t) task->epoch,
				   .should_stop = should_end,
				   .stop_arg = step};
	SlShardResult result = {SL_OK, 0, 0, 0};
	SlTensor *out;

	step->activations.used = 0;
	if (training && lanes->schedules)
		tape.status =
			sl_decode_scheduled(step->net, &tape, &batch, step->plan->teacher_forcing,
								lanes->code[step->net->spec.item]);
	out = step->net->spec.arch->forward(step->net, &tape, &batch);
	if (tape.status == SL_OK)
	{
		if (step->net->spec.items > 0)
			result.loss = item_loss(step, task, shard, &tape, out);
		else
			result.loss =
				sl_loss(&step->plan->loss, out, lanes->y, lanes->weight,
						step->set->censored ? lanes->censored : NULL, task->scale);
		if (!training && has_units(step))
			add_errors(step, out, &result);
		if (task->scale > 0)
			sl_backward(&tape);
	}
	if (tape.status == SL_OK)
		sl_lanes_keep(lanes, shard);
	result.status = tape.status;
	return result;
}

/* A shard with its gradient.  Alone, shards come in order and share one gradient, so each
 * is added to the sum at once. */
static SlStatus
shard_item(SlStep *step, const SlTask *task, int shard)
{
	SlGradient *grad = shard_gradient(step, shard);
	SlShardResult *result = &step->shared->result[shard];

	step->lanes.busy = task->busy;
	step->lanes.shards = task->shards;
	if (task->scale > 0)
		sl_gradient_clear(grad);
	*result = run_shard(step, task, shard, grad);
	if (result->status == SL_OK && task->scale > 0 && step->team == NULL &&
		grad != &step->grad)
		result->status = sl_gradient_add(&step->grad, grad, shard == 0);
	return result->status;
}

/* The gradients to be summed once all are there; none if the sum is there already. */
static int
shards_to_sum(SlStep *step, int shards, const SlGradient **part)
{
	if (step->team == NULL || shard_gradient(step, 0) == &step->grad)
		return 0;
	for (int s = 0; s < shards; s++)
		part[s] = shard_gradient(step, s);
	return shards;
}

static void
sum_item(SlStep *step, const SlTask *task, size_t from, size_t to)
{
	const SlGradient *part[SL_MAX_SHARDS];
	int shards = shards_to_sum(step, task->shards, part);

	if (shards > 0)
		sl_gradient_sum(&step->grad, part, shards, from, to);
	step->square[from / task->range] = sl_gradient_square(&step->grad, from, to);
}

static void
update_item(SlStep *step, const SlTask *task, size_t from, size_t to)
{
	SlOptimStep optim = sl_optim_begin(step->plan->optimizer, task->step, task->rate,
									   step->plan->weight_decay, task->mu_product);

	if (task->clip < 1)
		sl_gradient_scale(&step->grad, task->clip, from, to);
	sl_gradient_update(&step->grad, &optim, step->value, step->moments, from, to);
}

static SlStatus
run_item(SlStep *step, int item)
{
	const SlTask *task = &step->shared->task;
	size_t from = (size_t) item * task->range;
	size_t to = task->size - from < task->range ? task->size : from + task->range;

	if (task->kind == SL_TASK_TRAIN || task->kind == SL_TASK_VALIDATE)
		return shard_item(step, task, item);
	if (task->kind == SL_TASK_SUM)
		sum_item(step, task, from, to);
	else
		update_item(step, task, from, to);
	return SL_OK;
}

/* ---- the leader ---- */

static bool
stopped(const SlStep *step)
{
	return step->should_stop != NULL && step->should_stop(step->stop_arg);
}

/* An item that ended early because the publication was cut is done. */
static SlStatus
lead_item(SlStep *step, int item)
{
	SlStatus status = run_item(step, item);
	bool cut = status == SL_STOPPED && sl_board_is_cut(&step->shared->board);

	(void) sl_board_finish(&step->shared->board);
	return cut ? SL_OK : status;
}

/*
 * Has all items of task done.  A cut is no error here: the caller sees it in the shards'
 * status.  When stopped, others may still be at work in the team's memory.
 */
static SlStatus
run_task(SlStep *step, const SlTask *task, int items, bool wake)
{
	SlBoard *board = &step->shared->board;
	SlTeam *team = step->team;
	SlStatus status = SL_OK;
	int item;

	step->shared->task = *task;
	sl_board_publish(board, items);
	if (team != NULL && wake && items > 1)
		team->wake(team->arg);
	while (status == SL_OK && (item = sl_board_claim(board)) >= 0)
		status = (item & 63) == 63 && stopped(step) ? SL_STOPPED : lead_item(step, item);
	while (status == SL_OK && !sl_board_watch_done(board))
	{
		item = sl_board_reclaim(board);
		if (item >= 0)
			status = lead_item(step, item);
		else if (stopped(step))
			status = SL_STOPPED;
		else
		{
			(void) should_end(step); /* cuts, when it is time */
			team->sleep(team->arg);
		}
	}
	return status;
}

SlStatus
sl_step_shards(SlStep *step, SlTaskKind kind, int epoch, int64_t number, float scale,
			   SlShardResult *total)
{
	SlTask task = {.kind = kind,
				   .epoch = epoch,
				   .number = number,
				   .busy = step->lanes.busy,
				   .shards = step->lanes.shards,
				   .scale = scale};
	SlStatus status = run_task(step, &task, task.shards, true);

	*total = (SlShardResult){status, 0, 0, 0};
	for (int s = 0; s < task.shards && total->status == SL_OK; s++)
	{
		const SlShardResult *result = &step->shared->result[s];

		total->status = result->status;
		total->loss += result->loss;
		total->error += result->error;
		total->error_rows += result->error_rows;
	}
	return total->status;
}

/* A task over ranges of the gradient. */
static SlStatus
run_ranges(SlStep *step, SlTask *task)
{
	int ranges;

	task->size = sl_gradient_size(&step->grad);
	task->range = range_of(task->size);
	ranges = count_ranges(task->size);
	return run_task(step, task, ranges, ranges >= WORTH_WAKING);
}

SlStatus
sl_step_norm(SlStep *step, double *norm)
{
	SlTask task = {.kind = SL_TASK_SUM, .shards = step->lanes.shards};
	const SlGradient *part[SL_MAX_SHARDS];
	int shards = shards_to_sum(step, task.shards, part);
	SlStatus status = shards > 0 ? sl_gradient_join(&step->grad, part, shards) : SL_OK;
	double sum = 0;

	if (status == SL_OK)
		status = run_ranges(step, &task);
	for (int r = 0; status == SL_OK && r < count_ranges(task.size); r++)
		sum += step->square[r];
	*norm = sqrt(sum);
	return status;
}

SlStatus
sl_step_update(SlStep *step, float clip, float rate, SlTrainState *state)
{
	SlTask task = {
		.kind = SL_TASK_UPDATE, .clip = clip, .rate = rate, .step = ++state->step};

	sl_optim_advance(step->plan->optimizer, task.step, &state->mu_product);
	task.mu_product = state->mu_product;
	return run_ranges(step, &task);
}

/* ---- members ---- */

/* Whether the item is out of this process's hands; otherwise it has to leave. */
static bool
serve_item(SlStep *step)
{
	SlBoard *board = &step->shared->board;
	SlStatus status = run_item(step, step->item);

	if (status != SL_OK && !sl_board_is_cut(board))
		return false;
	step->item = -1;
	if (sl_board_finish(board))
		step->team->wake(step->team->arg);
	return true;
}

void
sl_step_serve(SlStep *step)
{
	SlBoard *board = &step->shared->board;

	while (!stopped(step))
	{
		step->item = sl_board_claim(board);
		if (step->item >= 0)
		{
			if (!serve_item(step))
				break;
		}
		else if (!sl_board_watch(board))
			step->team->sleep(step->team->arg);
	}
	sl_step_leave(step);
}

void
sl_step_leave(SlStep *step)
{
	int item = step->item;

	step->item = -1;
	if (item >= 0)
		sl_board_abandon(&step->shared->board, step->member, item);
}
