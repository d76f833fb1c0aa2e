/*
 * test_kernel.c: the pointwise kernels of every instruction set this machine has: error
 * bounds over the whole range, the same bits at every position, the floating-point
 * state, and the gates against their definition in double precision.
 */
#include "nn/kernel.h"

#include <float.h>

#include "pack.h"
#include "tap.h"

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

static float
float_of(uint32_t bits)
{
	float x;

	memcpy(&x, &bits, sizeof(x));
	return x;
}

static double
exact_sigmoid(double x)
{
	return 1 / (1 + exp(-x));
}

/* ---- error over all magnitudes ---- */

#define BLOCK 4096
/* Every STEP-th float of either sign, so that all exponents are met. */
#define STEP 4093u

typedef struct Function
{
	const char *name;
	void (*run)(size_t n, const float *x, float *y);
	double (*exact)(double x);
	double relative; /* where the argument is from from up and the result is normal */
	double from;
	double absolute; /* elsewhere */
} Function;

static const Function functions[] = {
	{"exp", sl_exp, exp, 2e-7, -INFINITY, FLT_MIN},
	{"sigmoid", sl_sigmoid, exact_sigmoid, 4e-7, -87, 1e-37},
	{"tanh", sl_tanh, tanh, 4e-7, -INFINITY, 1e-37},
};

static void
check_errors(const Function *f)
{
	static float x[BLOCK], y[BLOCK];
	double relative = 0, absolute = 0;
	bool infinite_right = true;
	uint32_t bits = 0;

	while (bits < 0x7f800000u)
	{
		size_t n = 0;

		for (; n + 2 <= BLOCK && bits < 0x7f800000u; bits += STEP)
		{
			x[n++] = float_of(bits);
			x[n++] = -float_of(bits);
		}
		f->run(n, x, y);
		for (size_t i = 0; i < n; i++)
		{
			double want = f->exact(x[i]);
			double error = fabs(y[i] - want);

			if (want > FLT_MAX)
				infinite_right &= isinf(y[i]) && y[i] > 0;
			else if (x[i] >= f->from && fabs(want) >= FLT_MIN)
				relative = pack_worse(relative, error / fabs(want));
			else
				absolute = pack_worse(absolute, error);
		}
	}
	ok(relative <= f->relative, "%s of %s: relative error %.2e", sl_kernel_name(),
	   f->name, relative);
	ok(absolute <= f->absolute, "%s of %s: absolute error near 0 %.2e", sl_kernel_name(),
	   f->name, absolute);
	ok(infinite_right, "%s of %s: overflow is infinite", sl_kernel_name(), f->name);
}

static void
check_special(void)
{
	float x[6] = {INFINITY, -INFINITY, NAN, -NAN, 0, -0.0f};
	float y[6];

	sl_exp(6, x, y);
	ok(isinf(y[0]) && y[1] == 0 && isnan(y[2]) && isnan(y[3]) && y[4] == 1 && y[5] == 1,
	   "%s: exp of infinities, NaN and zero", sl_kernel_name());
	sl_sigmoid(6, x, y);
	ok(y[0] == 1 && y[1] >= 0 && y[1] < 1e-37f && isnan(y[2]) && isnan(y[3]) &&
		   y[4] == 0.5f && y[5] == 0.5f,
	   "%s: sigmoid of infinities, NaN and zero", sl_kernel_name());
	sl_tanh(6, x, y);
	ok(y[0] == 1 && y[1] == -1 && isnan(y[2]) && isnan(y[3]) && y[4] == 0 && y[5] == 0,
	   "%s: tanh of infinities, NaN and zero", sl_kernel_name());
}

/* ---- positions ---- */

/* The same argument gives the same bits at every place of arrays of any length. */
static void
check_positions(const Function *f)
{
	float x[80], y[80], alone;
	uint64_t seed = 5;
	bool same = true;

	for (int length = 1; length <= 70; length++)
		for (int offset = 0; offset < 4; offset++)
		{
			for (int i = 0; i < length; i++)
				x[offset + i] = 12 * pack_random(&seed);
			f->run(length, x + offset, y + offset);
			for (int i = 0; i < length; i++)
			{
				f->run(1, x + offset + i, &alone);
				same &= memcmp(&alone, y + offset + i, sizeof(float)) == 0;
			}
		}
	ok(same, "%s of %s: a value does not depend on its place", sl_kernel_name(), f->name);
}

/* ---- gates ---- */

typedef struct Gates
{
	int rows;
	int hidden;
	float *gates, *bias, *prev, *c, *h, *dy, *dh, *dc;
} Gates;

