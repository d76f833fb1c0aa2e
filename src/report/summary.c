/*
 * summary.c: scores, quantiles and bands of predictions, and which of them are drawn.
 *
 * Sums are compensated as those of the metric aggregates are, so that the figures are
 * those of evaluate().
 */
#include "report/summary.h"

#include <math.h>
#include <stdlib.h>

#include "metric/metric.h"

/* A tail is heavy when the 99 % quantile is so many times the median. */
#define HEAVY 5.0
/* On log axes, values are drawn down to this quantile of the positive ones. */
#define FLOOR_LEVEL 0.005

const char *
sl_predictor_name(int which)
{
	static const char *const names[] = {"model", "user mean", "user median", "last value",
										"global median"};

	return names[which];
}

static int
compare(const void *a, const void *b)
{
	double x = *(const double *) a;
	double y = *(const double *) b;

	return (x > y) - (x < y);
}

void
sl_sort_values(double *values, size_t n)
{
	qsort(values, n, sizeof(double), compare);
}

double
sl_quantile(const double *values, size_t n, double level)
{
	double place = level * (double) (n - 1);
	size_t below = (size_t) place;
	double part = place - (double) below;

	if (part == 0 || below + 1 >= n)
		return values[below];
	/* weights, not the difference: that may overflow */
	return values[below] * (1 - part) + values[below + 1] * part;
}

bool
sl_is_heavy_tailed(const double *values, size_t n)
{
	double median = sl_quantile(values, n, 0.5);

	return values[0] >= 0 && median > 0 && sl_quantile(values, n, 0.99) > HEAVY * median;
}

void
sl_score_rows(const SlOutcome *row, size_t rows, int cluster, int which, double *scratch,
			  SlScore *score)
{
	SlSum absolute = {0, 0};
	SlSum square = {0, 0};
	SlSum own = {0, 0};
	SlSum base = {0, 0};
	size_t n = 0;

	*score = (SlScore){0, NAN, NAN, NAN, NAN};
	for (size_t i = 0; i < rows; i++)
	{
		double error = fabs(row[i].actual - row[i].by[which]);
		double base_error = fabs(row[i].actual - row[i].by[SL_BY_USER_MEAN]);

		if (!isfinite(error) || (cluster != SL_ALL_CLUSTERS && row[i].cluster != cluster))
			continue;
		sl_sum_add(&absolute, error);
		sl_sum_add(&square, error * error);
		scratch[n++] = error;
		if (isfinite(base_error))
		{
			sl_sum_add(&own, error);
			sl_sum_add(&base, base_error);
		}
	}
	if (n == 0)
		return;
	sl_sort_values(scratch, n);
	score->rows = n;
	score->mae = sl_sum_value(&absolute) / (double) n;
	score->rmse = sqrt(sl_sum_value(&square) / (double) n);
	score->median_ae = sl_median(scratch, n);
	if (sl_sum_value(&base) > 0)
		score->normalized_mae = sl_sum_value(&own) / sl_sum_value(&base);
}

double
sl_residual(const SlSummary *summary, const SlOutcome *row)
{
	if (summary->logarithmic)
		return fmax(row->by[SL_BY_MODEL], summary->floor) /
			   fmax(row->actual, summary->floor);
	return row->by[SL_BY_MODEL] - row->actual;
}

/* The axes: their kind and what they have to show. */
static void
choose_axes(const SlOutcome *row, size_t rows, double *scratch, SlSummary *s)
{
	size_t first = 0;

	for (size_t i = 0; i < rows; i++)
		scratch[i] = row[i].actual;
	sl_sort_values(scratch, rows);
	s->low = scratch[0];
	s->high = scratch[rows - 1];
	s->logarithmic =
		s->low >= 0 && sl_quantile(scratch, rows, 0.5) > 0 &&
		sl_quantile(scratch, rows, 0.99) > HEAVY * sl_quantile(scratch, rows, 0.5);
	while (first < rows && scratch[first] <= 0)
		first++;
	s->floor = first < rows ? sl_quantile(scratch + first, rows - first, FLOOR_LEVEL) : 0;
	for (size_t i = 0; i < rows; i++)
	{
		double predicted = row[i].by[SL_BY_MODEL];

		if (isfinite(predicted))
		{
			s->low = fmin(s->low, predicted);
			s->high = fmax(s->high, predicted);
		}
	}
	if (s->logarithmic)
		s->low = s->floor;
}

