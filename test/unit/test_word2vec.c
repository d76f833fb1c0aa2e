/*
 * test_word2vec.c: drawing, kernels, gradients, parity with numpy, planted groups.
 */
#include "embed/pairs.h"
#include "embed/word2vec.h"
#include "fixture.h"
#include "nn/random.h"
#include "tap.h"

static float
uniform(uint64_t stream, uint64_t counter)
{
	return (float) (2 * sl_random_uniform(5, stream, counter) - 1);
}

static void *
aligned(size_t bytes)
{
	return aligned_alloc(SL_ALIGN, (bytes + SL_ALIGN - 1) / SL_ALIGN * SL_ALIGN);
}

/* ---- drawing ---- */

static void
test_alias(void)
{
	for (int kind = 0; kind < 3; kind++)
	{
		int n = kind == 0 ? 1 : 1000;
		double *weight = malloc(sizeof(double) * n), sum = 0;
		double *chance = calloc(n, sizeof(double)), worst = 0;
		SlArena arena = {NULL, SIZE_MAX, 0};
		SlAlias alias;

		for (int i = 0; i < n; i++)
			sum += weight[i] = kind == 1 ? 1 : pow(1.0 + i, -1.5);
		is_int(sl_alias_build(&alias, n, NULL, &arena), SL_OK, "memory is counted");
		arena = (SlArena){aligned(arena.used), arena.used, 0};
		is_int(sl_alias_build(&alias, n, weight, &arena), SL_OK, "%d columns", n);
		for (int i = 0; i < n; i++)
		{
			double own = alias.keep[i] == UINT32_MAX ? 1 : alias.keep[i] / 4294967296.0;

			chance[i] += own / n;
			chance[alias.other[i]] += (1 - own) / n;
		}
		for (int i = 0; i < n; i++)
			worst = fmax(worst, fabs(chance[i] - weight[i] / sum));
		ok(worst < 1e-9, "columns hold the probabilities to %.2g", worst);
		is_int(sl_alias_draw(&alias, UINT32_MAX, UINT32_MAX - 1) < n, 1,
			   "the last column");
		arena = (SlArena){arena.base, arena.size / 2, 0};
		if (n > 1)
			is_int(sl_alias_build(&alias, n, weight, &arena), SL_NO_MEMORY,
				   "half the memory");
		free(arena.base);
		free(weight);
		free(chance);
	}
}

/* ---- kernels ---- */

static void
test_kernels(int inputs, int outputs, int dim)
{
	float *x = aligned(sizeof(float) * inputs * dim),
		  *y = aligned(sizeof(float) * outputs * dim);
	float *g = malloc(sizeof(float) * inputs * outputs),
		  *dot = malloc(sizeof(float) * inputs * outputs);
	float *work = aligned(sizeof(float) * outputs * dim),
		  *mean = aligned(sizeof(float) * dim);
	float *want_x = malloc(sizeof(float) * inputs * dim),
		  *want_y = malloc(sizeof(float) * outputs * dim);
	float *want_dot = malloc(sizeof(float) * inputs * outputs),
		  *want_mean = calloc(dim, sizeof(float));
	float **xs = malloc(sizeof(float *) * inputs),
		  **ys = malloc(sizeof(float *) * outputs);

	for (int i = 0; i < inputs * dim; i++)
		want_x[i] = x[i] = uniform(1, i);
	for (int i = 0; i < outputs * dim; i++)
		want_y[i] = y[i] = uniform(2, i);
	for (int i = 0; i < inputs; i++)
		xs[i] = x + i * dim;
	for (int j = 0; j < outputs; j++)
		ys[j] = y + j * dim;
	for (int i = 0; i < inputs; i++)
		for (int j = 0; j < outputs; j++)
		{
			double sum = 0;

			g[i * outputs + j] = uniform(3, i * outputs + j);
			for (int d = 0; d < dim; d++)
			{
				sum += x[i * dim + d] * y[j * dim + d];
				want_x[i * dim + d] += g[i * outputs + j] * y[j * dim + d];
				want_y[j * dim + d] += g[i * outputs + j] * x[i * dim + d];
			}
			want_dot[i * outputs + j] = (float) sum;
		}
	for (int i = 0; i < inputs; i++)
		for (int d = 0; d < dim; d++)
			want_mean[d] += x[i * dim + d] / (float) inputs;
	sl_pairs_dots(inputs, xs, outputs, ys, dim, dot);
	is_tensor(dot, want_dot, inputs * outputs, 1e-5, "dots %dx%dx%d", inputs, outputs,
			  dim);
	sl_pairs_mean(inputs, xs, dim, mean);
	is_tensor(mean, want_mean, dim, 1e-5, "mean");
	sl_pairs_update(inputs, xs, outputs, ys, dim, g, work);
	is_tensor(x, want_x, inputs * dim, 1e-5, "update of inputs");
	is_tensor(y, want_y, outputs * dim, 1e-5, "update of outputs");
	for (int i = 0; i < inputs; i++)
		xs[i] = x;
	for (int d = 0; d < dim; d++)
		want_x[d] += (float) inputs * mean[d];
	sl_pairs_add(inputs, xs, dim, mean);
	is_tensor(x, want_x, inputs * dim, 1e-5, "add, to the same vector each time");
	free(x), free(y), free(g), free(dot), free(work), free(mean);
	free(want_x), free(want_y), free(want_dot), free(want_mean), free(xs), free(ys);
}

