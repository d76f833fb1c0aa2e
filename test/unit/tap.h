/*
 * tap.h: a unit test is a program that prints TAP ("ok 1 - what") for prove and exits
 * non-zero when something failed:
 *
 *     int main(void) { ok(1 + 1 == 2, "sum"); return done_testing(); }
 */
#ifndef TAP_H
#define TAP_H

#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int tap_count;
static int tap_failed;

__attribute__((format(printf, 4, 5), unused)) static bool
tap_ok(bool pass, const char *file, int line, const char *format, ...)
{
	va_list args;

	printf("%s %d - ", pass ? "ok" : "not ok", ++tap_count);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
	if (!pass)
	{
		tap_failed++;
		printf("#   failed at %s:%d\n", file, line);
	}
	fflush(stdout);
	return pass;
}

#define ok(condition, ...) tap_ok((condition), __FILE__, __LINE__, __VA_ARGS__)

/* A remark beside the tests; prove -v shows it. */
#define note(...) (printf("# "), printf(__VA_ARGS__), printf("\n"))

/* Two integers are equal. */
#define is_int(got, want, ...)                                                \
	do                                                                        \
	{                                                                         \
		long long tap_got = (long long) (got), tap_want = (long long) (want); \
		if (!ok(tap_got == tap_want, __VA_ARGS__))                            \
			note("  got %lld, want %lld", tap_got, tap_want);                 \
	} while (0)

/* Two strings are equal; NULL only equals NULL. */
#define is_str(got, want, ...)                                              \
	do                                                                      \
	{                                                                       \
		const char *tap_got = (got), *tap_want = (want);                    \
		if (!ok(tap_got && tap_want ? strcmp(tap_got, tap_want) == 0        \
									: tap_got == tap_want,                  \
				__VA_ARGS__))                                               \
			note("  got \"%s\", want \"%s\"", tap_got ? tap_got : "(null)", \
				 tap_want ? tap_want : "(null)");                           \
	} while (0)

/* |got - want| <= tolerance; NaN is close to nothing. */
#define is_close(got, want, tolerance, ...)                                         \
	do                                                                              \
	{                                                                               \
		double tap_got = (got), tap_want = (want), tap_tol = (tolerance);           \
		if (!ok(fabs(tap_got - tap_want) <= tap_tol, __VA_ARGS__))                  \
			note("  got %.9g, want %.9g, differ by %.3g > %.3g", tap_got, tap_want, \
				 fabs(tap_got - tap_want), tap_tol);                                \
	} while (0)

/* Largest |got[i] - want[i]|, infinite if any of them is not finite. */
__attribute__((unused)) static double
tap_max_difference(const float *got, const float *want, size_t n)
{
	double worst = 0;

	for (size_t i = 0; i < n; i++)
	{
		double d = fabs((double) got[i] - want[i]);

		if (!isfinite(d))
			return INFINITY;
		worst = d > worst ? d : worst;
	}
	return worst;
}

/* Largest |x[i]|. */
__attribute__((unused)) static double
tap_max_abs(const float *x, size_t n)
{
	double worst = 0;

	for (size_t i = 0; i < n; i++)
		worst = fabs((double) x[i]) > worst ? fabs((double) x[i]) : worst;
	return worst;
}

/* Parity of a tensor: max |got - want| <= relative * max |want|. */
#define is_tensor(got, want, n, relative, ...)                                  \
	do                                                                          \
	{                                                                           \
		double tap_diff = tap_max_difference((got), (want), (n));               \
		double tap_size = tap_max_abs((want), (n));                             \
		if (!ok(tap_diff <= (relative) *tap_size, __VA_ARGS__))                 \
			note("  differ by %.3g, largest %.3g, ratio %.3g > %.3g", tap_diff, \
				 tap_size, tap_diff / tap_size, (double) (relative));           \
	} while (0)

/* Prints the plan; the value to return from main. */
__attribute__((unused)) static int
done_testing(void)
{
	printf("1..%d\n", tap_count);
	return tap_failed > 0 || tap_count == 0;
}

#endif
