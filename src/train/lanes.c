/*
 * lanes.c: from sequences of unequal length to packed batches; see lanes.h.
 *
 * A batch is cut into shards by its size alone, so that what is computed does not depend
 * on who computes it.
 */
#include "train/lanes.h"

#include <string.h>

#include "model/decode.h"

/* What a shard has at least: enough lanes for the products of a step and enough rows for
 * those of all steps not to wait for the weights, and a fraction of a millisecond's work.
 * The first cut, which lets a second process help at all, may cost more than the others.
 */
#define SHARD_LANES 64
#define HALF_LANES 32
#define SHARD_LANES_PER_UNIT 0.25 /* of the widest layer */
#define SHARD_ROWS 128
#define SHARD_OPERATIONS 5e6
/* As many as the functions of a unit's gates take in a row, forward and backward. */
#define UNIT_OPERATIONS 400
#define MAX_SHARD_ROWS ((size_t) 1 << 28)

static int
int_min(int a, int b)
{
	return a < b ? a : b;
}

/* ---- units ---- */

/* Whether each row is a unit. */
static bool
rows_alone(const SlTrainSet *set, const SlTrainPlan *plan)
{
	return plan->sequence_length == 1 && set->future == NULL;
}

int
sl_units_most(const SlTrainSet *set, const SlTrainPlan *plan)
{
	return rows_alone(set, plan) ? set->rows : set->sequences;
}

static void
collect_rows(SlUnits *units, const SlTrainSet *set, const float *weight)
{
	for (int i = 0; i < set->rows; i++)
	{
		int row = set->time_order[i];

		if (weight[row] > 0)
			units->unit[units->count++] = (SlUnit){row, row + 1, row};
	}
}

static void
collect_sequences(SlUnits *units, const SlTrainSet *set, const SlTrainPlan *plan,
				  const float *weight)
{
	for (int s = 0; s < set->sequences; s++)
	{
		int first = set->start[s], end = set->start[s + 1];

		if (set->future != NULL && end - first > plan->sequence_length)
			first = end - plan->sequence_length;
		while (end > first && !(weight[end - 1] > 0))
			end--;
		if (end > first)
			units->unit[units->count++] = (SlUnit){first, end, s};
	}
}

void
sl_units_collect(SlUnits *units, const SlTrainSet *set, const SlTrainPlan *plan,
				 const float *weight)
{
	units->count = 0;
	if (rows_alone(set, plan))
		collect_rows(units, set, weight);
	else
		collect_sequences(units, set, plan, weight);
	for (int i = 0; units->queue != NULL && i < units->count; i++)
		units->queue[i] = i;
}

/* ---- memory ---- */

/* No chunk need be longer than the longest sequence. */
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

double
sl_train_operations(const SlNet *net, const SlTrainSet *set, const SlTrainPlan *plan)
{
	const SlParams *params = &net->params;
	double weights = (double) params->dense;
	double units = 0;
	int steps = chunk_rows(set, plan);

	for (int i = 0; i < params->count; i++)
		if (params->item[i].init == SL_INIT_RECURRENT)
		{
			double recurrent = (double) params->item[i].rows * params->item[i].cols;

			units += params->item[i].cols;
			/* rows that start from zeros have no use for them */
			weights -= recurrent / steps;
		}
	if (net->spec.items > 0)
	{
		bool all = plan->loss.kind == SL_LOSS_CROSS_ENTROPY;

		weights += (all ? net->spec.items : plan->negatives) *
				   (params->item[net->head_weight].cols + 1.0);
	}
	return 6 * weights + UNIT_OPERATIONS * units;
}

static double
least_lanes(const SlNet *net, int shards)
{
	double least = shards > 2 ? SHARD_LANES : HALF_LANES;

	for (int i = 0; i < net->spec.layers; i++)
		if (SHARD_LANES_PER_UNIT * net->spec.hidden[i] > least)
			least = SHARD_LANES_PER_UNIT * net->spec.hidden[i];
	return least;
}

