/*
 * test_parity.c: LSTM and GRU against torch.nn, tensor by tensor: outputs and final
 * states to 1e-5 of the largest element, gradients to 1e-4; then ten steps of a whole
 * network with every optimiser, the losses to 1e-5, weights to a hundredth of the
 * learning rate.
 */
#include "model/model.h"
#include "nn/loss.h"
#include "nn/optim.h"

#include "fixture.h"
#include "flat.h"
#include "pack.h"
#include "tap.h"

#define INPUTS 5
#define HIDDEN 6
#define BATCH 4
#define ROWS 15
#define STEPS 10
static const int lengths[BATCH] = {6, 4, 4, 1};

#define NAME_SIZE 200

static const float *
get(const Fixture *fixture, size_t count, const char *prefix, const char *name)
{
	char full[NAME_SIZE];
	size_t found;

	snprintf(full, sizeof(full), "%s.%s", prefix, name);

	const float *result = fixture_get(fixture, full, &found);

	if (found != count)
		fixture_fail("wrong length of", full);
	return result;
}

/* Largest difference over the largest element of want. */
static double
relative(const float *got, const float *want, size_t n)
{
	double worst = 0, largest = 0;

	for (size_t i = 0; i < n; i++)
	{
		double difference = fabs((double) got[i] - want[i]);

		worst = pack_worse(worst, difference);
		largest = fmax(largest, fabs(want[i]));
	}
	return worst / largest;
}

static size_t
elements(const SlParam *param)
{
	return (size_t) param->rows * (param->cols ? param->cols : 1);
}

/* Copies the fixture's arrays called prefix.name into the flat values. */
static void
read_params(const Fixture *fixture, const char *prefix, const SlParams *params,
			float *value)
{
	for (int i = 0; i < params->count; i++)
	{
		const SlParam *param = &params->item[i];

		memcpy(value + param->offset, get(fixture, elements(param), prefix, param->name),
			   elements(param) * sizeof(float));
	}
}

/* ---- layers ---- */

typedef struct Stack
{
	char name[64];
	SlCell cell;
	int layers;
	int directions;
	int states; /* 1 or 2 vectors a layer and direction */
	SlParams params;
	SlRecurrent layer[4];
	TestPack pack;
	size_t stride;
	float *value, *dx, *state_in, *state_out;
	Flat flat;
} Stack;

static void
stack_define(Stack *s)
{
	int in = INPUTS;

	for (int l = 0; l < s->layers; l++)
	{
		for (int d = 0; d < s->directions; d++)
			s->layer[l * s->directions + d] =
				sl_recurrent_define(&s->params, "rnn", l, d == 1, s->cell, in, HIDDEN);
		in = HIDDEN * s->directions;
	}
	s->states = s->cell == SL_CELL_LSTM ? 2 : 1;
	s->stride = (size_t) s->layers * s->directions * s->states * HIDDEN;
}

/* PyTorch's [layer and direction][sequence][hidden] to or from our rows of states. */
static void
state_copy(const Stack *s, int letter, float *ours, float *torch, bool to_ours)
{
	for (int l = 0; l < s->layers * s->directions; l++)
		for (int b = 0; b < BATCH; b++)
		{
			float *a = ours + b * s->stride + (size_t) (l * s->states + letter) * HIDDEN;
			float *t = torch + (size_t) (l * BATCH + b) * HIDDEN;

			memcpy(to_ours ? a : t, to_ours ? t : a, HIDDEN * sizeof(float));
		}
}

static SlTensor *
stack_graph(Stack *s, SlTape *tape, SlTensor *x)
{
	for (int l = 0; l < s->layers; l++)
	{
		SlTensor *part[2];

		for (int d = 0; d < s->directions; d++)
		{
			int at = l * s->directions + d;
			size_t state = (size_t) at * s->states * HIDDEN;

			part[d] =
				sl_recurrent(tape, x, &s->pack.pack, &s->layer[at], s->state_in + state,
							 s->state_out + state, s->stride, NULL);
		}
		x = s->directions == 2 ? sl_concat(tape, part, 2) : part[0];
	}
	return x;
}

static void
check_output(Stack *s, const Fixture *fixture, const SlTensor *y)
{
	int states = s->layers * s->directions * BATCH * HIDDEN;
	static const char *const last[2] = {"hn", "cn"};
	double error =
		relative(y->data, get(fixture, (size_t) ROWS * y->cols, s->name, "out"),
				 (size_t) ROWS * y->cols);

	ok(error <= 1e-5, "%s: output (%.1e)", s->name, error);
	for (int k = 0; k < s->states; k++)
	{
		float *torch = malloc(states * sizeof(float));

		state_copy(s, k, s->state_out, torch, false);
		error = relative(torch, get(fixture, states, s->name, last[k]), states);
		ok(error <= 1e-5, "%s: final %c (%.1e)", s->name, "hc"[k], error);
		free(torch);
	}
}

