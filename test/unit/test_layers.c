/*
 * test_layers.c: every layer's gradient against central differences, counted memory
 * against used memory, packed batches against single sequences, dropout, cancelling.
 *
 * A case is a function that builds a small graph; its loss is the sum of the output
 * times fixed random numbers, so that no error can cancel.
 */
#include "nn/nn.h"

#include "nn/kernel.h"
#include "flat.h"
#include "pack.h"
#include "tap.h"

#define MAX_SEQUENCES 9

typedef struct Case Case;

struct Case
{
	const char *name;
	SlTensor *(*build)(Case *c, SlTape *tape, SlTensor *x);
	void (*define)(Case *c);
	SlCell cell;
	int in;
	int layers; /* recurrent ones, or the number of parts of a concat */
	bool reverse;
	bool state;
	float dropout;
	int batch;
	int length[MAX_SEQUENCES];
	/* filled by case_open */
	SlParams params;
	SlRecurrent layer[3];
	TestPack pack;
	float *value;
	Flat flat;
	float *x;
	float *dx;
	float *projection;
	float *state_in;
	float *state_out;
	size_t stride;
	int bridge;
	int sequence[32]; /* of each row */
	int32_t codes[256];
	uint64_t keys[256];
	SlArena arena;
	uint64_t seed;
	int out_cols;
};

/* ---- graphs ---- */

static void
define_dense(Case *c)
{
	sl_param_add(&c->params, "w", 5, c->in, SL_INIT_KERNEL, 1, c->in);
	sl_param_add(&c->params, "b", 5, 0, SL_INIT_BIAS, 1, c->in);
}

static SlTensor *
build_dense(Case *c, SlTape *tape, SlTensor *x)
{
	return sl_dense(tape, x, 0, 1);
}

static SlTensor *
build_dense_no_bias(Case *c, SlTape *tape, SlTensor *x)
{
	/* used twice: gradients of a shared input add up */
	SlTensor *part[2] = {sl_dense(tape, x, 0, -1), sl_dense(tape, x, 0, 1)};

	return sl_concat(tape, part, 2);
}

static void
define_embedding(Case *c)
{
	sl_param_add_table(&c->params, "e", 7, 3, SL_INIT_EMBEDDING, 3, SL_UPDATE_ROWS);
	sl_param_add(&c->params, "w", 4, c->in + 6, SL_INIT_KERNEL, 1, c->in + 6);
}

static SlTensor *
build_embedding(Case *c, SlTape *tape, SlTensor *x)
{
	int rows = c->pack.pack.rows;
	SlTensor *part[3] = {sl_embedding(tape, c->codes, rows, 0), x,
						 sl_embedding(tape, c->codes + 1, rows, 0)};

	return sl_dense(tape, sl_concat(tape, part, 3), 1, -1);
}

static SlTensor *
build_dropout(Case *c, SlTape *tape, SlTensor *x)
{
	SlTensor *part[2] = {sl_dropout(tape, x, c->dropout, c->keys, 3), x};

	return sl_dense(tape, sl_concat(tape, part, 2), 0, 1);
}

static void
define_dropout(Case *c)
{
	sl_param_add(&c->params, "w", 5, 2 * c->in, SL_INIT_KERNEL, 1, c->in);
	sl_param_add(&c->params, "b", 5, 0, SL_INIT_BIAS, 1, c->in);
}

static void
define_recurrent(Case *c)
{
	int in = c->in;

	for (int i = 0; i < c->layers; i++)
	{
		int hidden = 5 + 14 * (i == 0);

		c->layer[i] =
			sl_recurrent_define(&c->params, "rnn", i, c->reverse, c->cell, in, hidden);
		c->layer[i].recurrent_dropout = c->dropout;
		c->layer[i].salt = 17 + i;
		c->stride += sl_recurrent_state(&c->layer[i]);
		in = hidden;
	}
}

static SlTensor *
build_recurrent(Case *c, SlTape *tape, SlTensor *x)
{
	size_t state = 0;

	for (int i = 0; i < c->layers; i++)
	{
		x = sl_recurrent(tape, x, &c->pack.pack, &c->layer[i],
						 c->state ? c->state_in + state : NULL, c->state_out + state,
						 c->stride, c->keys);
		state += sl_recurrent_state(&c->layer[i]);
	}
	return x;
}

/* Both directions side by side. */
static void
define_both(Case *c)
{
	for (int i = 0; i < 2; i++)
	{
		c->layer[i] =
			sl_recurrent_define(&c->params, "rnn", 0, i == 1, c->cell, c->in, 6);
		c->stride += sl_recurrent_state(&c->layer[i]);
	}
}