/* ---- corpora ---- */

/* Sequences of length items drawn from one of groups groups each. */
typedef struct Planted
{
	SlCorpus corpus;
	int *start;
	int32_t *token;
	int64_t *count;
} Planted;

static Planted
plant(int groups, int group_items, int sequences, int length)
{
	Planted p;
	int items = groups * group_items;

	p.start = malloc(sizeof(int) * (sequences + 1));
	p.token = malloc(sizeof(int32_t) * sequences * length);
	p.count = calloc(items, sizeof(int64_t));
	for (int s = 0; s <= sequences; s++)
		p.start[s] = s * length;
	for (int i = 0; i < sequences * length; i++)
	{
		int group = i / length % groups;

		p.token[i] = (int32_t) (group * group_items +
								sl_random_bits(9, 1, i) % (uint64_t) group_items);
		p.count[p.token[i]]++;
	}
	p.corpus = (SlCorpus){items,   sequences, sequences * length, length, p.start,
						  p.token, p.count};
	return p;
}

static void
planted_free(Planted *p)
{
	free(p->start);
	free(p->token);
	free(p->count);
}

static void *
begin(SlWord2vec *w, const SlCorpus *corpus, const SlWord2vecOptions *options)
{
	SlArena arena = {NULL, SIZE_MAX, 0};

	if (sl_word2vec_init(w, corpus, options, &arena) != SL_OK)
		return NULL;
	arena = (SlArena){aligned(arena.used), arena.used, 0};
	return sl_word2vec_init(w, corpus, options, &arena) == SL_OK ? arena.base : NULL;
}

static const SlWord2vecOptions defaults = {.dim = 100,
										   .window = 10,
										   .negative = 5,
										   .epochs = 5,
										   .learning_rate = 0.025,
										   .subsample = 1e-3,
										   .noise_exponent = 0.75,
										   .seed = 3};

/* ---- gradients ---- */

static double
loss_of(SlWord2vec *w, const int32_t *sequence, int length, int middle, int reach,
		const int32_t *negatives)
{
	w->loss = 0;
	sl_word2vec_step(w, sequence, length, middle, reach, negatives, 0);
	return w->loss;
}

/* A step against finite differences of its loss, number by number. */
static void
test_gradient(int method)
{
	Planted p = plant(2, 5, 4, 6);
	SlWord2vecOptions options = defaults;
	SlWord2vec w;
	int32_t sequence[] = {3, 1, 4, 1, 5, 9};
	int32_t negatives[] = {2, 4, 7, 7, 0};
	size_t n;
	double worst = 0, largest = 0;

	options.method = method;
	options.dim = 11;
	void *memory = begin(&w, &p.corpus, &options);
	n = (size_t) w.corpus.items * w.width;
	float *x = malloc(sizeof(float) * n), *y = malloc(sizeof(float) * n);

	for (size_t i = 0; i < n; i++)
	{
		bool in = (int) (i % w.width) < options.dim;

		w.vector[i] = x[i] = in ? uniform(4, i) : 0;
		w.output[i] = y[i] = in ? uniform(5, i) : 0;
	}
	for (int side = 0; side < 2; side++)
		for (size_t i = 0; i < n; i++)
		{
			float *one = (side ? w.output : w.vector) + i;
			float old = *one, eps = 1e-2f;
			/* CBOW's inputs take the mean's gradient whole: four places, four shares */
			double factor = method == SL_CBOW && side == 0 ? 4 : 1;
			double up, down, slope, got;

			if ((int) (i % w.width) >= options.dim)
				continue;
			*one = old + eps;
			up = loss_of(&w, sequence, 6, 2, 2, negatives);
			*one = old - eps;
			down = loss_of(&w, sequence, 6, 2, 2, negatives);
			*one = old;
			slope = (up - down) / (2 * eps) * factor;
			sl_word2vec_step(&w, sequence, 6, 2, 2, negatives, 1);
			got = (side ? y : x)[i] - *one;
			memcpy(w.vector, x, sizeof(float) * n);
			memcpy(w.output, y, sizeof(float) * n);
			worst = fmax(worst, fabs(got - slope));
			largest = fmax(largest, fabs(slope));
		}
	ok(worst < 2e-3 * largest, "%s: a step is the gradient: off by %.2g of %.2g",
	   method == SL_CBOW ? "CBOW" : "skip-gram", worst, largest);

	/* what takes no part stays as it is */
	sl_word2vec_step(&w, sequence, 6, 2, 2, negatives, 1);
	for (int item = 0; item < w.corpus.items; item++)
	{
		size_t at = (size_t) item * w.width;
		bool input = item == 3 || item == 1 || item == 5;
		bool output = item == 4 || item == 2 || item == 7 || item == 0;

		/* place 2 with reach 2 sees 3, 1, 1, 5 */
		ok((memcmp(w.vector + at, x + at, sizeof(float) * w.width) != 0) == input &&
			   (memcmp(w.output + at, y + at, sizeof(float) * w.width) != 0) == output,
		   "item %d", item);
	}
	free(memory);
	free(x);
	free(y);
	planted_free(&p);
}

