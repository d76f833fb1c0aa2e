/*
 * future.h: small networks over rows of which the last ones of each sequence are to be
 * predicted, for tests: a batch with columns of every sort, passes over it or over rows
 * of it, and checks that hold for every such network.
 */
#ifndef FUTURE_H
#define FUTURE_H

#include "model/model.h"

#include "flat.h"
#include "pack.h"
#include "tap.h"

enum
{
	F_BATCH = 7,
	F_ROWS = 29,
	F_INPUTS = 5, /* two known, one observed, the past target and its indicator */
	F_KNOWN = 2,
	F_CODES = 3, /* the item, an observed one, a known one */
	F_MAX_COLS = 8
};

/* Sequences without past and without future rows are among them, in no order. */
static const int f_length[F_BATCH] = {7, 6, 5, 5, 3, 2, 1};
static const int f_past[F_BATCH] = {3, 0, 5, 4, 1, 2, 0};

typedef struct Future
{
	SlNet net;
	TestPack pack;
	SlBatch batch;
	float x[F_ROWS * F_INPUTS];
	int32_t codes[F_CODES][F_ROWS];
	const int32_t *code[F_CODES];
	uint64_t row_key[F_ROWS], seq_key[F_BATCH];
	uint8_t future[F_ROWS];
	float projection[F_ROWS * F_MAX_COLS];
	float *value;
	Flat flat; /* the gradient */
	bool dropout;
	/* of the last pass */
	SlStatus status;
	int cols;
	float out[F_ROWS * F_MAX_COLS];
} Future;

__attribute__((unused)) static SlNetSpec
future_spec(const char *arch, SlCell cell, bool bidirectional, int layers)
{
	return (SlNetSpec){.arch = sl_arch_find(arch),
					   .inputs = F_INPUTS,
					   .known_inputs = F_KNOWN,
					   .observed_inputs = 1,
					   .target_inputs = 2,
					   .embeddings = F_CODES,
					   .vocabulary = {9, 4, 3},
					   .embedding_dim = {3, 2, 2},
					   .embedding_name = {"track", "context", "device"},
					   .embedding_known = {false, false, true},
					   .has_item = true,
					   .item_features = 2,
					   .item_features_trained = true,
					   .cell = cell,
					   .bidirectional = bidirectional,
					   .layers = layers,
					   .hidden = {5, 4, 3},
					   .past_steps = 6,
					   .outputs = 2};
}

static void
future_fill(Future *f, uint64_t *seed)
{
	pack_make(&f->pack, f_length, F_BATCH);
	for (int i = 0; i < F_ROWS * F_INPUTS; i++)
		f->x[i] = pack_random(seed);
	for (int i = 0; i < F_ROWS * F_MAX_COLS; i++)
		f->projection[i] = pack_random(seed);
	for (int t = 0; t < f->pack.pack.steps; t++)
		for (int b = 0; b < f->pack.size[t]; b++)
		{
			int row = f->pack.offset[t] + b;

			f->future[row] = t >= f_past[b];
			f->row_key[row] = 100 * b + t;
			f->codes[0][row] = (7 * row + 3) % 9;
			f->codes[1][row] = (3 * row + 1) % 4;
			f->codes[2][row] = row % 3;
			/* the past target: a label and whether it is missing */
			f->x[row * F_INPUTS + 3] = !f->future[row] && row % 2;
			f->x[row * F_INPUTS + 4] = f->future[row];
		}
	for (int b = 0; b < F_BATCH; b++)
		f->seq_key[b] = 5000 + b;
	for (int e = 0; e < F_CODES; e++)
		f->code[e] = f->codes[e];
	f->batch = (SlBatch){.pack = &f->pack.pack,
						 .x = f->x,
						 .code = f->code,
						 .row_key = f->row_key,
						 .seq_key = f->seq_key,
						 .future = f->future};
}

__attribute__((unused)) static Future *
future_open(const SlNetSpec *spec)
{
	Future *f = calloc(1, sizeof(Future));
	uint64_t seed = 31;

	f->status = sl_net_define(&f->net, spec);
	if (f->status != SL_OK)
	{
		printf("Bail out! no network\n");
		exit(2);
	}
	future_fill(f, &seed);
	f->value = pack_numbers(&seed, f->net.params.total, 0.7f);
	flat_open(&f->flat, &f->net.params);
	f->dropout = spec->dropout > 0 || spec->recurrent_dropout > 0;
	return f;
}

