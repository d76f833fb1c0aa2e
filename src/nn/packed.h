/*
 * packed.h: products with a matrix that is copied once into the order in which it is
 * read, and used many times: a weight over all steps of a sequence and all rows of a
 * batch.
 */
#ifndef SL_PACKED_H
#define SL_PACKED_H

#include <stdbool.h>
#include <stddef.h>

typedef struct SlPackedKernels SlPackedKernels;

/* B [k x n], packed for one instruction set. */
typedef struct SlPacked
{
	int k;
	int n;
	const float *data;
	const SlPackedKernels *kernels;
} SlPacked;

/* One summand A B of a product; row i of A is at a + i * stride. */
typedef struct SlTerm
{
	const float *a;
	size_t stride;
	const SlPacked *b;
} SlTerm;

#define SL_MAX_TERMS 2

/* Floats a packed matrix takes, for any instruction set; SIZE_MAX if that overflows. */
extern size_t sl_packed_size(int k, int n);

/* Packs op(B): row-major B [k x n], or with trans B [n x k].  data is aligned to 64 bytes
 * and stays the caller's. */
extern SlPacked sl_pack(bool trans, int k, int n, const float *b, size_t ldb,
						float *data);

/*
 * C = A B of one term or the sum of several of the same n; with add, C += that.
 *
 * Every element is one chain of multiply-adds over the terms in their order, rising k:
 * its bits depend on its row of A and its column of B alone, not on m, the row's
 * neighbours or whether terms come in one call or one after the other.  So the error of
 * an element is at most (number of products) * 2^-24 * sum |a b| in first order.
 * Denormals are flushed to zero.  C may not overlap A.
 */
extern void sl_packed_product(int m, const SlTerm *term, int terms, bool add, float *c,
							  size_t ldc);

#endif
