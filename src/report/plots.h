/*
 * plots.h: whole drawings of a model: how it learned, how it predicts.  Plain C11.
 */
#ifndef SL_PLOTS_H
#define SL_PLOTS_H

#include "report/chart.h"
#include "report/summary.h"

/* Panels of a drawing; several stand side by side. */
#define SL_PANEL_FIRST 1
#define SL_PANEL_SECOND 2
#define SL_PANEL_BOTH 3

#define SL_PANEL_WIDTH 440.0
#define SL_PANEL_HEIGHT 330.0

/* The losses of one network by epoch; NaN where there is none. */
typedef struct SlCurve
{
	const char *name; /* of its cluster or model; NULL for the network of all */
	int n;
	double *epoch;
	double *training;
	double *validation;
	double *mae; /* validation MAE in the target's units */
} SlCurve;

typedef struct SlLearning
{
	const char *model; /* NULL: the curves are of several models */
	int version;
	const char *loss; /* "mae of log1p(session_length)" */
	const char *target;
	SlUnit unit;
	int best_epoch; /* 0: not known */
	int curves;
	SlCurve *curve;
} SlLearning;

extern bool sl_has_validation(const SlLearning *learning);
/* Classes and items have losses, but no MAE. */
extern bool sl_has_mae(const SlLearning *learning);

/* First panel: losses; second: validation MAE. */
extern void sl_plot_learning(SlMarkup *out, const char *id, const SlLearning *learning,
							 int panels);

typedef struct SlPredicted
{
	const char *model;
	int version;
	const char *target;
	SlUnit unit;
	const char *part;
	const SlOutcome *row;
	const SlSummary *summary;
	const size_t *drawn; /* indexes of the rows drawn */
	size_t drawn_rows;
} SlPredicted;

/* How many of the drawn points lie beyond the axes and are moved to the edge. */
extern size_t sl_points_at_edge(const SlPredicted *predicted);

/* First panel: actual against predicted; second: residuals by length band. */
extern void sl_plot_predicted(SlMarkup *out, const char *id, const SlPredicted *predicted,
							  int panels);

/* Rows of a 0/1 target whose predicted probabilities lie in the same tenth of 0 to 1:
 * their means. */
#define SL_TENTHS 10
typedef struct SlTenth
{
	size_t rows;
	double predicted;
	double actual;
} SlTenth;

/* Those tenths that have rows, in order; returns how many. */
extern int sl_calibrate(const SlPredicted *predicted, SlTenth *tenth);

/* Of probabilities of a 0/1 target: the share that came true by tenths of them. */
extern void sl_plot_calibration(SlMarkup *out, const char *id,
								const SlPredicted *predicted);

/* "10-30 min", "from 2 h" */
extern void sl_band_label(const SlSummary *summary, SlUnit unit, int band, char *label,
						  size_t size);

#endif
