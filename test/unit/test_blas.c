/*
 * test_blas.c: how the library is loaded, and products of all small shapes and layouts
 * against their definition.
 */
#include "nn/blas.h"

#include <stdlib.h>

#include "nn/tape.h"

#include "pack.h"
#include "tap.h"

static int
threads(void)
{
	char line[256];
	int count = -1;
	FILE *file = fopen("/proc/self/status", "r");

	while (file != NULL && fgets(line, sizeof(line), file) != NULL)
		if (sscanf(line, "Threads: %d", &count) == 1)
			break;
	if (file != NULL)
		fclose(file);
	return count;
}

static void
check_loading(void)
{
	int before = threads();

	setenv("OPENBLAS_NUM_THREADS", "7", 1);
	unsetenv("OPENBLAS_CORETYPE");
	if (!ok(sl_blas_load(), "the library is found"))
		note("%s", sl_blas_error());
	ok(sl_blas_load(), "and once more");
	is_str(getenv("OPENBLAS_NUM_THREADS"), "7", "the variable is as it was");
	ok(getenv("OPENBLAS_CORETYPE") == NULL, "and one that was not there is not there");
	is_int(sl_blas_threads(), 1, "one thread");
	is_int(threads(), before, "and none was started");
	note("%s, %s", sl_blas_version(), sl_blas_kernel());
	ok(strncmp(sl_blas_version(), "OpenBLAS ", 9) == 0, "it has a version");
	ok(strlen(sl_blas_kernel()) > 0, "it names its kernel");
	ok(sl_lapack("ssyevd_") != NULL, "it brings LAPACK");
	ok(sl_lapack("nothing_of_the_kind_") == NULL, "a routine it does not have");
}

/* op(X)[i][j] of a matrix in either layout. */
static double
at(const float *x, int ld, bool trans, int i, int j)
{
	return trans ? x[j * ld + i] : x[i * ld + j];
}

static double
product_error(uint64_t *seed, int m, int n, int k, int layout, float beta)
{
	bool ta = layout & 1, tb = layout & 2;
	int lda = (ta ? m : k) + 2, ldb = (tb ? k : n) + 1, ldc = n + 3;
	float *a = pack_numbers(seed, (size_t) lda * (ta ? k : m), 1);
	float *b = pack_numbers(seed, (size_t) ldb * (tb ? n : k), 1);
	float *c = pack_numbers(seed, (size_t) ldc * m, 1);
	float *old = malloc((size_t) ldc * m * sizeof(float));
	double error = 0;

	for (int i = 0; beta == 0 && i < m; i++)
		for (int j = 0; j < n; j++)
			c[i * ldc + j] = NAN; /* must not count */
	memcpy(old, c, (size_t) ldc * m * sizeof(float));
	sl_gemm(ta, tb, m, n, k, 0.5f, a, lda, b, ldb, beta, c, ldc);
	for (int i = 0; i < m; i++)
		for (int j = 0; j < ldc; j++)
		{
			double want = beta == 0 ? 0 : beta * old[i * ldc + j];

			for (int l = 0; j < n && l < k; l++)
				want += 0.5 * at(a, lda, ta, i, l) * at(b, ldb, tb, l, j);
			if (j >= n)
				want = old[i * ldc + j];

			double difference = fabs(c[i * ldc + j] - want);

			error = pack_worse(error, difference);
		}
	free(a);
	free(b);
	free(c);
	free(old);
	return error;
}

static void
check_products(void)
{
	static const int sizes[] = {1, 2, 3, 4, 33, 70};
	static const float betas[] = {0, 1, 0.25f};
	uint64_t seed = 1;

	for (int layout = 0; layout < 4; layout++)
		for (int q = 0; q < 3; q++)
		{
			double error = 0;

			for (int i = 0; i < 6 * 6 * 6; i++)
				error =
					pack_worse(error, product_error(&seed, sizes[i % 6], sizes[i / 6 % 6],
													sizes[i / 36], layout, betas[q]));
			ok(error < 2e-5, "products, layout %d, beta %g (%.1e)", layout, betas[q],
			   error);
		}

	float c[4] = {1, 2, 3, 4};

	sl_gemm(false, false, 2, 2, 0, 1, c, 1, c, 2, 0.5f, c, 2);
	ok(c[0] == 0.5f && c[3] == 2, "an empty sum only scales");
	sl_gemm(false, false, 0, 2, 2, 1, c, 2, c, 2, 0, c, 2);
	ok(c[0] == 0.5f, "an empty result is left alone");
}

static bool
count_questions(void *arg)
{
	++*(int *) arg;
	return false;
}

/* A product too large for one piece, cut along any side; every 97th element against its
 * definition. */
static void
check_pieces(int m, int k, bool ta, bool tb, int pieces)
{
	enum
	{
		N = 1100
	};
	uint64_t seed = 2;
	int questions = 0;
	int lda = ta ? m : k, ldb = tb ? k : N;
	float *a = pack_numbers(&seed, (size_t) m * k, 0.1f);
	float *b = pack_numbers(&seed, (size_t) k * N, 0.1f);
	float *c = calloc((size_t) m * N, sizeof(float));
	SlTape tape = {.should_stop = count_questions, .stop_arg = &questions};
	double error = 0;

	for (size_t i = 0; i < (size_t) m * N; i++)
		c[i] = 1;
	ok(sl_tape_gemm(&tape, ta, tb, m, N, k, a, lda, b, ldb, 1, c, N),
	   "a product of %d x %d x %d", m, N, k);
	is_int(questions, pieces - 1, "in %d pieces", pieces);
	for (int i = 0; i < m * N; i += 97)
	{
		double want = 1;

		for (int l = 0; l < k; l++)
			want += at(a, lda, ta, i / N, l) * at(b, ldb, tb, l, i % N);
		error = pack_worse(error, fabs(c[i] - want));
	}
	ok(error < 1e-5, "and right (%.1e)", error);
	free(a);
	free(b);
	free(c);
}

int
main(void)
{
	check_loading();
	check_products();
	for (int t = 0; t < 4; t++)
	{
		check_pieces(1200, 600, t & 1, t & 2, 2);
		check_pieces(600, 1200, t & 1, t & 2, 2);
		check_pieces(700, 700, t & 1, t & 2, 2);
		check_pieces(1900, 1200, t & 1, t & 2, 8);
	}
	return done_testing();
}