__attribute__((unused)) static void
future_close(Future *f)
{
	free(f->value);
	flat_close(&f->flat);
	free(f);
}

static SlTape
future_tape(Future *f, SlArena *arena, bool train)
{
	return (SlTape){.arena = arena,
					.params = &f->net.params,
					.value = f->value,
					.grad = train ? &f->flat.gradient : NULL,
					.dropout = f->dropout,
					.seed = 9,
					.epoch = 4};
}

/* A pass over a batch, in the memory that was counted for its pack alone; the gradient of
 * the sum of outputs times projection, which is returned.  NAN when it fails. */
__attribute__((unused)) static double
future_run(Future *f, const SlBatch *batch, bool train)
{
	SlArena arena = {0};
	SlTape tape = future_tape(f, &arena, train);
	SlBatch nothing = {
		.pack = batch->pack, .state_in = batch->state_in, .state_out = batch->state_out};
	double sum = 0;

	f->net.spec.arch->forward(&f->net, &tape, &nothing);
	arena = pack_arena(&arena);
	tape = future_tape(f, &arena, train);
	if (train)
		sl_gradient_clear(&f->flat.gradient);

	SlTensor *y = f->net.spec.arch->forward(&f->net, &tape, batch);

	if (y != NULL)
	{
		f->cols = y->cols;
		memcpy(f->out, y->data, sizeof(float) * y->rows * y->cols);
		for (int i = 0; i < y->rows * y->cols; i++)
			sum += (double) f->projection[i] * y->data[i];
		if (train)
			memcpy(y->grad, f->projection, sizeof(float) * y->rows * y->cols);
	}
	if (train)
	{
		sl_backward(&tape);
		flat_read(&f->flat);
	}
	f->status = tape.status;
	free(arena.base);
	return tape.status == SL_OK ? sum : NAN;
}

/* ---- checks ---- */

/* How far weight i's gradient is from a central difference over 2 step. */
static double
future_slope_error(Future *f, size_t i, float step)
{
	float keep = f->value[i];

	f->value[i] = keep + step;

	double up = future_run(f, &f->batch, false);
	double width = f->value[i];

	f->value[i] = keep - step;

	double down = future_run(f, &f->batch, false);

	width -= f->value[i];
	f->value[i] = keep;
	return fabs((up - down) / width - f->flat.grad[i]);
}

/* Every weight's gradient against central differences; where the wide one is off, a
 * narrow one decides, for there may be a kink of a ReLU in between. */
__attribute__((unused)) static void
future_check_gradient(const SlNetSpec *spec, const char *name)
{
	Future *f = future_open(spec);

	ok(!isnan(future_run(f, &f->batch, true)), "%s: forward and backward", name);
	for (int p = 0; p < f->net.params.count; p++)
	{
		const SlParam *param = &f->net.params.item[p];
		size_t n = (size_t) param->rows * (param->cols ? param->cols : 1);
		double worst = 0, size = tap_max_abs(f->flat.grad + param->offset, n);
		double allowed = 1e-3 * size + 1e-4; /* outputs are sums in float */
		size_t stride = getenv("UNDER_VALGRIND") ? 1 + n / 3 : 1;

		for (size_t i = param->offset; i < param->offset + n; i += stride)
		{
			double error = future_slope_error(f, i, 4e-3f);

			if (!(error <= allowed))
				error = future_slope_error(f, i, 4e-4f);
			worst = pack_worse(worst, error);
		}
		ok(size > 0 && worst <= allowed, "%s: gradient of %s (%.1e of %.1e)", name,
		   param->name, worst, size);
	}
	future_close(f);
}

/* Rows of sequence b as a batch of one sequence: from and to are steps. */
typedef struct FuturePart
{
	TestPack pack;
	SlBatch batch;
	float x[F_ROWS * F_INPUTS];
	int32_t codes[F_CODES][F_ROWS];
	const int32_t *code[F_CODES];
	uint64_t row_key[F_ROWS];
	uint8_t future[F_ROWS];
} FuturePart;

