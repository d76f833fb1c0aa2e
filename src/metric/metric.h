/*
 * metric.h: the arithmetic of the metric aggregates, in plain C11.
 *
 * The glue is metric_sql.c; what the metrics mean is in README.md.
 */
#ifndef SL_METRIC_H
#define SL_METRIC_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- sums that do not depend on their order ---- */

/* A sum and the part of it that did not fit: sum + error is good to about twice the
 * digits of a double, so however rows are split, the rounded totals agree. */
typedef struct SlSum
{
	double sum;
	double error;
} SlSum;

/* Knuth's two-sum: exact, and needs no comparison of magnitudes. */
static inline void
sl_sum_add(SlSum *s, double x)
{
	double total = s->sum + x;
	double part = total - s->sum;

	s->error += (s->sum - (total - part)) + (x - part);
	s->sum = total;
}

static inline void
sl_sum_merge(SlSum *s, const SlSum *other)
{
	sl_sum_add(s, other->sum);
	s->error += other->error;
}

static inline double
sl_sum_value(const SlSum *s)
{
	return s->sum + s->error;
}

/* Probabilities nearer to 0 or 1 than this are moved here, for log(0) has no value;
 * scikit-learn's clip. */
#define SL_LOG_LOSS_CLIP 1e-15

/* -log of the probability that p in [0, 1] gives to the outcome y. */
extern double sl_log_loss(bool y, double p);

/* ---- metrics that need every row ---- */

/* What the rows of a kept state are, and so how many 64-bit words one takes. */
typedef enum SlValueKind
{
	SL_VALUES_ERROR = 1,	/* double: an absolute error */
	SL_VALUES_SCORE = 2,	/* double: a probability, its sign bit the true class */
	SL_VALUES_POSITION = 3, /* SlPosition */
} SlValueKind;

typedef struct SlPosition
{
	int64_t position;
	int64_t right; /* 1 if the prediction there was right, else 0 */
} SlPosition;

extern size_t sl_values_words(SlValueKind kind);

/* A probability and its class in one double: sorting by magnitude sorts by p. */
static inline double
sl_score(bool y, double p)
{
	return copysign(p, y ? -1.0 : 1.0);
}

/* values[n] sorted; n > 0 */
extern double sl_median(const double *values, size_t n);

/* scores[n] sorted by magnitude; false when only one class is there */
extern bool sl_auc(const double *scores, size_t n, double *auc);

/* rows[n] sorted by position; n > 0; false, and *duplicate set, if one comes twice */
extern bool sl_average_accuracy(const SlPosition *rows, size_t n, double *result,
								int64_t *duplicate);

/* ---- the serial form of kept values ---- */

#define SL_VALUES_VERSION 1
#define SL_VALUES_HEADER 16

/* Bytes of the serial form of n rows; 0 if that overflows. */
extern size_t sl_values_serial_size(SlValueKind kind, size_t n);
extern void sl_values_encode(SlValueKind kind, size_t n, const uint64_t *words,
							 unsigned char *bytes);

/* Read kind and count of a serial form, checking version and length.  NULL if it is
 * sound, else what is wrong with it. */
extern const char *sl_values_parse(const unsigned char *bytes, size_t size,
								   SlValueKind *kind, size_t *n);

/* Decode the rows of a parsed serial form; NULL, or what is wrong with one. */
extern const char *sl_values_decode(const unsigned char *bytes, SlValueKind kind,
									size_t n, uint64_t *words);

#endif
