/*
 * test_network.c: a whole small network, embedding to loss.  Its gradient against
 * central differences of every weight, for every loss; its memory; what it must not
 * see; whether it learns a handful of sequences by heart; the same bits twice.
 */
#include "model/model.h"

#include "nn/loss.h"
#include "nn/optim.h"
#include "nn/random.h"
#include "flat.h"
#include "pack.h"
#include "tap.h"

#define MAX_ROWS 64
#define INPUTS 2
#define VOCABULARY 11

/* A network, a batch and its targets. */
typedef struct World
{
	SlNet net;
	SlLoss loss;
	TestPack pack;
	float x[MAX_ROWS * INPUTS];
	int32_t first[MAX_ROWS], second[MAX_ROWS];
	const int32_t *code[2];
	uint64_t key[MAX_ROWS];
	float target[MAX_ROWS], weight[MAX_ROWS];
	uint8_t censored[MAX_ROWS];
	bool dropout;
	uint64_t epoch;
	float *value;
	Flat flat;
	float out[MAX_ROWS * 8];
	SlArena arena;
} World;

static SlBatch
batch_of(World *w)
{
	return (SlBatch){.pack = &w->pack.pack,
					 .x = w->x,
					 .code = w->code,
					 .row_key = w->key,
					 .seq_key = w->key};
}

static SlTape
tape_of(World *w, SlArena *arena, bool train)
{
	return (SlTape){.arena = arena,
					.params = &w->net.params,
					.value = w->value,
					.grad = train ? &w->flat.gradient : NULL,
					.dropout = w->dropout,
					.seed = 77,
					.epoch = w->epoch};
}

/* What one pass takes. */
static size_t
count_pass(World *w, bool train)
{
	SlArena counting = {0};
	SlTape tape = tape_of(w, &counting, train);
	SlBatch batch = batch_of(w);

	w->net.spec.arch->forward(&w->net, &tape, &batch);
	return tape.status == SL_OK ? counting.used : SIZE_MAX;
}

/* Outputs into w->out and the loss; the gradient into w->flat, if wanted. */
static double
pass(World *w, bool train)
{
	SlTape tape = tape_of(w, &w->arena, train);
	SlBatch batch = batch_of(w);

	w->arena.used = 0;
	sl_gradient_clear(&w->flat.gradient);

	SlTensor *out = w->net.spec.arch->forward(&w->net, &tape, &batch);
	double loss = sl_loss(&w->loss, out, w->target, w->weight, w->censored, 1);

	if (train)
	{
		sl_backward(&tape);
		flat_read(&w->flat);
	}
	if (tape.status != SL_OK || out == NULL)
		return NAN;
	memcpy(w->out, out->data, (size_t) out->rows * out->cols * sizeof(float));
	return loss;
}

/* Random features, and targets of the loss's own sort. */
static void
fill_rows(World *w, uint64_t seed)
{
	for (int i = 0; i < MAX_ROWS; i++)
	{
		double y = sl_random_normal(seed, 2, i);

		w->first[i] = (int32_t) (sl_random_bits(seed, 3, i) % VOCABULARY);
		w->second[i] = (int32_t) (sl_random_bits(seed, 4, i) % 3);
		w->key[i] = 1000 + i;
		w->weight[i] = 0.5f + (float) sl_random_uniform(seed, 5, i);
		for (int j = 0; j < INPUTS; j++)
			w->x[i * INPUTS + j] = (float) sl_random_normal(seed, 6 + j, i);
		switch (w->loss.kind)
		{
			case SL_LOSS_BCE:
				y = y > 0;
				break;
			case SL_LOSS_CROSS_ENTROPY:
				y = (int) (sl_random_bits(seed, 9, i) % w->loss.classes);
				break;
			case SL_LOSS_MAPE:
			case SL_LOSS_WEIBULL:
				y = exp(0.5 * y) + 1;
				break;
			default:
				break;
		}
		w->target[i] = (float) y;
	}
}

static World *
world_open(const char *arch, int kind, const int *length, int batch, float dropout)
{
	World *w = calloc(1, sizeof(*w));
	SlNetSpec spec = {.arch = sl_arch_find(arch),
					  .inputs = INPUTS,
					  .embeddings = 2,
					  .vocabulary = {VOCABULARY, 3},
					  .embedding_dim = {3, 2},
					  .embedding_name = {"track", "country"},
					  .layers = 2,
					  .hidden = {12, 9},
					  .dropout = dropout,
					  .recurrent_dropout = dropout / 2};

	w->loss =
		(SlLoss){.kind = kind, .classes = 4, .levels = 3, .level = {0.1f, 0.5f, 0.9f}};
	spec.outputs = sl_loss_outputs(&w->loss);
	w->dropout = dropout > 0;
	w->code[0] = w->first;
	w->code[1] = w->second;
	pack_make(&w->pack, length, batch);
	fill_rows(w, 21);
	if (sl_net_define(&w->net, &spec) != SL_OK)
	{
		printf("Bail out! no network\n");
		exit(2);
	}
	w->value = calloc(w->net.params.total, sizeof(float));
	flat_open(&w->flat, &w->net.params);

	SlArena counted = {.used = count_pass(w, true)}, work = {0};

	w->arena = pack_arena(&counted);
	sl_params_init(&w->net.params, SL_STYLE_KERAS, 5, NULL, &work);
	work = pack_arena(&work);
	if (sl_params_init(&w->net.params, SL_STYLE_KERAS, 5, w->value, &work) != SL_OK)
	{
		printf("Bail out! no weights\n");
		exit(2);
	}
	free(work.base);
	return w;
}

