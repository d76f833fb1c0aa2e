/*
 * blas.c: OpenBLAS by dlopen at first use.
 *
 * The library reads its environment once, when it is loaded.  Its thread pool must not
 * start (a backend gets no threads of ours), so OPENBLAS_NUM_THREADS is 1 just then.
 *
 * Versions before 0.3.24 do not know some later processors with AVX-512 and take them
 * for AVX2 ones, at half the speed.  Such a library is noticed by asking it, closed and
 * opened again with OPENBLAS_CORETYPE naming its AVX-512 kernels.  This is done only
 * when it is certain that it is gone in between (RTLD_NOLOAD finds nothing), when the
 * user has not set the variable, and never to a newer version.
 */
#include "nn/blas.h"

#include <dlfcn.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nn/cpu.h"

/* CBLAS's constants. */
enum
{
	ROW_MAJOR = 101,
	PLAIN = 111,
	TRANSPOSED = 112
};

typedef void (*GemmFunction)(int order, int trans_a, int trans_b, int m, int n, int k,
							 float alpha, const float *a, int lda, const float *b,
							 int ldb, float beta, float *c, int ldc);

typedef void (*GemvFunction)(int order, int trans, int m, int n, float alpha,
							 const float *a, int lda, const float *x, int incx,
							 float beta, float *y, int incy);

static struct
{
	bool tried;
	void *library;
	GemmFunction gemm;
	GemvFunction gemv;
	int (*get_threads)(void);
	char version[64];
	char kernel[32];
	char error[256];
} blas;

/* First version that tells AVX-512 by itself on processors it does not know. */
#define GOOD_VERSION 324

static bool
cpu_has_avx512(void)
{
#if defined(__x86_64__) && defined(__GNUC__)
	/* These also look at whether the operating system saves the registers. */
	return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
		   __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
#else
	return false;
#endif
}

static void *
open_library(int extra)
{
	void *library = dlopen("libopenblas.so.0", RTLD_NOW | RTLD_LOCAL | extra);

	return library != NULL ? library
						   : dlopen("libopenblas.so", RTLD_NOW | RTLD_LOCAL | extra);
}

/* Sets a variable for as long as the library is loaded; restore_variable undoes it. */
static char *
set_variable(const char *name, const char *value)
{
	const char *old = getenv(name);
	char *saved = old == NULL ? NULL : strdup(old);

	setenv(name, value, 1);
	return saved;
}

static void
restore_variable(const char *name, char *saved)
{
	if (saved != NULL)
		setenv(name, saved, 1);
	else
		unsetenv(name);
	free(saved);
}

/* "OpenBLAS 0.3.21" and the kernel's name into blas; the version as 321, or 0. */
static int
describe(void *library)
{
	char *(*get_config)(void) = (char *(*) (void) ) dlsym(library, "openblas_get_config");
	char *(*get_kernel)(void) =
		(char *(*) (void) ) dlsym(library, "openblas_get_corename");
	const char *config = get_config != NULL ? get_config() : "";
	int major = 0, minor = 0, patch = 0;

	snprintf(blas.kernel, sizeof(blas.kernel), "%s",
			 get_kernel != NULL ? get_kernel() : "unknown");
	if (sscanf(config, "OpenBLAS %d.%d.%d", &major, &minor, &patch) != 3)
	{
		snprintf(blas.version, sizeof(blas.version), "OpenBLAS, version unknown");
		return 0;
	}
	snprintf(blas.version, sizeof(blas.version), "OpenBLAS %d.%d.%d", major, minor,
			 patch);
	return major * 10000 + minor * 100 + patch;
}

/* Whether an old library took a processor with AVX-512 for a lesser one. */
static bool
mistaken(int version)
{
	static const char *const good[] = {"SkylakeX", "Cooperlake", "SapphireRapids"};

	if (version == 0 || version >= GOOD_VERSION || !cpu_has_avx512())
		return false;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		if (strcmp(blas.kernel, good[i]) == 0)
			return false;
	return true;
}

static void *
reopen(void *library)
{
	dlclose(library);

	void *remaining = open_library(RTLD_NOLOAD);

	if (remaining != NULL)
		return remaining; /* somebody else has it too: its kernels stay */

	char *saved = set_variable("OPENBLAS_CORETYPE", "SKYLAKEX");

	library = open_library(0);
	restore_variable("OPENBLAS_CORETYPE", saved);
	return library;
}

/* What to tell when nothing could be opened. */
static void
explain_failure(void)
{
	void *plain = dlopen("libblas.so.3", RTLD_NOW | RTLD_LOCAL);

	if (plain != NULL)
	{
		dlclose(plain);
		snprintf(
			blas.error, sizeof(blas.error),
			"libopenblas.so.0 was not found; the libblas.so.3 of this system is not used "
			"because its kernel and its threads cannot be controlled");
	}
	else
		snprintf(blas.error, sizeof(blas.error), "libopenblas.so.0 was not found");
}

