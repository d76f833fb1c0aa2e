/*
 * test_decode.c: scheduled sampling.  The codes it makes are judged by a whole pass over
 * them: each is the true one or what that pass's hidden state of the row before chooses.
 */
#include "model/decode.h"

#include "future.h"

#define ITEMS 5

/* What the network itself would choose. */
static int32_t
best_item(const Future *f, const float *h, int cols)
{
	const float *weight = f->value + f->net.params.item[f->net.head_weight].offset;
	const float *bias = f->value + f->net.params.item[f->net.head_bias].offset;
	int32_t best = 0;
	float highest = -INFINITY;

	for (int32_t j = 0; j < ITEMS; j++)
	{
		float score = bias[j];

		for (int c = 0; c < cols; c++)
			score += weight[j * cols + c] * h[c];
		if (score > highest)
		{
			highest = score;
			best = j;
		}
	}
	return best;
}

static bool stopping;

static bool
should_stop(void *arg)
{
	return stopping;
}

/* In the memory that was counted. */
static SlStatus
schedule(Future *f, float teacher_forcing, uint64_t epoch, int32_t *code)
{
	SlArena arena = {0};
	SlTape tape = future_tape(f, &arena, true);
	SlBatch nothing = {.pack = f->batch.pack};

	sl_decode_scheduled(&f->net, &tape, &nothing, teacher_forcing, NULL);
	arena = pack_arena(&arena);
	tape = future_tape(f, &arena, true);
	tape.epoch = epoch;
	tape.should_stop = should_stop;

	SlStatus status =
		sl_decode_scheduled(&f->net, &tape, &f->batch, teacher_forcing, code);

	if (arena.used != 0)
		status = SL_NO_MEMORY;
	free(arena.base);
	return status;
}

typedef struct Count
{
	int first; /* rows of the past and first ones of the future that were changed */
	int other; /* later ones that are neither true nor chosen */
	int chosen, kept;
} Count;

/* The tape of this pass has the epoch of future_tape, so must schedule() have had. */
static Count
judge(Future *f, const int32_t *code)
{
	const int32_t *given[F_CODES] = {code, f->codes[1], f->codes[2]};
	SlBatch batch = f->batch;
	Count count = {0};

	batch.code = given;
	future_run(f, &batch, false);
	for (int t = 0; t < f->pack.pack.steps; t++)
		for (int b = 0; b < f->pack.size[t]; b++)
		{
			int row = f->pack.offset[t] + b;
			bool same = code[row] == f->codes[0][row];

			if (t <= f_past[b])
			{
				count.first += !same;
				continue;
			}

			int before = f->pack.offset[t - 1] + b;
			int32_t best = best_item(f, f->out + before * f->cols, f->cols);
			bool chosen = code[row] == best + SL_ITEM_FIRST;

			count.other += !same && !chosen;
			count.chosen += chosen;
			count.kept += same;
		}
	return count;
}

static void
check(SlCell cell, bool bidirectional, float dropout)
{
	SlNetSpec spec = future_spec("encoder_decoder", cell, bidirectional, 2);

	spec.items = ITEMS;
	spec.dropout = dropout;
	spec.recurrent_dropout = dropout;

	Future *f = future_open(&spec);
	int32_t code[F_ROWS], again[F_ROWS];

	for (int i = 0; i < F_ROWS; i++)
		if (f->codes[0][i] >= SL_ITEM_FIRST) /* so that no choice is true by chance */
			f->codes[0][i] = SL_ITEM_UNKNOWN;

	is_int(schedule(f, 1, 4, code), SL_OK, "always true: runs");
	ok(memcmp(code, f->codes[0], sizeof(code)) == 0, "nothing is changed");

	is_int(schedule(f, 0, 4, code), SL_OK, "never true: runs");

	Count count = judge(f, code);

	is_int(count.first, 0, "past and first future rows stay");
	is_int(count.kept + count.other, 0,
		   "all others are the choices of the pass over them");
	schedule(f, 0, 4, again);
	ok(memcmp(code, again, sizeof(code)) == 0, "the same again");

	int32_t keep[F_ROWS];

	memcpy(keep, f->codes[0], sizeof(keep));
	schedule(f, 0, 4, f->codes[0]);
	ok(memcmp(code, f->codes[0], sizeof(code)) == 0, "and the same in place");
	memcpy(f->codes[0], keep, sizeof(keep));

	is_int(schedule(f, 0.5f, 4, code), SL_OK, "half of them: runs");
	count = judge(f, code);
	is_int(count.first + count.other, 0, "each is true or chosen");
	ok(count.kept > 0 && count.chosen > 0, "%d are true, %d are not", count.kept,
	   count.chosen);
	stopping = true;
	is_int(schedule(f, 0, 4, again), SL_STOPPED, "it can be stopped");
	stopping = false;
	future_close(f);
}

/* The share of choices over many epochs, and that epochs differ. */
static void
check_share(void)
{
	SlNetSpec spec = future_spec("encoder_decoder", SL_CELL_GRU, false, 2);

	spec.items = ITEMS;

	Future *f = future_open(&spec);
	int32_t code[F_ROWS], last[F_ROWS] = {0};
	int rows = 0, different = 0, chosen = 0;

	for (int t = 0; t < f->pack.pack.steps; t++)
		for (int b = 0; b < f->pack.size[t]; b++)
			rows += t > f_past[b];
	memset(f->codes[0], 0, sizeof(f->codes[0])); /* no choice is true by chance */
	for (int epoch = 0; epoch < 400; epoch++)
	{
		schedule(f, 0.7f, epoch, code);
		for (int i = 0; i < F_ROWS; i++)
			chosen += code[i] != f->codes[0][i];
		different += memcmp(code, last, sizeof(code)) != 0;
		memcpy(last, code, sizeof(code));
	}
	is_close(chosen / (400.0 * rows), 0.3, 0.03, "0.3 of %d rows are chosen", rows);
	ok(different > 200, "other ones in other epochs");
	future_close(f);
}

static void
check_shape(void)
{
	SlNetSpec spec = future_spec("encoder_decoder", SL_CELL_GRU, false, 1);
	Future *f = future_open(&spec);
	int32_t code[F_ROWS];

	is_int(schedule(f, 0, 4, code), SL_BAD_SHAPE, "no items, no choice");
	future_close(f);
}

int
main(void)
{
	check(SL_CELL_GRU, false, 0);
	check(SL_CELL_LSTM, true, 0);
	check(SL_CELL_GRU, true, 0.3f);
	check(SL_CELL_LSTM, false, 0.3f);
	check_share();
	check_shape();
	return done_testing();
}
