/*
 * test_train_items.c: training to predict the next item: a planted law of transitions is
 * learnt with every loss, one process or several draw the same negatives, and sequences
 * with a future are taken whole.
 */
#include <math.h>

#include "model/model.h"
#include "nn/item_rank.h"
#include "nn/random.h"
#include "train/lanes.h"

#include "pack.h"
#include "tap.h"

#define ITEMS 60
#define SEQUENCES 260
#define LENGTH 12
#define ROWS (SEQUENCES * LENGTH)
#define HELD 60 /* sequences for validation, the last ones */
#define LIKELY 0.8
#define HIDDEN 24

typedef struct World
{
	int32_t code[ROWS]; /* of the item before */
	int32_t item[ROWS];
	float y[ROWS], train[ROWS], validation[ROWS];
	uint8_t future[ROWS];
	int start[SEQUENCES + 1], time_order[ROWS];
	int64_t count[ITEMS];
	const int32_t *codes[1];
	SlTrainSet set;
	SlTrainPlan plan;
	SlNet net;
	SlTrainState state;
	SlEpoch last;
	SlTrainResult result;
} World;

/* After item i most often comes 7 i + 3, else any. */
static int
next_item(int item, int row)
{
	if (sl_random_uniform(1, 1, row) < LIKELY && item >= 0)
		return (7 * item + 3) % ITEMS;
	return (int) (sl_random_bits(1, 2, row) % ITEMS);
}

static World *
world_new(const char *arch, SlLossKind loss)
{
	World *w = calloc(1, sizeof(*w));
	SlNetSpec spec = {.arch = sl_arch_find(arch),
					  .embeddings = 1,
					  .vocabulary = {ITEMS + SL_ITEM_FIRST},
					  .embedding_dim = {16},
					  .embedding_name = {"track"},
					  .has_item = true,
					  .items = ITEMS,
					  .layers = 1,
					  .hidden = {HIDDEN},
					  .outputs = 1};

	for (int r = 0; r < ROWS; r++)
	{
		int before = r % LENGTH > 0 ? w->item[r - 1] : -1;
		bool held = r / LENGTH >= SEQUENCES - HELD;

		w->item[r] = next_item(before, r);
		w->code[r] = before < 0 ? SL_ITEM_PAD : before + SL_ITEM_FIRST;
		w->train[r] = !held;
		w->validation[r] = held;
		w->count[w->item[r]] += !held;
		w->time_order[r] = r;
	}
	for (int s = 0; s <= SEQUENCES; s++)
		w->start[s] = s * LENGTH;
	w->codes[0] = w->code;
	w->set = (SlTrainSet){.rows = ROWS,
						  .sequences = SEQUENCES,
						  .start = w->start,
						  .code = w->codes,
						  .y = w->y,
						  .item = w->item,
						  .item_count = w->count,
						  .train_weight = w->train,
						  .validation_weight = w->validation,
						  .time_order = w->time_order};
	w->plan = (SlTrainPlan){.batch_size = 25,
							.sequence_length = LENGTH,
							.epochs = 25,
							.shuffle = true,
							.seed = 3,
							.loss = {.kind = loss, .classes = ITEMS},
							.optimizer = SL_OPTIM_ADAM,
							.learning_rate = 0.01f,
							.negatives = 20,
							.teacher_forcing = 1};
	if (sl_net_define(&w->net, &spec) != SL_OK)
		abort();
	return w;
}

static double
no_clock(void *arg)
{
	return 0;
}

static void
on_epoch(void *arg, const SlEpoch *epoch)
{
	((World *) arg)->last = *epoch;
}

static void
world_train(World *w)
{
	size_t total = w->net.params.total;
	SlTrainHooks hooks = {.arg = w, .now = no_clock, .epoch = on_epoch};
	SlArena work = {.used = 0};

	w->state = (SlTrainState){.value = calloc(total, sizeof(float)),
							  .moments = calloc(2 * total, sizeof(float)),
							  .mu_product = 1};
	sl_params_init(&w->net.params, SL_STYLE_KERAS, 5, NULL, &work);
	work = pack_arena(&work);
	sl_params_init(&w->net.params, SL_STYLE_KERAS, 5, w->state.value, &work);
	free(work.base);
	work = (SlArena){.used = sl_train_memory(&w->net, &w->set, &w->plan)};
	work = pack_arena(&work);
	memset(work.base, 0x5a, work.size);
	is_int(sl_train(&w->net, &w->set, &w->plan, &hooks, &w->state, &work, &w->result),
		   SL_OK, "%s: trained", sl_loss_name(w->plan.loss.kind));
	is_int(work.used, work.size, "in the memory it asked for");
	free(work.base);
}

