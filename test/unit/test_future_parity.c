/*
 * test_future_parity.c: networks over rows to predict against PyTorch (numbers made by
 * test/data/make_encoder_decoder_fixtures.py): outputs to 1e-5 of the largest, gradients
 * to 1e-4 tensor by tensor, then ten steps of Adam: losses to 1e-5, weights to a
 * hundredth of the learning rate.
 */
#include "model/model.h"
#include "nn/loss.h"
#include "nn/optim.h"

#include "fixture.h"
#include "flat.h"
#include "pack.h"
#include "tap.h"

enum
{
	INPUTS = 5,
	BATCH = 7,
	ROWS = 29,
	FUTURE = 14,
	STEPS = 10
};

static const int lengths[BATCH] = {7, 6, 5, 5, 3, 2, 1};
static const int past[BATCH] = {3, 0, 5, 4, 1, 2, 0};

typedef struct World
{
	const Fixture *fixture;
	const char *name; /* of the fixture's arrays */
	SlNet net;
	TestPack pack;
	const float *x, *target;
	int32_t codes[2][ROWS];
	uint8_t future[ROWS];
	float weight[ROWS];
	float out[FUTURE];
	float *value, *moments;
	Flat flat;
	SlArena arena;
} World;

static const float *
get(const World *w, size_t count, const char *part, const char *name)
{
	char full[2 * SL_NAME_MAX];
	size_t found;

	snprintf(full, sizeof(full), "%s%s%s", w->name, part, name);

	const float *result = fixture_get(w->fixture, full, &found);

	if (found != count)
		fixture_fail("wrong length of", full);
	return result;
}

static size_t
elements(const SlParam *param)
{
	return (size_t) param->rows * (param->cols ? param->cols : 1);
}

static void
read_rows(World *w, const Fixture *fixture)
{
	const float *item = fixture_get(fixture, "item", NULL);
	const float *context = fixture_get(fixture, "context", NULL);

	pack_make(&w->pack, lengths, BATCH);
	w->x = fixture_get(fixture, "x", NULL);
	w->target = fixture_get(fixture, "y", NULL);
	for (int t = 0; t < w->pack.pack.steps; t++)
		for (int b = 0; b < w->pack.size[t]; b++)
		{
			int row = w->pack.offset[t] + b;

			w->future[row] = t >= past[b];
			w->weight[row] = w->future[row];
			w->codes[0][row] = (int32_t) item[row];
			w->codes[1][row] = (int32_t) context[row];
		}
}

static World *
world_open(const Fixture *fixture, const char *name, const SlNetSpec *spec)
{
	World *w = calloc(1, sizeof(World));

	w->fixture = fixture;
	w->name = name;
	is_int(sl_net_define(&w->net, spec), SL_OK, "%s: defined", name);
	read_rows(w, fixture);
	w->value = calloc(w->net.params.total, sizeof(float));
	flat_open(&w->flat, &w->net.params);
	w->moments = calloc(w->net.params.total, 2 * sizeof(float));
	w->arena = (SlArena){.size = 1 << 20, .base = aligned_alloc(SL_ALIGN, 1 << 20)};
	for (int p = 0; p < w->net.params.count; p++)
	{
		const SlParam *param = &w->net.params.item[p];

		memcpy(w->value + param->offset, get(w, elements(param), ".start.", param->name),
			   elements(param) * sizeof(float));
	}
	return w;
}

static void
world_close(World *w)
{
	free(w->value);
	flat_close(&w->flat);
	free(w->moments);
	free(w->arena.base);
	free(w);
}