/* ---- parity ---- */

static void
test_fixture(int method, const char *name)
{
	Fixture fixture = fixture_read("word2vec.txt");
	const float *shape = fixture_get(&fixture, "shape", NULL);
	int items = (int) shape[0], dim = (int) shape[1], negative = (int) shape[2],
		length = (int) shape[3];
	float rate = fixture_get(&fixture, "rate", NULL)[0];
	const float *reach = fixture_get(&fixture, "reach", NULL);
	int32_t *sequence = malloc(sizeof(int32_t) * length);
	int32_t *others = malloc(sizeof(int32_t) * length * negative);
	float *x = malloc(sizeof(float) * items * dim),
		  *y = malloc(sizeof(float) * items * dim);
	Planted p = plant(1, items, 40, 5);
	SlWord2vecOptions options = defaults;
	SlWord2vec w;
	char key[32];

	options.method = method;
	options.dim = dim;
	options.negative = negative;
	options.window = (int) shape[4];
	void *memory = begin(&w, &p.corpus, &options);

	for (int i = 0; i < length; i++)
		sequence[i] = (int32_t) fixture_get(&fixture, "sequence", NULL)[i];
	for (int i = 0; i < length * negative; i++)
		others[i] = (int32_t) fixture_get(&fixture, "negatives", NULL)[i];
	for (int i = 0; i < items; i++)
		for (int d = 0; d < dim; d++)
		{
			w.vector[i * w.width + d] = fixture_get(&fixture, "x", NULL)[i * dim + d];
			w.output[i * w.width + d] = fixture_get(&fixture, "y", NULL)[i * dim + d];
		}
	for (int i = 0; i < length; i++)
		sl_word2vec_step(&w, sequence, length, i, (int) reach[i], others + i * negative,
						 rate);
	for (int i = 0; i < items; i++)
	{
		memcpy(x + i * dim, w.vector + i * w.width, sizeof(float) * dim);
		memcpy(y + i * dim, w.output + i * w.width, sizeof(float) * dim);
	}
	snprintf(key, sizeof(key), "%s.x", name);
	is_tensor(x, fixture_get(&fixture, key, NULL), (size_t) items * dim, 2e-6, "%s", key);
	snprintf(key, sizeof(key), "%s.y", name);
	is_tensor(y, fixture_get(&fixture, key, NULL), (size_t) items * dim, 2e-6, "%s", key);
	snprintf(key, sizeof(key), "%s.loss", name);
	float want = fixture_get(&fixture, key, NULL)[0];
	is_close(w.loss, want, 1e-5 * want, "%s", key);
	free(memory);
	free(sequence);
	free(others);
	free(x);
	free(y);
	planted_free(&p);
	fixture_free(&fixture);
}

/* ---- whole runs ---- */

static bool
every_third_time(void *arg)
{
	return ++*(int *) arg % 3 == 0;
}

static int
run(SlWord2vec *w, const SlStop *stop)
{
	int stops = 0;

	while (w->epoch < w->options.epochs)
	{
		SlStatus status = sl_word2vec_epoch(w, stop);

		if (status == SL_STOPPED)
			stops++;
		else if (status != SL_OK)
			return -1;
	}
	return stops;
}