static Gates
gates_open(int rows, int hidden)
{
	uint64_t seed = 99 + hidden;
	size_t n = (size_t) rows * hidden;
	Gates g = {rows, hidden, .gates = pack_numbers(&seed, 4 * n, 3)};

	g.bias = pack_numbers(&seed, 4 * hidden, 1);
	g.prev = pack_numbers(&seed, n, 1);
	g.c = pack_numbers(&seed, n, 1);
	g.h = pack_numbers(&seed, n, 1);
	g.dy = pack_numbers(&seed, n, 1);
	g.dh = pack_numbers(&seed, n, 1);
	g.dc = pack_numbers(&seed, n, 1);
	return g;
}

static void
gates_close(Gates *g)
{
	free(g->gates);
	free(g->bias);
	free(g->prev);
	free(g->c);
	free(g->h);
	free(g->dy);
	free(g->dh);
	free(g->dc);
}

static double
worst(double so_far, double got, double want)
{
	return pack_worse(so_far, fabs(got - want));
}

static void
check_lstm(int rows, int hidden)
{
	Gates g = gates_open(rows, hidden), before = gates_open(rows, hidden);
	double error = 0, back = 0;

	sl_lstm_forward(rows, hidden, g.gates, g.bias, g.prev, hidden, g.c, g.h);
	for (int k = 0; k < rows * hidden; k++)
	{
		int at = k / hidden * 4 * hidden + k % hidden;
		double a[4];

		for (int q = 0; q < 4; q++)
		{
			a[q] = (double) before.gates[at + q * hidden] +
				   before.bias[q * hidden + k % hidden];
			a[q] = q == 2 ? tanh(a[q]) : exact_sigmoid(a[q]);
			error = worst(error, g.gates[at + q * hidden], a[q]);
		}

		double c = a[1] * before.prev[k] + a[0] * a[2];

		error = worst(error, g.c[k], c);
		error = worst(error, g.h[k], a[3] * tanh(c));
	}
	ok(error < 1e-6, "%s: lstm forward, %d x %d (%.1e)", sl_kernel_name(), rows, hidden,
	   error);

	memcpy(before.gates, g.gates, (size_t) rows * 4 * hidden * sizeof(float));
	sl_lstm_backward(rows, hidden, g.gates, g.prev, hidden, g.c, g.dy, g.dh, g.dc);
	for (int k = 0; k < rows * hidden; k++)
	{
		int at = k / hidden * 4 * hidden + k % hidden;
		double i = before.gates[at], f = before.gates[at + hidden],
			   n = before.gates[at + 2 * hidden], o = before.gates[at + 3 * hidden];
		double t = tanh(g.c[k]), d = (double) g.dy[k] + g.dh[k];
		double dc = before.dc[k] + d * o * (1 - t * t);

		back = worst(back, g.gates[at], dc * n * i * (1 - i));
		back = worst(back, g.gates[at + hidden], dc * g.prev[k] * f * (1 - f));
		back = worst(back, g.gates[at + 2 * hidden], dc * i * (1 - n * n));
		back = worst(back, g.gates[at + 3 * hidden], d * t * o * (1 - o));
		back = worst(back, g.dc[k], dc * f);
	}
	ok(back < 2e-6, "%s: lstm backward, %d x %d (%.1e)", sl_kernel_name(), rows, hidden,
	   back);
	gates_close(&g);
	gates_close(&before);
}