static void
world_close(World *w)
{
	free(w->arena.base);
	free(w->value);
	flat_close(&w->flat);
	free(w);
}

/* The worst weight of a parameter, relative to the parameter's largest slope. */
static double
parameter_error(World *w, const SlParam *param, const float *grad)
{
	size_t n = (size_t) param->rows * (param->cols ? param->cols : 1);
	double size = tap_max_abs(grad + param->offset, n), worst = 0;

	/* valgrind is too slow for more than a few */
	size_t step = getenv("UNDER_VALGRIND") ? 1 + n / 3 : 1;

	for (size_t i = param->offset; i < param->offset + n; i += step)
	{
		float old = w->value[i], up = old + 4e-3f, down = old - 4e-3f;

		w->value[i] = up;
		double above = pass(w, false);

		w->value[i] = down;
		double below = pass(w, false);

		w->value[i] = old;
		double off = fabs((above - below) / ((double) up - down) - grad[i]) / size;

		if (!(off <= worst)) /* keeps a NaN */
			worst = off;
	}
	return size > 0 ? worst : INFINITY;
}

static void
test_gradient(const char *arch, int kind, float dropout)
{
	static const int length[] = {6, 4, 4, 2, 1};
	World *w = world_open(arch, kind, length, 5, dropout);
	size_t size = w->net.params.total * sizeof(float);
	float *grad = malloc(size);
	const char *worst_name = "none";
	double worst = 0;

	/* move off the zeros that the first weights hold, and miss a few targets */
	for (size_t i = 0; i < w->net.params.total; i++)
		w->value[i] += 0.2f * (float) sl_random_normal(8, 8, i);
	for (int i = 0; i < MAX_ROWS; i++)
		w->censored[i] = i % 4 == 1;
	w->weight[3] = w->weight[9] = 0;
	w->target[3] = w->target[9] = NAN;

	double loss = pass(w, true);

	memcpy(grad, w->flat.grad, size);
	for (int p = 0; p < w->net.params.count; p++)
	{
		double off = parameter_error(w, &w->net.params.item[p], grad);

		if (!(off <= worst))
		{
			worst = off;
			worst_name = w->net.params.item[p].name;
		}
	}
	ok(isfinite(loss) && worst < 2e-3,
	   "%s, %s, dropout %g: gradient of all weights (%.1e in %s)", arch,
	   sl_loss_name(kind), dropout, worst, worst_name);
	free(grad);
	world_close(w);
}

static void
test_memory(const char *arch)
{
	static const int length[] = {9, 6, 6, 5, 1, 1};
	World *w = world_open(arch, SL_LOSS_MAE, length, 6, 0.25f);
	size_t train = count_pass(w, true), predict = count_pass(w, false);

	pass(w, true);
	is_int(w->arena.used, train, "%s: training takes what was counted", arch);
	pass(w, false);
	is_int(w->arena.used, predict, "%s: so does prediction", arch);
	ok(predict < train, "%s: and less", arch);

	w->arena.size = train - SL_ALIGN;
	ok(isnan(pass(w, true)), "%s: refused with less", arch);
	world_close(w);
}

/* No row sees a later one or another sequence, and a row without a target teaches
 * nothing. */
static void
test_sight(const char *arch)
{
	static const int length[] = {6, 6, 3};
	World *w = world_open(arch, SL_LOSS_MSE, length, 3, 0);
	float before[MAX_ROWS];
	bool past = true, others = true, future = false;

	pass(w, false);
	memcpy(before, w->out, sizeof(before));
	/* row 9 is step 3 of sequence 0; rows 11 and 13 are its steps 4 and 5 */
	w->x[9 * INPUTS] += 3;
	w->first[9] = (w->first[9] + 1) % VOCABULARY;
	pass(w, false);
	for (int i = 0; i < 15; i++)
	{
		bool same = w->out[i] == before[i];

		if (i < 9)
			past &= same;
		else if (i == 9 || i == 11 || i == 13)
			future |= !same;
		else
			others &= same;
	}
	ok(past, "%s: earlier rows do not see a later one", arch);
	ok(others, "%s: other sequences do not see it", arch);
	ok(future, "%s: its own sequence does", arch);

	size_t size = w->net.params.total * sizeof(float);
	float *grad = malloc(size);

	/* the last rows of their sequences */
	w->weight[13] = w->weight[14] = 0;

	double loss = pass(w, true);

	memcpy(grad, w->flat.grad, size);
	w->x[13 * INPUTS] -= 2;
	w->target[14] = NAN;
	is_close(pass(w, true), loss, 0, "%s: a last row without a target costs nothing",
			 arch);
	ok(memcmp(grad, w->flat.grad, size) == 0, "%s: and teaches nothing", arch);
	free(grad);
	world_close(w);
}

