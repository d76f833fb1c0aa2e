/*
 * test_init.c: first weights have the distribution Keras and PyTorch give them, come
 * from streams of their own, and leave nothing else in the array.
 */
#include "nn/blas.h"
#include "nn/nn.h"
#include "tap.h"

static SlArena
make_arena(size_t size)
{
	return (SlArena){aligned_alloc(SL_ALIGN, size), size, 0};
}

/* A network's list: two recurrent layers, an embedding, a head. */
static SlParams *
make_params(bool more)
{
	SlParams *params = calloc(1, sizeof(*params));

	if (more)
		sl_param_add(params, "embedding.country.weight", 50, 3, SL_INIT_EMBEDDING, 1, 0);
	sl_param_add(params, "embedding.track.weight", 1000, 7, SL_INIT_EMBEDDING, 1, 0);
	sl_param_add(params, "rnn.weight_ih_l0", 4 * 40, 9, SL_INIT_KERNEL, 4, 40);
	sl_param_add(params, "rnn.weight_hh_l0", 4 * 40, 40, SL_INIT_RECURRENT, 4, 40);
	sl_param_add(params, "rnn.bias_ih_l0", 4 * 40, 0, SL_INIT_BIAS, 4, 40);
	sl_param_add(params, "rnn.bias_hh_l0", 4 * 40, 0, SL_INIT_BIAS, 4, 40);
	sl_param_add(params, "rnn.weight_hh_l1", 3 * 25, 25, SL_INIT_RECURRENT, 3, 25);
	sl_param_add(params, "rnn.bias_ih_l1", 3 * 25, 0, SL_INIT_BIAS, 3, 25);
	sl_param_add(params, "rnn.wide", 6, 11, SL_INIT_RECURRENT, 1, 11);
	sl_param_add(params, "head.weight", 100, 25, SL_INIT_KERNEL, 1, 25);
	sl_param_add(params, "head.bias", 100, 0, SL_INIT_BIAS, 1, 25);
	return params;
}

/* Index and values of a parameter. */
static const SlParam *
find(const SlParams *params, const char *name)
{
	for (int i = 0; i < params->count; i++)
		if (strcmp(params->item[i].name, name) == 0)
			return &params->item[i];
	printf("Bail out! no parameter %s\n", name);
	exit(2);
}

static size_t
size_of(const SlParam *param)
{
	return (size_t) param->rows * (param->cols ? param->cols : 1);
}

static float *
make_values(const SlParams *params, SlInitStyle style, uint64_t seed)
{
	SlArena work = make_arena(1 << 20);
	float *value = malloc(params->total * sizeof(float));

	for (size_t i = 0; i < params->total; i++)
		value[i] = NAN;
	is_int(sl_params_init(params, style, seed, value, &work), SL_OK, "initialised");
	is_int(work.used, 0, "scratch is given back");
	free(work.base);
	return value;
}

typedef struct Moments
{
	double mean, deviation, low, high;
} Moments;

static Moments
moments(const float *x, size_t n)
{
	Moments m = {0, 0, INFINITY, -INFINITY};
	double square = 0;

	for (size_t i = 0; i < n; i++)
	{
		m.mean += x[i] / (double) n;
		square += (double) x[i] * x[i] / (double) n;
		m.low = fmin(m.low, x[i]);
		m.high = fmax(m.high, x[i]);
	}
	m.deviation = sqrt(square - m.mean * m.mean);
	return m;
}

/* Uniform within +-limit: mean, deviation, and the ends nearly reached, never passed. */
static void
is_uniform(const SlParams *params, const float *value, const char *name, double limit)
{
	const SlParam *param = find(params, name);
	size_t n = size_of(param);
	Moments m = moments(value + param->offset, n);
	double error = 4 / sqrt((double) n);

	is_close(m.mean, 0, error * limit / sqrt(3), "%s: mean", name);
	is_close(m.deviation, limit / sqrt(3), error * limit / 2, "%s: deviation", name);
	ok(m.low >= -limit * (1 + 1e-6) && m.high <= limit * (1 + 1e-6),
	   "%s: inside the limit", name);
	ok(m.low < -limit * (1 - 3 * error) && m.high > limit * (1 - 3 * error),
	   "%s: reaches the limit", name);
}

