/*
 * test_loss.c: every loss against PyTorch's value and gradient, its gradient against
 * finite differences (weights and censored rows included), and the corners: missing
 * targets, extreme outputs, quantiles and medians.
 */
#include "nn/loss.h"

#include <float.h>

#include "fixture.h"
#include "nn/random.h"
#include "tap.h"

#define MAX_CELLS 64

static SlLoss
make_loss(int kind)
{
	SlLoss loss = {.kind = kind, .classes = 5, .levels = 4};
	const float level[] = {0.1f, 0.25f, 0.5f, 0.9f};

	memcpy(loss.level, level, sizeof(level));
	return loss;
}

static void
test_names(void)
{
	static const char *const name[] = {
		"mae",	   "mse",			"huber",   "log_cosh", "mape",
		"bce",	   "cross_entropy", "weibull", "quantile", "sampled_softmax",
		"bpr_max", "top1_max",		NULL};
	static const int outputs[] = {1, 1, 1, 1, 1, 1, 5, 2, 4};

	for (int kind = 0; kind < 13; kind++)
		is_str(sl_loss_name(kind), name[kind], "name %d", kind);
	is_str(sl_loss_name(-1), NULL, "no name before the first");
	for (int kind = 0; kind < 9; kind++)
	{
		SlLoss loss = make_loss(kind);

		is_int(sl_loss_outputs(&loss), outputs[kind], "outputs of %s", name[kind]);
	}
}

/* The fixture's array "<loss>.<what>". */
static const float *
get(const Fixture *fixture, int kind, const char *what, size_t *count)
{
	char name[64];

	snprintf(name, sizeof(name), "%s.%s", sl_loss_name(kind), what);
	return fixture_get(fixture, name, count);
}

static void
test_parity(void)
{
	Fixture fixture = fixture_read("loss.txt");

	for (int kind = 0; kind <= SL_LOSS_QUANTILE; kind++)
	{
		SlLoss loss = make_loss(kind);
		bool has_censored = kind == SL_LOSS_WEIBULL || kind == SL_LOSS_QUANTILE;
		size_t cells, rows;
		const float *raw = get(&fixture, kind, "raw", &cells);
		const float *target = get(&fixture, kind, "target", &rows);
		const float *want = get(&fixture, kind, "grad", NULL);
		float value = *get(&fixture, kind, "value", NULL), grad[MAX_CELLS];
		uint8_t censored[MAX_CELLS] = {0};
		SlTensor out = {(int) rows, (int) (cells / rows), (float *) raw, grad};

		for (size_t i = 0; has_censored && i < rows; i++)
			censored[i] = get(&fixture, kind, "censored", NULL)[i] != 0;
		is_int(out.cols, sl_loss_outputs(&loss), "%s: fixture's columns",
			   sl_loss_name(kind));

		double got = sl_loss(&loss, &out, target, NULL, censored, 1);

		is_close(got, value, 1e-6 * fabs(value), "%s: PyTorch's value",
				 sl_loss_name(kind));
		/* each element by itself: large ones must not hide a small one */
		double worst = 0;

		for (size_t i = 0; i < cells; i++)
			worst = fmax(worst, fabs(grad[i] - want[i]) / (1e-4 + fabs(want[i])));
		is_close(worst, 0, 1e-5, "%s: PyTorch's gradient", sl_loss_name(kind));

		float scaled[MAX_CELLS];

		out.grad = scaled;
		sl_loss(&loss, &out, target, NULL, censored, 0.125f);
		for (size_t i = 0; i < cells; i++)
			scaled[i] *= 8;
		is_tensor(scaled, grad, cells, 1e-6, "%s: scale", sl_loss_name(kind));
	}
	fixture_free(&fixture);
}

typedef struct Rows
{
	SlLoss loss;
	int rows;
	int cols;
	float raw[MAX_CELLS];
	float grad[MAX_CELLS];
	float target[MAX_CELLS];
	float weight[MAX_CELLS];
	uint8_t censored[MAX_CELLS];
} Rows;

static double
rows_loss(Rows *r, float *grad, float scale)
{
	SlTensor out = {r->rows, r->cols, r->raw, grad};

	return sl_loss(&r->loss, &out, r->target, r->weight, r->censored, scale);
}

/* Largest difference of the gradient and the central difference quotient, relative to
 * the row's largest slope. */