__attribute__((unused)) static void
future_part(const Future *f, FuturePart *part, int b, int from, int to)
{
	int length = to - from;

	pack_make(&part->pack, &length, 1);
	for (int t = from; t < to; t++)
	{
		int row = f->pack.offset[t] + b;

		memcpy(part->x + (t - from) * F_INPUTS, f->x + row * F_INPUTS,
			   F_INPUTS * sizeof(float));
		for (int e = 0; e < F_CODES; e++)
			part->codes[e][t - from] = f->codes[e][row];
		part->row_key[t - from] = f->row_key[row];
		part->future[t - from] = f->future[row];
	}
	for (int e = 0; e < F_CODES; e++)
		part->code[e] = part->codes[e];
	part->batch = (SlBatch){.pack = &part->pack.pack,
							.x = part->x,
							.code = part->code,
							.row_key = part->row_key,
							.seq_key = f->seq_key + b,
							.future = part->future};
}

/* Largest difference of the last pass, over steps from .. to - 1 of sequence b, to whole.
 */
static double
future_difference(const Future *f, const float *whole, int b, int from, int to)
{
	double error = 0;

	for (int t = from; t < to; t++)
		for (int j = 0; j < f->cols; j++)
		{
			float want = whole[(f->pack.offset[t] + b) * f->cols + j];

			error = pack_worse(error, fabs(f->out[(t - from) * f->cols + j] - want));
		}
	return error;
}

/* Each sequence alone, and each step by step, gives what the whole batch gives. */
__attribute__((unused)) static void
future_check_parts(const SlNetSpec *spec, const char *name)
{
	Future *f = future_open(spec);
	FuturePart *part = calloc(1, sizeof(*part));
	float whole[F_ROWS * F_MAX_COLS];
	double alone = 0, stepped = 0;

	if (isnan(future_run(f, &f->batch, false)))
		alone = NAN;
	memcpy(whole, f->out, sizeof(whole));
	for (int b = 0; b < F_BATCH; b++)
	{
		float *state = calloc(f->net.state, sizeof(float));

		future_part(f, part, b, 0, f_length[b]);
		if (isnan(future_run(f, &part->batch, false)))
			alone = NAN;
		alone = pack_worse(alone, future_difference(f, whole, b, 0, f_length[b]));
		for (int t = 0; t < f_length[b]; t++)
		{
			int from = t;

			if (t < f_past[b]) /* the past at once */
				t = f_past[b] - 1;
			future_part(f, part, b, from, t + 1);
			part->batch.state_in = from > 0 || f_past[b] == 0 ? state : NULL;
			part->batch.state_out = state;
			if (isnan(future_run(f, &part->batch, false)))
				stepped = NAN;
			stepped = pack_worse(stepped, future_difference(f, whole, b, from, t + 1));
		}
		free(state);
	}
	ok(alone <= 1e-6, "%s: a sequence alone as in the batch (%.1e)", name, alone);
	ok(stepped <= 1e-6, "%s: step by step as all at once (%.1e)", name, stepped);
	ok(tap_max_abs(whole, (size_t) F_ROWS * f->cols) > 0.05, "%s: and not nothing", name);

	bool past_is_zero = true;

	for (int i = 0; i < F_ROWS * f->cols; i++)
		past_is_zero &= f->future[i / f->cols] || whole[i] == 0;
	ok(past_is_zero, "%s: rows of the past have zeros", name);
	free(part);
	future_close(f);
}

/* Whether other values of the columns that only happen with their row, in rows of the
 * future or else in those of the past, give the same bits. */
static bool
future_same_after_change(const SlNetSpec *spec, bool in_future)
{
	Future *f = future_open(spec);
	float before[F_ROWS * F_MAX_COLS];
	bool runs = !isnan(future_run(f, &f->batch, false));

	memcpy(before, f->out, sizeof(before));
	for (int row = 0; row < F_ROWS; row++)
		if (f->future[row] == in_future)
		{
			for (int j = F_KNOWN; j < F_INPUTS; j++)
				f->x[row * F_INPUTS + j] = 17.5f - f->x[row * F_INPUTS + j];
			f->codes[1][row] = (f->codes[1][row] + 1) % 4;
		}
	runs &= !isnan(future_run(f, &f->batch, false));

	bool same = memcmp(before, f->out, sizeof(float) * F_ROWS * f->cols) == 0;

	future_close(f);
	return runs && same;
}

__attribute__((unused)) static void
future_check_leak(const SlNetSpec *spec, const char *name)
{
	ok(future_same_after_change(spec, true),
	   "%s: what happens in the future changes no bit of the predictions", name);
	ok(!future_same_after_change(spec, false), "%s: what happened in the past does",
	   name);
}

#endif