bool
sl_blas_load(void)
{
	if (blas.tried)
		return blas.gemm != NULL;
	blas.tried = true;

	char *saved = set_variable("OPENBLAS_NUM_THREADS", "1");
	void *library = open_library(RTLD_NOLOAD);

	if (library == NULL)
	{
		library = open_library(0);
		if (library != NULL && getenv("OPENBLAS_CORETYPE") == NULL &&
			mistaken(describe(library)))
			library = reopen(library);
	}
	restore_variable("OPENBLAS_NUM_THREADS", saved);
	if (library == NULL)
	{
		explain_failure();
		return false;
	}

	void (*set_threads)(int) = (void (*)(int)) dlsym(library, "openblas_set_num_threads");

	describe(library);
	blas.get_threads = (int (*)(void)) dlsym(library, "openblas_get_num_threads");
	blas.gemm = (GemmFunction) dlsym(library, "cblas_sgemm");
	blas.gemv = (GemvFunction) dlsym(library, "cblas_sgemv");
	if (blas.gemm == NULL || blas.gemv == NULL || set_threads == NULL ||
		blas.get_threads == NULL)
	{
		blas.gemm = NULL;
		snprintf(
			blas.error, sizeof(blas.error),
			"libopenblas.so.0 lacks cblas_sgemm, cblas_sgemv or openblas_set_num_threads");
		dlclose(library);
		return false;
	}
	set_threads(1);
	blas.library = library;
	return true;
}

const char *
sl_blas_error(void)
{
	return blas.error;
}

const char *
sl_blas_version(void)
{
	return sl_blas_load() ? blas.version : "not available";
}

const char *
sl_blas_kernel(void)
{
	return sl_blas_load() ? blas.kernel : "not available";
}

int
sl_blas_threads(void)
{
	return sl_blas_load() ? blas.get_threads() : 0;
}

void *
sl_lapack(const char *name)
{
	return sl_blas_load() ? dlsym(blas.library, name) : NULL;
}

/* The definition itself, for a machine without the library. */
static void
plain_gemm(bool trans_a, bool trans_b, int m, int n, int k, float alpha, const float *a,
		   int lda, const float *b, int ldb, float beta, float *c, int ldc)
{
	for (int i = 0; i < m; i++)
		for (int j = 0; j < n; j++)
		{
			double sum = 0;

			for (int l = 0; l < k; l++)
				sum += (double) (trans_a ? a[(size_t) l * lda + i]
										 : a[(size_t) i * lda + l]) *
					   (trans_b ? b[(size_t) j * ldb + l] : b[(size_t) l * ldb + j]);

			float *out = &c[(size_t) i * ldc + j];

			*out = (float) (alpha * sum + (beta == 0 ? 0 : beta * *out));
		}
}

/* y = alpha A x + beta y; a y that does not count is cleared here, as libraries differ in
 * what they do with a NaN in it. */
static void
vector_product(bool trans, int rows, int cols, float alpha, const float *a, int lda,
			   const float *x, int incx, float beta, float *y, int incy)
{
	if (beta == 0)
		for (int i = 0; i < (trans ? cols : rows); i++)
			y[(size_t) i * incy] = 0;
	blas.gemv(ROW_MAJOR, trans ? TRANSPOSED : PLAIN, rows, cols, alpha, a, lda, x, incx,
			  beta == 0 ? 1 : beta, y, incy);
}

/*
 * With so few rows, copying B into the product's internal form costs more than the
 * product: 5 times as much for one row, still more for three, less for five.
 */
#define FEW_ROWS 3
#define WORTH_COPYING 32

static bool
few_rows(int m, int n, int k)
{
	return m == 1 || (m <= FEW_ROWS && n >= WORTH_COPYING && k >= WORTH_COPYING);
}

void
sl_gemm(bool trans_a, bool trans_b, int m, int n, int k, float alpha, const float *a,
		int lda, const float *b, int ldb, float beta, float *c, int ldc)
{
	if (m <= 0 || n <= 0)
		return;
	if (k <= 0 || !sl_blas_load())
	{
		plain_gemm(trans_a, trans_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
		return;
	}

	uint64_t mode = sl_flush_denormals();

	if (n == 1)
		vector_product(trans_a, trans_a ? k : m, trans_a ? m : k, alpha, a, lda, b,
					   trans_b ? 1 : ldb, beta, c, ldc);
	else if (few_rows(m, n, k))
		for (int i = 0; i < m; i++)
			vector_product(!trans_b, trans_b ? n : k, trans_b ? k : n, alpha, b, ldb,
						   a + (trans_a ? (size_t) i : (size_t) i * lda),
						   trans_a ? lda : 1, beta, c + (size_t) i * ldc, 1);
	else
		blas.gemm(ROW_MAJOR, trans_a ? TRANSPOSED : PLAIN, trans_b ? TRANSPOSED : PLAIN,
				  m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
	sl_restore_denormals(mode);
}