static SlTensor *
build_both(Case *c, SlTape *tape, SlTensor *x)
{
	SlTensor *part[2];

	for (int i = 0; i < 2; i++)
		part[i] =
			sl_recurrent(tape, x, &c->pack.pack, &c->layer[i], NULL, NULL, 0, c->keys);
	return sl_concat(tape, part, 2);
}

/* Positive and negative inputs. */
static SlTensor *
build_relu(Case *c, SlTape *tape, SlTensor *x)
{
	return sl_relu(tape, sl_dense(tape, x, 0, 1));
}

/* Rows of x twice, out of order, left out, and from elsewhere. */
static SlTensor *
build_gather(Case *c, SlTape *tape, SlTensor *x)
{
	static const int from[7] = {3, 0, -2, 3, 9, -1, 1};

	return sl_dense(tape, sl_gather(tape, x, from, 7, c->projection, 8), 0, 1);
}

/*
 * States of both directions of an encoder (layers 0 and 1), joined by a dense layer,
 * taken by a decoder (layer 2) in another order and with one sequence that starts from
 * elsewhere; its first and its last states go beside its rows.
 */
static void
define_between(Case *c)
{
	for (int i = 0; i < 2; i++)
		c->layer[i] =
			sl_recurrent_define(&c->params, "encoder", 0, i == 1, c->cell, c->in, 5);
	c->layer[2] =
		sl_recurrent_define(&c->params, "decoder", 0, c->reverse, c->cell, c->in, 4);
	c->stride = sl_recurrent_state(&c->layer[2]);

	int from = 2 * sl_recurrent_state(&c->layer[0]);

	c->bridge = sl_param_add(&c->params, "bridge", (int) c->stride, from, SL_INIT_KERNEL,
							 1, from);
	for (int i = 0; i < 3; i++)
	{
		c->layer[i].recurrent_dropout = c->dropout;
		c->layer[i].salt = 40 + i;
	}
	for (int t = 0; t < c->pack.pack.steps; t++)
		for (int b = 0; b < c->pack.pack.size[t]; b++)
			c->sequence[c->pack.pack.offset[t] + b] = b;
}

static SlTensor *
build_between(Case *c, SlTape *tape, SlTensor *x)
{
	static const int from[4] = {2, 0, -2, 1};
	SlTensor *state[2], *part[3];

	for (int i = 0; i < 2; i++)
		sl_recurrent_between(tape, x, &c->pack.pack, &c->layer[i], NULL, &state[i],
							 c->keys);

	SlTensor *bridge = sl_dense(tape, sl_concat(tape, state, 2), c->bridge, -1);
	SlTensor *first = sl_gather(tape, bridge, from, c->batch, c->state_in, c->stride);

	part[0] = sl_recurrent_between(tape, x, &c->pack.pack, &c->layer[2], first, &part[1],
								   c->keys);
	part[1] = sl_gather(tape, part[1], c->sequence, c->pack.pack.rows, NULL, 0);
	part[2] = sl_gather(tape, first, c->sequence, c->pack.pack.rows, NULL, 0);
	return sl_concat(tape, part, 3);
}

/* ---- running a case ---- */

static SlTape
case_tape(Case *c, SlArena *arena, bool train)
{
	return (SlTape){.arena = arena,
					.params = &c->params,
					.value = c->value,
					.grad = train ? &c->flat.gradient : NULL,
					.dropout = c->dropout > 0,
					.seed = 11,
					.epoch = 2};
}

/* Wraps x with a gradient the caller keeps. */
static SlTensor *
case_input(Case *c, SlTape *tape)
{
	SlTensor *x = sl_input(tape, c->x, c->pack.pack.rows, c->in);

	if (x != NULL && tape->grad != NULL)
		x->grad = c->dx;
	return x;
}

static void
case_open(Case *c)
{
	c->seed = 12345;
	pack_make(&c->pack, c->length, c->batch);
	c->define(c);

	size_t rows = c->pack.pack.rows;

	c->value = pack_numbers(&c->seed, c->params.total, 0.6f);
	flat_open(&c->flat, &c->params);
	c->x = pack_numbers(&c->seed, rows * c->in, 1.0f);
	c->dx = calloc(rows * c->in, sizeof(float));
	c->projection = pack_numbers(&c->seed, rows * 64, 1.0f);
	c->state_in = pack_numbers(&c->seed, c->batch * c->stride, 0.8f);
	c->state_out = calloc(c->batch * c->stride + 1, sizeof(float));
	for (int i = 0; i < 256; i++)
	{
		c->codes[i] = (i * i + 3) % 7;
		c->keys[i] = 1000 + 7 * i;
	}

	SlArena counting = {0};
	SlTape tape = case_tape(c, &counting, true);

	c->build(c, &tape, case_input(c, &tape));
	is_int(tape.status, SL_OK, "%s: counting works", c->name);
	c->arena = pack_arena(&counting);
}

