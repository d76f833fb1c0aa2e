/*
 * summary.h: what the rows of predictions() say when taken together.  Plain C11.
 */
#ifndef SL_SUMMARY_H
#define SL_SUMMARY_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "report/scale.h"

/* The predictors of a row, in the order of evaluate(). */
enum
{
	SL_BY_MODEL,
	SL_BY_USER_MEAN,
	SL_BY_USER_MEDIAN,
	SL_BY_LAST_VALUE,
	SL_BY_GLOBAL_MEDIAN,
	SL_PREDICTORS
};

typedef struct SlOutcome
{
	int cluster; /* -1: none */
	double actual;
	double by[SL_PREDICTORS]; /* NaN where there is none */
} SlOutcome;

typedef struct SlScore
{
	size_t rows; /* with a prediction */
	double mae;
	double rmse;
	double median_ae;
	double normalized_mae; /* NaN where the user mean makes no error */
} SlScore;

#define SL_BANDS 5
#define SL_LEVELS 5 /* quantiles 10, 25, 50, 75 and 90 % */

/* Rows whose actual value lies in [from, to), the last one in [from, to]. */
typedef struct SlBand
{
	double from;
	double to;
	size_t rows;
	double mae;
	double user_mean_mae;
	double level[SL_LEVELS]; /* of the residuals, or of the ratios */
} SlBand;

typedef struct SlSummary
{
	size_t rows;
	bool logarithmic; /* heavy tail: draw on log axes, residuals as ratios */
	double floor;	  /* where logarithmic: smaller values count as this one */
	double low;		  /* of actual values and predictions alike, at least the floor */
	double high;
	int bands;
	SlBand band[SL_BANDS];
} SlSummary;

extern const char *sl_predictor_name(int which);

/* Of all rows, or of those of one cluster. */
#define SL_ALL_CLUSTERS INT_MIN

/* Errors of one predictor; scratch[rows] is overwritten. */
extern void sl_score_rows(const SlOutcome *row, size_t rows, int cluster, int which,
						  double *scratch, SlScore *score);

/* rows > 0; scratch[rows] is overwritten */
extern void sl_summarize(const SlOutcome *row, size_t rows, SlUnit unit, double *scratch,
						 SlSummary *summary);

/* predicted ÷ actual where the summary is logarithmic, else predicted − actual */
extern double sl_residual(const SlSummary *summary, const SlOutcome *row);

/* The drawn rows: all, or one picked from each of limit equal stretches.  index[limit];
 * returns how many. */
extern size_t sl_sample_rows(size_t rows, size_t limit, size_t *index);

/* values[n] sorted, n > 0; linear between neighbours */
extern double sl_quantile(const double *values, size_t n, double level);
/* Whether values that are nowhere negative reach far beyond their median. */
extern bool sl_is_heavy_tailed(const double *values, size_t n);
extern void sl_sort_values(double *values, size_t n);

#endif
