/*
 * test_sequences.c: a packed batch against each of its sequences alone, chunks with the
 * state carried against whole sequences, and what cancelling, lack of memory and shapes
 * that do not fit lead to.
 */
#include "nn/nn.h"

#include "flat.h"
#include "pack.h"
#include "tap.h"

#define MAX_BATCH 9
#define MAX_STEPS 12

/* One recurrent layer over one batch with everything it reads and writes. */
typedef struct Layer
{
	SlParams params;
	SlRecurrent recurrent;
	int in;
	float *value;
	bool dropout;
	uint64_t key[MAX_BATCH];
} Layer;

typedef struct Pass
{
	TestPack pack;
	float *x;
	float *dy;
	const float *state_in; /* or NULL */
	/* results */
	SlStatus status;
	float *y;
	float *dx;
	Flat flat;
	float *state_out;
	size_t memory;
} Pass;

static Layer *
layer_new(uint64_t *seed, SlCell cell, int in, int hidden, bool reverse, float dropout)
{
	Layer *layer = calloc(1, sizeof(Layer));

	layer->recurrent =
		sl_recurrent_define(&layer->params, "rnn", 0, reverse, cell, in, hidden);
	layer->recurrent.recurrent_dropout = dropout;
	layer->dropout = dropout > 0;
	layer->in = in;
	layer->value = pack_numbers(seed, layer->params.total, 0.5f);
	for (int b = 0; b < MAX_BATCH; b++)
		layer->key[b] = 77 + b;
	return layer;
}

static void
layer_free(Layer *layer)
{
	free(layer->value);
	free(layer);
}

static int
state_size(const Layer *layer)
{
	return sl_recurrent_state(&layer->recurrent);
}

/* Sequence number first is sequence 0 of this pass, for the keys of dropout. */
static SlTensor *
pass_graph(const Layer *layer, Pass *pass, SlTape *tape, int first)
{
	SlTensor *x = sl_input(tape, pass->x, pass->pack.pack.rows, layer->in);

	if (x != NULL)
		x->grad = pass->dx;
	return sl_recurrent(tape, x, &pass->pack.pack, &layer->recurrent, pass->state_in,
						pass->state_out, state_size(layer), layer->key + first);
}

static void
pass_run(const Layer *layer, Pass *pass, int first)
{
	size_t rows = pass->pack.pack.rows;
	size_t hidden = layer->recurrent.hidden;

	pass->y = calloc(rows * hidden, sizeof(float));
	pass->dx = calloc(rows * layer->in, sizeof(float));
	flat_open(&pass->flat, &layer->params);
	pass->state_out =
		calloc((size_t) pass->pack.pack.batch * state_size(layer), sizeof(float));

	SlArena arena = {0};
	SlTape tape = {.arena = &arena,
				   .params = &layer->params,
				   .value = layer->value,
				   .grad = &pass->flat.gradient,
				   .dropout = layer->dropout,
				   .seed = 3};

	pass_graph(layer, pass, &tape, first);
	pass->memory = arena.used;
	arena = pack_arena(&arena);
	tape.counted = 0;

	SlTensor *y = pass_graph(layer, pass, &tape, first);

	if (y != NULL)
	{
		memcpy(pass->y, y->data, rows * hidden * sizeof(float));
		memcpy(y->grad, pass->dy, rows * hidden * sizeof(float));
		sl_backward(&tape);
		flat_read(&pass->flat);
	}
	pass->status = tape.status;
	if (arena.used != pass->memory)
		pass->status = SL_NO_MEMORY;
	free(arena.base);
}

static void
pass_free(Pass *pass)
{
	free(pass->y);
	free(pass->dx);
	flat_close(&pass->flat);
	free(pass->state_out);
}

static double
distance(const float *a, const float *b, size_t n)
{
	double result = 0;

	for (size_t i = 0; i < n; i++)
		result = pack_worse(result, fabs((double) a[i] - b[i]));
	return result;
}

static double
size_of(const float *a, size_t n)
{
	double result = 0;

	for (size_t i = 0; i < n; i++)
		result = fmax(result, fabs(a[i]));
	return result;
}

/* ---- packed against alone ---- */

typedef struct Errors
{
	double y, state, dx, grad;
} Errors;

/* Copies the rows of sequence b out of packed rows, or back. */
static float *
unpack(const SlPack *pack, int b, const float *packed, int cols)
{
	float *alone = calloc((size_t) pack->steps * cols, sizeof(float));

	for (int t = 0; t < pack->steps && b < pack->size[t]; t++)
		memcpy(alone + (size_t) t * cols, packed + (size_t) (pack->offset[t] + b) * cols,
			   (size_t) cols * sizeof(float));
	return alone;
}