/* Largest deviation of W'W (tall) or WW' (wide) from the identity. */
static double
orthogonality(const float *w, int rows, int cols)
{
	int n = rows < cols ? rows : cols, m = rows < cols ? cols : rows;
	double worst = 0;

	for (int a = 0; a < n; a++)
		for (int b = 0; b < n; b++)
		{
			double dot = 0;

			for (int i = 0; i < m; i++)
				dot += rows < cols ? (double) w[a * cols + i] * w[b * cols + i]
								   : (double) w[i * cols + a] * w[i * cols + b];
			worst = fmax(worst, fabs(dot - (a == b)));
		}
	return worst;
}

/* Without the signs of R's diagonal Householder's Q has a skewed first row: with them,
 * as many diagonal elements are positive as negative. */
static void
test_signs(void)
{
	SlParams *params = calloc(1, sizeof(*params));
	int positive = 0, n = 0;

	sl_param_add(params, "w", 6, 4, SL_INIT_RECURRENT, 1, 4);

	SlArena work = make_arena(1 << 16);
	float value[32];

	for (uint64_t seed = 0; seed < 1000; seed++)
	{
		sl_params_init(params, SL_STYLE_KERAS, seed, value, &work);
		for (int j = 0; j < 4; j++, n++)
			positive += value[j * 4 + j] > 0;
	}
	is_close(positive, n / 2.0, 4 * sqrt(n / 4.0), "orthogonal: no preferred sign");
	free(work.base);
	free(params);
}

static void
test_keras(void)
{
	static const char *const recurrent[] = {"rnn.weight_hh_l0", "rnn.weight_hh_l1",
											"rnn.wide"};
	SlParams *params = make_params(false);
	float *value = make_values(params, SL_STYLE_KERAS, 5);

	/* Glorot over the matrix of all gates: fan_in 9, fan_out 160 */
	is_uniform(params, value, "rnn.weight_ih_l0", sqrt(6.0 / (9 + 160)));
	is_uniform(params, value, "head.weight", sqrt(6.0 / (25 + 100)));
	is_uniform(params, value, "embedding.track.weight", 0.05);
	for (int i = 0; i < 3; i++)
	{
		const SlParam *param = find(params, recurrent[i]);

		is_close(orthogonality(value + param->offset, param->rows, param->cols), 0, 1e-5,
				 "%s is orthogonal as a whole", recurrent[i]);
	}

	const float *lstm_ih = value + find(params, "rnn.bias_ih_l0")->offset;
	const float *lstm_hh = value + find(params, "rnn.bias_hh_l0")->offset;
	const float *gru = value + find(params, "rnn.bias_ih_l1")->offset;
	const float *head = value + find(params, "head.bias")->offset;
	bool forget = true, zero = true;

	for (int i = 0; i < 160; i++)
	{
		forget &= lstm_ih[i] == (i >= 40 && i < 80 ? 1 : 0);
		zero &= lstm_hh[i] == 0;
	}
	for (int i = 0; i < 75; i++)
		zero &= gru[i] == 0;
	for (int i = 0; i < 100; i++)
		zero &= head[i] == 0;
	ok(forget, "LSTM: the forget gate's input bias is 1, the others 0");
	ok(zero, "all other biases are 0");
	free(value);
	free(params);
}

