/*
 * pairs.c: pairs_body.h compiled for each instruction set, and the choice of one.
 */
#include "embed/pairs.h"

#include <stddef.h>

#define INLINE static inline __attribute__((always_inline))

typedef struct Kernels
{
	void (*dots)(int, float *const *, int, float *const *, int, float *);
	void (*update)(int, float *const *, int, float *const *, int, const float *, float *);
	void (*mean)(int, float *const *, int, float *);
	void (*add)(int, float *const *, int, const float *);
	void (*parts)(int, const float *, const float *, float *, float *);
} Kernels;

#define K(name) name##_default
#define TARGET
#define WIDTH 4
#include "embed/pairs_body.h"
#undef K
#undef TARGET
#undef WIDTH

#if defined(__x86_64__) && defined(__GNUC__)
#define HAVE_X86 1

#define K(name) name##_avx2
#define TARGET __attribute__((target("avx2,fma")))
#define WIDTH 8
#include "embed/pairs_body.h"
#undef K
#undef TARGET
#undef WIDTH
#endif

static const Kernels *
kernels(void)
{
	static const Kernels *chosen;

	if (chosen == NULL)
	{
		chosen = &table_default;
#ifdef HAVE_X86
		if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
			chosen = &table_avx2;
#endif
	}
	return chosen;
}

void
sl_pairs_dots(int inputs, float *const *x, int outputs, float *const *y, int dim,
			  float *dot)
{
	kernels()->dots(inputs, x, outputs, y, dim, dot);
}

void
sl_pairs_update(int inputs, float *const *x, int outputs, float *const *y, int dim,
				const float *g, float *work)
{
	kernels()->update(inputs, x, outputs, y, dim, g, work);
}

void
sl_pairs_mean(int inputs, float *const *x, int dim, float *mean)
{
	kernels()->mean(inputs, x, dim, mean);
}

void
sl_pairs_add(int inputs, float *const *x, int dim, const float *step)
{
	kernels()->add(inputs, x, dim, step);
}

void
sl_cosine_parts(int n, const float *a, const float *b, float *dot, float *square)
{
	kernels()->parts(n, a, b, dot, square);
}