/* Runs sequence b of a pass alone, adds its gradient to sum and compares the rest. */
static void
compare_alone(const Layer *layer, const Pass *packed, int b, int length, float *sum,
			  Errors *errors)
{
	int hidden = layer->recurrent.hidden, states = state_size(layer);
	const SlPack *pack = &packed->pack.pack;
	Pass alone = {.x = unpack(pack, b, packed->x, layer->in),
				  .dy = unpack(pack, b, packed->dy, hidden),
				  .state_in =
					  packed->state_in ? packed->state_in + (size_t) b * states : NULL};
	float *y = unpack(pack, b, packed->y, hidden);
	float *dx = unpack(pack, b, packed->dx, layer->in);

	pack_make(&alone.pack, &length, 1);
	pass_run(layer, &alone, b);
	errors->y = pack_worse(errors->y, distance(alone.y, y, (size_t) length * hidden));
	errors->state = pack_worse(
		errors->state,
		distance(alone.state_out, packed->state_out + (size_t) b * states, states));
	errors->dx =
		pack_worse(errors->dx, distance(alone.dx, dx, (size_t) length * layer->in));
	for (size_t i = 0; i < layer->params.total; i++)
		sum[i] += alone.flat.grad[i];
	free(y);
	free(dx);
	free(alone.x);
	free(alone.dy);
	pass_free(&alone);
}

static Errors
check_shape(uint64_t *seed, Layer *layer, const int *length, int batch, bool state)
{
	int hidden = layer->recurrent.hidden;
	Pass packed = {0};
	Errors errors = {0};

	pack_make(&packed.pack, length, batch);

	size_t rows = packed.pack.pack.rows;
	float *state_in = pack_numbers(seed, (size_t) batch * state_size(layer), 0.9f);
	float *sum = calloc(layer->params.total, sizeof(float));

	packed.x = pack_numbers(seed, rows * layer->in, 1);
	packed.dy = pack_numbers(seed, rows * hidden, 1);
	packed.state_in = state ? state_in : NULL;
	pass_run(layer, &packed, 0);
	for (int b = 0; b < batch; b++)
		compare_alone(layer, &packed, b, length[b], sum, &errors);
	errors.dx /= size_of(packed.dx, rows * layer->in);
	errors.grad = distance(sum, packed.flat.grad, layer->params.total) /
				  size_of(packed.flat.grad, layer->params.total);
	if (packed.status != SL_OK)
		errors.y = NAN;
	free(sum);
	free(state_in);
	free(packed.x);
	free(packed.dy);
	pass_free(&packed);
	return errors;
}

static int
below(uint64_t *seed, int n)
{
	return (int) ((pack_random(seed) + 1) / 2 * n) % n;
}

static int
longer_first(const void *a, const void *b)
{
	return *(const int *) b - *(const int *) a;
}

static void
check_random_shapes(void)
{
	uint64_t seed = 2024;

	for (int run = 0; run < 60; run++)
	{
		int batch = 1 + below(&seed, MAX_BATCH), length[MAX_BATCH];
		bool equal = below(&seed, 4) == 0, reverse = run & 1, state = run & 2;
		SlCell cell = run & 4 ? SL_CELL_LSTM : SL_CELL_GRU;
		float dropout = below(&seed, 3) == 0 ? 0.3f : 0;

		for (int b = 0; b < batch; b++)
			length[b] = equal && b > 0 ? length[0] : 1 + below(&seed, MAX_STEPS);
		qsort(length, batch, sizeof(int), longer_first);

		Layer *layer = layer_new(&seed, cell, 1 + below(&seed, 6), 1 + below(&seed, 40),
								 reverse, dropout);
		Errors e = check_shape(&seed, layer, length, batch, state);

		ok(e.y < 2e-6 && e.state < 2e-6 && e.dx < 2e-5 && e.grad < 2e-5,
		   "%s%s%s%s, %d sequences up to %d: packed as alone",
		   cell == SL_CELL_LSTM ? "lstm" : "gru", reverse ? ", reverse" : "",
		   state ? ", state" : "", dropout > 0 ? ", dropout" : "", batch, length[0]);
		if (!(e.y < 2e-6 && e.state < 2e-6 && e.dx < 2e-5 && e.grad < 2e-5))
			note("y %.1e state %.1e dx %.1e grad %.1e", e.y, e.state, e.dx, e.grad);
		layer_free(layer);
	}
}