/* Either kind of dropout changes the outputs, with the epoch and only in training. */
static void
test_dropout(const char *arch)
{
	static const int length[] = {6, 4, 4, 2, 1};
	static const char *const kind[] = {"output", "recurrent"};

	for (int i = 0; i < 2; i++)
	{
		World *w = world_open(arch, SL_LOSS_MSE, length, 5, 0.4f);
		double never, off, on, later;

		w->net.spec.dropout = i == 0 ? 0.4f : 0;
		for (int l = 0; l < 2; l++)
			w->net.recurrent[l].recurrent_dropout = i == 1 ? 0.4f : 0;
		on = pass(w, false);
		w->epoch++;
		later = pass(w, false);
		w->dropout = false;
		off = pass(w, false);
		w->net.spec.dropout = 0;
		w->net.recurrent[0].recurrent_dropout = w->net.recurrent[1].recurrent_dropout = 0;
		w->dropout = true;
		never = pass(w, false);
		ok(on != off && later != on, "%s: %s dropout changes with the epoch", arch,
		   kind[i]);
		is_close(off, never, 0, "%s: %s dropout is for training", arch, kind[i]);
		world_close(w);
	}
}

/* Mean loss of a row after steps of Adam. */
static double
learn(World *w, int steps, float rate)
{
	size_t n = w->net.params.total;
	float *moments = calloc(2 * n, sizeof(float));
	double loss = 0, total = 0;

	for (int i = 0; i < w->pack.pack.rows; i++)
		total += w->weight[i];
	for (int t = 1; t <= steps; t++)
	{
		w->epoch = t;
		loss = pass(w, true) / total;
		sl_clip_norm(w->flat.grad, n, 10);
		sl_optim_step(SL_OPTIM_ADAM, t,
					  rate * sl_schedule(SL_SCHEDULE_COSINE, t - 1, steps, 10), 0, NULL,
					  n, w->value, w->flat.grad, moments);
	}
	free(moments);
	return loss;
}

/* Eight sequences of noise: only a memory of each row's past can tell the targets. */
static void
test_overfits(const char *arch)
{
	static const int length[] = {7, 6, 6, 5, 4, 4, 3, 2};
	/* mean loss per row at the end; the first is about 0.8 (mae), 1 (mse), 0.7 (bce),
	 * 1.4 (cross-entropy).  Weibull's density has no bound below. */
	static const struct
	{
		SlLossKind kind;
		double bound;
	} goal[] = {
		{SL_LOSS_MAE, 0.05},		   {SL_LOSS_MSE, 0.01},	 {SL_LOSS_HUBER, 0.01},
		{SL_LOSS_LOG_COSH, 0.01},	   {SL_LOSS_MAPE, 0.03}, {SL_LOSS_BCE, 0.02},
		{SL_LOSS_CROSS_ENTROPY, 0.02}, {SL_LOSS_WEIBULL, 0}, {SL_LOSS_QUANTILE, 0.05},
	};

	if (getenv("UNDER_VALGRIND"))
		return;
	for (size_t i = 0; i < sizeof(goal) / sizeof(goal[0]); i++)
	{
		World *w = world_open(arch, goal[i].kind, length, 8, 0);
		double before = learn(w, 1, 0), after = learn(w, 500, 0.02f);

		ok(after < goal[i].bound, "%s, %s: learnt by heart (%.3g, then %.3g)", arch,
		   sl_loss_name(goal[i].kind), before, after);
		world_close(w);
	}
}

/* Weights after a training with dropout. */
static void
test_bits(const char *arch)
{
	static const int length[] = {7, 6, 6, 5, 4, 4, 3, 2};
	World *w[3];

	for (int i = 0; i < 3; i++)
	{
		w[i] = world_open(arch, SL_LOSS_HUBER, length, 8, 0.2f);
		if (i == 2)
			w[i]->key[5]++; /* one row's dropout mask */
		learn(w[i], 30, 0.01f);
	}
	ok(memcmp(w[0]->value, w[1]->value, w[0]->net.params.total * sizeof(float)) == 0,
	   "%s: the same seed, the same bits", arch);
	ok(memcmp(w[0]->value, w[2]->value, w[0]->net.params.total * sizeof(float)) != 0,
	   "%s: other masks, other bits", arch);
	for (int i = 0; i < 3; i++)
		world_close(w[i]);
}

int
main(void)
{
	static const char *const arch[] = {"gru", "lstm"};

	for (int i = 0; i < 2; i++)
	{
		for (int kind = 0; kind <= SL_LOSS_QUANTILE; kind++)
			test_gradient(arch[i], kind, 0);
		test_gradient(arch[i], SL_LOSS_MSE, 0.3f);
		test_memory(arch[i]);
		test_sight(arch[i]);
		test_dropout(arch[i]);
		test_overfits(arch[i]);
		test_bits(arch[i]);
	}
	return done_testing();
}