static double
similarity(const SlWord2vec *w, int a, int b)
{
	double dot = 0, aa = 0, bb = 0;

	for (int d = 0; d < w->options.dim; d++)
	{
		double u = w->vector[a * w->width + d], v = w->vector[b * w->width + d];

		dot += u * v;
		aa += u * u;
		bb += v * v;
	}
	return dot / sqrt(aa * bb);
}

static void
test_planted(int method, int groups, int group_items)
{
	Planted p = plant(groups, group_items, 1200, 12);
	SlWord2vecOptions options = defaults;
	SlWord2vec w;
	int right = 0;

	options.method = method;
	options.dim = 32;
	void *memory = begin(&w, &p.corpus, &options);

	is_int(run(&w, NULL), 0, "trained");
	for (int a = 0; a < p.corpus.items; a++)
	{
		int best = -1;

		for (int b = 0; b < p.corpus.items; b++)
			if (b != a && (best < 0 || similarity(&w, a, b) > similarity(&w, a, best)))
				best = b;
		right += best / group_items == a / group_items;
	}
	ok(right >= 0.95 * p.corpus.items, "%s: %d of %d nearest items are of the same group",
	   method == SL_CBOW ? "CBOW" : "skip-gram", right, p.corpus.items);
	is_close(sl_word2vec_progress(&w), 1, 1e-12, "all is done");
	ok(isfinite(w.loss) && w.examples > 0, "loss %g", w.loss / (double) w.examples);
	for (int i = 0; i < p.corpus.items; i++)
		for (int d = options.dim; d < w.width; d++)
			if (w.vector[i * w.width + d] != 0)
				ok(false, "padding stays zero");
	free(memory);
	planted_free(&p);
}

static void
test_repeats(int method)
{
	Planted p = plant(5, 20, 100, 40);
	SlWord2vecOptions options = defaults, other;
	SlWord2vec w[3];
	void *memory[3];
	int asked = 0;
	SlStop stop = {every_third_time, &asked};
	size_t bytes;

	options.method = method;
	options.epochs = 2;
	other = options;
	other.seed++;
	for (int i = 0; i < 3; i++)
		memory[i] = begin(&w[i], &p.corpus, i == 2 ? &other : &options);
	bytes = sizeof(float) * w[0].width * p.corpus.items;
	run(&w[0], NULL);
	ok(run(&w[1], &stop) > 0, "stopped now and then");
	run(&w[2], NULL);
	ok(memcmp(w[0].vector, w[1].vector, bytes) == 0 && w[0].loss == w[1].loss,
	   "the same bits, stopped or not");
	ok(memcmp(w[0].vector, w[2].vector, bytes) != 0, "other bits from another seed");
	for (int i = 0; i < 3; i++)
		free(memory[i]);
	planted_free(&p);
}

static void
test_limits(void)
{
	Planted p = plant(2, 4, 30, 5);
	SlWord2vecOptions options = defaults;
	SlCorpus huge = p.corpus;
	SlArena arena = {NULL, SIZE_MAX, 0};
	SlWord2vec w;
	void *memory;

	huge.items = INT32_MAX;
	options.dim = 4096;
	is_int(sl_word2vec_init(&w, &huge, &options, &arena), SL_OK, "huge is counted");
	ok(arena.used > ((size_t) 1 << 45), "in full");
	arena = (SlArena){aligned(1024), 1024, 0};
	is_int(sl_word2vec_init(&w, &p.corpus, &options, &arena), SL_NO_MEMORY, "too little");
	free(arena.base);

	/* sizes at their smallest */
	options = (SlWord2vecOptions){.dim = 1,
								  .window = 1,
								  .negative = 1,
								  .epochs = 1,
								  .learning_rate = 0.025,
								  .noise_exponent = -1};
	memory = begin(&w, &p.corpus, &options);
	is_int(run(&w, NULL), 0, "one dimension, one neighbour, one other");
	is_int(w.examples, 30 * (2 + 3 * 2), "every pair of neighbours");
	free(memory);

	options = defaults;
	options.learning_rate = 1000;
	options.epochs = 50;
	options.subsample = 0;
	memory = begin(&w, &p.corpus, &options);
	is_int(run(&w, NULL), -1, "a rate too high is noticed");
	free(memory);
	planted_free(&p);
}

int
main(void)
{
	test_alias();
	test_kernels(1, 1, 16);
	test_kernels(1, 6, 112);
	test_kernels(11, 6, 112);
	test_kernels(20, 8, 48);
	for (int method = SL_SKIP_GRAM; method <= SL_CBOW; method++)
	{
		test_gradient(method);
		test_fixture(method, method == SL_CBOW ? "cbow" : "skip_gram");
		test_planted(method, 10, 12);
		test_repeats(method);
	}
	test_limits();
	return done_testing();
}