static void
check_gradients(Stack *s, const Fixture *fixture)
{
	char prefix[NAME_SIZE];
	double error =
		relative(s->dx, get(fixture, ROWS * INPUTS, s->name, "dx"), ROWS * INPUTS);

	ok(error <= 1e-4, "%s: gradient of x (%.1e)", s->name, error);
	snprintf(prefix, sizeof(prefix), "%s.grad", s->name);
	for (int i = 0; i < s->params.count; i++)
	{
		const SlParam *param = &s->params.item[i];

		error =
			relative(s->flat.grad + param->offset,
					 get(fixture, elements(param), prefix, param->name), elements(param));
		ok(error <= 1e-4, "%s: gradient of %s (%.1e)", s->name, param->name, error);
	}
}

static void
check_stack(const Fixture *fixture, SlCell cell, int layers, bool both)
{
	Stack s = {.cell = cell, .layers = layers, .directions = both ? 2 : 1};
	static const char *const first[2] = {"h0", "c0"};

	snprintf(s.name, sizeof(s.name), "%s.%d%s", cell == SL_CELL_LSTM ? "lstm" : "gru",
			 layers, both ? ".both" : "");
	stack_define(&s);
	pack_make(&s.pack, lengths, BATCH);
	s.value = calloc(s.params.total, sizeof(float));
	flat_open(&s.flat, &s.params);
	s.dx = calloc(ROWS * INPUTS, sizeof(float));
	s.state_in = calloc(BATCH * s.stride, sizeof(float));
	s.state_out = calloc(BATCH * s.stride, sizeof(float));
	read_params(fixture, s.name, &s.params, s.value);
	for (int k = 0; k < s.states; k++)
		state_copy(&s, k, s.state_in,
				   (float *) get(fixture, (size_t) layers * s.directions * BATCH * HIDDEN,
								 s.name, first[k]),
				   true);

	SlArena arena = {.size = 1 << 20, .base = aligned_alloc(SL_ALIGN, 1 << 20)};
	SlTape tape = {
		.arena = &arena, .params = &s.params, .value = s.value, .grad = &s.flat.gradient};
	SlTensor *x = sl_input(&tape, get(fixture, ROWS * INPUTS, s.name, "x"), ROWS, INPUTS);

	x->grad = s.dx;

	SlTensor *y = stack_graph(&s, &tape, x);

	if (ok(y != NULL, "%s: runs", s.name))
	{
		size_t n = (size_t) ROWS * y->cols;

		check_output(&s, fixture, y);
		memcpy(y->grad, get(fixture, n, s.name, "above"), n * sizeof(float));
		is_int(sl_backward(&tape), SL_OK, "%s: runs backwards", s.name);
		flat_read(&s.flat);
		check_gradients(&s, fixture);
	}
	free(arena.base);
	free(s.value);
	flat_close(&s.flat);
	free(s.dx);
	free(s.state_in);
	free(s.state_out);
}

/* ---- ten steps of a network ---- */

typedef struct Training
{
	const char *name; /* of the fixture's arrays */
	SlNet net;
	SlLoss loss;
	TestPack pack;
	const float *x;
	const float *target;
	int32_t codes[STEPS + 1][ROWS]; /* of each step */
	float *value, *moments;
	Flat flat;
	SlArena arena;
} Training;

static void
training_open(Training *t, const Fixture *fixture, const char *arch, SlLossKind loss)
{
	SlNetSpec spec = {.arch = sl_arch_find(arch),
					  .inputs = INPUTS,
					  .embeddings = 1,
					  .vocabulary = {12},
					  .embedding_dim = {3},
					  .embedding_name = {"country"},
					  .layers = 2,
					  .hidden = {6, 4},
					  .outputs = 1};

	is_int(sl_net_define(&t->net, &spec), SL_OK, "%s: defined", t->name);
	t->loss.kind = loss;
	pack_make(&t->pack, lengths, BATCH);
	t->x = get(fixture, ROWS * INPUTS, t->name, "x");
	t->target = get(fixture, ROWS, t->name, "target");
	for (int i = 0; i < (STEPS + 1) * ROWS; i++)
		t->codes[i / ROWS][i % ROWS] =
			(int32_t) get(fixture, (STEPS + 1) * ROWS, t->name, "codes")[i];
	t->value = calloc(t->net.params.total, sizeof(float));
	flat_open(&t->flat, &t->net.params);
	t->moments = calloc(t->net.params.total, 2 * sizeof(float));
	t->arena = (SlArena){.size = 1 << 20, .base = aligned_alloc(SL_ALIGN, 1 << 20)};
}