static void
check_gru(int rows, int hidden)
{
	Gates g = gates_open(rows, hidden), before = gates_open(rows, hidden);
	double error = 0, back = 0;

	sl_gru_forward(rows, hidden, g.gates, g.bias, g.prev, hidden, g.h);
	for (int k = 0; k < rows * hidden; k++)
	{
		int at = k / hidden * 4 * hidden + k % hidden;
		double a[4];

		for (int q = 0; q < 4; q++)
			a[q] = (double) before.gates[at + q * hidden] +
				   before.bias[q * hidden + k % hidden];
		a[1] = exact_sigmoid(a[1]);
		a[2] = exact_sigmoid(a[2]);
		a[0] = tanh(a[0] + a[1] * a[3]);
		for (int q = 0; q < 4; q++)
			error = worst(error, g.gates[at + q * hidden], a[q]);
		error = worst(error, g.h[k], (1 - a[2]) * a[0] + a[2] * before.prev[k]);
	}
	ok(error < 1e-6, "%s: gru forward, %d x %d (%.1e)", sl_kernel_name(), rows, hidden,
	   error);

	memcpy(before.gates, g.gates, (size_t) rows * 4 * hidden * sizeof(float));
	sl_gru_backward(rows, hidden, g.gates, g.prev, hidden, g.dy, g.dh);
	for (int k = 0; k < rows * hidden; k++)
	{
		int at = k / hidden * 4 * hidden + k % hidden;
		double n = before.gates[at], r = before.gates[at + hidden],
			   z = before.gates[at + 2 * hidden], m = before.gates[at + 3 * hidden];
		double d = (double) g.dy[k] + before.dh[k], dn = d * (1 - z) * (1 - n * n);

		back = worst(back, g.gates[at], dn);
		back = worst(back, g.gates[at + hidden], dn * m * r * (1 - r));
		back = worst(back, g.gates[at + 2 * hidden], d * (g.prev[k] - n) * z * (1 - z));
		back = worst(back, g.gates[at + 3 * hidden], dn * r);
		back = worst(back, g.dh[k], d * z);
	}
	ok(back < 2e-6, "%s: gru backward, %d x %d (%.1e)", sl_kernel_name(), rows, hidden,
	   back);
	gates_close(&g);
	gates_close(&before);
}

/* A previous state of stride 0 serves all rows. */
static void
check_shared_state(void)
{
	Gates g = gates_open(3, 21), other = gates_open(3, 21);

	for (int r = 1; r < 3; r++)
		memcpy(other.prev + r * 21, other.prev, 21 * sizeof(float));
	sl_lstm_forward(3, 21, g.gates, g.bias, g.prev, 0, g.c, g.h);
	sl_lstm_forward(3, 21, other.gates, other.bias, other.prev, 21, other.c, other.h);
	ok(memcmp(g.h, other.h, 63 * sizeof(float)) == 0, "%s: stride 0", sl_kernel_name());
	gates_close(&g);
	gates_close(&other);
}

static void
check_sums(void)
{
	uint64_t seed = 3;
	int rows = 1003, cols = 37, stride = 41;
	float *a = pack_numbers(&seed, (size_t) rows * stride, 1);
	float sum[37];
	double error = 0;

	for (int j = 0; j < cols; j++)
		sum[j] = (float) j;
	sl_column_sums(rows, cols, a, stride, sum);
	for (int j = 0; j < cols; j++)
	{
		double want = j;

		for (int r = 0; r < rows; r++)
			want += a[r * stride + j];
		error = worst(error, sum[j], want);
	}
	ok(error < 1e-4, "%s: column sums (%.1e)", sl_kernel_name(), error);
	free(a);
}

/* Denormals are flushed inside and the caller's state is back afterwards. */
static void
check_state(void)
{
#if defined(__x86_64__)
	float x[4] = {1e-40f, -1e-40f, 1e-39f, 2};
	float y[4] = {0};
	unsigned before = _mm_getcsr() & ~0x3fu;

	sl_multiply(4, x, x, y);
	sl_tanh(4, x, y);
	is_int(_mm_getcsr() & ~0x3fu, before, "%s: floating-point state is restored",
		   sl_kernel_name());
	ok(y[0] == 0 && y[1] == 0 && y[2] == 0, "%s: denormals count as zero",
	   sl_kernel_name());

	volatile float tiny = FLT_MIN;

	ok(tiny / 2 > 0, "%s: the caller still has denormals", sl_kernel_name());
#endif
}

int
main(void)
{
	static const char *const sets[] = {"default", "avx2", "avx512f"};
	static const int widths[] = {1, 15, 16, 17, 33, 250};
	const char *automatic = sl_kernel_name();

	ok(!sl_kernel_choose("mmx"), "there is no mmx");
	for (int s = 0; s < 3; s++)
	{
		if (!sl_kernel_choose(sets[s]))
		{
			note("this machine has no %s", sets[s]);
			continue;
		}
		is_str(sl_kernel_name(), sets[s], "%s is chosen", sets[s]);
		for (int f = 0; f < 3; f++)
		{
			check_errors(&functions[f]);
			check_positions(&functions[f]);
		}
		check_special();
		for (int w = 0; w < 6; w++)
		{
			check_lstm(3, widths[w]);
			check_gru(3, widths[w]);
		}
		check_shared_state();
		check_sums();
		check_state();
	}
	is_str(sl_kernel_name(),
		   sl_kernel_choose("avx512f") ? "avx512f"
		   : sl_kernel_choose("avx2")  ? "avx2"
									   : "default",
		   "the best set is the one chosen last");
	is_str(automatic, sl_kernel_name(), "and was the automatic choice");
	return done_testing();
}
