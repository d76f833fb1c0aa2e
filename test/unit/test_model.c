/*
 * test_model.c: the table of architectures, the names and shapes of their parameters,
 * what a specification may ask for, and whole networks: counted memory, gradients, state
 * carried row by row, dropout.
 */
#include "model/model.h"

#include "flat.h"
#include "pack.h"
#include "tap.h"

static SlNetSpec
small_spec(const char *arch)
{
	return (SlNetSpec){.arch = sl_arch_find(arch),
					   .inputs = 3,
					   .embeddings = 2,
					   .vocabulary = {6, 4},
					   .embedding_dim = {3, 2},
					   .embedding_name = {"country", "gender"},
					   .layers = 2,
					   .hidden = {7, 5},
					   .outputs = 2};
}

/* ---- the table ---- */

static void
check_table(void)
{
	is_str(sl_arch_name(0), "gru", "the first architecture");
	is_str(sl_arch_name(1), "lstm", "the second");
	ok(sl_arch_name(-1) == NULL && sl_arch_name(1000) == NULL, "none before and after");
	ok(sl_arch_find("LSTM") == NULL && sl_arch_find("") == NULL, "names are exact");
	for (int i = 0; sl_arch_name(i) != NULL; i++)
		is_str(sl_arch_find(sl_arch_name(i))->name, sl_arch_name(i), "found by its name");
}

static void
check_names(void)
{
	static const struct
	{
		const char *name;
		int rows, cols;
	} want[] = {{"embedding.country.weight", 6, 3},
				{"embedding.gender.weight", 4, 2},
				{"rnn.weight_ih_l0", 28, 8},
				{"rnn.weight_hh_l0", 28, 7},
				{"rnn.bias_ih_l0", 28, 0},
				{"rnn.bias_hh_l0", 28, 0},
				{"rnn.weight_ih_l1", 20, 7},
				{"rnn.weight_hh_l1", 20, 5},
				{"rnn.bias_ih_l1", 20, 0},
				{"rnn.bias_hh_l1", 20, 0},
				{"head.weight", 2, 5},
				{"head.bias", 2, 0}};
	static SlNet net;
	SlNetSpec spec = small_spec("lstm");

	is_int(sl_net_define(&net, &spec), SL_OK, "a network is defined");
	is_int(net.params.count, 12, "its parameters");
	is_int(net.state, 2 * (7 + 5), "its state");
	for (int i = 0; i < 12; i++)
	{
		const SlParam *param = &net.params.item[i];

		is_str(param->name, want[i].name, "parameter %d", i);
		ok(param->rows == want[i].rows && param->cols == want[i].cols &&
			   param->offset % (SL_ALIGN / sizeof(float)) == 0,
		   "its shape");
	}
	spec.arch = sl_arch_find("gru");
	is_int(sl_net_define(&net, &spec), SL_OK, "a gru too");
	is_int(net.state, 7 + 5, "its state is smaller");
	is_int(net.params.item[2].rows, 21, "and its gates are three");
}

/* ---- specifications ---- */

static SlStatus
try_spec(void (*change)(SlNetSpec *spec, int value), int value)
{
	static SlNet net;
	SlNetSpec spec = small_spec("gru");

	change(&spec, value);
	return sl_net_define(&net, &spec);
}

#define CHANGE(name, statement)                  \
	static void name(SlNetSpec *spec, int value) \
	{                                            \
		statement;                               \
	}
CHANGE(set_hidden, spec->hidden[1] = value)
CHANGE(set_layers, {
	spec->layers = value;
	for (int i = 0; i < SL_MAX_LAYERS; i++)
		spec->hidden[i] = 2;
})
CHANGE(set_inputs, spec->inputs = value)
CHANGE(set_only_inputs, spec->embeddings = 0; spec->inputs = value)
CHANGE(set_embeddings, spec->embeddings = value)
CHANGE(set_vocabulary, spec->vocabulary[0] = value)
CHANGE(set_dim, spec->embedding_dim[1] = value)
CHANGE(set_outputs, spec->outputs = value)
CHANGE(set_dropout, spec->dropout = (float) value / 10)
CHANGE(set_recurrent_dropout,
	   spec->recurrent_dropout = value == 99 ? NAN : (float) value / 10)
CHANGE(set_no_arch, spec->arch = value ? spec->arch : NULL)
CHANGE(set_long_name, memset(spec->embedding_name[0], 'x', (size_t) value))

