/*
 * packed.c: packed_body.h compiled for each instruction set, and the choice of one.
 *
 * B lies in panels of two vectors' columns, each panel row after row.  A block of six
 * rows by one panel keeps its sums in twelve registers; for each k it loads the panel's
 * row and multiplies it by six numbers of A, which is read as it lies.  A panel (of at
 * most DEPTH rows, else it takes several passes) stays in the first-level cache while all
 * rows of A go by from the second; so callers bring tiles of rows that fit there.
 *
 * A general product copies both matrices at every call.  Here the weights are copied once
 * for all steps, and A, which is used for as many columns as a weight has rows, is not
 * copied at all.
 */
#include "nn/packed.h"

#include <stdint.h>
#include <string.h>

#include "nn/cpu.h"
#include "nn/kernel.h"

#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 16")

/* Rows of a block, and panels of a block of one row. */
#define ROWS 6
#define PANELS 4

/* No packed matrix is wider than its columns rounded up to this. */
#define WIDEST_PANEL 32

struct SlPackedKernels
{
	void (*pack)(bool trans, int k, int n, const float *b, size_t ldb, float *data);
	void (*product)(int m, const SlTerm *term, int terms, bool add, float *c, size_t ldc);
};

/* Part of a term's depth: A's rows a_stride apart, B's panels b_stride apart. */
typedef struct Piece
{
	const float *a;
	size_t a_stride;
	const float *b;
	size_t b_stride;
	int k;
} Piece;

#define K(name) name##_default
#define TARGET
#define WIDTH 4
#include "nn/packed_body.h"
#undef K
#undef TARGET
#undef WIDTH

#if defined(__x86_64__) && defined(__GNUC__)
#define HAVE_X86 1

#define K(name) name##_avx2
#define TARGET __attribute__((target("avx2,fma")))
#define WIDTH 8
#include "nn/packed_body.h"
#undef K
#undef TARGET
#undef WIDTH

#define K(name) name##_avx512
#define TARGET __attribute__((target("avx2,fma,avx512f,avx512dq,avx512bw,avx512vl")))
#define WIDTH 16
#include "nn/packed_body.h"
#undef K
#undef TARGET
#undef WIDTH
#endif

/* Those of the set that the pointwise kernels run with. */
static const SlPackedKernels *
kernels(void)
{
#ifdef HAVE_X86
	const char *name = sl_kernel_name();

	if (strcmp(name, "avx512f") == 0)
		return &kernels_avx512;
	if (strcmp(name, "avx2") == 0)
		return &kernels_avx2;
#endif
	return &kernels_default;
}

size_t
sl_packed_size(int k, int n)
{
	size_t columns = ((size_t) n + WIDEST_PANEL - 1) / WIDEST_PANEL * WIDEST_PANEL;
	size_t size;

	return __builtin_mul_overflow(columns, (size_t) k, &size) ? SIZE_MAX : size;
}

SlPacked
sl_pack(bool trans, int k, int n, const float *b, size_t ldb, float *data)
{
	SlPacked packed = {k, n, data, kernels()};

	packed.kernels->pack(trans, k, n, b, ldb, data);
	return packed;
}

void
sl_packed_product(int m, const SlTerm *term, int terms, bool add, float *c, size_t ldc)
{
	if (m <= 0 || terms <= 0)
		return;

	uint64_t mode = sl_flush_denormals();

	term[0].b->kernels->product(m, term, terms, add, c, ldc);
	sl_restore_denormals(mode);
}