/*
 * Lanes a shard takes at most, given the lanes of a full batch.  Shards come in powers of
 * two, which divide well among processors.
 */
static int
shard_lanes(const SlNet *net, int lanes, double rows, double operations)
{
	int shards = 1;

	for (int more = 2; more <= SL_MAX_SHARDS; more *= 2)
		if (lanes >= more * least_lanes(net, more) && rows >= more * SHARD_ROWS &&
			operations >= more * SHARD_OPERATIONS)
			shards = more;
	return (lanes + shards - 1) / shards;
}

bool
sl_lanes_init(SlLanes *lanes, const SlNet *net, const SlTrainSet *set,
			  const SlTrainPlan *plan, SlArena *shared, SlArena *own)
{
	int count = int_min(plan->batch_size, sl_units_most(set, plan));
	int steps = chunk_rows(set, plan);
	double full = (double) count * steps;
	int shard = shard_lanes(net, count, full, full * sl_train_operations(net, set, plan));
	size_t rows = (size_t) shard * steps;

	*lanes = (SlLanes){.net = net,
					   .set = set,
					   .count = count,
					   .shard_count = shard,
					   .chunk_rows = steps,
					   .carries = plan->sequence_length > 1 && net->state > 0 &&
								  set->future == NULL,
					   .schedules = net->spec.items > 0 && net->spec.arch->whole &&
									plan->teacher_forcing < 1,
					   .items = {.kind = plan->loss.kind,
								 .negatives = plan->negatives,
								 .regularization = SL_BPR_MAX_REGULARIZATION}};
	if (rows > MAX_SHARD_ROWS || (net->spec.items > 0 && set->item == NULL))
		return false;
	lanes->lane = sl_alloc(shared, count, sizeof(SlLane));
	lanes->by_length = sl_alloc(shared, count, sizeof(int));
	lanes->state = sl_alloc(shared, (size_t) count * net->state, sizeof(float));
	lanes->x = sl_alloc(own, rows * set->inputs, sizeof(float));
	for (int e = 0; e < net->spec.embeddings; e++)
		lanes->code[e] = sl_alloc(own, rows, sizeof(int32_t));
	lanes->y = sl_alloc(own, rows, sizeof(float));
	if (set->item != NULL)
		lanes->item = sl_alloc(own, rows, sizeof(int32_t));
	if (set->future != NULL)
		lanes->future = sl_alloc(own, rows, sizeof(uint8_t));
	lanes->weight = sl_alloc(own, rows, sizeof(float));
	lanes->censored = sl_alloc(own, rows, sizeof(uint8_t));
	lanes->row_key = sl_alloc(own, rows, sizeof(uint64_t));
	lanes->seq_key = sl_alloc(own, shard, sizeof(uint64_t));
	lanes->size = sl_alloc(own, steps, sizeof(int));
	lanes->offset = sl_alloc(own, steps + 1, sizeof(int));
	lanes->state_in = sl_alloc(own, (size_t) shard * net->state, sizeof(float));
	lanes->state_out = sl_alloc(own, (size_t) shard * net->state, sizeof(float));
	return true;
}

int
sl_lanes_shards(const SlLanes *lanes)
{
	return lanes->count > 0 ? (lanes->count - 1) / lanes->shard_count + 1 : 1;
}

/* Counts every lane with a full chunk.  The last step is said to be one sequence short,
 * since layers keep more for sequences of unequal length. */
