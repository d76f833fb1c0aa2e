/*
 * lapack.c: Fortran routines of OpenBLAS behind C arguments.  Lengths of the strings come
 * last, as Fortran compilers pass them.
 */
#include "cluster/lapack.h"

#include <stddef.h>

#include "nn/blas.h"

typedef const int *Int;
typedef const double *In;

static struct
{
	bool tried;
	bool complete;
	void (*gemv)(const char *, Int, Int, In, In, Int, In, Int, In, double *, Int, size_t);
	void (*gemm)(const char *, const char *, Int, Int, Int, In, In, Int, In, Int, In,
				 double *, Int, size_t, size_t);
	void (*syrk)(const char *, const char *, Int, Int, In, In, Int, In, double *, Int,
				 size_t, size_t);
	void (*trsm)(const char *, const char *, const char *, const char *, Int, Int, In, In,
				 Int, double *, Int, size_t, size_t, size_t, size_t);
	void (*trsv)(const char *, const char *, const char *, Int, In, Int, double *, Int,
				 size_t, size_t, size_t);
	void (*potrf)(const char *, Int, double *, Int, int *, size_t);
	void (*syev)(const char *, const char *, Int, double *, Int, double *, double *, Int,
				 int *, size_t, size_t);
} lapack;

/* Through a pointer to the pointer, as object and function pointers don't convert. */
#define FIND(field, name) (*(void **) &lapack.field = sl_lapack(name))

bool
sl_lapack_load(void)
{
	if (!lapack.tried)
	{
		lapack.tried = true;
		lapack.complete = FIND(gemv, "dgemv_") && FIND(gemm, "dgemm_") &&
						  FIND(syrk, "dsyrk_") && FIND(trsm, "dtrsm_") &&
						  FIND(trsv, "dtrsv_") && FIND(potrf, "dpotrf_") &&
						  FIND(syev, "dsyev_");
	}
	return lapack.complete;
}

void
sl_dgemv(bool trans, int m, int n, double alpha, const double *a, int lda,
		 const double *x, double beta, double *y)
{
	const int one = 1;

	if (m > 0 && n > 0)
		lapack.gemv(trans ? "T" : "N", &m, &n, &alpha, a, &lda, x, &one, &beta, y, &one,
					1);
}

void
sl_dgemm(bool trans_b, int m, int n, int k, double alpha, const double *a, int lda,
		 const double *b, int ldb, double beta, double *c, int ldc)
{
	if (m > 0 && n > 0)
		lapack.gemm("N", trans_b ? "T" : "N", &m, &n, &k, &alpha, a, &lda, b, &ldb, &beta,
					c, &ldc, 1, 1);
}

void
sl_dsyrk_lower(int n, int k, const double *a, int lda, double *c, int ldc)
{
	const double minus = -1, plus = 1;

	if (n > 0 && k > 0)
		lapack.syrk("L", "N", &n, &k, &minus, a, &lda, &plus, c, &ldc, 1, 1);
}

void
sl_dtrsm_right(int m, int n, const double *l, int ldl, double *b, int ldb)
{
	const double one = 1;

	if (m > 0 && n > 0)
		lapack.trsm("R", "L", "T", "N", &m, &n, &one, l, &ldl, b, &ldb, 1, 1, 1, 1);
}

void
sl_dtrsv(bool trans, int n, const double *l, int ldl, double *x)
{
	const int one = 1;

	lapack.trsv("L", trans ? "T" : "N", "N", &n, l, &ldl, x, &one, 1, 1, 1);
}

bool
sl_dpotrf(int n, double *a, int lda)
{
	int info = 0;

	lapack.potrf("L", &n, a, &lda, &info, 1);
	return info == 0;
}

/* Room for its blocks of 64 columns. */
int
sl_dsyev_work(int n)
{
	return 66 * n;
}

bool
sl_dsyev(int n, double *a, double *w, double *work)
{
	int info = 0;
	int size = sl_dsyev_work(n);

	lapack.syev("V", "L", &n, a, &n, w, work, &size, &info, 1, 1);
	return info == 0;
}