static void
test_torch(void)
{
	SlParams *params = make_params(false);
	float *value = make_values(params, SL_STYLE_TORCH, 5);

	is_uniform(params, value, "rnn.weight_ih_l0", 1 / sqrt(40));
	is_uniform(params, value, "rnn.weight_hh_l0", 1 / sqrt(40));
	is_uniform(params, value, "rnn.bias_ih_l0", 1 / sqrt(40));
	is_uniform(params, value, "rnn.bias_hh_l0", 1 / sqrt(40));
	is_uniform(params, value, "rnn.weight_hh_l1", 1 / sqrt(25));
	is_uniform(params, value, "head.weight", 1 / sqrt(25));
	is_uniform(params, value, "head.bias", 1 / sqrt(25));

	const SlParam *track = find(params, "embedding.track.weight");
	Moments m = moments(value + track->offset, 7000);

	is_close(m.mean, 0, 4 / sqrt(7000), "embedding: mean");
	is_close(m.deviation, 1, 4 / sqrt(14000), "embedding: deviation");
	ok(m.high > 3 && m.low < -3, "embedding: has tails");

	SlArena none = {NULL, 0, 0};
	float *again = calloc(params->total, sizeof(float));

	is_int(sl_params_init(params, SL_STYLE_TORCH, 5, again, &none), SL_OK,
		   "needs no scratch");
	ok(memcmp(again, value, params->total * sizeof(float)) == 0,
	   "the same seed, the same bits");
	params->item[3].fan_in = 0;
	is_int(sl_params_init(params, SL_STYLE_TORCH, 5, again, &none), SL_BAD_SHAPE,
		   "a bound needs a fan-in");
	free(again);
	free(value);
	free(params);
}

static void
test_streams(void)
{
	for (int style = SL_STYLE_KERAS; style <= SL_STYLE_TORCH; style++)
	{
		SlParams *params = make_params(false), *more = make_params(true);
		float *value = make_values(params, style, 9),
			  *again = make_values(params, style, 9);
		float *other = make_values(params, style, 10),
			  *longer = make_values(more, style, 9);
		bool same = true, gaps = true;
		size_t end = 0;

		ok(memcmp(value, again, params->total * sizeof(float)) == 0,
		   "the same seed, the same bits");
		for (int i = 0; i < params->count; i++)
		{
			const SlParam *param = &params->item[i], *twin = find(more, param->name);

			for (size_t j = end; j < param->offset; j++)
				gaps &= value[j] == 0;
			end = param->offset + size_of(param);
			same &= memcmp(value + param->offset, longer + twin->offset,
						   size_of(param) * sizeof(float)) == 0;
			if (style == SL_STYLE_TORCH || param->init != SL_INIT_BIAS)
				ok(memcmp(value + param->offset, other + param->offset,
						  size_of(param) * sizeof(float)) != 0,
				   "%s: another seed, other weights", param->name);
		}
		for (size_t j = end; j < params->total; j++)
			gaps &= value[j] == 0;
		ok(same, "one parameter more changes no other");
		ok(gaps, "gaps are 0");

		const float *ih = value + find(params, "rnn.bias_ih_l0")->offset;
		const float *hh = value + find(params, "rnn.bias_hh_l0")->offset;

		if (style == SL_STYLE_TORCH)
			ok(memcmp(ih, hh, 160 * sizeof(float)) != 0,
			   "equal shapes, different weights");
		free(value);
		free(again);
		free(other);
		free(longer);
		free(params);
		free(more);
	}
}

static void
test_memory(void)
{
	SlParams *params = make_params(false);
	SlArena count = {NULL, 0, 0};
	float *value = calloc(params->total, sizeof(float));

	is_int(sl_params_init(params, SL_STYLE_KERAS, 1, NULL, &count), SL_OK, "counts");
	ok(count.used >= 160 * 40 * sizeof(float), "counts the largest matrix");

	SlArena enough = make_arena(count.used), less = make_arena(count.used);

	less.size -= SL_ALIGN;
	is_int(sl_params_init(params, SL_STYLE_KERAS, 1, value, &enough), SL_OK,
		   "what it counted is enough");
	is_int(sl_params_init(params, SL_STYLE_KERAS, 1, value, &less), SL_NO_MEMORY,
		   "less is not");
	params->overflow = true;
	is_int(sl_params_init(params, SL_STYLE_KERAS, 1, value, &enough), SL_BAD_SHAPE,
		   "a list that overflowed is refused");
	free(enough.base);
	free(less.base);
	free(value);
	free(params);
}

int
main(void)
{
	if (!ok(sl_blas_load(), "OpenBLAS loads"))
	{
		note("%s", sl_blas_error());
		return done_testing();
	}
	test_keras();
	test_signs();
	test_torch();
	test_streams();
	test_memory();
	return done_testing();
}