static double
difference_quotient(Rows *r, float h)
{
	double worst = 0;

	rows_loss(r, r->grad, 1);
	for (int i = 0; i < r->rows * r->cols; i++)
	{
		float old = r->raw[i], up = old + h, down = old - h;
		double size = 1e-2 + tap_max_abs(r->grad + i / r->cols * r->cols, r->cols);

		r->raw[i] = up;
		double above = rows_loss(r, NULL, 1);

		r->raw[i] = down;
		double below = rows_loss(r, NULL, 1);

		r->raw[i] = old;

		double slope = (above - below) / ((double) up - down);
		double off = fabs(slope - r->grad[i]) / size;

		/* written so that a NaN is kept */
		if (!(off <= worst))
			worst = off;
	}
	return worst;
}

static Rows
random_rows(int kind, uint64_t seed)
{
	Rows r = {.loss = make_loss(kind), .rows = 10};

	r.cols = sl_loss_outputs(&r.loss);
	for (int i = 0; i < r.rows * r.cols; i++)
		r.raw[i] = (float) (1.5 * sl_random_normal(seed, 1, i));
	for (int i = 0; i < r.rows; i++)
	{
		r.target[i] = (float) (2 * sl_random_normal(seed, 2, i));
		r.weight[i] = (float) (0.25 + sl_random_uniform(seed, 3, i));
		r.censored[i] = i % 3 == 1;
		if (kind == SL_LOSS_BCE)
			r.target[i] = (float) (i / 2 % 2);
		else if (kind == SL_LOSS_CROSS_ENTROPY)
			r.target[i] = (float) (i % 5);
		else if (kind == SL_LOSS_WEIBULL || kind == SL_LOSS_MAPE)
			r.target[i] = fabsf(r.target[i]) + 1;
	}
	r.weight[7] = 0;
	r.target[7] = NAN;
	return r;
}

static void
test_differences(void)
{
	for (int kind = 0; kind <= SL_LOSS_QUANTILE; kind++)
		for (uint64_t seed = 1; seed <= 3; seed++)
		{
			Rows r = random_rows(kind, seed);

			is_close(difference_quotient(&r, 2e-3f), 0, 2e-4,
					 "%s: finite differences, seed %d", sl_loss_name(kind), (int) seed);
		}
}

static void
test_weights(void)
{
	for (int kind = 0; kind <= SL_LOSS_QUANTILE; kind++)
	{
		const char *name = sl_loss_name(kind);
		Rows r = random_rows(kind, 4), one = r;
		double whole = rows_loss(&r, r.grad, 1), sum = 0;
		bool zero = true;

		for (int j = 0; j < r.cols; j++)
			zero &= r.grad[7 * r.cols + j] == 0;
		ok(isfinite(whole) && zero, "%s: a row of weight 0 is not read", name);

		/* the sum over rows, each by itself with weight 1 */
		one.rows = 1;
		for (int i = 0; i < r.rows; i++)
		{
			if (i == 7)
				continue;
			memcpy(one.raw, r.raw + i * r.cols, r.cols * sizeof(float));
			one.target[0] = r.target[i];
			one.weight[0] = 1;
			one.censored[0] = r.censored[i];
			sum += r.weight[i] * rows_loss(&one, one.grad, 1);
			for (int j = 0; j < r.cols; j++)
				zero &= fabs(r.grad[i * r.cols + j] - r.weight[i] * one.grad[j]) <=
						1e-6 * (1 + fabs(one.grad[j]));
		}
		is_close(whole, sum, 1e-9 * (1 + fabs(sum)), "%s: weighted sum of rows", name);
		ok(zero, "%s: weighted gradients", name);
	}
}

/* Loss and first gradient of one row. */
static double
one_row(int kind, float raw0, float raw1, float target, bool censored, float *grad)
{
	SlLoss loss = make_loss(kind);
	float raw[5] = {raw0, raw1, 0, 0, 0}, ignored[5];
	uint8_t flag = censored;
	SlTensor out = {1, sl_loss_outputs(&loss), raw, grad ? grad : ignored};

	return sl_loss(&loss, &out, &target, NULL, &flag, 1);
}