size_t
sl_lanes_activations(const SlLanes *lanes, SlGradient *plan)
{
	SlArena arena = {NULL, SIZE_MAX, 0};
	uint64_t no_key;
	float no_state;
	SlTape tape = {
		.arena = &arena, .params = &lanes->net->params, .grad = plan, .dropout = true};
	int n = lanes->shard_count, steps = lanes->chunk_rows;
	int size[SL_MAX_STEPS];
	int offset[SL_MAX_STEPS + 1];
	SlPack pack = {n, steps, n * steps, size, offset};
	const int32_t *code[SL_MAX_EMBEDDINGS] = {NULL};
	SlBatch batch = {.pack = &pack,
					 .code = code,
					 .row_key = &no_key,
					 .seq_key = &no_key,
					 .state_in = &no_state,
					 .state_out = &no_state};

	sl_gradient_plan(plan, &lanes->net->params);
	offset[0] = 0;
	for (int t = 0; t < steps; t++)
	{
		size[t] = n;
		offset[t + 1] = offset[t] + n;
	}
	size[steps - 1] -= n > 1 ? 1 : 0;

	SlTensor *out = lanes->net->spec.arch->forward(lanes->net, &tape, &batch);

	if (out != NULL && lanes->net->spec.items > 0)
	{
		SlItemTarget target = sl_lanes_items(lanes, 0);
		SlItemLoss exact = {.kind = SL_LOSS_CROSS_ENTROPY};
		SlArena validation = {NULL, SIZE_MAX, arena.used};

		sl_item_loss(&lanes->items, &tape, out, &target, 1);
		/* validation's may be exact; it takes less before it comes to that */
		tape.arena = &validation;
		tape.grad = NULL;
		sl_item_loss(&exact, &tape, out, &target, 1);
		arena.used = validation.used > arena.used ? validation.used : arena.used;
	}
	if (lanes->schedules)
	{
		SlArena choosing = {NULL, SIZE_MAX, 0};

		tape.arena = &choosing;
		tape.counted = 0;
		sl_decode_scheduled(lanes->net, &tape, &batch, 0, NULL);
		arena.used = choosing.used > arena.used ? choosing.used : arena.used;
	}
	return tape.status == SL_OK ? arena.used : SIZE_MAX;
}

/* ---- one step ---- */

void
sl_lanes_start(SlLanes *lanes)
{
	memset(lanes->lane, 0, sizeof(SlLane) * lanes->count);
	lanes->taken = 0;
}

/* Counting sort by falling length: equal lanes stay in lane order. */
static void
sort_by_length(SlLanes *lanes)
{
	int steps = lanes->chunk_rows;
	int *place = lanes->offset; /* not packed yet */

	memset(place, 0, sizeof(int) * (steps + 1));
	for (int i = 0; i < lanes->count; i++)
		place[steps - lanes->lane[i].length]++;
	for (int t = 0, sum = 0; t <= steps; t++)
	{
		int n = place[t];

		place[t] = sum;
		sum += n;
	}
	for (int i = 0; i < lanes->count; i++)
		lanes->by_length[place[steps - lanes->lane[i].length]++] = i;
}

bool
sl_lanes_fill(SlLanes *lanes, const SlUnits *units)
{
	lanes->busy = 0;
	for (int i = 0; i < lanes->count; i++)
	{
		SlLane *lane = &lanes->lane[i];

		if (lane->next == lane->end && lanes->taken < units->count)
		{
			int at = units->queue ? units->queue[lanes->taken] : lanes->taken;
			const SlUnit *unit = &units->unit[at];

			*lane = (SlLane){unit->first, unit->end, 0, unit->sequence, true};
			lanes->taken++;
		}
		lane->length = int_min(lane->end - lane->next, lanes->chunk_rows);
		lanes->busy += lane->length > 0;
	}
	lanes->shards = lanes->busy > 0 ? (lanes->busy - 1) / lanes->shard_count + 1 : 0;
	sort_by_length(lanes);
	return lanes->busy > 0;
}

double
sl_lanes_weight(const SlLanes *lanes, const float *weight)
{
	double sum = 0;

	for (int i = 0; i < lanes->busy; i++)
	{
		const SlLane *lane = &lanes->lane[lanes->by_length[i]];

		for (int t = 0; t < lane->length; t++)
			sum += weight[lane->next + t];
	}
	return sum;
}