static void
world_free(World *w)
{
	free(w->state.value);
	free(w->state.moments);
	free(w);
}

/* Share of the held-out sequences' rows, but the first, whose item is the one thought
 * likeliest. */
static double
top_one(const World *w)
{
	static char memory[1 << 22] __attribute__((aligned(SL_ALIGN)));
	static char scratch[1 << 22] __attribute__((aligned(SL_ALIGN)));
	SlItemHead head = {w->state.value + w->net.params.item[w->net.head_weight].offset,
					   w->state.value + w->net.params.item[w->net.head_bias].offset,
					   ITEMS, HIDDEN};
	int hits = 0, length[1] = {LENGTH};
	TestPack pack;

	pack_make(&pack, length, 1);
	for (int s = SEQUENCES - HELD; s < SEQUENCES; s++)
	{
		const int32_t *codes[1] = {w->code + s * LENGTH};
		SlArena arena = {memory, sizeof(memory), 0}, work = {scratch, sizeof(scratch), 0};
		SlTape tape = {
			.arena = &arena, .params = &w->net.params, .value = w->state.value};
		SlBatch batch = {.pack = &pack.pack,
						 .code = codes,
						 .future = w->set.future ? w->future : NULL};
		int32_t best[LENGTH];
		SlItemRank rank = {.n = 1, .best = best};
		SlTensor *h = w->net.spec.arch->forward(&w->net, &tape, &batch);

		if (h == NULL ||
			sl_item_rank(&head, h->data, LENGTH, &rank, NULL, NULL, &work) != SL_OK)
			return NAN;
		for (int t = 1; t < LENGTH; t++)
			hits += best[t] == w->item[s * LENGTH + t];
	}
	return (double) hits / (HELD * (LENGTH - 1));
}

/* The law's own best guess is right with probability LIKELY, and now and then by luck. */
static void
test_learns(const char *arch, SlLossKind loss)
{
	World *w = world_new(arch, loss);
	double share;

	world_train(w);
	share = top_one(w);
	ok(share > LIKELY - 0.06, "%s, %s: the likeliest item comes in %.3f of rows", arch,
	   sl_loss_name(loss), share);
	ok(isnan(w->last.validation_mae) && isfinite(w->last.validation_loss),
	   "%s: a loss for validation (%.3f), no MAE", sl_loss_name(loss),
	   w->last.validation_loss);
	if (loss == SL_LOSS_SAMPLED_SOFTMAX || loss == SL_LOSS_CROSS_ENTROPY)
	{
		/* entropy of a row that has one before it, and of a first one */
		double other = (1 - LIKELY) / ITEMS, likely = LIKELY + other;
		double law = -likely * log(likely) - (ITEMS - 1) * other * log(other);

		law = (law * (LENGTH - 1) + log(ITEMS)) / LENGTH;
		ok(w->last.validation_loss < law + 0.35,
		   "%s: near the entropy of the law (%.3f, %.3f)", sl_loss_name(loss),
		   w->last.validation_loss, law);
	}
	world_free(w);
}

/* The same seed, the same bits; other negatives, others. */
static void
test_bits(void)
{
	World *w[3];
	size_t bytes;

	for (int i = 0; i < 3; i++)
	{
		w[i] = world_new("gru", SL_LOSS_BPR_MAX);
		w[i]->plan.epochs = 2;
		w[i]->plan.negatives += i / 2;
		world_train(w[i]);
	}
	bytes = w[0]->net.params.total * sizeof(float);
	ok(memcmp(w[0]->state.value, w[1]->state.value, bytes) == 0, "the same bits");
	ok(memcmp(w[0]->state.value, w[2]->state.value, bytes) != 0, "one negative more");
	for (int i = 0; i < 3; i++)
		world_free(w[i]);
}

/* Items that a step did not touch stay as they were. */
static void
test_untouched(void)
{
	World *w = world_new("gru", SL_LOSS_SAMPLED_SOFTMAX);
	float *before = malloc(w->net.params.total * sizeof(float));
	SlArena work = {0};
	int moved = 0, used[ITEMS] = {0}, wrong = 0;
	const SlParam *table = &w->net.params.item[w->net.embedding[0]];

	for (int i = 0; i < ROWS; i++)
		w->train[i] = i < LENGTH;
	w->plan.epochs = 1;
	w->plan.weight_decay = 0.1f;
	sl_params_init(&w->net.params, SL_STYLE_KERAS, 5, NULL, &work);
	work = pack_arena(&work);
	sl_params_init(&w->net.params, SL_STYLE_KERAS, 5, before, &work);
	free(work.base);
	world_train(w);
	for (int i = 0; i < LENGTH; i++)
		if (w->code[i] >= SL_ITEM_FIRST)
			used[w->code[i] - SL_ITEM_FIRST] = 1;
	for (int i = 0; i < ITEMS; i++)
	{
		size_t at = table->offset + (size_t) (i + SL_ITEM_FIRST) * table->cols;
		bool same =
			memcmp(before + at, w->state.value + at, sizeof(float) * table->cols) == 0;

		moved += !same;
		wrong += same == (used[i] == 1);
	}
	ok(moved > 0 && wrong == 0, "only embeddings that were looked up move (%d)", moved);
	free(before);
	world_free(w);
}

