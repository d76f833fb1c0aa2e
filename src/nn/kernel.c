/*
 * kernel.c: kernel_body.h compiled for each instruction set, and the choice of one.
 *
 * The choice is a pointer to a table rather than function clones resolved by the loader:
 * it works with any compiler and under sanitizers, and tests can run every set the
 * machine has.  Nothing here is compiled for the building machine alone.
 */
#include "nn/kernel.h"

#include <stdint.h>
#include <string.h>

#include "nn/cpu.h"

#if defined(__x86_64__) && defined(__GNUC__)
#define HAVE_X86 1
#endif

#define INLINE static inline __attribute__((always_inline))

/* Elements of a block, the widest vector there is. */
#define LANES 16

/* Arrays a block may touch. */
#define MAX_STREAMS 11

#if defined(__clang__)
#define INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#else
#define INDEPENDENT _Pragma("GCC ivdep")
#endif
/* One block: iterations do not touch each other's elements. */
#define VECTOR_LOOP(index, ...)                     \
	{                                               \
		INDEPENDENT                                 \
		for (int index = 0; index < LANES; index++) \
		{                                           \
			__VA_ARGS__;                            \
		}                                           \
	}

/* 1.5 * 2^23: a float this large has no digits after the point. */
#define ROUND 12582912.0f
#define ROUND_BITS 0x4b400000u

INLINE uint32_t
bits_of(float x)
{
	union
	{
		float value;
		uint32_t bits;
	} u = {.value = x};

	return u.bits;
}

/* 2^n for n (as two's complement) from -127, which gives 0, to 128, which gives infinity.
 */
INLINE float
power_of_2(uint32_t n)
{
	union
	{
		uint32_t bits;
		float value;
	} u = {.bits = (n + 127u) << 23};

	return u.value;
}

typedef struct Kernels
{
	void (*exp)(size_t n, const float *x, float *y);
	void (*sigmoid)(size_t n, const float *x, float *y);
	void (*tanh)(size_t n, const float *x, float *y);
	void (*lstm_forward)(int rows, int hidden, float *gates, const float *bias,
						 const float *c_prev, size_t c_stride, float *c, float *h);
	void (*lstm_backward)(int rows, int hidden, float *gates, const float *c_prev,
						  size_t c_stride, const float *c, const float *dy,
						  const float *dh, float *dc);
	void (*gru_forward)(int rows, int hidden, float *gates, const float *bias,
						const float *h_prev, size_t h_stride, float *h);
	void (*gru_backward)(int rows, int hidden, float *gates, const float *h_prev,
						 size_t h_stride, const float *dy, float *dh);
	void (*column_sums)(int rows, int cols, const float *a, size_t stride, float *sum);
	void (*add_row)(int rows, int cols, const float *x, float *y, size_t stride);
	void (*multiply)(size_t n, const float *x, const float *m, float *y);
	void (*multiply_add)(size_t n, const float *x, const float *m, float *y);
} Kernels;

#define K(name) name##_default
#define FMA(a, b, c) ((a) * (b) + (c))
#include "nn/kernel_body.h"
#undef K
#undef FMA

#ifdef HAVE_X86
#define FMA(a, b, c) __builtin_fmaf(a, b, c)

#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#endif
#define K(name) name##_avx2
#include "nn/kernel_body.h"
#undef K
#ifdef __clang__
#pragma clang attribute pop
#pragma clang attribute push(                                               \
	__attribute__((target("avx2,fma,avx512f,avx512dq,avx512bw,avx512vl"))), \
	apply_to = function)
#else
#pragma GCC pop_options
#pragma GCC push_options
#pragma GCC target("avx2,fma,avx512f,avx512dq,avx512bw,avx512vl,prefer-vector-width=512")
#endif
#define K(name) name##_avx512
#include "nn/kernel_body.h"
#undef K
#ifdef __clang__
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#undef FMA
#endif

static bool
always(void)
{
	return true;
}

#ifdef HAVE_X86
static bool
have_avx2(void)
{
	return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

static bool
have_avx512(void)
{
	return have_avx2() && __builtin_cpu_supports("avx512f") &&
		   __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
		   __builtin_cpu_supports("avx512vl");
}
#endif

/* Best first. */
static const struct
{
	const char *name;
	bool (*usable)(void);
	const Kernels *table;
} sets[] = {
#ifdef HAVE_X86
	{"avx512f", have_avx512, &table_avx512},
	{"avx2", have_avx2, &table_avx2},
#endif
	{"default", always, &table_default},
};

#define SETS ((int) (sizeof(sets) / sizeof(sets[0])))

static int chosen = -1;

static const Kernels *
kernels(void)
{
	if (chosen < 0)
	{
		int best = 0;

		while (!sets[best].usable())
			best++;
		chosen = best;
	}
	return sets[chosen].table;
}

const char *
sl_kernel_name(void)
{
	kernels();
	return sets[chosen].name;
}

bool
sl_kernel_choose(const char *name)
{
	for (int i = 0; i < SETS; i++)
		if (strcmp(sets[i].name, name) == 0 && sets[i].usable())
		{
			chosen = i;
			return true;
		}
	return false;
}

/* Calls through the table are opaque to the compiler: nothing moves out of between. */
#define RUN(call)                             \
	do                                        \
	{                                         \
		const Kernels *table = kernels();     \
		uint64_t mode = sl_flush_denormals(); \
                                              \
		table->call;                          \
		sl_restore_denormals(mode);           \
	} while (0)

void
sl_exp(size_t n, const float *x, float *y)
{
	RUN(exp(n, x, y));
}

void
sl_sigmoid(size_t n, const float *x, float *y)
{
	RUN(sigmoid(n, x, y));
}

void
sl_tanh(size_t n, const float *x, float *y)
{
	RUN(tanh(n, x, y));
}

void
sl_lstm_forward(int rows, int hidden, float *gates, const float *bias,
				const float *c_prev, size_t c_stride, float *c, float *h)
{
	RUN(lstm_forward(rows, hidden, gates, bias, c_prev, c_stride, c, h));
}

void
sl_lstm_backward(int rows, int hidden, float *gates, const float *c_prev, size_t c_stride,
				 const float *c, const float *dy, const float *dh, float *dc)
{
	RUN(lstm_backward(rows, hidden, gates, c_prev, c_stride, c, dy, dh, dc));
}

void
sl_gru_forward(int rows, int hidden, float *gates, const float *bias, const float *h_prev,
			   size_t h_stride, float *h)
{
	RUN(gru_forward(rows, hidden, gates, bias, h_prev, h_stride, h));
}

void
sl_gru_backward(int rows, int hidden, float *gates, const float *h_prev, size_t h_stride,
				const float *dy, float *dh)
{
	RUN(gru_backward(rows, hidden, gates, h_prev, h_stride, dy, dh));
}

void
sl_column_sums(int rows, int cols, const float *a, size_t stride, float *sum)
{
	RUN(column_sums(rows, cols, a, stride, sum));
}

void
sl_add_row(int rows, int cols, const float *x, float *y, size_t stride)
{
	RUN(add_row(rows, cols, x, y, stride));
}

void
sl_multiply(size_t n, const float *x, const float *m, float *y)
{
	RUN(multiply(n, x, m, y));
}

void
sl_multiply_add(size_t n, const float *x, const float *m, float *y)
{
	RUN(multiply_add(n, x, m, y));
}