static void
check_specs(void)
{
	static const struct
	{
		const char *name;
		void (*change)(SlNetSpec *spec, int value);
		int bad[3];
		int good[2];
	} cases[] = {
		{"hidden", set_hidden, {0, -1, 4097}, {1, 4096}},
		{"layers", set_layers, {0, -1, SL_MAX_LAYERS + 1}, {1, SL_MAX_LAYERS}},
		{"inputs", set_inputs, {-1, INT32_MIN, INT32_MAX}, {0, 1}},
		{"inputs alone", set_only_inputs, {0, -1, INT32_MAX}, {1, 100}},
		{"embeddings", set_embeddings, {-1, SL_MAX_EMBEDDINGS + 1, INT32_MAX}, {0, 2}},
		{"vocabulary", set_vocabulary, {0, -5, 10000001}, {1, 10000000}},
		{"embedding dimension", set_dim, {0, -1, INT32_MAX}, {1, 300}},
		{"outputs", set_outputs, {0, -1, INT32_MAX}, {1, 103910}},
		{"dropout", set_dropout, {-1, 10, 11}, {0, 9}},
		{"recurrent dropout", set_recurrent_dropout, {-1, 10, 99}, {0, 9}},
		{"architecture", set_no_arch, {0, 0, 0}, {1, 1}},
		{"name",
		 set_long_name,
		 {SL_NAME_MAX - 17, SL_NAME_MAX, SL_NAME_MAX - 1},
		 {1, SL_NAME_MAX - 18}},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		for (int k = 0; k < 3; k++)
			is_int(try_spec(cases[i].change, cases[i].bad[k]), SL_BAD_SHAPE, "%s of %d",
				   cases[i].name, cases[i].bad[k]);
		for (int k = 0; k < 2; k++)
			is_int(try_spec(cases[i].change, cases[i].good[k]), SL_OK, "%s of %d",
				   cases[i].name, cases[i].good[k]);
	}
}

/* ---- whole networks ---- */

#define BATCH 3
#define ROWS 9
static const int lengths[BATCH] = {4, 3, 2};

typedef struct Model
{
	SlNet net;
	TestPack pack;
	SlBatch batch;
	const int32_t *code[2];
	int32_t codes[2][ROWS];
	uint64_t key[ROWS];
	float *x, *value;
	Flat flat;
	float out[ROWS * 2];
	size_t used;
	uint64_t epoch;
} Model;

static Model *
model_new(const char *arch, float dropout)
{
	Model *m = calloc(1, sizeof(Model));
	SlNetSpec spec = small_spec(arch);
	uint64_t seed = 6;

	spec.dropout = dropout;
	spec.recurrent_dropout = dropout;
	is_int(sl_net_define(&m->net, &spec), SL_OK, "%s: defined", arch);
	pack_make(&m->pack, lengths, BATCH);
	m->x = pack_numbers(&seed, ROWS * 3, 1);
	m->value = pack_numbers(&seed, m->net.params.total, 0.7f);
	flat_open(&m->flat, &m->net.params);
	for (int i = 0; i < ROWS; i++)
	{
		m->codes[0][i] = i % 6;
		m->codes[1][i] = i % 4;
		m->key[i] = 500 + i;
	}
	m->code[0] = m->codes[0];
	m->code[1] = m->codes[1];
	m->batch = (SlBatch){.pack = &m->pack.pack,
						 .x = m->x,
						 .code = m->code,
						 .row_key = m->key,
						 .seq_key = m->key};
	return m;
}

static void
model_free(Model *m)
{
	free(m->x);
	free(m->value);
	flat_close(&m->flat);
	free(m);
}

static SlTape
model_tape(Model *m, SlArena *arena, bool train)
{
	return (SlTape){.arena = arena,
					.params = &m->net.params,
					.value = m->value,
					.grad = train ? &m->flat.gradient : NULL,
					.dropout = m->net.spec.dropout > 0,
					.seed = 1,
					.epoch = m->epoch};
}

/* Sum of squares of the outputs, left in m->out; with gradients if train. */
static double
model_run(Model *m, bool train)
{
	SlArena counting = {0};
	SlTape tape = model_tape(m, &counting, train);
	SlBatch nothing = {.pack = m->batch.pack};

	m->net.spec.arch->forward(&m->net, &tape, &nothing);

	SlArena arena = pack_arena(&counting);

	tape = model_tape(m, &arena, train);

	SlTensor *y = m->net.spec.arch->forward(&m->net, &tape, &m->batch);
	double sum = 0;

	for (int i = 0; y != NULL && i < y->rows * y->cols; i++)
	{
		sum += 0.5 * (double) y->data[i] * y->data[i];
		m->out[i] = y->data[i];
		if (train)
			y->grad[i] = y->data[i];
	}
	if (train)
	{
		sl_backward(&tape);
		flat_read(&m->flat);
	}
	m->used = arena.used;
	if (tape.status != SL_OK || arena.used != arena.size)
		sum = NAN;
	free(arena.base);
	return sum;
}

static void
check_network(const char *arch, float dropout)
{
	Model *m = model_new(arch, dropout);
	double error = 0, largest = 0;

	ok(!isnan(model_run(m, false)), "%s: inference uses what was counted", arch);

	size_t inference = m->used;

	ok(!isnan(model_run(m, true)), "%s: training uses what was counted", arch);
	ok(inference < m->used, "%s: inference needs less", arch);
	for (size_t i = 0; i < m->net.params.total; i++)
	{
		const float step = 4e-3f;
		float keep = m->value[i];

		m->value[i] = keep + step;

		double up = model_run(m, false);

		m->value[i] = keep - step;

		double down = model_run(m, false);

		m->value[i] = keep;
		error = pack_worse(error, fabs((up - down) / (2.0 * step) - m->flat.grad[i]));
		largest = fmax(largest, fabs(m->flat.grad[i]));
	}
	ok(error < 1e-3 * largest, "%s, dropout %g: gradient of everything (%.1e)", arch,
	   dropout, error / largest);
	model_free(m);
}

