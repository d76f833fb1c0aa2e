/*
 * cpu.h: what kernels need to know of the processor: vector instructions chosen at load
 * time, and a floating-point mode without denormals.
 */
#ifndef SL_CPU_H
#define SL_CPU_H

#include <limits.h> /* for __GLIBC__ */
#include <stdint.h>

#if defined(__SSE__)
#include <xmmintrin.h>
#endif

/*
 * SL_CLONES before a function has it compiled once for each level of vector
 * instructions; the loader picks the best the machine has.  A build thus runs on any
 * machine and is fast on a new one.
 *
 * It needs a compiler and a C library with ifuncs; elsewhere there is one version.  The
 * sanitizer build sets SL_NO_CLONES: resolvers run before the sanitizer is ready.
 */
#if !defined(SL_NO_CLONES) && defined(__x86_64__) && defined(__GLIBC__) && \
	defined(__GNUC__) && !defined(__clang__) && __GNUC__ >= 12
#define SL_CLONES \
	__attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define SL_CLONES
#endif

/*
 * Numbers below 1e-38 cost a hundred times the others and change nothing: a kernel
 * switches them off and, since the mode is the whole thread's, back on when it is done:
 *
 *     uint64_t mode = sl_flush_denormals();
 *     ...
 *     sl_restore_denormals(mode);
 */
static inline uint64_t
sl_flush_denormals(void)
{
#if defined(__SSE__)
	unsigned mode = _mm_getcsr();

	_mm_setcsr(mode | 0x8040); /* flush to zero, denormals are zero */
	return mode;
#elif defined(__aarch64__) && defined(__GNUC__)
	uint64_t mode;

	__asm__ __volatile__("mrs %0, fpcr" : "=r"(mode));
	__asm__ __volatile__("msr fpcr, %0" : : "r"(mode | (uint64_t) 1 << 24));
	return mode;
#else
	return 0;
#endif
}

static inline void
sl_restore_denormals(uint64_t mode)
{
#if defined(__SSE__)
	_mm_setcsr((unsigned) mode);
#elif defined(__aarch64__) && defined(__GNUC__)
	__asm__ __volatile__("msr fpcr, %0" : : "r"(mode));
#else
	(void) mode;
#endif
}

#endif