void
sl_lanes_advance(SlLanes *lanes)
{
	for (int i = 0; i < lanes->busy; i++)
	{
		SlLane *lane = &lanes->lane[lanes->by_length[i]];

		lane->next += lane->length;
		lane->fresh = false;
	}
}

/* ---- one shard ---- */

/* States and keys of the shard's sequences; whether any has a state to go on from. */
static bool
gather_states(SlLanes *lanes, int shard)
{
	size_t state = lanes->net->state;
	bool any = false;
	int n = 0;

	for (int i = shard; i < lanes->busy; i += lanes->shards, n++)
	{
		int at = lanes->by_length[i];
		const SlLane *lane = &lanes->lane[at];

		lanes->seq_key[n] = (uint64_t) lane->sequence;
		any |= !lane->fresh;
		if (lane->fresh)
			memset(lanes->state_in + n * state, 0, sizeof(float) * state);
		else
			memcpy(lanes->state_in + n * state, lanes->state + at * state,
				   sizeof(float) * state);
	}
	lanes->pack.batch = n;
	return any;
}

/* Row from of the set becomes row to of the pack. */
static void
copy_row(SlLanes *lanes, int to, int from, const float *weight)
{
	const SlTrainSet *set = lanes->set;
	size_t width = set->inputs;

	if (width > 0)
		memcpy(lanes->x + to * width, set->x + from * width, sizeof(float) * width);
	for (int e = 0; e < lanes->net->spec.embeddings; e++)
		lanes->code[e][to] = set->code[e][from];
	lanes->y[to] = set->y[from];
	if (set->item != NULL)
		lanes->item[to] = set->item[from];
	if (set->future != NULL)
		lanes->future[to] = set->future[from];
	lanes->weight[to] = weight[from];
	lanes->censored[to] = set->censored ? set->censored[from] : 0;
	lanes->row_key[to] = (uint64_t) from;
}

/* Step by step, the rows of the lanes that still run. */
static void
gather_rows(SlLanes *lanes, int shard, const float *weight)
{
	int steps = lanes->lane[lanes->by_length[shard]].length;
	int row = 0;

	lanes->offset[0] = 0;
	for (int t = 0; t < steps; t++)
	{
		for (int i = shard; i < lanes->busy; i += lanes->shards)
		{
			const SlLane *lane = &lanes->lane[lanes->by_length[i]];

			if (lane->length <= t)
				break;
			copy_row(lanes, row++, lane->next + t, weight);
		}
		lanes->size[t] = row - lanes->offset[t];
		lanes->offset[t + 1] = row;
	}
	lanes->pack.steps = steps;
	lanes->pack.rows = row;
	lanes->pack.size = lanes->size;
	lanes->pack.offset = lanes->offset;
}

SlBatch
sl_lanes_pack(SlLanes *lanes, int shard, const float *weight)
{
	bool has_state = gather_states(lanes, shard);

	gather_rows(lanes, shard, weight);
	return (SlBatch){.pack = &lanes->pack,
					 .x = lanes->x,
					 .code = (const int32_t *const *) lanes->code,
					 .row_key = lanes->row_key,
					 .seq_key = lanes->seq_key,
					 .state_in = has_state ? lanes->state_in : NULL,
					 .state_out = lanes->carries ? lanes->state_out : NULL,
					 .future = lanes->future};
}

SlItemTarget
sl_lanes_items(const SlLanes *lanes, uint64_t key)
{
	return (SlItemTarget){.item = lanes->item,
						  .weight = lanes->weight,
						  .weight_param = lanes->net->head_weight,
						  .bias_param = lanes->net->head_bias,
						  .key = key};
}

void
sl_lanes_keep(SlLanes *lanes, int shard)
{
	size_t state = lanes->net->state;

	if (!lanes->carries)
		return;
	for (int i = shard, n = 0; i < lanes->busy; i += lanes->shards, n++)
		memcpy(lanes->state + lanes->by_length[i] * state, lanes->state_out + n * state,
			   sizeof(float) * state);
}