/* ---- chunks ---- */

/* A sequence in two chunks, the state carried, gives the outputs of the whole. */
static void
check_chunks(SlCell cell)
{
	uint64_t seed = 8;
	Layer *layer = layer_new(&seed, cell, 3, 20, false, 0);
	int length[2] = {10, 10}, first[2] = {4, 4}, second[2] = {6, 6};
	Pass whole = {.x = pack_numbers(&seed, 60, 1), .dy = pack_numbers(&seed, 400, 1)};
	Pass one = {.x = whole.x, .dy = whole.dy};
	Pass two = {.x = whole.x + 24, .dy = whole.dy + 160};

	pack_make(&whole.pack, length, 2);
	pack_make(&one.pack, first, 2);
	pack_make(&two.pack, second, 2);
	pass_run(layer, &whole, 0);
	pass_run(layer, &one, 0);
	two.state_in = one.state_out;
	pass_run(layer, &two, 0);
	ok(distance(whole.y, one.y, 160) < 1e-6 &&
		   distance(whole.y + 160, two.y, 240) < 1e-6 &&
		   distance(whole.state_out, two.state_out, 2 * state_size(layer)) < 1e-6,
	   "%s: two chunks as one", cell == SL_CELL_LSTM ? "lstm" : "gru");
	/* the last chunk gets the gradient of the whole, the first one less */
	ok(distance(whole.dx + 24, two.dx, 36) < 1e-5 &&
		   distance(whole.dx, one.dx, 24) > 1e-4,
	   "%s: no gradient flows from chunk to chunk",
	   cell == SL_CELL_LSTM ? "lstm" : "gru");
	pass_free(&whole);
	pass_free(&one);
	pass_free(&two);
	free(whole.x);
	free(whole.dy);
	layer_free(layer);
}

/* The same pass twice gives the same bits. */
static void
check_repeats(void)
{
	uint64_t seed = 9;
	Layer *layer = layer_new(&seed, SL_CELL_LSTM, 7, 33, false, 0.2f);
	int length[3] = {9, 5, 2};
	Pass a = {.x = pack_numbers(&seed, 16 * 7, 1), .dy = pack_numbers(&seed, 16 * 33, 1)};
	Pass b = a;

	pack_make(&a.pack, length, 3);
	pack_make(&b.pack, length, 3);
	pass_run(layer, &a, 0);
	pass_run(layer, &b, 0);
	ok(memcmp(a.y, b.y, 16 * 33 * sizeof(float)) == 0 &&
		   memcmp(a.flat.grad, b.flat.grad, layer->params.total * sizeof(float)) == 0,
	   "the same bits twice");
	pass_free(&a);
	pass_free(&b);
	free(a.x);
	free(a.dy);
	layer_free(layer);
}

/* ---- what can go wrong ---- */

typedef struct Stop
{
	int asked;
	int limit;
} Stop;

static bool
stop_after(void *arg)
{
	Stop *stop = arg;

	return ++stop->asked > stop->limit;
}

/* Forward and backward in an arena of that size; the status. */
static SlStatus
try_pass(const Layer *layer, Pass *pass, size_t memory, Stop *stop, bool *null_out)
{
	SlArena arena = {.base = aligned_alloc(SL_ALIGN, memory + SL_ALIGN), .size = memory};
	SlTape tape = {.arena = &arena,
				   .params = &layer->params,
				   .value = layer->value,
				   .grad = &pass->flat.gradient,
				   .should_stop = stop != NULL ? stop_after : NULL,
				   .stop_arg = stop};
	SlTensor *y = pass_graph(layer, pass, &tape, 0);
	/* layers after a failure take NULL */
	SlTensor *more = sl_dropout(&tape, sl_concat(&tape, &y, 1), 0.5f, layer->key, 1);

	*null_out =
		(tape.status == SL_OK) == (y != NULL) && (y != NULL || more == NULL) &&
		(tape.status == SL_OK ||
		 (sl_dense(&tape, NULL, 0, -1) == NULL &&
		  sl_recurrent(&tape, NULL, NULL, NULL, NULL, NULL, 0, NULL) == NULL &&
		  sl_embedding(&tape, NULL, 4, 0) == NULL && sl_tensor(&tape, 1, 1) == NULL));
	if (tape.status == SL_OK)
		sl_backward(&tape);
	free(arena.base);
	return tape.status;
}

