/*
 * blas.h: OpenBLAS, loaded at first use so that its kernel and its thread count can be
 * chosen before it reads them.  Everything that calls BLAS or LAPACK goes through here.
 */
#ifndef SL_BLAS_H
#define SL_BLAS_H

#include <stdbool.h>

/* Loads the library (once a process); false with sl_blas_error() if that fails. */
extern bool sl_blas_load(void);
extern const char *sl_blas_error(void);

/* For build_info() and the version a model stores: "OpenBLAS 0.3.21", "Zen". */
extern const char *sl_blas_version(void);
extern const char *sl_blas_kernel(void);
extern int sl_blas_threads(void);

/* C = alpha op(A) op(B) + beta C, row-major; op(A) is m x k, op(B) k x n. */
extern void sl_gemm(bool trans_a, bool trans_b, int m, int n, int k, float alpha,
					const float *a, int lda, const float *b, int ldb, float beta,
					float *c, int ldc);

/* A LAPACK routine by its Fortran name ("sgeqrf_"), or NULL. */
extern void *sl_lapack(const char *name);

#endif