static void
test_censored(void)
{
	float grad[5];

	for (int kind = SL_LOSS_MAE; kind <= SL_LOSS_MAPE; kind++)
	{
		const char *name = sl_loss_name(kind);

		is_close(one_row(kind, 5, 0, 3, true, grad), 0, 0,
				 "%s: censored, predicted above", name);
		is_close(grad[0], 0, 0, "%s: and no gradient", name);
		is_close(one_row(kind, 1, 0, 3, true, grad), one_row(kind, 1, 0, 3, false, NULL),
				 0, "%s: censored, predicted below", name);
		ok(grad[0] < 0, "%s: pushes up", name);
		ok(one_row(kind, 5, 0, 3, false, grad) > 0 && grad[0] > 0,
		   "%s: seen, pushes down", name);
	}
	is_close(one_row(SL_LOSS_BCE, 1, 0, 0, true, grad), 0, 0,
			 "bce: at least 0 says nothing");
	is_close(grad[0], 0, 0, "bce: and no gradient");
	is_close(one_row(SL_LOSS_BCE, 1, 0, 1, true, grad), log(1 + exp(-1)), 1e-9,
			 "bce: at least 1 is 1");

	/* -log S(t) = (t / scale)^shape */
	is_close(one_row(SL_LOSS_WEIBULL, logf(100), logf(1.5f), 50, true, grad),
			 pow(0.5, 1.5), 1e-6, "weibull: censored is -log survival");
	/* -log density = -log(shape / scale (t/scale)^(shape-1)) + (t/scale)^shape */
	is_close(one_row(SL_LOSS_WEIBULL, logf(100), logf(1.5f), 50, false, grad),
			 pow(0.5, 1.5) - log(1.5 / 100 * pow(0.5, 0.5)), 1e-6,
			 "weibull: seen is -log density");
	is_close(one_row(SL_LOSS_QUANTILE, 4, 0, 3, true, grad), 0, 0,
			 "quantile: censored below all levels costs nothing");
}

/* Outputs a network must never make, but will. */
static void
test_extremes(void)
{
	static const float far[] = {0, 1, -1, 50, -50, 1e4f, -1e4f, 1e30f, -1e30f};
	int n = sizeof(far) / sizeof(far[0]);

	for (int kind = 0; kind <= SL_LOSS_QUANTILE; kind++)
	{
		bool finite = true, nan = true;
		float grad[5];

		for (int i = 0; i < n * n * 2; i++)
		{
			float target = kind == SL_LOSS_WEIBULL ? 1e9f : 1;

			if (kind == SL_LOSS_MSE && fabsf(far[i % n]) > 1e10)
				continue; /* its square is no float; the trainer stops there */
			finite &=
				isfinite(one_row(kind, far[i % n], far[i / n % n], target, i & 1, grad));
			for (int j = 0; j < (kind == SL_LOSS_WEIBULL ? 2 : 1); j++)
				finite &= isfinite(grad[j]);
		}
		nan &= isnan(one_row(kind, NAN, 0, 1, false, NULL));
		nan &= isnan(one_row(kind, NAN, 0, 1, true, NULL));
		ok(finite, "%s: finite at extreme outputs", sl_loss_name(kind));
		ok(nan, "%s: NaN in, NaN out", sl_loss_name(kind));
	}
	is_close(one_row(SL_LOSS_LOG_COSH, 1000, 0, 0, false, NULL), 1000 - log(2), 1e-9,
			 "log_cosh far out is the distance less ln 2");
	is_close(one_row(SL_LOSS_BCE, -1000, 0, 1, false, NULL), 1000, 1e-9,
			 "bce far out is linear");
	ok(isnan(one_row(SL_LOSS_CROSS_ENTROPY, 0, 0, 5, false, NULL)) &&
		   isnan(one_row(SL_LOSS_CROSS_ENTROPY, 0, 0, -1, false, NULL)) &&
		   isnan(one_row(SL_LOSS_CROSS_ENTROPY, 0, 0, NAN, false, NULL)),
	   "cross_entropy: no such class");

	float target = 1;
	SlLoss loss = make_loss(SL_LOSS_MAE);
	SlTensor counted = {1, 1, NULL, NULL};

	is_close(sl_loss(&loss, &counted, &target, NULL, NULL, 1), 0, 0,
			 "nothing to read: 0");
	is_close(sl_loss(&loss, NULL, &target, NULL, NULL, 1), 0, 0, "no tensor: 0");
}

