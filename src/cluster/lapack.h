/*
 * lapack.h: the BLAS and LAPACK routines of the spectral method, double precision,
 * matrices column by column.
 */
#ifndef SL_LAPACK_H
#define SL_LAPACK_H

#include <stdbool.h>

/* Whether all of them are there; the rest needs it to be. */
extern bool sl_lapack_load(void);

/* y = alpha op(A) x + beta y, A [m x n]. */
extern void sl_dgemv(bool trans, int m, int n, double alpha, const double *a, int lda,
					 const double *x, double beta, double *y);
/* C = alpha A op(B) + beta C, C [m x n], A [m x k]. */
extern void sl_dgemm(bool trans_b, int m, int n, int k, double alpha, const double *a,
					 int lda, const double *b, int ldb, double beta, double *c, int ldc);
/* The lower triangle of C [n x n] -= A A^T, A [n x k]. */
extern void sl_dsyrk_lower(int n, int k, const double *a, int lda, double *c, int ldc);
/* B = B L^(-T), B [m x n], L lower. */
extern void sl_dtrsm_right(int m, int n, const double *l, int ldl, double *b, int ldb);
/* x = op(L)^(-1) x, L lower. */
extern void sl_dtrsv(bool trans, int n, const double *l, int ldl, double *x);
/* The lower triangle of A becomes its Cholesky factor; false if A is not positive. */
extern bool sl_dpotrf(int n, double *a, int lda);
/* Eigenvalues, rising, of A (lower triangle) into w, eigenvectors into its columns; work
 * [sl_dsyev_work(n)]. */
extern bool sl_dsyev(int n, double *a, double *w, double *work);
extern int sl_dsyev_work(int n);

#endif