/* Borders of the bands, from the sorted actual values: round lengths of time where
 * these part the rows, else quintiles.  Returns how many bands. */
static int
choose_bands(const double *actual, size_t rows, SlUnit unit, double border[SL_BANDS + 1])
{
	static const double lengths[] = {600, 1800, 3600, 7200};
	int bands = 0;

	border[0] = actual[0];
	for (int i = 1; i < SL_BANDS; i++)
	{
		double at = unit == SL_SECONDS ? lengths[i - 1]
									   : sl_quantile(actual, rows, (double) i / SL_BANDS);

		if (at > border[bands] && at < actual[rows - 1])
			border[++bands] = at;
	}
	border[++bands] = actual[rows - 1];
	if (bands == 1 && unit == SL_SECONDS)
		return choose_bands(actual, rows, SL_PLAIN, border);
	return bands;
}

static void
fill_band(const SlOutcome *row, size_t rows, bool last, double *scratch,
		  const SlSummary *s, SlBand *band)
{
	static const double levels[SL_LEVELS] = {0.1, 0.25, 0.5, 0.75, 0.9};
	SlSum error = {0, 0};
	SlSum user_mean = {0, 0};
	size_t n = 0;
	size_t n_mean = 0;

	for (size_t i = 0; i < rows; i++)
	{
		double actual = row[i].actual;
		double base_error = fabs(actual - row[i].by[SL_BY_USER_MEAN]);

		if (actual < band->from || actual > band->to || (actual == band->to && !last) ||
			!isfinite(row[i].by[SL_BY_MODEL]))
			continue;
		sl_sum_add(&error, fabs(actual - row[i].by[SL_BY_MODEL]));
		scratch[n++] = sl_residual(s, &row[i]);
		if (isfinite(base_error))
		{
			sl_sum_add(&user_mean, base_error);
			n_mean++;
		}
	}
	band->rows = n;
	band->mae = n > 0 ? sl_sum_value(&error) / (double) n : NAN;
	band->user_mean_mae = n_mean > 0 ? sl_sum_value(&user_mean) / (double) n_mean : NAN;
	sl_sort_values(scratch, n);
	for (int i = 0; i < SL_LEVELS; i++)
		band->level[i] = n > 0 ? sl_quantile(scratch, n, levels[i]) : NAN;
}

void
sl_summarize(const SlOutcome *row, size_t rows, SlUnit unit, double *scratch,
			 SlSummary *s)
{
	double border[SL_BANDS + 1];

	s->rows = rows;
	choose_axes(row, rows, scratch, s);
	for (size_t i = 0; i < rows; i++)
		scratch[i] = row[i].actual;
	sl_sort_values(scratch, rows);
	s->bands = choose_bands(scratch, rows, unit, border);
	for (int b = 0; b < s->bands; b++)
	{
		s->band[b].from = border[b];
		s->band[b].to = border[b + 1];
		fill_band(row, rows, b == s->bands - 1, scratch, s, &s->band[b]);
	}
}

/* Spreads the bits of a number (the finaliser of splitmix64). */
static uint64_t
mix(uint64_t z)
{
	z += UINT64_C(0x9E3779B97F4A7C15);
	z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
	return z ^ (z >> 31);
}

/* One row out of each stretch, not every n-th: sequences of equal length would all be
 * seen at the same position. */
size_t
sl_sample_rows(size_t rows, size_t limit, size_t *index)
{
	size_t count = rows < limit ? rows : limit;

	for (size_t i = 0; i < count; i++)
	{
		size_t from = (size_t) ((double) i * (double) rows / (double) count);
		size_t to = (size_t) ((double) (i + 1) * (double) rows / (double) count);

		index[i] = rows <= limit ? i : from + mix(i) % (to > from ? to - from : 1);
	}
	return count;
}