/* Row by row with the state carried in place, as the packed batch. */
static void
check_carry(const char *arch)
{
	Model *m = model_new(arch, 0);
	SlPack pack = m->pack.pack;
	float whole[ROWS * 2];
	float *state = calloc((size_t) BATCH * m->net.state, sizeof(float));
	double error = 0;

	model_run(m, false);
	memcpy(whole, m->out, sizeof(whole));
	for (int t = 0; t < pack.steps; t++)
	{
		int row = pack.offset[t];
		const int32_t *code[2] = {m->codes[0] + row, m->codes[1] + row};
		int one[BATCH] = {1, 1, 1};

		pack_make(&m->pack, one, pack.size[t]);
		m->batch = (SlBatch){.pack = &m->pack.pack,
							 .x = m->x + row * 3,
							 .code = code,
							 .state_in = state,
							 .state_out = state};
		if (isnan(model_run(m, false)))
			error = NAN;
		for (int i = 0; i < 2 * m->pack.pack.rows; i++)
			error = pack_worse(error, fabs(m->out[i] - whole[2 * row + i]));
		/* the pack's arrays were overwritten */
		pack_make(&m->pack, lengths, BATCH);
	}
	ok(error < 1e-6, "%s: row by row as all at once (%.1e)", arch, error);
	free(state);
	model_free(m);
}

/* ---- dropout ---- */

/* Of 0 and 1 / (1 - p), about p zeros, and other ones for another key, salt or epoch. */
static void
check_masks(void)
{
	enum
	{
		N = 20000,
		COLS = 7
	};
	static float ones[N * COLS];
	static uint64_t key[N];
	static float mask[4][N * COLS];
	static _Alignas(SL_ALIGN) char memory[4 * N * COLS * sizeof(float)];
	SlParams params = {0};

	for (int i = 0; i < N * COLS; i++)
		ones[i] = 1;
	for (int run = 0; run < 4; run++)
	{
		SlArena arena = {.base = memory, .size = sizeof(memory)};
		SlTape tape = {.arena = &arena,
					   .params = &params,
					   .dropout = true,
					   .seed = 4,
					   .epoch = run == 1};

		for (int i = 0; i < N; i++)
			key[i] = i + (run == 3 ? 1 : 0);

		SlTensor *y =
			sl_dropout(&tape, sl_input(&tape, ones, N, COLS), 0.3f, key, run == 2);

		memcpy(mask[run], y->data, sizeof(mask[run]));
	}

	int zeros = 0, other[4] = {0};
	bool two_values = true;

	for (int i = 0; i < N * COLS; i++)
	{
		zeros += mask[0][i] == 0;
		two_values &= mask[0][i] == 0 || fabs(mask[0][i] - 1 / 0.7) < 1e-4;
		for (int run = 1; run < 4; run++)
			other[run] += mask[0][i] != mask[run][i];
	}
	ok(two_values, "dropout gives 0 or 1 / (1 - p)");
	is_close((double) zeros / (N * COLS), 0.3, 0.006, "and 0 with probability p");
	for (int run = 1; run < 4; run++)
		is_close((double) other[run] / (N * COLS), 2 * 0.3 * 0.7, 0.01,
				 "masks of another %s are independent",
				 run == 1	? "epoch"
				 : run == 2 ? "salt"
							: "row");
	ok(memcmp(mask[0] + COLS, mask[3], (N - 1) * COLS * sizeof(float)) == 0,
	   "a row's mask goes with its key");
}

static void
check_dropout_is_off(void)
{
	SlArena arena = {0};
	SlTape tape = {.arena = &arena};
	float x[2] = {1, 2};
	SlTensor *in = sl_input(&tape, x, 1, 2);

	ok(sl_dropout(&tape, in, 0.5f, NULL, 0) == in, "no dropout in prediction");
	tape.dropout = true;
	ok(sl_dropout(&tape, in, 0, NULL, 0) == in, "and none of probability 0");
}

static void
check_epochs_differ(void)
{
	Model *m = model_new("lstm", 0.4f);
	double first = model_run(m, false), again = model_run(m, false);

	m->epoch = 1;
	ok(first == again, "the same epoch, the same masks");
	ok(first != model_run(m, false), "another epoch, others");
	model_free(m);
}

int
main(void)
{
	check_table();
	check_names();
	check_specs();
	for (int i = 0; i < 2; i++)
	{
		check_network(i ? "lstm" : "gru", 0);
		check_network(i ? "lstm" : "gru", 0.3f);
		check_carry(i ? "lstm" : "gru");
	}
	check_masks();
	check_dropout_is_off();
	check_epochs_differ();
	return done_testing();
}