/* Weibull beyond its clamps and on the tangent: the gradient is that of the loss. */
static void
test_weibull_clamps(void)
{
	Rows r = {.loss = make_loss(SL_LOSS_WEIBULL), .rows = 6, .cols = 2};
	const float raw[] = {-1, 0.5f, 0, 0, 31, 0.2f, -31, -2, 2, 3.5f, 4, -3.5f};

	memcpy(r.raw, raw, sizeof(raw));
	for (int i = 0; i < 6; i++)
	{
		r.target[i] = i < 2 ? 1e6f : 20;
		r.weight[i] = 1;
		r.censored[i] = i == 1;
	}
	/* row 0 is z = 24, row 1 z = 13.8 */
	is_close(difference_quotient(&r, 1e-3f), 0, 1e-4, "weibull: clamps and tangent");
	ok(r.grad[4] == 0 && r.grad[6] == 0 && r.grad[9] == 0 && r.grad[11] == 0,
	   "weibull: no gradient beyond a clamp");
	ok(r.grad[0] < 0 && r.grad[2] < 0 && r.grad[5] != 0 && r.grad[8] != 0,
	   "weibull: a gradient everywhere else");
}

static void
test_predict(void)
{
	SlLoss loss = make_loss(SL_LOSS_HUBER);
	float raw[5] = {0.75f, 2, 1, 3, -1}, q[5];

	is_close(sl_loss_predict(&loss, raw, NULL), 0.75, 0, "predict: the value");
	loss = make_loss(SL_LOSS_BCE);
	is_close(sl_loss_predict(&loss, raw, NULL), 1 / (1 + exp(-0.75)), 1e-7,
			 "predict: probability");
	loss = make_loss(SL_LOSS_CROSS_ENTROPY);
	is_close(sl_loss_predict(&loss, raw, NULL), 3, 0, "predict: class");

	loss = make_loss(SL_LOSS_WEIBULL);
	float law[2] = {logf(1000), logf(0.8f)};

	is_close(sl_loss_predict(&loss, law, q), 1000 * pow(log(2), 1 / 0.8), 0.01,
			 "predict: Weibull's median");
	for (int k = 0; k < 4; k++)
		is_close(1 - exp(-pow(q[k] / 1000, 0.8)), loss.level[k], 1e-5,
				 "predict: Weibull's quantile %g", loss.level[k]);

	float wild[2] = {1e9f, -1e9f};

	loss.level[3] = nextafterf(1, 0);
	loss.level[0] = FLT_MIN;
	sl_loss_predict(&loss, wild, q);
	ok(isfinite(q[3]) && isfinite(q[0]), "predict: no Weibull quantile overflows");
}

static void
test_quantiles(void)
{
	SlLoss loss = make_loss(SL_LOSS_QUANTILE);
	float zero[4] = {0}, raw[4] = {1, -2, 0.5f, 30}, q[4];

	sl_loss_predict(&loss, zero, q);
	for (int k = 0; k < 4; k++)
		is_close(q[k], k * log(2), 1e-6, "quantile %d of a row of zeros", k);
	is_close(sl_loss_predict(&loss, raw, q), q[2], 0, "the level 0.5 is the median");
	is_close(q[1], 1 + log1p(exp(-2)), 1e-6, "quantile 1");
	is_close(q[3], q[2] + 30, 1e-5, "quantile 3");

	loss.level[2] = 0.75f; /* 0.1, 0.25, 0.75, 0.9: half way between the middle ones */
	is_close(sl_loss_predict(&loss, raw, q), (q[1] + q[2]) / 2, 1e-6,
			 "interpolated median");
	loss.levels = 2;
	is_close(sl_loss_predict(&loss, raw, q), q[1], 0, "all levels below: the highest");
	loss.levels = 1;
	loss.level[0] = 0.9f;
	is_close(sl_loss_predict(&loss, raw, NULL), 1, 0, "all levels above: the lowest");

	bool rising = true;

	loss = make_loss(SL_LOSS_QUANTILE);
	for (int i = 0; i < 1000; i++)
	{
		for (int k = 0; k < 4; k++)
			raw[k] = (float) (20 * sl_random_normal(1, k, i));
		sl_loss_predict(&loss, raw, q);
		rising &= q[0] <= q[1] && q[1] <= q[2] && q[2] <= q[3];
	}
	ok(rising, "quantiles never cross");
}

int
main(void)
{
	test_names();
	test_parity();
	test_differences();
	test_weights();
	test_censored();
	test_extremes();
	test_weibull_clamps();
	test_predict();
	test_quantiles();
	return done_testing();
}