static void
check_failures(void)
{
	uint64_t seed = 10;
	Layer *layer = layer_new(&seed, SL_CELL_GRU, 3, 8, false, 0);
	int length[2] = {6, 3};
	Pass pass = {.x = pack_numbers(&seed, 27, 1), .dy = pack_numbers(&seed, 72, 1)};
	bool null_out, all_null = true, right = true;
	Stop stop = {0, 1 << 30};

	pack_make(&pass.pack, length, 2);
	pass_run(layer, &pass, 0);

	/* room for the layers tried after the one under test */
	size_t enough = pass.memory + 9 * 8 * 2 * sizeof(float) + 8 * SL_ALIGN;

	is_int(try_pass(layer, &pass, enough, &stop, &null_out), SL_OK, "enough memory");

	int questions = stop.asked;

	ok(questions >= 12, "asked at every step, forward and backward (%d times)",
	   questions);
	for (int limit = 0; limit < questions; limit++)
	{
		stop = (Stop){0, limit};
		right &= try_pass(layer, &pass, enough, &stop, &null_out) == SL_STOPPED;
		right &= stop.asked == limit + 1;
		all_null &= null_out;
	}
	ok(right, "stopped at any question, and not asked again");
	for (size_t memory = 0; memory < pass.memory; memory += SL_ALIGN)
	{
		right &= try_pass(layer, &pass, memory, NULL, &null_out) == SL_NO_MEMORY;
		all_null &= null_out;
	}
	ok(right, "too little memory is noticed");
	ok(all_null, "layers after a failure do nothing");
	pass_free(&pass);
	free(pass.x);
	free(pass.dy);
	layer_free(layer);
}

static void
check_shapes(void)
{
	uint64_t seed = 11;
	Layer *layer = layer_new(&seed, SL_CELL_LSTM, 3, 8, false, 0);
	SlArena arena = {0};
	float x[64] = {0}, state[64] = {0};
	TestPack pack;
	int length[1] = {2};

	pack_make(&pack, length, 1);
	for (int wrong = 0; wrong < 6; wrong++)
	{
		SlTape tape = {.arena = &arena, .params = &layer->params, .value = layer->value};
		SlTensor *in = sl_input(&tape, x, 2 + (wrong == 0), 3 + (wrong == 1));
		SlPack p = pack.pack;

		if (wrong == 2)
			p.steps = 0;
		if (wrong == 3)
			sl_dense(&tape, in, 1, -1);
		else if (wrong == 4)
			sl_tensor(&tape, -1, 4);
		else
			sl_recurrent(&tape, in, &p, &layer->recurrent, wrong == 5 ? state : NULL,
						 NULL, 15, NULL);
		is_int(tape.status, SL_BAD_SHAPE, "shapes that do not fit (%d)", wrong);
	}
	layer_free(layer);
}

static void
check_overflow(void)
{
	SlArena counting = {0};
	SlParams params = {0};
	char name[SL_NAME_MAX + 1] = {0};

	ok(sl_alloc(&counting, SIZE_MAX / 2, 4) == NULL && counting.used == SIZE_MAX,
	   "a product that overflows");
	sl_alloc(&counting, 1, 1);
	ok(counting.used == SIZE_MAX, "and stays");
	counting.used = 0;
	sl_alloc(&counting, SIZE_MAX - 100, 1);
	sl_alloc(&counting, 200, 1);
	ok(counting.used == SIZE_MAX, "a sum that overflows");

	for (int i = 0; i < SL_MAX_PARAMS; i++)
		sl_param_add(&params, "p", 3, 0, SL_INIT_BIAS, 1, 1);
	ok(!params.overflow && params.count == SL_MAX_PARAMS,
	   "as many parameters as there may be");
	ok(params.total == SL_MAX_PARAMS * SL_ALIGN / sizeof(float),
	   "each on its own boundary");
	sl_param_add(&params, "p", 3, 0, SL_INIT_BIAS, 1, 1);
	ok(params.overflow, "one too many");
	params = (SlParams){0};
	memset(name, 'x', SL_NAME_MAX);
	sl_param_add(&params, name, 1, 0, SL_INIT_BIAS, 1, 1);
	ok(params.overflow, "a name too long");
	params = (SlParams){0};
	sl_recurrent_define(&params, "rnn", 0, false, SL_CELL_LSTM, 3, INT32_MAX / 2);
	ok(params.overflow, "more gates than an int counts");
}

int
main(void)
{
	check_random_shapes();
	check_chunks(SL_CELL_LSTM);
	check_chunks(SL_CELL_GRU);
	check_repeats();
	check_failures();
	check_shapes();
	check_overflow();
	return done_testing();
}
