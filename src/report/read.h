/*
 * read.h: what a report is made of, from the store and from predictions().  All
 * functions need a connected SPI, read with the caller's rights and give texts in UTF-8.
 */
#ifndef SL_READ_H
#define SL_READ_H

#include "lib/stringinfo.h"

#include "report/cluster_plots.h"
#include "report/plots.h"

/* At most so many points of a cloud are drawn. */
#define SL_DRAWN_ROWS 2000
/* At most so many epochs of a curve. */
#define SL_DRAWN_EPOCHS 400
#define SL_SAMPLES 16

typedef struct SlReported
{
	char *name; /* as the server spells it, for queries */
	char *model;
	int version;
	char *source;
	char *server_source; /* as the server spells it */
	char *target;
	char *task;
	SlUnit unit;
	char *loss;
	int best_epoch;
} SlReported;

/* One of the rows shown one by one. */
typedef struct SlSample
{
	char *key;
	char *order;
	SlOutcome outcome;
	double low; /* lowest and highest quantile, NaN if the model has none */
	double high;
} SlSample;

typedef struct SlPredictions
{
	size_t rows;
	SlOutcome *row;
	double *scratch; /* [rows] */
	int samples;
	SlSample sample[SL_SAMPLES];
	SlSummary summary; /* where rows > 0 */
	size_t drawn_rows;
	size_t drawn[SL_DRAWN_ROWS];
} SlPredictions;

/* version 0: the one that serves */
extern SlReported *sl_read_version(const char *model, int version);

/* The losses of a version; several clusters are several curves. */
extern SlLearning *sl_read_learning(const SlReported *reported);

/* The rows of a part, from the stored source if source is NULL. */
extern SlPredictions *sl_read_predictions(const SlReported *reported, const char *source,
										  const char *part);
extern SlPredicted sl_predicted(const SlReported *reported,
								const SlPredictions *predictions, const char *part);

/* Whether a source, as the server spells it, is a table or view that is not there. */
extern bool sl_source_is_gone(const char *source);

/* The points of a clustering by two of its source's columns; NULL where there are
 * none.  The source runs with the caller's rights: who calls has looked whose it is. */
extern SlCloud *sl_read_cloud(const char *name, const char *source, const char *key,
							  int clusters, const char *x, const char *y);

/* Text of the server, as UTF-8. */
extern char *sl_utf8(const char *text);
/* A column of a result row; NULL for NULL. */
extern char *sl_row_text(HeapTuple row, int column);
/* NaN for NULL */
extern double sl_row_number(HeapTuple row, int column);

/* A sink that appends to a string. */
extern SlMarkup sl_markup_to(StringInfo out);

#endif