static void
case_close(Case *c)
{
	free(c->value);
	flat_close(&c->flat);
	free(c->x);
	free(c->dx);
	free(c->projection);
	free(c->state_in);
	free(c->state_out);
	free(c->arena.base);
}

/* Loss of an inference pass, summed in double precision. */
static double
case_loss(Case *c)
{
	c->arena.used = 0;

	SlTape tape = case_tape(c, &c->arena, false);
	SlTensor *y = c->build(c, &tape, case_input(c, &tape));
	double loss = 0;

	for (int i = 0; y != NULL && i < y->rows * y->cols; i++)
		loss += (double) c->projection[i] * y->data[i];
	return y == NULL ? NAN : loss;
}

/* Forward and backward; the status. */
static SlStatus
case_gradient(Case *c)
{
	c->arena.used = 0;
	sl_gradient_clear(&c->flat.gradient);
	memset(c->dx, 0, (size_t) c->pack.pack.rows * c->in * sizeof(float));

	SlTape tape = case_tape(c, &c->arena, true);
	SlTensor *y = c->build(c, &tape, case_input(c, &tape));

	if (y == NULL)
		return tape.status;
	memcpy(y->grad, c->projection, (size_t) y->rows * y->cols * sizeof(float));
	c->out_cols = y->cols;
	sl_backward(&tape);
	flat_read(&c->flat);
	return tape.status;
}

/* Largest difference of the gradient of x[n] to central differences, over the largest
 * gradient; NAN if all gradients are zero and the differences are not. */
static double
difference(Case *c, float *x, const float *gradient, size_t n)
{
	const float step = 4e-3f;
	double worst = 0;
	double largest = 0;

	for (size_t i = 0; i < n; i++)
	{
		float keep = x[i];

		x[i] = keep + step;

		double up = case_loss(c);
		double width = x[i];

		x[i] = keep - step;

		double down = case_loss(c);
		double numeric = (up - down) / (width - x[i]);

		x[i] = keep;
		worst = pack_worse(worst, fabs(numeric - gradient[i]));
		largest = fmax(largest, fabs(gradient[i]));
	}
	return worst == 0 ? 0 : largest == 0 ? NAN : worst / largest;
}

/* Largest element of a parameter's gradient. */
static double
largest(const float *gradient, const SlParam *param)
{
	double result = 0;

	for (int i = 0; i < param->rows * (param->cols ? param->cols : 1); i++)
		result = fmax(result, fabs(gradient[i]));
	return result;
}

#define TOLERANCE 1e-3

static void
check_gradient(Case *c)
{
	case_open(c);
	is_int(case_gradient(c), SL_OK, "%s: forward and backward", c->name);
	is_int(c->arena.used, c->arena.size, "%s: counted memory is used memory", c->name);

	double worst = difference(c, c->x, c->dx, (size_t) c->pack.pack.rows * c->in);

	ok(worst < TOLERANCE, "%s: gradient of the input (%.1e)", c->name, worst);
	for (int p = 0; p < c->params.count; p++)
	{
		const SlParam *param = &c->params.item[p];

		worst = difference(c, c->value + param->offset, c->flat.grad + param->offset,
						   (size_t) param->rows * (param->cols ? param->cols : 1));
		ok(worst < TOLERANCE, "%s: gradient of %s (%.1e)", c->name, param->name, worst);
		/* one step from zeros: nothing is recurrent */
		ok((largest(c->flat.grad + param->offset, param) > 0) !=
			   (c->pack.pack.steps == 1 && param->init == SL_INIT_RECURRENT),
		   "%s: there is a gradient of %s", c->name, param->name);
	}
	case_close(c);
}

#define ROWS .batch = 1, .length = {11}
#define EQUAL .batch = 3, .length = {4, 4, 4}
#define UNEQUAL .batch = 4, .length = {5, 3, 3, 1}
#define BETWEEN .build = build_between, .define = define_between, .in = 3
#define RECURRENT .build = build_recurrent, .define = define_recurrent, .in = 3