/* Mean loss over the rows to predict, their outputs and the gradient. */
static double
pass(World *w)
{
	SlLoss loss = {.kind = SL_LOSS_BCE};
	const int32_t *code[2] = {w->codes[0], w->codes[1]};
	SlBatch batch = {.pack = &w->pack.pack, .x = w->x, .code = code, .future = w->future};
	SlTape tape = {.arena = &w->arena,
				   .params = &w->net.params,
				   .value = w->value,
				   .grad = &w->flat.gradient};
	int n = 0;

	w->arena.used = 0;
	sl_gradient_clear(&w->flat.gradient);

	SlTensor *out = w->net.spec.arch->forward(&w->net, &tape, &batch);

	if (out == NULL)
		return NAN;
	for (int i = 0; i < ROWS; i++)
		if (w->future[i])
			w->out[n++] = out->data[i];

	double sum = sl_loss(&loss, out, w->target, w->weight, NULL, 1.0f / FUTURE);

	return sl_backward(&tape) == SL_OK ? sum / FUTURE : NAN;
}

static void
check_first(World *w)
{
	pass(w);
	flat_read(&w->flat);
	is_tensor(w->out, get(w, FUTURE, ".", "out"), FUTURE, 1e-5, "%s: outputs", w->name);
	for (int p = 0; p < w->net.params.count; p++)
	{
		const SlParam *param = &w->net.params.item[p];
		size_t n = elements(param);

		is_tensor(w->flat.grad + param->offset, get(w, n, ".grad.", param->name), n, 1e-4,
				  "%s: gradient of %s", w->name, param->name);
	}
}

static void
update(World *w, SlOptimStep step)
{
	SlGradient *gradient = &w->flat.gradient;

	sl_gradient_update(gradient, &step, w->value, w->moments, 0,
					   sl_gradient_size(gradient));
}

static void
check_steps(World *w)
{
	const float *losses = get(w, STEPS + 1, ".", "losses");
	const float rate = 1e-2f;
	double loss_error = 0, weight_error = 0;

	for (int step = 1; step <= STEPS + 1; step++)
	{
		double loss = pass(w), want = losses[step - 1];

		loss_error = pack_worse(loss_error, fabs(loss - want) / want);
		if (step <= STEPS)
			update(w, sl_optim_begin(SL_OPTIM_ADAM, step, rate, 0, 1));
	}
	ok(loss_error <= 1e-5, "%s: losses of ten steps (%.1e)", w->name, loss_error);
	ok(losses[STEPS] < losses[0], "%s: which fall", w->name);
	for (int p = 0; p < w->net.params.count; p++)
	{
		const SlParam *param = &w->net.params.item[p];
		const float *want = get(w, elements(param), ".end.", param->name);

		for (size_t i = 0; i < elements(param); i++)
			weight_error =
				pack_worse(weight_error, fabs(w->value[param->offset + i] - want[i]));
	}
	ok(weight_error <= 1e-2 * rate,
	   "%s: weights after ten steps, in learning rates (%.1e)", w->name,
	   weight_error / rate);
}

static void
check(const Fixture *fixture, const char *name, const char *arch, SlCell cell, bool both)
{
	SlNetSpec spec = {.arch = sl_arch_find(arch),
					  .inputs = INPUTS,
					  .known_inputs = 2,
					  .observed_inputs = 1,
					  .target_inputs = 2,
					  .embeddings = 2,
					  .vocabulary = {9, 4},
					  .embedding_dim = {3, 2},
					  .embedding_name = {"item", "context"},
					  .has_item = true,
					  .cell = cell,
					  .bidirectional = both,
					  .past_steps = 6,
					  .layers = 2,
					  .hidden = {6, 4},
					  .outputs = 1};
	World *w = world_open(fixture, name, &spec);

	check_first(w);
	check_steps(w);
	world_close(w);
}

int
main(void)
{
	Fixture fixture = fixture_read("encoder_decoder.txt");

	check(&fixture, "gru", "encoder_decoder", SL_CELL_GRU, false);
	check(&fixture, "gru.both", "encoder_decoder", SL_CELL_GRU, true);
	check(&fixture, "lstm", "encoder_decoder", SL_CELL_LSTM, false);
	check(&fixture, "lstm.both", "encoder_decoder", SL_CELL_LSTM, true);
	check(&fixture, "four", "multi_input_lstm", SL_CELL_LSTM, false);
	fixture_free(&fixture);
	return done_testing();
}