static void
training_close(Training *t)
{
	free(t->value);
	flat_close(&t->flat);
	free(t->moments);
	free(t->arena.base);
}

/* Mean loss of the batch with the codes of a step, and its gradient into t->flat. */
static double
training_pass(Training *t, int step)
{
	const int32_t *code[1] = {t->codes[step]};
	SlBatch batch = {.pack = &t->pack.pack, .x = t->x, .code = code};
	SlTape tape = {.arena = &t->arena,
				   .params = &t->net.params,
				   .value = t->value,
				   .grad = &t->flat.gradient};

	t->arena.used = 0;
	sl_gradient_clear(&t->flat.gradient);

	SlTensor *out = t->net.spec.arch->forward(&t->net, &tape, &batch);

	if (out == NULL)
		return NAN;

	double loss = sl_loss(&t->loss, out, t->target, NULL, NULL, 1.0f / ROWS) / ROWS;

	return sl_backward(&tape) == SL_OK ? loss : NAN;
}

/* In two ranges cut at an odd place, as processes would share the work. */
static void
training_update(Training *t, SlOptimStep step)
{
	SlGradient *gradient = &t->flat.gradient;
	size_t size = sl_gradient_size(gradient), cut = size - 4;

	sl_gradient_update(gradient, &step, t->value, t->moments, cut, size);
	sl_gradient_update(gradient, &step, t->value, t->moments, 0, cut);
}

static void
check_optimiser(Training *t, const Fixture *fixture, SlOptimKind kind)
{
	const char *optimiser = sl_optim_name(kind);
	float rate = sl_optim_default_rate(kind);
	double mu_product = 1, loss_error = 0, weight_error = 0;
	/* PyTorch gives AdamW a decay of 0.01 unless told otherwise */
	float decay = kind == SL_OPTIM_ADAMW ? 0.01f : 0;
	char prefix[NAME_SIZE];

	snprintf(prefix, sizeof(prefix), "%s.start", t->name);
	read_params(fixture, prefix, &t->net.params, t->value);
	memset(t->moments, 0, t->net.params.total * 2 * sizeof(float));
	snprintf(prefix, sizeof(prefix), "%s.%s", t->name, optimiser);

	const float *losses = get(fixture, STEPS + 1, prefix, "losses");

	for (int step = 0; step <= STEPS; step++)
	{
		double loss = training_pass(t, step);
		double error = fabs(loss - losses[step]) / losses[step];

		loss_error = pack_worse(loss_error, error);
		if (step < STEPS)
		{
			sl_optim_advance(kind, step + 1, &mu_product);
			training_update(t, sl_optim_begin(kind, step + 1, rate, decay, mu_product));
		}
	}
	ok(loss_error <= 1e-5, "%s: losses of ten steps (%.1e)", prefix, loss_error);
	for (int i = 0; i < t->net.params.count; i++)
	{
		const SlParam *param = &t->net.params.item[i];
		const float *want = get(fixture, elements(param), prefix, param->name);

		for (size_t k = 0; k < elements(param); k++)
		{
			double error = fabs((double) t->value[param->offset + k] - want[k]) / rate;

			weight_error = pack_worse(weight_error, error);
		}
	}
	ok(weight_error <= 1e-2, "%s: weights after ten steps, in learning rates (%.1e)",
	   prefix, weight_error);
}

static void
check_training(const Fixture *fixture, const char *arch, SlLossKind loss)
{
	char name[NAME_SIZE];
	Training t = {.name = name};

	snprintf(name, sizeof(name), "%s.net", arch);
	training_open(&t, fixture, arch, loss);
	for (int kind = 0; sl_optim_name(kind) != NULL; kind++)
		check_optimiser(&t, fixture, kind);
	training_close(&t);
}

int
main(void)
{
	Fixture fixture = fixture_read("recurrent.txt");

	for (int cell = SL_CELL_GRU; cell <= SL_CELL_LSTM; cell++)
		for (int layers = 1; layers <= 2; layers++)
			for (int both = 0; both < 2; both++)
				check_stack(&fixture, cell, layers, both);
	check_training(&fixture, "lstm", SL_LOSS_MAE);
	check_training(&fixture, "gru", SL_LOSS_MSE);
	fixture_free(&fixture);
	return done_testing();
}