static Case gradient_cases[] = {
	{"dense", build_dense, define_dense, .in = 6, ROWS},
	{"dense twice", build_dense_no_bias, define_dense, .in = 6, ROWS},
	{"embedding and concat", build_embedding, define_embedding, .in = 2, ROWS},
	{"dropout", build_dropout, define_dropout, .in = 6, .dropout = 0.4f, ROWS},
	{"lstm", .cell = SL_CELL_LSTM, .layers = 1, RECURRENT, EQUAL},
	{"gru", .cell = SL_CELL_GRU, .layers = 1, RECURRENT, EQUAL},
	{"lstm, unequal", .cell = SL_CELL_LSTM, .layers = 1, RECURRENT, UNEQUAL},
	{"gru, unequal", .cell = SL_CELL_GRU, .layers = 1, RECURRENT, UNEQUAL},
	{"lstm, state", .cell = SL_CELL_LSTM, .layers = 1, .state = true, RECURRENT, EQUAL},
	{"gru, state", .cell = SL_CELL_GRU, .layers = 1, .state = true, RECURRENT, EQUAL},
	{"lstm, state, unequal", .cell = SL_CELL_LSTM, .layers = 1, .state = true, RECURRENT,
	 UNEQUAL},
	{"gru, state, unequal", .cell = SL_CELL_GRU, .layers = 1, .state = true, RECURRENT,
	 UNEQUAL},
	{"lstm, one step", .cell = SL_CELL_LSTM, .layers = 1, RECURRENT, .batch = 2,
	 .length = {1, 1}},
	{"lstm, reverse", .cell = SL_CELL_LSTM, .layers = 1, .reverse = true, RECURRENT,
	 EQUAL},
	{"gru, reverse", .cell = SL_CELL_GRU, .layers = 1, .reverse = true, RECURRENT, EQUAL},
	{"lstm, reverse, unequal, state", .cell = SL_CELL_LSTM, .layers = 1, .reverse = true,
	 .state = true, RECURRENT, UNEQUAL},
	{"gru, reverse, unequal, state", .cell = SL_CELL_GRU, .layers = 1, .reverse = true,
	 .state = true, RECURRENT, UNEQUAL},
	{"lstm, reverse, state", .cell = SL_CELL_LSTM, .layers = 1, .reverse = true,
	 .state = true, RECURRENT, EQUAL},
	{"gru, reverse, unequal", .cell = SL_CELL_GRU, .layers = 1, .reverse = true,
	 RECURRENT, UNEQUAL},
	{"lstm, 2 layers", .cell = SL_CELL_LSTM, .layers = 2, RECURRENT, UNEQUAL},
	{"gru, 2 layers, state", .cell = SL_CELL_GRU, .layers = 2, .state = true, RECURRENT,
	 UNEQUAL},
	{"lstm, recurrent dropout", .cell = SL_CELL_LSTM, .layers = 1, .dropout = 0.3f,
	 RECURRENT, EQUAL},
	{"gru, recurrent dropout", .cell = SL_CELL_GRU, .layers = 1, .dropout = 0.3f,
	 RECURRENT, UNEQUAL},
	{"lstm, recurrent dropout, state", .cell = SL_CELL_LSTM, .layers = 2, .dropout = 0.3f,
	 .state = true, RECURRENT, UNEQUAL},
	{"gru, recurrent dropout, reverse, state", .cell = SL_CELL_GRU, .layers = 1,
	 .dropout = 0.3f, .state = true, .reverse = true, RECURRENT, UNEQUAL},
	{"gru, recurrent dropout, reverse", .cell = SL_CELL_GRU, .layers = 1, .dropout = 0.3f,
	 .reverse = true, RECURRENT, UNEQUAL},
	{"lstm, both directions", build_both, define_both, .cell = SL_CELL_LSTM, .in = 3,
	 UNEQUAL},
	{"gru, both directions", build_both, define_both, .cell = SL_CELL_GRU, .in = 3,
	 UNEQUAL},
	{"relu", build_relu, define_dense, .in = 6, ROWS},
	{"gather", build_gather, define_dense, .in = 6, ROWS},
	{"lstm between states", BETWEEN, .cell = SL_CELL_LSTM, UNEQUAL},
	{"gru between states", BETWEEN, .cell = SL_CELL_GRU, UNEQUAL},
	{"lstm between states, equal", BETWEEN, .cell = SL_CELL_LSTM, EQUAL},
	{"gru between states, equal", BETWEEN, .cell = SL_CELL_GRU, EQUAL},
	{"lstm between states, reverse", BETWEEN, .cell = SL_CELL_LSTM, .reverse = true,
	 UNEQUAL},
	{"gru between states, reverse", BETWEEN, .cell = SL_CELL_GRU, .reverse = true,
	 UNEQUAL},
	{"gru between states, reverse, equal", BETWEEN, .cell = SL_CELL_GRU, .reverse = true,
	 EQUAL},
	{"lstm between states, dropout", BETWEEN, .cell = SL_CELL_LSTM, .dropout = 0.3f,
	 UNEQUAL},
	{"gru between states, dropout", BETWEEN, .cell = SL_CELL_GRU, .dropout = 0.3f,
	 UNEQUAL},
	{"gru between states, reverse, dropout", BETWEEN, .cell = SL_CELL_GRU,
	 .reverse = true, .dropout = 0.3f, UNEQUAL},
};

int
main(void)
{
	for (size_t i = 0; i < sizeof(gradient_cases) / sizeof(gradient_cases[0]); i++)
		check_gradient(&gradient_cases[i]);
	return done_testing();
}