/* The last sequence_length rows of each, as a batch, each with its rows of the future. */
static void
test_whole(void)
{
	World *w = world_new("encoder_decoder", SL_LOSS_CROSS_ENTROPY);
	SlUnits units;
	SlUnit unit[SEQUENCES];
	int wrong = 0;

	for (int i = 0; i < ROWS; i++)
	{
		w->future[i] = i % LENGTH >= LENGTH / 2;
		w->train[i] *= w->future[i];
		w->validation[i] *= w->future[i];
	}
	w->set.future = w->future;
	w->plan.sequence_length = 9;
	units = (SlUnits){.unit = unit};
	is_int(sl_units_most(&w->set, &w->plan), SEQUENCES, "a unit is a sequence");
	sl_units_collect(&units, &w->set, &w->plan, w->train);
	for (int i = 0; i < units.count; i++)
		wrong += unit[i].first != i * LENGTH + 3 || unit[i].end != (i + 1) * LENGTH;
	ok(units.count == SEQUENCES - HELD && wrong == 0, "its last rows");

	SlArena arena = {.size = SIZE_MAX};
	SlLanes lanes;

	sl_lanes_init(&lanes, &w->net, &w->set, &w->plan, &arena, &arena);
	arena = pack_arena(&arena);
	sl_lanes_init(&lanes, &w->net, &w->set, &w->plan, &arena, &arena);
	sl_lanes_start(&lanes);
	sl_lanes_fill(&lanes, &units);

	SlBatch batch = sl_lanes_pack(&lanes, 0, w->train);
	SlItemTarget target = sl_lanes_items(&lanes, 4);

	wrong = 0;
	for (int t = 0; t < 9; t++)
		for (int b = 0; b < lanes.pack.size[t]; b++)
		{
			int at = lanes.pack.offset[t] + b, row = b * LENGTH + 3 + t;

			wrong += batch.future[at] != (t >= 3) || target.item[at] != w->item[row] ||
					 batch.code[0][at] != w->code[row] ||
					 (target.weight[at] > 0) != (t >= 3);
		}
	ok(wrong == 0 && lanes.pack.steps == 9, "rows are packed with their future");
	ok(batch.state_in == NULL && batch.state_out == NULL, "no state comes or goes");
	free(arena.base);
	free(w->state.value);
	free(w->state.moments);

	/* items of the past are in its own rows, as the network is given them */
	w->plan.sequence_length = LENGTH;
	for (int i = 0; i < ROWS; i++)
		w->code[i] =
			w->future[i] ? w->item[i - 1] + SL_ITEM_FIRST : w->item[i] + SL_ITEM_FIRST;
	world_train(w);
	ok(w->last.validation_loss < 2.4, "encoder_decoder learns the law too (%.3f)",
	   w->last.validation_loss);

	/* reading half of the time what it holds likeliest itself */
	size_t bytes = w->net.params.total * sizeof(float);
	float *value[3] = {w->state.value};

	w->plan.teacher_forcing = 0.5f;
	for (int i = 1; i < 3; i++)
	{
		free(w->state.moments);
		world_train(w);
		value[i] = w->state.value;
	}
	ok(w->last.training_loss < log(ITEMS) - 0.2, "it learns from its own choices (%.3f)",
	   w->last.training_loss);
	ok(memcmp(value[0], value[1], bytes) != 0, "other weights than from true items");
	ok(memcmp(value[1], value[2], bytes) == 0, "and the same bits again");
	free(value[0]);
	free(value[1]);
	world_free(w);
}

int
main(void)
{
	test_learns("gru", SL_LOSS_CROSS_ENTROPY);
	test_learns("gru", SL_LOSS_SAMPLED_SOFTMAX);
	test_learns("lstm", SL_LOSS_BPR_MAX);
	test_learns("gru", SL_LOSS_TOP1_MAX);
	test_bits();
	test_untouched();
	test_whole();
	return done_testing();
}
