/*
 * page.h: the parts that pages about one model and about several share.
 */
#ifndef SL_PAGE_H
#define SL_PAGE_H

#include "report/html.h"
#include "report/read.h"

/* A number as in tables and tiles, as UTF-8 text of its own. */
extern char *sl_number_text(double value);
extern char *sl_count_text(int64 value);

/* " (seconds)" where values are in seconds, else "" */
extern const char *sl_unit_suffix(SlUnit unit);

/* A table of what a query with $1 model and $2 version returns: its column names are the
 * headings.  What is of a type of numbers stands on the right.  Returns the rows. */
extern uint64 sl_page_query(SlHtml *page, const char *caption, const char *sql,
							const SlReported *reported);

/* The first row of such a query as texts; NULL for NULL. */
extern char **sl_page_texts(const char *sql, const SlReported *reported);

/* The clusters a model has networks for (clusters_sql.c). */
extern bool sl_page_has_clusters(const SlReported *reported);
extern void sl_page_clusters(SlHtml *page, const SlReported *reported);

/* Of the rows predicted, how many are right, by predictor and position; for models of
 * classes and items (scores_sql.c).  source NULL: the stored one. */
#define SL_REPORT_K 20
/* Runs evaluate() for a query's rows: predictor, rows and these of its columns. */
extern void sl_page_evaluate(const SlReported *reported, const char *source,
							 const char *columns);
extern void sl_page_scores(SlHtml *page, const SlReported *reported, const char *source);
/* Of classes, how often probabilities came true. */
extern void sl_page_calibration(SlHtml *page, const SlPredicted *predicted);

/* The foot of every page: who wrote it, and when. */
extern void sl_page_close(SlHtml *page);

#endif
